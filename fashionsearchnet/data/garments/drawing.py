"""Draws a scene of `garments`: a garment laid flat on a ground, with light, folds and clutter."""

import cv2
import numpy as np

from fashionsearchnet.data.garments.canvas import Canvas, blend, shade, similarity
from fashionsearchnet.data.garments.cloth import cloth_grain, cloth_tile, knit
from fashionsearchnet.data.garments.clutter import draw_background, draw_clutter
from fashionsearchnet.data.garments.details import (
    Palette,
    draw_fastening,
    draw_neckline,
    draw_pocket,
)
from fashionsearchnet.data.garments.scene import SPACE, Scene
from fashionsearchnet.data.garments.shapes import QUILT, Cut, cut, moved, ribbon, smooth

_CANVAS_SIZE = 192  # pixels drawn at the least; the picture is this, shrunk
_NOWHERE = -np.ones(4, np.float32)


def draw(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a scene.

    Args:
      scene: what to draw.
      size: height and width of the picture, pixels.

    Returns:
      image: uint8 `[size, size, 3]`, RGB.
      boxes: float32 `[num_attributes, 4]`, ymin, xmin, ymax, xmax in 0..1: the smallest upright
        box around the part of the garment that shows the attribute (both sleeves, both pockets
        of a pair). All -1 for an attribute that is missing, that is seen all over the garment
        (category, colour, pattern), or whose value is 'none': nothing is there to be found.
    """
    rng = np.random.default_rng(scene.noise_seed)
    canvas_size = max(2 * size, _CANVAS_SIZE)
    pixels = draw_background(scene, canvas_size, rng)
    garment = cut(scene)
    canvas = Canvas(pixels, _pose(scene, garment, canvas_size))
    draw_clutter(pixels, rng, [], int(rng.integers(2, 6)))
    _draw_shadow(canvas, garment)
    ground = pixels.copy()
    boxes = _draw_garment(canvas, garment, scene)
    _light(canvas, ground, garment, scene, rng)
    # Nothing lies where a detail is or might be: "covered" must not come to mean "none".
    front = np.array([(-0.4, -0.1), (0.4, -0.1), (0.4, 1.0), (-0.4, 1.0)])
    taken = [canvas.box(front), *(box for box in boxes if box[0] >= 0.0)]
    draw_clutter(pixels, rng, taken, int(rng.integers(0, 3)))
    return _photograph(pixels, scene, size, rng), boxes


def _pose(scene: Scene, garment: Cut, canvas_size: int) -> np.ndarray:
    """Returns the map `[2, 3]` from garment units to pixels, so that all of it shows."""
    points = np.concatenate([*garment.outlines(), np.array([(-0.1, -0.2), (0.1, -0.2)])])
    turned = points @ similarity(scene.angle, 1.0, 0.0, 0.0)[:, :2].T
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = 0.95 * canvas_size / float((high - low).max()) * scene.scale
    room = canvas_size - scale * (high - low)
    origin = room * np.array(scene.shift) - scale * low
    return similarity(scene.angle, scale, *origin)


def _draw_shadow(canvas: Canvas, garment: Cut) -> None:
    """Darkens the ground beside the garment."""
    size = canvas.pixels.shape[0]
    mask = cv2.resize(canvas.mask(*garment.outlines()), (size // 2, size // 2))
    soft = cv2.resize(cv2.GaussianBlur(mask, (0, 0), size * 0.007), (size, size))
    right, down = max(1, size // 80), max(1, size // 55)
    weight = np.zeros_like(soft)
    weight[down:, right:] = cv2.convertScaleAbs(soft[:-down, :-right], alpha=0.42)
    blend(canvas.pixels, np.zeros_like(canvas.pixels), weight)


def _draw_garment(canvas: Canvas, garment: Cut, scene: Scene) -> np.ndarray:
    """Draws cloth, seams and details; returns the true boxes, float32 `[num_attributes, 4]`."""
    palette = Palette.of(scene)
    tile = cloth_tile(scene)
    boxes = np.tile(_NOWHERE, (SPACE.num_attributes, 1))
    if garment.hood is not None:
        canvas.cover(garment.hood, tile, cloth_grain(0.0, scene))
        canvas.stroke(garment.hood, palette.seam, 0.014, closed=True)
    for sleeve in garment.sleeves:
        canvas.cover(sleeve.outline, tile, cloth_grain(sleeve.angle, scene))
        canvas.stroke(sleeve.outline, palette.seam, 0.014, closed=True)
        _draw_cuff(canvas, sleeve.cuff, scene, palette)
    canvas.cover(garment.body, tile, cloth_grain(0.0, scene))
    canvas.stroke(garment.body, palette.seam, 0.014, closed=True)
    _draw_make(canvas, garment, scene, palette)
    parts = {
        "sleeve": _draw_armholes(canvas, garment, palette),
        "fastening": draw_fastening(canvas, garment, scene, palette),
        "pocket": draw_pocket(canvas, garment, scene, palette),
        "neckline": draw_neckline(canvas, garment, scene, palette),
    }
    for name, outline in parts.items():
        if outline is not None:
            boxes[SPACE.attribute_index(name)] = canvas.box(outline)
    return boxes


def _draw_armholes(canvas: Canvas, garment: Cut, palette: Palette) -> np.ndarray | None:
    """Draws the seams where sleeves begin, or the bound edges where there are none."""
    if not garment.armholes:
        return None
    for armhole in garment.armholes:
        if garment.sleeves:
            canvas.stroke(armhole, palette.seam, 0.016)
        else:
            canvas.fill(ribbon(armhole, 0.05), palette.trim)
            canvas.stroke(armhole, palette.seam, 0.014)
    if garment.sleeves:
        return np.concatenate([sleeve.outline for sleeve in garment.sleeves])
    return np.concatenate(garment.armholes)


def _draw_cuff(canvas: Canvas, cuff: np.ndarray, scene: Scene, palette: Palette) -> None:
    """Draws the band at a sleeve's end: ribbed, buttoned down or only hemmed."""
    outer, inner, inner_top, outer_top = cuff
    if scene.value("category") in ("t-shirt", "dress"):
        canvas.stroke(np.array([inner_top, outer_top]), palette.seam, 0.014)
        return
    canvas.fill(cuff, palette.trim)
    canvas.stroke(cuff, palette.seam, 0.014, closed=True)
    if scene.value("category") == "sweater":
        for t in (0.25, 0.5, 0.75):
            rib = np.array([outer + (inner - outer) * t, outer_top + (inner_top - outer_top) * t])
            canvas.stroke(rib, palette.seam, 0.01)


def _draw_make(canvas: Canvas, garment: Cut, scene: Scene, palette: Palette) -> None:
    """Draws what tells one category from another: hems, ribs, quilting, belt, pleats."""
    category = scene.value("category")
    half, bottom = garment.hem
    if category == "t-shirt":
        hem = smooth([(-half, bottom - 0.06), (0.0, bottom - 0.03), (half, bottom - 0.06)])
        canvas.stroke(hem, palette.seam, 0.014)
    elif category == "shirt":
        for armhole in garment.armholes:
            end = armhole[len(armhole) // 3]
            yoke = smooth([tuple(end), (end[0] / 2, end[1] + 0.03), (0.0, end[1] + 0.04)])
            canvas.stroke(yoke, palette.seam, 0.014)
    elif category == "sweater":
        _draw_ribs(canvas, half, bottom, palette)
    elif category == "jacket":
        _draw_quilting(canvas, garment, palette)
    elif category in ("coat", "dress"):
        _draw_waist(canvas, garment, category, palette)
    else:
        _draw_waistband(canvas, garment, category, palette)


def _draw_ribs(canvas: Canvas, half: float, bottom: float, palette: Palette) -> None:
    """Draws the ribbed band of a sweater."""
    band = np.array(
        [(-half, bottom - 0.1), (half, bottom - 0.1), (half, bottom + 0.01), (-half, bottom + 0.01)]
    )
    canvas.fill(band, palette.trim)
    for x in np.linspace(-half, half, 17):
        canvas.stroke(np.array([(x, bottom - 0.1), (x, bottom)]), shade(palette.trim, 0.8), 0.014)
    canvas.stroke(band, palette.seam, 0.014, closed=True)


def _draw_quilting(canvas: Canvas, garment: Cut, palette: Palette) -> None:
    """Draws the seams between the pads of a jacket, and lights each pad from above."""
    waist, bottom = garment.waist[0], garment.hem[1]
    for y in np.arange(0.46, bottom - 0.05, QUILT):
        seam = smooth([(-waist, y), (-waist * 0.5, y + 0.02), (waist * 0.5, y + 0.02), (waist, y)])
        canvas.stroke(seam, palette.seam, 0.022)
        canvas.stroke(moved(seam, 0.0, 0.025), palette.trim, 0.014)
    for sleeve in garment.sleeves:
        turn = similarity(sleeve.angle, 1.0, 0.0, 0.0)[:, :2]
        centre = sleeve.outline.mean(axis=0)
        along = (sleeve.outline - centre) @ turn
        for y in np.arange(along[:, 1].min() + 0.16, along[:, 1].max() - 0.1, QUILT):
            seam = np.array([(-0.07, y), (0.07, y)]) @ turn.T + centre
            canvas.stroke(seam, palette.seam, 0.02)


def _draw_waist(canvas: Canvas, garment: Cut, category: str, palette: Palette) -> None:
    """Draws a coat's belt with its buckle, or a dress's waist seam."""
    waist, y = garment.waist
    line = smooth([(-waist - 0.01, y), (0.0, y + 0.02), (waist + 0.01, y)])
    if category == "dress":
        canvas.stroke(line, palette.seam, 0.03)
        return
    belt = ribbon(line, 0.11)
    canvas.fill(belt, shade(palette.seam, 0.8))
    canvas.stroke(belt, palette.inside, 0.014, closed=True)
    buckle = moved(
        np.array([(0.1, -0.07), (0.24, -0.07), (0.24, 0.07), (0.1, 0.07)]), 0.0, y + 0.015
    )
    canvas.stroke(buckle, (206.0, 186.0, 128.0), 0.03, closed=True)


def _draw_waistband(canvas: Canvas, garment: Cut, category: str, palette: Palette) -> None:
    """Draws the waistband of trousers or skirt, and creases or the inner leg."""
    half = garment.waist[0]
    band = np.array([(-half, -0.01), (half, -0.01), (half * 1.03, 0.11), (-half * 1.03, 0.11)])
    canvas.fill(band, palette.trim)
    canvas.stroke(band, palette.seam, 0.014, closed=True)
    if category == "trousers":
        canvas.stroke(np.array([(0.0, 0.11), (0.0, 0.58)]), palette.seam, 0.018)
        for x in (-0.25, 0.25):
            loop = np.array([(x, -0.01), (x, 0.12)])
            canvas.stroke(loop, palette.seam, 0.03)


def _light(
    canvas: Canvas, ground: np.ndarray, garment: Cut, scene: Scene, rng: np.random.Generator
) -> None:
    """Lights the garment: folds, rounded edges, weave, and a gradient over the picture."""
    size = canvas.pixels.shape[0]
    mask = canvas.mask(*garment.outlines())
    red, green, blue = cv2.split(cv2.absdiff(canvas.pixels, ground))
    untouched = cv2.max(cv2.max(red, green), blue) == 0  # collars reach past the outline
    half = size // 2  # soft things are drawn at half the size
    folds = Canvas(np.full((half, half), 128, np.uint8), canvas.matrix / 2.0)
    for path in _fold_lines(garment, scene, rng):
        width = rng.uniform(0.03, 0.07)
        folds.stroke(path, (rng.uniform(92.0, 112.0),), width)
        folds.stroke(moved(path, 0.05, 0.0), (146.0,), width * 0.7)
    light: np.ndarray = (
        cv2.GaussianBlur(folds.pixels, (0, 0), half * 0.012).astype(np.float32) / 128.0
    )
    crumple = rng.normal(0.0, 0.05, (8, 8)).astype(np.float32)
    light += cv2.resize(crumple, (half, half), interpolation=cv2.INTER_CUBIC)
    edge = cv2.blur(cv2.resize(mask, (half, half)), (half // 20, half // 20)) / np.float32(255.0)
    light *= 0.74 + 0.27 * np.clip(1.6 * edge - 0.55, 0.0, 1.0)
    ramp = np.linspace(-1.0, 1.0, half, dtype=np.float32)
    slope = np.array(scene.light, np.float32)
    light *= 1.0 + slope[0] * ramp[None, :] - slope[1] * ramp[:, None]
    light = cv2.resize(light, (size, size))
    if scene.value("category") == "sweater":
        light *= knit(canvas)
    light[untouched] = 1.0
    lit = cv2.multiply(canvas.pixels, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    canvas.pixels[:] = lit


def _fold_lines(garment: Cut, scene: Scene, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns where the cloth is folded, as paths in garment units."""
    (waist, waist_y), (hem, bottom) = garment.waist, garment.hem
    category = scene.value("category")
    if category in ("dress", "skirt"):
        shares = np.linspace(-0.8, 0.8, 5) + rng.uniform(-0.06, 0.06, 5)
        return [
            smooth([(s * waist, waist_y + 0.15), (s * hem * 0.8, bottom * 0.75), (s * hem, bottom)])
            for s in shares
        ]
    if category == "trousers":
        lines = [smooth([(s * 0.24, 0.3), (s * 0.28, 0.9), (s * 0.29, bottom)]) for s in (-1, 1)]
        return [*lines, smooth([(-0.02, 0.5), (0.2, 0.42)]), smooth([(0.02, 0.5), (-0.2, 0.42)])]
    lines = []
    for side in (-1.0, 1.0):
        y = rng.uniform(0.5, 0.6)
        bend = rng.uniform(0.1, 0.3)
        lines.append(
            smooth([(side * 0.38, y), (side * 0.28, y + bend), (side * 0.1, y + 2 * bend)])
        )
        lines.append(smooth([(side * 0.37, 0.48), (side * 0.25, 0.35), (side * 0.2, 0.22)]))
    return lines


def _photograph(
    pixels: np.ndarray, scene: Scene, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the picture as a camera takes it, uint8 `[size, size, 3]`: shrunk, soft, noisy."""
    picture = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    picture = cv2.transform(picture, np.diag(scene.exposure))
    blur = rng.uniform(0.0, 0.6)
    if blur > 0.3:
        picture = cv2.GaussianBlur(picture, (3, 3), blur)
    noise = rng.standard_normal((size, size, 3), np.float32) * np.float32(rng.uniform(0.5, 5.0))
    return cv2.add(picture, noise, dtype=cv2.CV_8U)
