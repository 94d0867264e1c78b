"""Outlines of clothes, in garment units: the neck is at (0, 0), y runs down, a torso is 0.9 wide.

`cut(scene)` returns every outline that the drawing, the pose and the boxes need. Outlines are
closed polygons, float `[n, 2]`.
"""

import dataclasses
import functools
import math

import numpy as np

from fashionsearchnet.data.garments.scene import Scene

# Half widths at shoulder, armpit, waist and hem, height of the waist, and length.
_TOPS = {
    "t-shirt": (0.45, 0.42, 0.41, 0.43, 0.75, 1.12),
    "shirt": (0.44, 0.42, 0.39, 0.43, 0.75, 1.22),
    "sweater": (0.46, 0.45, 0.46, 0.40, 0.80, 1.10),
    "jacket": (0.50, 0.50, 0.51, 0.46, 0.75, 1.14),
    "coat": (0.46, 0.44, 0.41, 0.55, 0.76, 1.56),
    "dress": (0.41, 0.38, 0.29, 0.62, 0.72, 1.55),
}
_NECK = {"round": 0.18, "v-neck": 0.17, "boat": 0.33, "turtle": 0.15, "collar": 0.16, "hood": 0.17}
_NECK_DEPTH = {
    **{"round": 0.2, "v-neck": 0.42, "boat": 0.1},
    **{"turtle": 0.1, "collar": 0.24, "hood": 0.22},
}
_SLEEVE_LENGTH = {"short": 0.3, "elbow": 0.58, "long": 1.02}
_SLEEVE_END = {"short": 0.155, "elbow": 0.125, "long": 0.09}  # half widths
_ARMPIT = 0.46


@dataclasses.dataclass(frozen=True)
class Sleeve:
    """One sleeve: its outline, the band at its end, and the angle of its grain."""

    outline: np.ndarray
    cuff: np.ndarray
    angle: float  # degrees, of the arm from the vertical; positive to the left of the picture


@dataclasses.dataclass(frozen=True)
class Cut:
    """Everything that is cut from cloth.

    Attributes:
      body: the outline of torso or legs or skirt.
      sleeves: none, or left and right.
      armholes: the edges where sleeves are sewn on or left off.
      hood: the outline behind the shoulders, or None.
      neck: half width of the neck opening.
      neck_depth: how far down the front it reaches.
      waist: half width and height of the waist.
      hem: half width and height of the hem.
    """

    body: np.ndarray
    sleeves: tuple[Sleeve, ...]
    armholes: tuple[np.ndarray, ...]
    hood: np.ndarray | None
    neck: float
    neck_depth: float
    waist: tuple[float, float]
    hem: tuple[float, float]

    def outlines(self) -> list[np.ndarray]:
        """Returns all outer outlines, for fitting into the picture and for the shadow."""
        hood = [] if self.hood is None else [self.hood]
        return [self.body, *(sleeve.outline for sleeve in self.sleeves), *hood]


def cut(scene: Scene) -> Cut:
    """Returns the outlines of a scene's garment."""
    category = scene.value("category")
    if category == "trousers":
        return _bottom(_trousers(scene.stretch), (0.37, 0.0), (0.4, 1.56 * scene.stretch[1]))
    if category == "skirt":
        return _bottom(_skirt(scene.stretch), (0.33, 0.0), (0.6, 1.02 * scene.stretch[1]))
    return _top(scene)


def smooth(points: list[tuple[float, float]] | np.ndarray, steps: int = 6) -> np.ndarray:
    """Returns a Catmull-Rom curve through points, `[(n - 1) * steps + 1, 2]`."""
    p = np.asarray(points, np.float64)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    pieces = np.stack([padded[i : len(p) - 1 + i] for i in range(4)], axis=1)  # [n - 1, 4, 2]
    curve = _catmull_rom(steps) @ pieces  # [n - 1, steps, 2]
    return np.concatenate([curve.reshape(-1, 2), p[-1:]])


@functools.cache
def _catmull_rom(steps: int) -> np.ndarray:
    """Returns the weights `[steps, 4]` of four neighbouring points along the piece between two."""
    t = np.arange(steps) / steps
    rows = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return 0.5 * np.stack(rows, axis=1)


def mirrored(points: np.ndarray) -> np.ndarray:
    """Returns the points mirrored at x = 0, in their order."""
    return np.asarray(points) * (-1.0, 1.0)


def moved(points: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns the points moved by (x, y)."""
    return np.asarray(points) + np.array((x, y))


def both_sides(right: np.ndarray) -> np.ndarray:
    """Returns the closed outline whose right side is given from top to bottom."""
    return np.concatenate([right, mirrored(right)[::-1]])


def ribbon(path: np.ndarray, width: float) -> np.ndarray:
    """Returns the outline of a band of `width` along a path."""
    along = np.gradient(np.asarray(path, np.float64), axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    across = np.column_stack([-along[:, 1], along[:, 0]]) * width / 2
    return np.concatenate([path + across, (path - across)[::-1]])


def _top(scene: Scene) -> Cut:
    """Returns the cut of whatever has a neck."""
    category, neckline, sleeve = (scene.value(a) for a in ("category", "neckline", "sleeve"))
    wide, long = scene.stretch
    shoulder, armpit, waist, hem, waist_y, length = _TOPS[category]
    bare = sleeve == "sleeveless"
    shoulder = (shoulder - (0.08 if bare else 0.0)) * wide
    armpit, waist, hem, length = armpit * wide, waist * wide, hem * wide, length * long
    neck = _NECK[neckline]
    armhole = smooth(
        [
            (shoulder, 0.1),
            (shoulder - 0.04, 0.27),
            (armpit - 0.03, _ARMPIT - 0.04),
            (armpit, _ARMPIT),
        ]
    )
    top = np.array([(0.0, 0.04), (neck * 0.7, 0.03), (neck, 0.0)])
    side = _side(category, armpit, (waist, waist_y), (hem, length))
    body = both_sides(np.concatenate([top, armhole, side, _hem(category, hem, length)]))
    sleeves: tuple[Sleeve, ...] = ()
    if not bare:
        sleeves = tuple(
            _sleeve(shoulder, armpit, category, sleeve, angle, side)
            for angle, side in zip(scene.arms, (-1.0, 1.0), strict=True)
        )
    return Cut(
        body=body,
        sleeves=sleeves,
        armholes=(mirrored(armhole), armhole),
        hood=_hood() if neckline == "hood" else None,
        neck=neck,
        neck_depth=_NECK_DEPTH[neckline],
        waist=(waist, waist_y),
        hem=(hem, length),
    )


def _side(
    category: str, armpit: float, waist: tuple[float, float], hem: tuple[float, float]
) -> np.ndarray:
    """Returns the right side from the armpit to the hem."""
    if category == "shirt":
        return smooth([(armpit, _ARMPIT), waist, (hem[0], hem[1] - 0.17)])
    if category == "sweater":  # the body blouses over a ribbed band
        bottom = [(hem[0] + 0.05, hem[1] - 0.15), (hem[0], hem[1] - 0.1), hem]
        return np.concatenate([smooth([(armpit, _ARMPIT), waist, bottom[0]]), bottom[1:]])
    side = smooth([(armpit, _ARMPIT), waist, hem], 12)
    if category == "jacket":  # padding bulges between the quilting seams
        side[:, 0] += 0.035 * np.abs(np.sin(np.pi * (side[:, 1] - _ARMPIT) / QUILT))
    if category == "dress":
        hip = (waist[0] + 0.17, waist[1] + 0.3)
        side = smooth([(armpit, _ARMPIT), waist, hip, hem])
    return side


QUILT = 0.17  # distance of a padded jacket's seams


def _hem(category: str, hem: float, length: float) -> np.ndarray:
    """Returns the hem from the right side to the middle."""
    if category == "shirt":  # rounded tails
        tail = [(hem * 0.82, length - 0.05), (hem * 0.45, length), (0.0, length)]
        return smooth([(hem, length - 0.17), *tail])
    if category == "dress":
        return _wavy(hem, length)
    return smooth([(hem, length), (hem * 0.5, length + 0.025), (0.0, length + 0.03)])


def _wavy(hem: float, length: float) -> np.ndarray:
    """Returns a hem that hangs in folds, from the right side to the middle."""
    x = np.linspace(1.0, 0.0, 28)
    y = length + 0.05 * (1 - x**2) - 0.024 * np.cos(5 * np.pi * x)
    return np.column_stack([x * hem, y])


def _sleeve(
    shoulder: float, armpit: float, category: str, length: str, angle: float, side: float
) -> Sleeve:
    """Returns one sleeve; `side` is 1 for the right of the picture, -1 for its left."""
    flare = {"short": 20.0, "elbow": 9.0, "long": 0.0}[length]
    wide = 1.2 if category in ("jacket", "sweater") else 1.05 if category == "coat" else 1.0
    radians = math.radians(angle + flare)
    along = np.array([math.sin(radians), math.cos(radians)])
    across = np.array([along[1], -along[0]])
    top, under = np.array([shoulder, 0.1]), np.array([armpit, _ARMPIT])
    end = (top + under) / 2 + along * _SLEEVE_LENGTH[length]
    half = _SLEEVE_END[length] * wide
    outer, inner = end + across * half, end - across * half
    reach = _SLEEVE_LENGTH[length]
    upper = top + along * 0.35 * reach + across * (0.05 if length == "long" else 0.03)
    lower = inner + (under - inner) * 0.45 + across * 0.015
    outline = np.concatenate(
        [
            smooth([(shoulder * 0.8, 0.08), tuple(top), tuple(upper), tuple(outer)]),
            smooth([tuple(inner), tuple(lower), tuple(under)]),
            [(armpit - 0.12, 0.4)],
        ]
    )
    band = 0.1 if length == "long" else 0.06
    cuff = np.array(
        [outer + across * 0.01, inner - across * 0.01, inner - along * band, outer - along * band]
    )
    flip = (side, 1.0)
    return Sleeve(outline * flip, cuff * flip, -side * math.degrees(radians))


def _hood() -> np.ndarray:
    """Returns the outline of a hood that lies behind the shoulders."""
    right = smooth([(0.0, -0.44), (0.2, -0.38), (0.31, -0.16), (0.27, 0.1), (0.1, 0.2)])
    return both_sides(right)


def _bottom(body: np.ndarray, waist: tuple[float, float], hem: tuple[float, float]) -> Cut:
    """Returns the cut of whatever begins at the waist."""
    return Cut(body, (), (), None, 0.0, 0.0, waist, hem)


def _trousers(stretch: tuple[float, float]) -> np.ndarray:
    """Returns the outline of trousers, waistband at the top."""
    length = 1.56 * stretch[1]
    spread = 0.42 + 0.5 * (stretch[0] - 1.0)
    right = np.concatenate(
        [
            [(0.0, 0.02), (0.37, 0.0)],
            smooth([(0.38, 0.1), (0.45, 0.42), (spread + 0.02, length * 0.7), (spread, length)]),
            smooth([(spread - 0.25, length + 0.01), (0.1, 1.0), (0.0, 0.58)]),
        ]
    )
    return both_sides(right)


def _skirt(stretch: tuple[float, float]) -> np.ndarray:
    """Returns the outline of an A-line skirt, waistband at the top."""
    length, hem = 1.02 * stretch[1], 0.6 * stretch[0]
    right = np.concatenate(
        [
            [(0.0, 0.02), (0.33, 0.0)],
            smooth([(0.335, 0.1), (0.43, 0.38), (hem, length)]),
            _wavy(hem, length),
        ]
    )
    return both_sides(right)
