"""A sheet of searches as in Figure 6 of [Ak21]: a row per query, with the edit and the results."""

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

_EDIT_WIDTH, _ROW_GAP = 1.5, 0.2  # inches
_NAME, _WANTED = Font(9, color="0.4"), Font(11, color=EDIT, bold=True)


@dataclasses.dataclass(frozen=True)
class RetrievalRow:
    """One search.

    Attributes:
      query: the query image.
      edits: for each attribute that is asked for its name, what the query has, and what is wanted.
      results: nearest first; below each is what differs.
      num_relevant: how many images of the gallery match.
    """

    query: Panel
    edits: tuple[tuple[str, str, str], ...]
    results: tuple[Panel, ...]
    num_relevant: int


def draw_retrieval_sheet(
    rows: Sequence[RetrievalRow], path: str | os.PathLike[str], title: str, note: str = ""
) -> None:
    """Writes a sheet as a PNG file.

    Args:
      rows: of one search each, at least one; they may have different numbers of results.
      path: of the file.
      title: above all.
      note: below all: how the queries were chosen and what counts as a match.

    Raises:
      OSError: if the file cannot be written.
    """
    most = max(len(row.results) for row in rows)
    width = 2 * layout.MARGIN + SIDE + _EDIT_WIDTH + most * (SIDE + GAP)
    heights = [_row_height(row) + _ROW_GAP for row in rows]
    sheet = Sheet(width, sum(heights), title, note)
    top = sheet.top
    for row, height in zip(rows, heights, strict=True):
        _draw_row(sheet, row, top)
        top += height
    sheet.save(path)


def _row_height(row: RetrievalRow) -> float:
    """Returns the height of a row in inches."""
    edit = TITLE_HEIGHT + layout.height_of(_edit_text(row))
    return max(edit, *map(panel_height, (row.query, *row.results)))


def _draw_row(sheet: Sheet, row: RetrievalRow, top: float) -> None:
    """Draws a query, its edit and its results beside each other."""
    left = layout.MARGIN
    draw_panel(sheet, row.query, left, top)
    left += SIDE + GAP
    sheet.text(_edit_text(row), left, top + TITLE_HEIGHT)
    left += _EDIT_WIDTH
    for panel in row.results:
        draw_panel(sheet, panel, left, top)
        left += SIDE + GAP


def _edit_text(row: RetrievalRow) -> list[Block]:
    """Returns the edit in words, and how many images of the gallery answer it."""
    width = _EDIT_WIDTH - GAP
    blocks = []
    for name, has, wanted in row.edits:
        blocks.append(layout.wrap(f"{name}: {has}", _NAME, width, 3))
        blocks.append(layout.wrap(f"\N{RIGHTWARDS ARROW} {wanted}", _WANTED, width, 3))
        blocks.append(Block(("",), Font(4)))
    number = f"{row.num_relevant:,}" if row.num_relevant else "no"
    matching = "image matches" if row.num_relevant == 1 else "images match"
    return [*blocks, layout.wrap(f"{number} gallery {matching}", layout.SMALL, width, 2)]
