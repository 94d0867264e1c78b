"""Pictures that explain a search: attention on the query, and a sheet of results."""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from fashionsearchnet import files

_MATCH, _MISS, _EDIT = "#1a8f3c", "#c8352b", "#1f5fbf"
_RESULTS_PER_ROW = 5
_TITLE_LENGTH, _LINE_LENGTH, _VALUE_LENGTH = 22, 36, 46  # characters that fit


@dataclasses.dataclass(frozen=True)
class MapGeometry:
    """Where the cells of a map lie on the square input of a network, in its pixels.

    Attributes:
      first_centre: centre of the first cell.
      cell_stride: distance between the centres of neighbouring cells.
      image_size: side of the input.
    """

    first_centre: float
    cell_stride: float
    image_size: int


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture with a title and lines of text below.

    Attributes:
      image: uint8 `[height, width, 3]`, RGB.
      title: one line above it.
      lines: lines below it.
      matches: True and False give it a green frame with a tick or a red one with a cross.
    """

    image: np.ndarray
    title: str = ""
    lines: tuple[str, ...] = ()
    matches: bool | None = None


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


def square_image(image: np.ndarray, fill: Sequence[float] = (255, 255, 255)) -> np.ndarray:
    """Returns uint8 `[side, side, 3]`: the image in the middle of a square, as a network sees it.

    Args:
      image: uint8 `[height, width, 3]`.
      fill: colour of the rest, 0..255.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = np.clip(np.round(fill), 0, 255).astype(np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def enlarge(image: np.ndarray, min_side: int = 256) -> np.ndarray:
    """Returns the image scaled up so that its longer side has at least `min_side` pixels."""
    scale = min_side / max(image.shape[:2])
    if scale <= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def map_on_image(
    activation: np.ndarray, side: int, geometry: MapGeometry | None = None
) -> np.ndarray:
    """Returns an activation map as float32 `[side, side]` in [0, 1], by its maximum.

    Negative activations are no attention and become 0, as does a map without positive ones.

    Args:
      activation: float `[h, w]`.
      side: of the square picture in pixels.
      geometry: where the cells lie; None spreads them evenly over the picture.
    """
    activation = np.maximum(activation.astype(np.float32), 0)
    activation = activation / max(float(activation.max()), 1e-12)
    centre = np.arange(side, dtype=np.float32) + 0.5
    axes = []
    for cells in activation.shape:
        if geometry is None:
            axes.append(centre / side * cells - 0.5)
        else:
            pixel = centre / side * geometry.image_size
            axes.append((pixel - geometry.first_centre) / geometry.cell_stride)
    row, column = np.meshgrid(*axes, indexing="ij")
    return cv2.remap(activation, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def overlay_map(image: np.ndarray, heat: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """Returns the image with a heat map on it, uint8 `[h, w, 3]`; no heat leaves it as it is.

    Args:
      image: uint8 `[h, w, 3]`, RGB.
      heat: float `[h, w]` in [0, 1].
      strength: opacity of the hottest place, 0..1.
    """
    # The last tenth of the colours is a dark red, which looks colder than the red before it.
    levels = np.round(230 * np.clip(heat, 0, 1)).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    opacity = strength * np.clip(heat, 0, 1)[..., None]
    return np.round((1 - opacity) * image + opacity * colour).astype(np.uint8)


def draw_box(
    image: np.ndarray, box: Sequence[float], color: tuple[int, int, int] = (255, 255, 255)
) -> np.ndarray:
    """Returns a copy with a frame at `box`: ymin, xmin, ymax, xmax in [0, 1] of the image."""
    height, width = image.shape[:2]
    thickness = max(1, round(max(height, width) / 100))
    scale = np.array([height, width, height, width])
    edge = np.round(np.clip(box, 0, 1) * scale).astype(int)
    # A frame at the rim of the image would be half outside.
    low = np.maximum(edge[:2], thickness)
    high = np.minimum(edge[2:], np.array([height, width]) - 1 - thickness)
    framed = np.ascontiguousarray(image.copy())
    first, second = (int(low[1]), int(low[0])), (int(high[1]), int(high[0]))
    cv2.rectangle(framed, first, second, (0, 0, 0), 2 * thickness + 1)
    cv2.rectangle(framed, first, second, color, thickness)
    return framed


def attention_panel(
    image: np.ndarray,
    activation: np.ndarray,
    box: Sequence[float],
    title: str,
    geometry: MapGeometry | None = None,
    fill: Sequence[float] = (255, 255, 255),
) -> Panel:
    """Returns the picture of where a network looks for one attribute.

    Args:
      image: uint8 `[height, width, 3]`, of any shape; it is padded to a square.
      activation: float `[h, w]`, of the attribute.
      box: ymin, xmin, ymax, xmax in [0, 1] of the square.
      title: above the picture.
      geometry: where the cells of the map lie.
      fill: colour that pads the image.
    """
    square = enlarge(square_image(image, fill))
    heat = map_on_image(activation, len(square), geometry)
    return Panel(draw_box(overlay_map(square, heat), box), title)


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
    color = {True: _MATCH, False: _MISS, None: "0.6"}[panel.matches]
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=0.8 if panel.matches is None else 3)
    mark = {True: "\N{CHECK MARK} ", False: "\N{MULTIPLICATION SIGN} ", None: ""}[panel.matches]
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
                0.42, y, _shorten(text, _VALUE_LENGTH), color=_EDIT, fontweight="bold", **style
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
