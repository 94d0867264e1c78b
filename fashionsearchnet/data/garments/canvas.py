"""A canvas with a pose: things are drawn in their own coordinates and land turned and scaled.

Coordinates are (x, y), x to the right and y down, as float arrays `[n, 2]`. Colours are RGB tuples,
0 to 255. Everything is anti-aliased; OpenCV places edges to about half a pixel.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

Colour = tuple[float, ...]
_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates


class Canvas:
    """Pixels, and the affine map from a drawing's own coordinates to them.

    Attributes:
      pixels: uint8 `[height, width, 3]` (RGB), drawn into in place.
      matrix: float64 `[2, 3]`, own coordinates to pixel coordinates, the same scale in x and y.
      unit: pixels per own unit of length.
    """

    def __init__(self, pixels: np.ndarray, matrix: np.ndarray) -> None:
        self.pixels = pixels
        self.matrix = matrix
        self.unit = math.hypot(matrix[0, 0], matrix[1, 0])
        self._fixed_linear = matrix[:, :2].T * 2**_SHIFT
        self._fixed_offset = (matrix[:, 2] - 0.5) * 2**_SHIFT  # OpenCV counts from pixels' centres

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Returns pixel coordinates, float `[n, 2]`."""
        return np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def box(self, *polygons: np.ndarray) -> np.ndarray:
        """Returns the box around polygons: float32 `[4]`, ymin, xmin, ymax, xmax in 0..1."""
        points = self.to_pixels(np.concatenate(polygons))
        height, width = self.pixels.shape[:2]
        low, high = points.min(axis=0), points.max(axis=0)
        box = (low[1] / height, low[0] / width, high[1] / height, high[0] / width)
        return np.clip(np.array(box, np.float32), 0.0, 1.0)

    def fill(self, polygon: np.ndarray, colour: Colour) -> None:
        """Fills a polygon."""
        cv2.fillPoly(self.pixels, [self._fixed(polygon)], colour, cv2.LINE_AA, _SHIFT)

    def stroke(self, path: np.ndarray, colour: Colour, width: float, closed: bool = False) -> None:
        """Draws a line of `width` (own units, at least one pixel) along a path."""
        thickness = max(1, round(width * self.unit))
        cv2.polylines(
            self.pixels, [self._fixed(path)], closed, colour, thickness, cv2.LINE_AA, _SHIFT
        )

    def dot(self, centre: Sequence[float], radius: float, colour: Colour) -> None:
        """Draws a disc."""
        x, y = self._fixed(np.array([centre]))[0]
        fixed_radius = max(1, round(radius * self.unit * 2**_SHIFT))
        cv2.circle(
            self.pixels, (int(x), int(y)), fixed_radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT
        )

    def mask(self, *polygons: np.ndarray) -> np.ndarray:
        """Returns the coverage of polygons, uint8 `[height, width]`."""
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        for polygon in polygons:
            cv2.fillPoly(mask, [self._fixed(polygon)], 255, cv2.LINE_AA, _SHIFT)
        return mask

    def cover(self, polygon: np.ndarray, tile: np.ndarray, tile_matrix: np.ndarray) -> None:
        """Covers a polygon with cloth.

        Args:
          polygon: float `[n, 2]`.
          tile: uint8 `[p, p, 3]`, repeated endlessly.
          tile_matrix: float `[2, 3]`, tile coordinates to own coordinates: the cloth's grain.
        """
        points = self.to_pixels(polygon)
        height, width = self.pixels.shape[:2]
        left, top = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 2, (width, height))
        if right <= left or bottom <= top:
            return
        window = self.pixels[top:bottom, left:right]
        offset = np.array([left, top], np.float64)
        shifted = Canvas(window, self.matrix - np.column_stack([np.zeros((2, 2)), offset]))
        cloth = cv2.warpAffine(
            tile,
            compose(shifted.matrix, tile_matrix),
            (window.shape[1], window.shape[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        blend(window, cloth, shifted.mask(polygon))

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        """Returns fixed-point pixel coordinates, int32 `[n, 2]`."""
        return np.rint(points @ self._fixed_linear + self._fixed_offset).astype(np.int32)


def blend(below: np.ndarray, above: np.ndarray, mask: np.ndarray) -> None:
    """Lays `above` over `below` in place, both uint8 `[h, w, 3]`, by a mask uint8 `[h, w]`."""
    weight = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
    covered = cv2.multiply(above, weight, scale=1.0 / 255.0)
    cv2.add(cv2.multiply(below, cv2.bitwise_not(weight), scale=1.0 / 255.0), covered, dst=below)


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Returns the affine map `[2, 3]` that does `inner`, then `outer`."""
    linear = outer[:, :2] @ inner[:, :2]
    return np.column_stack([linear, outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def similarity(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    """Returns the map `[2, 3]` that turns by `angle` (degrees), scales, then moves to (x, y)."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.array([[scale * cosine, -scale * sine, x], [scale * sine, scale * cosine, y]])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Returns a colour between `a` (share 0) and `b` (share 1)."""
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """Returns the colour made darker (below 1) or lighter."""
    return tuple(min(255.0, c * factor) for c in colour)
