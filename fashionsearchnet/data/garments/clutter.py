"""What lies around the garment: the ground, and things that look like parts of clothes.

Loose buttons, zips, pocket patches and laces lie near the border, so that seeing a button somewhere
says nothing about how the garment is fastened: the right place has to be looked at.
"""

from collections.abc import Callable

import cv2
import numpy as np

from fashionsearchnet.data.garments.canvas import Canvas, Colour, shade, similarity
from fashionsearchnet.data.garments.scene import Scene
from fashionsearchnet.data.garments.shapes import both_sides, moved, ribbon, smooth


def draw_background(scene: Scene, size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the ground, uint8 `[size, size, 3]`: paper, cloth, boards or tiles."""
    half = size // 2  # the ground is never that sharp, and this is four times faster
    ramp = np.linspace(-1.0, 1.0, half, dtype=np.float32)
    slope = rng.uniform(-0.1, 0.1, 2).astype(np.float32)
    light = 1.0 + slope[0] * ramp[None, :] + slope[1] * ramp[:, None]
    spots = rng.normal(0.0, rng.uniform(0.0, 0.05), (6, 6)).astype(np.float32)
    light += cv2.resize(spots, (half, half), interpolation=cv2.INTER_CUBIC)
    kind = rng.integers(4)
    if kind == 1:  # linen
        light += rng.normal(0.0, 0.035, (half, 1)) + rng.normal(0.0, 0.035, (1, half))
    elif kind == 2:  # boards or tiles
        _add_joints(light, rng)
    pixels = np.empty((half, half, 3), np.uint8)
    for channel, level in enumerate(scene.background):
        pixels[..., channel] = cv2.convertScaleAbs(light, alpha=level)
    return cv2.resize(pixels, (size, size))


def _add_joints(light: np.ndarray, rng: np.random.Generator) -> None:
    """Darkens the joints of boards, or of tiles, in place."""
    size = light.shape[0]
    width = int(rng.integers(size // 6, size // 3))
    for x in range(int(rng.integers(width)), size, width):
        light[:, x] -= 0.14
        light[:, x + 1 : x + width] += rng.uniform(-0.04, 0.04)
    if rng.uniform() < 0.5:
        for y in range(int(rng.integers(width)), size, width):
            light[y] -= 0.14


def draw_clutter(
    pixels: np.ndarray, rng: np.random.Generator, taken: list[np.ndarray], count: int
) -> None:
    """Draws things near the border.

    Args:
      pixels: uint8 `[size, size, 3]`, drawn into.
      rng: for what lies where.
      taken: boxes (ymin, xmin, ymax, xmax in 0..1) that nothing may cover.
      count: how many things; those that find no place are left out.
    """
    size = pixels.shape[0]
    for _ in range(count):
        along, across = rng.uniform(0.0, 1.0), rng.uniform(0.02, 0.13)
        side = int(rng.integers(4))
        x, y = ((along, across), (along, 1 - across), (across, along), (1 - across, along))[side]
        reach = rng.uniform(0.07, 0.13)
        thing = _THINGS[int(rng.integers(len(_THINGS)))]
        angle = rng.uniform(0.0, 360.0)
        colour = tuple(rng.uniform(25.0, 235.0, 3))
        if any(_overlaps(box, x, y, reach) for box in taken):
            continue
        thing(Canvas(pixels, similarity(angle, reach * size, x * size, y * size)), colour)


def _overlaps(box: np.ndarray, x: float, y: float, reach: float) -> bool:
    """Returns whether a box meets the square of half side `reach` about (x, y)."""
    top, left, bottom, right = box
    return bool(left < x + reach and right > x - reach and top < y + reach and bottom > y - reach)


def _button(canvas: Canvas, colour: Colour) -> None:
    for x, y in ((-0.5, -0.3), (0.5, 0.1), (-0.1, 0.7)):
        canvas.dot((x, y), 0.36, shade(colour, 0.6))
        canvas.dot((x, y), 0.3, colour)
        canvas.dot((x - 0.08, y), 0.05, shade(colour, 0.4))
        canvas.dot((x + 0.08, y), 0.05, shade(colour, 0.4))


def _zip(canvas: Canvas, colour: Colour) -> None:
    line = np.array([(0.0, -1.0), (0.0, 1.0)])
    canvas.fill(ribbon(line, 0.5), colour)
    canvas.stroke(line, (210.0, 212.0, 216.0), 0.2)
    for y in np.arange(-0.95, 1.0, 0.18):
        canvas.stroke(np.array([(-0.1, y), (0.1, y)]), (90.0, 92.0, 98.0), 0.06)


def _patch(canvas: Canvas, colour: Colour) -> None:
    outline = both_sides(np.array([(0.0, -0.8), (0.7, -0.8), (0.7, 0.5), (0.35, 0.8), (0.0, 0.8)]))
    canvas.fill(outline, colour)
    canvas.fill(
        np.array([(-0.7, -0.8), (0.7, -0.8), (0.7, -0.4), (-0.7, -0.4)]), shade(colour, 0.7)
    )
    canvas.stroke(outline, shade(colour, 0.55), 0.09, closed=True)


def _laces(canvas: Canvas, colour: Colour) -> None:
    for y in (-0.8, -0.35, 0.1, 0.55):
        canvas.stroke(np.array([(-0.35, y), (0.35, y + 0.45)]), colour, 0.12)
        canvas.stroke(np.array([(0.35, y), (-0.35, y + 0.45)]), colour, 0.12)


def _tag(canvas: Canvas, colour: Colour) -> None:
    paper = (238.0, 232.0, 216.0)
    outline = np.array([(-0.5, -0.5), (0.0, -0.9), (0.5, -0.5), (0.5, 0.9), (-0.5, 0.9)])
    canvas.fill(outline, paper)
    canvas.stroke(outline, shade(paper, 0.7), 0.05, closed=True)
    canvas.dot((0.0, -0.55), 0.1, shade(paper, 0.5))
    for y, length in ((-0.1, 0.35), (0.2, 0.25), (0.5, 0.32)):
        canvas.stroke(np.array([(-0.35, y), (length, y)]), colour, 0.1)


def _hanger(canvas: Canvas, colour: Colour) -> None:
    bar = np.array([(-1.0, 0.5), (0.0, -0.05), (1.0, 0.5)])
    canvas.stroke(bar, colour, 0.14, closed=True)
    canvas.stroke(
        smooth([(0.0, -0.05), (0.0, -0.4), (0.25, -0.6), (0.1, -0.85), (-0.15, -0.75)]),
        shade(colour, 0.7),
        0.1,
    )


def _shoe(canvas: Canvas, colour: Colour) -> None:
    sole = smooth(
        [
            (-0.35, 0.9),
            (-0.4, 0.2),
            (-0.42, -0.5),
            (0.0, -1.0),
            (0.42, -0.5),
            (0.35, 0.2),
            (0.35, 0.9),
            (0.0, 1.0),
            (-0.35, 0.9),
        ]
    )
    canvas.fill(sole, shade(colour, 0.6))
    canvas.fill(sole * 0.88, colour)
    canvas.fill(moved(sole * (0.5, 0.42), 0.0, 0.4), shade(colour, 0.35))
    for y in (-0.35, -0.2, -0.05):
        canvas.stroke(np.array([(-0.2, y), (0.2, y)]), (240.0, 240.0, 236.0), 0.07)


def _glasses(canvas: Canvas, colour: Colour) -> None:
    frame = shade(colour, 0.4)
    for x in (-0.5, 0.5):
        canvas.dot((x, 0.0), 0.42, frame)
        canvas.dot((x, 0.0), 0.32, (70.0, 76.0, 84.0))
    canvas.stroke(smooth([(-0.15, -0.1), (0.0, -0.2), (0.15, -0.1)]), frame, 0.1)


def _cup(canvas: Canvas, colour: Colour) -> None:
    canvas.dot((0.0, 0.0), 0.95, (232.0, 230.0, 224.0))
    canvas.dot((0.0, 0.0), 0.62, shade(colour, 0.9))
    canvas.dot((0.0, 0.0), 0.5, (92.0, 60.0, 38.0))


def _leaf(canvas: Canvas, colour: Colour) -> None:
    green = (70.0 + 0.2 * colour[0], 125.0, 70.0)
    blade = both_sides(smooth([(0.0, -1.0), (0.35, -0.4), (0.38, 0.2), (0.0, 1.0)]))
    canvas.fill(blade, green)
    canvas.stroke(np.array([(0.0, -0.9), (0.0, 1.0)]), shade(green, 0.7), 0.08)


_Thing = Callable[[Canvas, Colour], None]
_THINGS: tuple[_Thing, ...] = (
    *(_button, _zip, _patch, _laces),
    *(_tag, _hanger, _shoe, _glasses, _cup, _leaf),
)
