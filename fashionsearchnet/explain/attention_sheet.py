"""A sheet of where a system looks: a row per image, a column per attribute."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.explain import layout
from fashionsearchnet.explain.layout import Block, Sheet
from fashionsearchnet.explain.panels import CHECK_MARK, CROSS, MATCH, MISS

_FULL_WIDTH = 11.0  # inches to fill, as far as the sizes below allow
_MIN_SIDE, _MAX_SIDE, _GAP = 1.45, 2.3, 0.14
_MIN_WIDTH = 6.0  # so that the legend has room
_OWN, _TRUE = "white", "#ff5ce1"  # no heat is pink
_SWATCH, _LEGEND_HEIGHT = (0.36, 0.2), 0.3


@dataclasses.dataclass(frozen=True)
class AttentionCell:
    """Where a system looks for one attribute in one image.

    Attributes:
      picture: uint8 `[side, side, 3]`, RGB: what the network sees of the image, under the heat.
      box: ymin, xmin, ymax, xmax in 0..1 of the square.
      value: the value that the map belongs to, '-' where attributes have none.
      probability: of that value, in 0..1; None without one.
      is_right: whether it is the label; None without one.
      remarks: further lines.
      true_box: like `box`; None if there is none.
    """

    picture: np.ndarray
    box: tuple[float, ...]
    value: str
    probability: float | None
    is_right: bool | None = None
    remarks: tuple[str, ...] = ()
    true_box: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class AttentionRow:
    """One image: its name, itself uint8 `[height, width, 3]`, and a cell per attribute."""

    name: str
    image: np.ndarray
    cells: tuple[AttentionCell, ...]


def draw_attention_sheet(
    rows: Sequence[AttentionRow],
    attributes: Sequence[str],
    path: str | os.PathLike[str],
    title: str,
    note: str = "",
) -> None:
    """Writes a sheet as a PNG file.

    Args:
      rows: of one image each, at least one.
      attributes: the names above the columns of cells.
      path: of the file.
      title: above all.
      note: below the legend.

    Raises:
      OSError: if the file cannot be written.
    """
    columns = len(attributes) + 1
    side = float(np.clip(_FULL_WIDTH / columns - _GAP, _MIN_SIDE, _MAX_SIDE))
    width = max(_MIN_WIDTH, 2 * layout.MARGIN + columns * (side + _GAP) - _GAP)
    lefts = [layout.MARGIN + i * (side + _GAP) for i in range(columns)]
    names = [layout.wrap(name, layout.HEADING, side, 2) for name in attributes]
    names_height = max((name.height for name in names), default=0)
    texts = [[_cell_text(cell, side) for cell in row.cells] for row in rows]
    heights = [side + 0.24 + max(map(layout.height_of, line), default=0) for line in texts]
    has_truth = any(cell.true_box is not None for row in rows for cell in row.cells)
    sheet = Sheet(width, names_height + sum(heights) + _LEGEND_HEIGHT, title, note)
    top = sheet.top + names_height
    for left, name in zip(lefts[1:], names, strict=True):
        sheet.text([name], left, top - name.height)
    for row, line, height in zip(rows, texts, heights, strict=True):
        _draw_row(sheet, row, line, lefts, top + 0.05, side)
        top += height
    _draw_legend(sheet, top, has_truth)
    sheet.save(path)


def _cell_text(cell: AttentionCell, width: float) -> list[Block]:
    """Returns the text below the picture of a cell."""
    mark = {True: f"{CHECK_MARK} ", False: f"{CROSS} ", None: ""}[cell.is_right]
    color = {True: MATCH, False: MISS, None: "black"}[cell.is_right]
    font = dataclasses.replace(layout.BODY, color=color)
    lines = cell.remarks
    if cell.probability is not None:
        lines = (f"probability {cell.probability:.0%}", *lines)
    return [
        layout.wrap(mark + cell.value, font, width, 2),
        *(layout.wrap(line, layout.SMALL, width, 2) for line in lines),
    ]


def _draw_row(
    sheet: Sheet,
    row: AttentionRow,
    texts: Sequence[list[Block]],
    lefts: Sequence[float],
    top: float,
    side: float,
) -> None:
    """Draws an image and its cells; `texts` stand below these."""
    sheet.picture(row.image, lefts[0], top, side)
    below = top + side + 0.06
    sheet.text([layout.cut_middle(row.name, layout.SMALL, side)], lefts[0], below)
    for cell, text, left in zip(row.cells, texts, lefts[1:], strict=True):
        sheet.picture(cell.picture, left, top, side)
        sheet.box(cell.box, left, top, (side, side), _OWN)
        if cell.true_box is not None:
            sheet.box(cell.true_box, left, top, (side, side), _TRUE, dashed=True)
        sheet.text(text, left, below)


def _draw_legend(sheet: Sheet, top: float, has_truth: bool) -> None:
    """Says what the boxes are."""
    entries = [(_OWN, False, "box of the system")]
    if has_truth:
        entries.append((_TRUE, True, "true box"))
    left = layout.MARGIN
    for color, dashed, words in entries:
        sheet.box((0.15, 0.08, 0.85, 0.92), left, top, _SWATCH, color, dashed, background="0.6")
        left += _SWATCH[0] + 0.08
        sheet.text([Block((words,), layout.CAPTION)], left, top + 0.04)
        left += layout.CAPTION.width(words) + 0.3
