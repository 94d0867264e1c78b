"""Heat maps and boxes on pictures."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np


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
