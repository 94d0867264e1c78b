"""The parts that have a place of their own: neckline, fastening, pocket.

Each function draws one part on the garment and returns the outline around it (float `[n, 2]`,
garment units), or None where there is nothing to see; the true box is the box of that outline.
"""

import dataclasses
import itertools

import numpy as np

from fashionsearchnet.data.garments.canvas import Canvas, Colour, mix, shade
from fashionsearchnet.data.garments.scene import Scene, luminance
from fashionsearchnet.data.garments.shapes import Cut, both_sides, mirrored, moved, ribbon, smooth

_BLACK, _WHITE = (22.0, 22.0, 26.0), (247.0, 247.0, 244.0)
_WHOLE_FRONT = ("shirt", "jacket", "coat")  # other tops are fastened a hand's length down


@dataclasses.dataclass(frozen=True)
class Palette:
    """The colours of a garment's parts."""

    ground: Colour
    trim: Colour  # bands and plackets, without the pattern
    seam: Colour
    inside: Colour  # seen through an opening
    contrast: Colour  # buttons, cords, stitches

    @classmethod
    def of(cls, scene: Scene) -> "Palette":
        """Returns the palette of a scene's garment."""
        ground = scene.colour
        dark = luminance(ground) < 120.0
        return cls(
            ground=ground,
            trim=scene.trim or (mix(ground, _WHITE, 0.2) if dark else shade(ground, 0.84)),
            seam=mix(ground, _WHITE, 0.33) if luminance(ground) < 60.0 else shade(ground, 0.62),
            inside=shade(ground, 0.45) if luminance(ground) > 60.0 else shade(ground, 0.3),
            contrast=scene.contrast or (_WHITE if dark else _BLACK),
        )


def draw_neckline(canvas: Canvas, cut: Cut, scene: Scene, palette: Palette) -> np.ndarray | None:
    """Draws the neckline."""
    neckline = scene.value("neckline")
    if neckline == "-":
        return None
    if neckline == "turtle":
        return _turtle(canvas, palette)
    if neckline == "collar":
        return _collar(canvas, cut, palette)
    if neckline == "hood":
        return _hood_opening(canvas, cut, palette)
    half, depth = cut.neck, cut.neck_depth
    if neckline == "v-neck":
        front = smooth([(half, 0.0), (half * 0.62, depth * 0.45), (0.0, depth)])
    else:
        front = smooth(
            [(half, 0.0), (half * 0.83, depth * 0.62), (half * 0.4, depth * 0.95), (0.0, depth)]
        )
    edge = np.concatenate([front, mirrored(front)[::-1]])
    _opening(canvas, edge, half, palette)
    band = ribbon(edge, 0.065 if neckline != "boat" else 0.055)
    canvas.fill(band, palette.trim)
    canvas.stroke(band, palette.seam, 0.012, closed=True)
    return band


def _opening(canvas: Canvas, edge: np.ndarray, half: float, palette: Palette) -> None:
    """Fills what is seen between front edge and back neck: the inside of the back."""
    back = smooth([(-half, 0.0), (-half * 0.6, 0.035), (half * 0.6, 0.035), (half, 0.0)])
    canvas.fill(np.concatenate([edge, back]), palette.inside)
    canvas.stroke(back, palette.trim, 0.035)


def _turtle(canvas: Canvas, palette: Palette) -> np.ndarray:
    """Draws a tall folded tube."""
    right = smooth([(0.0, -0.2), (0.1, -0.2), (0.145, -0.16), (0.155, -0.04), (0.185, 0.06)])
    tube = both_sides(np.concatenate([right, smooth([(0.185, 0.06), (0.1, 0.12), (0.0, 0.14)])]))
    canvas.fill(tube, palette.trim)
    for x in np.linspace(-0.11, 0.11, 6):
        canvas.stroke(np.array([(x, -0.17), (x * 1.25, 0.1)]), shade(palette.trim, 0.86), 0.014)
    fold = smooth([(-0.165, -0.01), (-0.08, 0.035), (0.08, 0.035), (0.165, -0.01)])
    canvas.stroke(fold, palette.seam, 0.022)
    mouth = smooth([(-0.1, -0.19), (0.0, -0.165), (0.1, -0.19)])
    canvas.stroke(mouth, palette.inside, 0.03)
    canvas.stroke(tube, palette.seam, 0.014, closed=True)
    return tube


def _collar(canvas: Canvas, cut: Cut, palette: Palette) -> np.ndarray:
    """Draws a folded collar with two points."""
    edge = np.array([(cut.neck, 0.0), (0.0, cut.neck_depth), (-cut.neck, 0.0)])
    _opening(canvas, edge, cut.neck, palette)
    stand = smooth(
        [(-0.17, 0.0), (-0.1, -0.07), (0.1, -0.07), (0.17, 0.0), (0.1, 0.01), (-0.1, 0.01)]
    )
    canvas.fill(stand, shade(palette.trim, 0.9))
    canvas.stroke(stand, palette.seam, 0.014, closed=True)
    wing = np.concatenate(
        [
            smooth([(0.09, -0.07), (0.17, -0.03), (0.235, 0.08)]),
            [(0.2, 0.34), (0.01, 0.2)],
            smooth([(0.01, 0.2), (0.09, 0.08), (0.09, -0.07)]),
        ]
    )
    for side in (wing, mirrored(wing)):
        canvas.fill(side, palette.trim)
        canvas.stroke(side, palette.seam, 0.02, closed=True)
    return np.concatenate([wing, mirrored(wing)])


def _hood_opening(canvas: Canvas, cut: Cut, palette: Palette) -> np.ndarray:
    """Draws the opening of a hood, its edge, and two short cords."""
    right = smooth(
        [(0.0, -0.31), (0.12, -0.26), (0.185, -0.1), (0.16, 0.06), (0.0, cut.neck_depth)]
    )
    opening = both_sides(right)
    canvas.fill(opening, palette.inside)
    canvas.stroke(opening, palette.trim, 0.06, closed=True)
    canvas.stroke(smooth([(-0.15, 0.03), (0.0, 0.07), (0.15, 0.03)]), palette.seam, 0.02)
    for x in (-0.075, 0.075):
        end = (x * 1.15, 0.44)
        canvas.stroke(np.array([(x, 0.17), end]), palette.contrast, 0.022)
        canvas.dot(end, 0.022, palette.contrast)
    outer = smooth([(0.0, -0.44), (0.2, -0.38), (0.31, -0.16), (0.27, 0.1), (0.0, 0.23)])
    return both_sides(outer)


def draw_fastening(canvas: Canvas, cut: Cut, scene: Scene, palette: Palette) -> np.ndarray | None:
    """Draws buttons, zip or laces down the front."""
    fastening = scene.value("fastening")
    if fastening == "none":
        return None
    top = cut.neck_depth - 0.01
    if cut.neck_depth == 0.0:  # a fly, below the waistband's edge
        bottom = 0.46
        top = 0.0
    elif scene.value("category") in _WHOLE_FRONT:
        bottom = cut.hem[1] + 0.01
    else:
        bottom = top + 0.47
    line = np.array([(0.0, top), (0.0, bottom)])
    return {"buttons": _buttons, "zip": _zip, "laces": _laces}[fastening](canvas, line, palette)


def _buttons(canvas: Canvas, line: np.ndarray, palette: Palette) -> np.ndarray:
    """Draws a placket with buttons along a vertical line."""
    placket = ribbon(line, 0.15)
    canvas.fill(placket, palette.trim)
    canvas.stroke(placket, palette.seam, 0.014, closed=True)
    (x, top), (_, bottom) = line
    count = max(3, round((bottom - top) / 0.17))
    for y in np.linspace(top + 0.07, bottom - 0.08, count):
        canvas.dot((x + 0.008, y + 0.012), 0.05, palette.seam)
        canvas.dot((x, y), 0.045, palette.contrast)
        canvas.dot((x, y), 0.014, palette.trim)
    return placket


def _zip(canvas: Canvas, line: np.ndarray, palette: Palette) -> np.ndarray:
    """Draws a zip on its tape, puller at the top."""
    tape = ribbon(line, 0.13)
    canvas.fill(tape, shade(palette.seam, 0.75))
    (x, top), (_, bottom) = line
    canvas.stroke(line, (214.0, 216.0, 220.0), 0.055)
    for y in np.arange(top + 0.03, bottom - 0.02, 0.05):
        canvas.stroke(np.array([(x - 0.025, y), (x + 0.025, y)]), (96.0, 98.0, 104.0), 0.016)
    puller = moved(np.array([(-0.05, 0.02), (0.05, 0.02), (0.04, 0.15), (-0.04, 0.15)]), x, top)
    canvas.fill(puller, (232.0, 232.0, 236.0))
    canvas.stroke(puller, (70.0, 70.0, 76.0), 0.016, closed=True)
    return tape


def _laces(canvas: Canvas, line: np.ndarray, palette: Palette) -> np.ndarray:
    """Draws a slit laced crosswise, with loose ends."""
    (x, top), (_, bottom) = line
    facing = ribbon(line, 0.24)
    canvas.fill(facing, palette.trim)
    slit = moved(np.array([(-0.075, top), (0.075, top), (0.05, bottom), (-0.05, bottom)]), x, 0.0)
    canvas.fill(slit, shade(palette.inside, 0.8))
    heights = np.linspace(top + 0.06, bottom - 0.03, max(3, round((bottom - top) / 0.12)))
    for start, end in itertools.pairwise(heights):
        for side in (-0.085, 0.085):
            canvas.stroke(np.array([(x + side, start), (x - side, end)]), _WHITE, 0.028)
    for side in (-1.0, 1.0):
        cord = smooth([(x, top + 0.06), (x + side * 0.11, top + 0.1), (x + side * 0.1, top + 0.22)])
        canvas.stroke(cord, _WHITE, 0.026)
        canvas.stroke(moved(cord, 0.02, 0.0), palette.seam, 0.012)
    return facing


def draw_pocket(canvas: Canvas, cut: Cut, scene: Scene, palette: Palette) -> np.ndarray | None:
    """Draws the pockets; the outline of a pair holds both."""
    pocket, category = scene.value("pocket"), scene.value("category")
    if pocket == "none":
        return None
    if pocket == "chest":
        return _patch(canvas, np.array([0.215, 0.5]), (0.105, 0.11), palette)
    if cut.neck_depth > 0.0:
        height = 0.93 if category in ("coat", "dress") else 0.82
    else:
        height = 0.82 if category == "trousers" else 0.5
    if pocket == "kangaroo":
        return _kangaroo(canvas, height, palette)
    if pocket == "slit":
        height = height if cut.neck_depth > 0.0 else 0.24
        slit = moved(np.array([(0.22, -0.12), (0.33, 0.11)]), 0.0, height)
        if cut.neck_depth == 0.0:
            slit = moved(np.array([(0.2, -0.16), (0.36, 0.06)]), 0.0, height)
        right = _slit(canvas, slit, palette)
        left = _slit(canvas, mirrored(slit), palette)
    else:
        half = (0.115, 0.125)
        right = _patch(canvas, np.array([0.255, height]), half, palette)
        left = _patch(canvas, np.array([-0.255, height]), half, palette)
    return np.concatenate([left, right])


def _patch(
    canvas: Canvas, centre: np.ndarray, half: tuple[float, float], palette: Palette
) -> np.ndarray:
    """Draws a pocket that is sewn on, with its upper edge turned over."""
    w, h = half
    right = np.array([(0.0, -h), (w, -h), (w, h * 0.6), (w * 0.55, h), (0.0, h)])
    outline = both_sides(right) + centre
    canvas.fill(outline, palette.trim)
    canvas.fill(np.array([(-w, -h), (w, -h), (w, -h * 0.5), (-w, -h * 0.5)]) + centre, palette.seam)
    canvas.stroke(outline, palette.seam, 0.024, closed=True)
    return outline


def _slit(canvas: Canvas, line: np.ndarray, palette: Palette) -> np.ndarray:
    """Draws a slanted opening with a welt."""
    welt = ribbon(line, 0.075)
    canvas.fill(welt, palette.trim)
    canvas.stroke(welt, palette.seam, 0.014, closed=True)
    canvas.stroke(line, palette.inside, 0.03)
    return welt


def _kangaroo(canvas: Canvas, height: float, palette: Palette) -> np.ndarray:
    """Draws one wide pocket with slanted openings."""
    right = np.array([(0.0, -0.15), (0.17, -0.15), (0.3, 0.04), (0.3, 0.15), (0.0, 0.15)])
    outline = moved(both_sides(right), 0.0, height)
    canvas.fill(outline, palette.trim)
    canvas.stroke(outline, palette.seam, 0.024, closed=True)
    for side in (right[1:3], mirrored(right[1:3])):
        canvas.stroke(moved(side, 0.0, height), palette.inside, 0.035)
    return outline
