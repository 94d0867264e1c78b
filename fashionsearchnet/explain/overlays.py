"""Heat maps on pictures, and pictures as a network sees them."""

from collections.abc import Sequence

import cv2
import numpy as np

from fashionsearchnet.networks.image_input import ImageInput, MapGeometry


def square_image(image: np.ndarray, fill: Sequence[float] = (255, 255, 255)) -> np.ndarray:
    """Puts an image in the middle of a square, uint8 `[side, side, 3]`.

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


def as_seen(image: np.ndarray, image_input: ImageInput) -> np.ndarray:
    """Cuts an image as a network sees it, in the image's own pixels, uint8 `[side, side, 3]`.

    Args:
      image: uint8 `[height, width, 3]`.
      image_input: what the network wants to see; its `fit` counts.
    """
    height, width = image.shape[:2]
    if image_input.fit == "stretch":
        side = max(height, width)
        return cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    if image_input.fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return image[top : top + side, left : left + side]
    return square_image(image, image_input.mean)


def seen_region(height: int, width: int, image_input: ImageInput) -> tuple[float, ...]:
    """Locates the network's input on an image that is padded to a square.

    Returns:
      ymin, xmin, ymax, xmax in 0..1 of the padded square.
    """
    longer, shorter = max(height, width), min(height, width)
    if image_input.fit == "pad":
        sides = (longer, longer)
    elif image_input.fit == "crop":
        sides = (shorter, shorter)
    else:
        sides = (height, width)
    margins = [(1 - side / longer) / 2 for side in sides]
    return margins[0], margins[1], 1 - margins[0], 1 - margins[1]


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
