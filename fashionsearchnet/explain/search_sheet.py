"""One search: the query, the edit, the attention, and the results."""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.explain.overlays import enlarge, square_image
from fashionsearchnet.explain.panels import CHECK_MARK, CROSS, EDIT, MATCH, MISS, Panel

_RESULTS_PER_ROW = 5
_TITLE_LENGTH, _LINE_LENGTH, _VALUE_LENGTH = 22, 36, 46  # characters that fit


@dataclasses.dataclass(frozen=True)
class SearchSheet:
    """What a sheet shows.

    Attributes:
      title: the edit, in words.
      query: the query image.
      attributes: for each attribute its name, what the query has, and the wanted value or ''.
      attention: the query again, with the attention of each edited attribute.
      results: nearest first.
      note: how matches are judged, in one line.
    """

    title: str
    query: Panel
    attributes: tuple[tuple[str, str, str], ...]
    attention: tuple[Panel, ...]
    results: tuple[Panel, ...]
    note: str = ""


def draw_search_sheet(sheet: SearchSheet, path: str | os.PathLike[str]) -> None:
    """Writes a sheet as a PNG file."""
    from matplotlib.figure import Figure  # slow to import, and needed here only

    per_row = max(_RESULTS_PER_ROW, len(sheet.attention) + 3)
    result_rows = math.ceil(len(sheet.results) / per_row)
    most_lines = max((len(panel.lines) for panel in sheet.results), default=0)
    top = max(2.3, 0.21 * len(sheet.attributes) + 0.4)  # inches
    below = 2.3 + 0.155 * most_lines
    height = top + below * result_rows + 0.7
    figure = Figure(figsize=(2.1 * per_row, height), dpi=110)
    grid = figure.add_gridspec(
        1 + result_rows,
        per_row,
        height_ratios=[top, *([below] * result_rows)],
        left=0.02,
        right=0.98,
        bottom=0.3 / height,
        top=1 - 0.62 / height,
        wspace=0.12,
        hspace=0.04,
    )
    figure.suptitle(sheet.title, x=0.02, y=1 - 0.12 / height, ha="left", va="top", fontsize=14)
    figure.text(0.02, 0.1 / height, sheet.note, fontsize=8, color="0.35")
    _draw_panel(figure.add_subplot(grid[0, 0]), sheet.query)
    _draw_attributes(figure.add_subplot(grid[0, 1:3]), sheet.attributes)
    for column, panel in enumerate(sheet.attention, start=3):
        _draw_panel(figure.add_subplot(grid[0, column]), panel)
    for position, panel in enumerate(sheet.results):
        row, column = divmod(position, per_row)
        _draw_panel(figure.add_subplot(grid[1 + row, column]), panel)
    with files.replace_file(path) as temporary:
        figure.savefig(temporary)


def _draw_panel(axes: Any, panel: Panel) -> None:
    """Draws one picture with its frame, title and lines."""
    axes.imshow(enlarge(square_image(panel.image)))
    axes.set(xticks=[], yticks=[], anchor="N")
    color = {True: MATCH, False: MISS, None: "0.6"}[panel.matches]
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=0.8 if panel.matches is None else 3)
    mark = {True: f"{CHECK_MARK} ", False: f"{CROSS} ", None: ""}[panel.matches]
    axes.set_title(
        mark + _shorten_inside(panel.title, _TITLE_LENGTH),
        loc="left",
        fontsize=9,
        pad=4,
        color="black" if panel.matches is None else color,
    )
    lines = "\n".join(_shorten(line, _LINE_LENGTH) for line in panel.lines)
    axes.text(
        0,
        -0.03,
        lines,
        transform=axes.transAxes,
        va="top",
        fontsize=7.5,
        color="0.25",
        parse_math=False,
        linespacing=1.25,
    )


def _draw_attributes(axes: Any, attributes: Sequence[tuple[str, str, str]]) -> None:
    """Lists what the query has, and what is wanted instead."""
    axes.set_axis_off()
    for line, (name, value, wanted) in enumerate(attributes):
        y = 1 - (line + 0.5) / max(len(attributes), 10)
        style = {"transform": axes.transAxes, "va": "center", "fontsize": 9, "parse_math": False}
        axes.text(0.04, y, _shorten(name, 20), color="0.4", **style)
        if wanted:
            text = f"{value} \N{RIGHTWARDS ARROW} {wanted}"
            axes.text(
                0.42, y, _shorten(text, _VALUE_LENGTH), color=EDIT, fontweight="bold", **style
            )
        else:
            axes.text(0.42, y, _shorten(value, _VALUE_LENGTH), **style)


def _shorten(text: str, length: int) -> str:
    """Returns the text, cut at what fits beside a neighbour."""
    if len(text) <= length:
        return text
    return text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _shorten_inside(text: str, length: int) -> str:
    """Returns the text without its middle, since file names differ at their end."""
    if len(text) <= length:
        return text
    head = length // 4
    return text[:head] + "\N{HORIZONTAL ELLIPSIS}" + text[head + 1 - length :]
