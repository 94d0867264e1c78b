"""A sheet of searches as in Figure 6 of [Ak21]: a row per query, with the edit and the results."""

import dataclasses
import os
from collections.abc import Sequence

from fashionsearchnet.explain import layout
from fashionsearchnet.explain.layout import Block, Font, Page
from fashionsearchnet.explain.panels import CHECK_MARK, EDIT, MATCH, Panel

_SIDE, _GAP, _EDIT_WIDTH = 1.62, 0.14, 1.5  # inches
_ROW_GAP, _ABOVE, _BELOW = 0.2, 0.05, 0.07
_MAX_LINES = 5  # below a result
_NAME, _WANTED = Font(9, color="0.4"), Font(11, color=EDIT, bold=True)
_RANK, _HIT_RANK = Font(8, color="0.35"), Font(8, color=MATCH, bold=True)


@dataclasses.dataclass(frozen=True)
class RetrievalRow:
    """One search.

    Attributes:
      query: the query image; its title stands above it.
      edits: for each edited attribute its name, what the query has, and the wanted value.
      results: nearest first; where `matches` is true they get a green frame and a tick, else
        `lines` say what differs.
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
    width = 2 * layout.MARGIN + _SIDE + _EDIT_WIDTH + most * (_SIDE + _GAP)
    inner = width - 2 * layout.MARGIN
    heading = layout.wrap(title, layout.TITLE, inner, 2)
    caption = layout.wrap(note, layout.CAPTION, inner, 8)
    heights = [_row_height(row) for row in rows]
    height = 2 * layout.MARGIN + heading.height + sum(heights) + caption.height + 0.05
    sheet = Page(width, height)
    top = sheet.text([heading], layout.MARGIN, layout.MARGIN) + 0.1
    for row, row_height in zip(rows, heights, strict=True):
        _draw_row(sheet, row, top)
        top += row_height
    sheet.text([caption], layout.MARGIN, top - 0.05)
    sheet.save(path)


def _row_height(row: RetrievalRow) -> float:
    """Returns how much a row needs, in inches, with the gap to the next."""
    above = layout.BODY.line_height + _ABOVE
    results = max((layout.height_of(_differences(panel)) for panel in row.results), default=0)
    edit = layout.height_of(_edit_text(row))
    return above + max(_SIDE + _BELOW + results, edit) + _ROW_GAP


def _draw_row(sheet: Page, row: RetrievalRow, top: float) -> None:
    """Draws a query, its edit and its results beside each other."""
    below_title = top + layout.BODY.line_height + _ABOVE
    left = layout.MARGIN
    sheet.text([layout.cut_middle(row.query.title, layout.SMALL, _SIDE)], left, top + 0.02)
    sheet.picture(row.query.image, left, below_title, _SIDE)
    left += _SIDE + _GAP
    sheet.text(_edit_text(row), left, below_title)
    left += _EDIT_WIDTH
    for panel in row.results:
        font = _HIT_RANK if panel.matches else _RANK
        mark = f"{CHECK_MARK} " if panel.matches else ""
        sheet.text([layout.cut_middle(mark + panel.title, font, _SIDE)], left, top + 0.02)
        frame = (MATCH, 3.5) if panel.matches else ("0.6", 0.8)
        sheet.picture(panel.image, left, below_title, _SIDE, *frame)
        sheet.text(_differences(panel), left, below_title + _SIDE + _BELOW)
        left += _SIDE + _GAP


def _edit_text(row: RetrievalRow) -> list[Block]:
    """Returns the edit in words, and how many images of the gallery answer it."""
    width = _EDIT_WIDTH - _GAP
    blocks = []
    for name, has, wanted in row.edits:
        blocks.append(layout.wrap(f"{name}: {has}", _NAME, width, 3))
        blocks.append(layout.wrap(f"\N{RIGHTWARDS ARROW} {wanted}", _WANTED, width, 3))
        blocks.append(Block(("",), Font(4)))
    number = f"{row.num_relevant:,}" if row.num_relevant else "no"
    matching = "image matches" if row.num_relevant == 1 else "images match"
    return [*blocks, layout.wrap(f"{number} gallery {matching}", layout.SMALL, width, 2)]


def _differences(panel: Panel) -> list[Block]:
    """Returns what keeps a result from matching, in no more lines than look well."""
    blocks: list[Block] = []
    for position, line in enumerate(panel.lines):
        block = layout.wrap(line, layout.SMALL, _SIDE, 2)
        taken = sum(len(b.lines) for b in blocks) + len(block.lines)
        is_last = position == len(panel.lines) - 1
        if taken > _MAX_LINES - (not is_last):
            rest = len(panel.lines) - position
            return [*blocks, layout.wrap(f"and {rest} more", layout.SMALL, _SIDE)]
        blocks.append(block)
    return blocks
