"""Pictures with a title and lines of text, of which sheets are made."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.explain.overlays import (
    MapGeometry,
    draw_box,
    enlarge,
    map_on_image,
    overlay_map,
    square_image,
)

MATCH, MISS, EDIT = "#1a8f3c", "#c8352b", "#1f5fbf"  # colours of frames and of edits
CHECK_MARK, CROSS = "\N{CHECK MARK}", "\N{MULTIPLICATION SIGN}"


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
