"""A sheet of one search: the query, what is read off it, the edit, the attention, the results."""

import dataclasses
import os
from collections.abc import Sequence

from fashionsearchnet.explain import layout
from fashionsearchnet.explain.layout import Block, Font, Sheet
from fashionsearchnet.explain.panels import (
    EDIT,
    GAP,
    SIDE,
    TITLE_HEIGHT,
    Panel,
    draw_panel,
    panel_height,
)

_COLUMNS = 5  # at least
_ATTRIBUTE_COLUMNS, _NAME_SHARE = 2, 0.36  # the names take a share of the width of these columns
_ROW_GAP, _LINE_GAP = 0.2, 0.04
_NAME, _WANTED = Font(9, color="0.4"), Font(9, color=EDIT, bold=True)


@dataclasses.dataclass(frozen=True)
class SearchPicture:
    """The content of a sheet.

    Attributes:
      title: the edit, in words.
      query: the query image.
      attributes: for each attribute its name, what the query has, and the wanted value or ''.
      attention: the query again, with the attention of each edited attribute.
      results: nearest first.
      note: how matches are judged.
    """

    title: str
    query: Panel
    attributes: tuple[tuple[str, str, str], ...]
    attention: tuple[Panel, ...]
    results: tuple[Panel, ...]
    note: str = ""


def draw_search_sheet(picture: SearchPicture, path: str | os.PathLike[str]) -> None:
    """Writes a sheet as a PNG file.

    Raises:
      OSError: if the file cannot be written.
    """
    columns = max(_COLUMNS, 1 + _ATTRIBUTE_COLUMNS + len(picture.attention))
    lines = [_attribute_line(*attribute) for attribute in picture.attributes]
    rows = [picture.results[i : i + columns] for i in range(0, len(picture.results), columns)]
    table = TITLE_HEIGHT + sum(_line_height(line) for line in lines)
    first = max(table, *map(panel_height, (picture.query, *picture.attention)))
    heights = [first, *(max(map(panel_height, row)) for row in rows)]
    sheet = Sheet(
        2 * layout.MARGIN + columns * (SIDE + GAP) - GAP,
        sum(height + _ROW_GAP for height in heights),
        picture.title,
        picture.note,
    )
    _draw_panels(sheet, [picture.query], 0, sheet.top)
    _draw_attributes(sheet, lines, sheet.top + TITLE_HEIGHT)
    _draw_panels(sheet, picture.attention, 1 + _ATTRIBUTE_COLUMNS, sheet.top)
    top = sheet.top
    for row, height_above in zip(rows, heights, strict=False):
        top += height_above + _ROW_GAP
        _draw_panels(sheet, row, 0, top)
    sheet.save(path)


def _draw_panels(sheet: Sheet, panels: Sequence[Panel], column: int, top: float) -> None:
    """Draws panels beside each other from a column on."""
    for position, panel in enumerate(panels, start=column):
        draw_panel(sheet, panel, layout.MARGIN + position * (SIDE + GAP), top)


def _attribute_line(name: str, has: str, wanted: str) -> tuple[Block, Block]:
    """Returns an attribute's name, and what the query has or what is wanted instead."""
    width = _ATTRIBUTE_COLUMNS * (SIDE + GAP) - GAP
    text, font = has, layout.BODY
    if wanted:
        text, font = f"{has} \N{RIGHTWARDS ARROW} {wanted}", _WANTED
    return (
        layout.wrap(name, _NAME, _NAME_SHARE * width - GAP, 2),
        layout.wrap(text, font, (1 - _NAME_SHARE) * width, 3),
    )


def _line_height(line: tuple[Block, Block]) -> float:
    return max(block.height for block in line) + _LINE_GAP


def _draw_attributes(sheet: Sheet, lines: Sequence[tuple[Block, Block]], top: float) -> None:
    """Lists what the query has, and what is wanted instead."""
    left = layout.MARGIN + SIDE + GAP
    values = left + _NAME_SHARE * (_ATTRIBUTE_COLUMNS * (SIDE + GAP) - GAP)
    for name, value in lines:
        sheet.text([name], left, top)
        sheet.text([value], values, top)
        top += _line_height((name, value))
