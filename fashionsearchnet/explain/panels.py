"""Pictures with a title above and lines of text below: the parts of sheets."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.explain import layout
from fashionsearchnet.explain.layout import Block, Font, Sheet
from fashionsearchnet.explain.overlays import as_seen, enlarge, map_on_image, overlay_map
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry

MATCH, MISS, EDIT = "#1a8f3c", "#c8352b", "#1f5fbf"  # colours of frames and of edits
CHECK_MARK, CROSS = "\N{CHECK MARK}", "\N{MULTIPLICATION SIGN}"
SIDE, GAP, TITLE_HEIGHT = 1.62, 0.14, 0.22  # inches: of a picture, between two, above one
_BELOW, _MAX_LINES = 0.07, 5
_TITLE, _MATCH_TITLE = Font(8, color="0.35"), Font(8, color=MATCH, bold=True)


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture with a title above it and lines of text below it.

    Attributes:
      image: uint8 `[height, width, 3]`, RGB.
      title: one line.
      lines: what is below; only the first ones if they are many.
      matches: True gives a green frame and a tick.
      box: a frame inside the picture, if it is a square: ymin, xmin, ymax, xmax in 0..1.
    """

    image: np.ndarray
    title: str = ""
    lines: tuple[str, ...] = ()
    matches: bool = False
    box: tuple[float, ...] | None = None


def panel_height(panel: Panel) -> float:
    """Returns the height of a panel in inches."""
    return TITLE_HEIGHT + SIDE + _BELOW + layout.height_of(_text_below(panel))


def draw_panel(sheet: Sheet, panel: Panel, left: float, top: float) -> None:
    """Draws a panel on a sheet; its upper left corner is at (left, top), in inches."""
    mark, font = (f"{CHECK_MARK} ", _MATCH_TITLE) if panel.matches else ("", _TITLE)
    sheet.text([layout.cut_middle(mark + panel.title, font, SIDE)], left, top + 0.02)
    frame = (MATCH, 3.5) if panel.matches else ("0.6", 0.8)
    sheet.picture(panel.image, left, top + TITLE_HEIGHT, SIDE, *frame)
    if panel.box is not None:
        sheet.box(panel.box, left, top + TITLE_HEIGHT, (SIDE, SIDE), "white")
    sheet.text(_text_below(panel), left, top + TITLE_HEIGHT + SIDE + _BELOW)


def attention_panel(
    image: np.ndarray,
    activation: np.ndarray,
    box: Sequence[float],
    title: str,
    image_input: ImageInput,
    geometry: MapGeometry | None = None,
) -> Panel:
    """Returns the picture of where a network looks for one attribute.

    Args:
      image: uint8 `[height, width, 3]`, of any shape.
      activation: float `[h, w]`, the map of the attribute.
      box: ymin, xmin, ymax, xmax in [0, 1] of the network's input.
      title: above the picture.
      image_input: what the network sees of the image.
      geometry: where the cells of the map lie.
    """
    seen = enlarge(as_seen(image, image_input))
    heat = map_on_image(activation, len(seen), geometry)
    return Panel(overlay_map(seen, heat), title, box=tuple(box))


def _text_below(panel: Panel) -> list[Block]:
    """Returns the lines below a picture, no more than look well."""
    blocks: list[Block] = []
    for position, line in enumerate(panel.lines):
        block = layout.wrap(line, layout.SMALL, SIDE, 2)
        taken = sum(len(b.lines) for b in blocks) + len(block.lines)
        is_last = position == len(panel.lines) - 1
        if taken > _MAX_LINES - (not is_last):
            rest = len(panel.lines) - position
            return [*blocks, layout.wrap(f"and {rest} more", layout.SMALL, SIDE)]
        blocks.append(block)
    return blocks
