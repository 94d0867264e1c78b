"""Cloth: the repeats of its patterns, and the relief of its weave."""

import functools

import cv2
import numpy as np

from fashionsearchnet.data.garments.canvas import Canvas, compose, mix, similarity
from fashionsearchnet.data.garments.scene import Scene

_TILE_SIZE = 32  # pixels of one repeat


def cloth_grain(angle: float, scene: Scene) -> np.ndarray:
    """Returns the map `[2, 3]` from the tile of a scene's pattern to garment units."""
    return similarity(angle, cloth_repeat(scene) / _TILE_SIZE, *scene.phase)


def cloth_repeat(scene: Scene) -> float:
    """Returns the length of one repeat of the pattern, garment units."""
    usual = {"horizontal-stripes": 0.19, "vertical-stripes": 0.17, "checks": 0.24, "dots": 0.25}
    return scene.period * usual.get(scene.value("pattern"), 0.42)


def cloth_tile(scene: Scene) -> np.ndarray:
    """Returns one repeat of the cloth, uint8 `[p, p, 3]`."""
    pattern = scene.value("pattern")
    weights = _pattern_tile(pattern)[..., None]  # [p, p, 1]
    ground, accent = np.array(scene.colour), np.array(scene.accent)
    cloth = ground + (accent - ground) * weights
    if pattern == "floral":
        leaf = np.array(mix(scene.accent, (70.0, 120.0, 60.0), 0.55))
        cloth += (leaf - cloth) * _leaf_tile()[..., None]
    return np.clip(np.rint(cloth), 0, 255).astype(np.uint8)


@functools.cache
def _pattern_tile(pattern: str) -> np.ndarray:
    """Returns where the accent colour is, float `[p, p]` in 0..1."""
    size = _TILE_SIZE
    big = np.zeros((4 * size, 4 * size), np.float32)
    n = 4 * size
    if pattern == "horizontal-stripes":
        big[: int(0.4 * n)] = 1.0
    elif pattern == "vertical-stripes":
        big[:, : int(0.36 * n)] = 1.0
    elif pattern == "checks":
        big[: int(0.36 * n)] += 0.5
        big[:, : int(0.36 * n)] += 0.5
    elif pattern == "dots":
        for x, y in ((0.25, 0.25), (0.75, 0.75)):
            cv2.circle(big, (int(x * n), int(y * n)), int(0.16 * n), 1.0, cv2.FILLED)
    elif pattern == "floral":
        for x, y, turn in ((0.27, 0.27, 0.0), (0.75, 0.73, 0.6)):
            for petal in np.arange(5) * 2 * np.pi / 5 + turn:
                centre = (x + 0.12 * np.cos(petal), y + 0.12 * np.sin(petal))
                cv2.circle(big, tuple(int(c * n) for c in centre), int(0.08 * n), 1.0, cv2.FILLED)
            cv2.circle(big, (int(x * n), int(y * n)), int(0.05 * n), 0.0, cv2.FILLED)
    return cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA)


@functools.cache
def _leaf_tile() -> np.ndarray:
    """Returns where the leaves between flowers are, float `[p, p]` in 0..1."""
    n = 4 * _TILE_SIZE
    big = np.zeros((n, n), np.float32)
    for x, y, turn in ((0.74, 0.22, 35), (0.22, 0.76, 120), (0.55, 0.5, 70)):
        centre = (int(x * n), int(y * n))
        cv2.ellipse(big, centre, (int(0.1 * n), int(0.045 * n)), turn, 0, 360, 1.0, cv2.FILLED)
    return cv2.resize(big, (_TILE_SIZE, _TILE_SIZE), interpolation=cv2.INTER_AREA)


def knit(canvas: Canvas) -> np.ndarray:
    """Returns the relief of knitted cloth over the whole canvas, float32 `[size, size]` about 1."""
    size, tile = canvas.pixels.shape[0], _knit_tile()
    matrix = compose(canvas.matrix, similarity(0.0, 0.09 / tile.shape[0], 0.0, 0.0))
    return cv2.warpAffine(tile, matrix, (size, size), borderMode=cv2.BORDER_WRAP)


@functools.cache
def _knit_tile() -> np.ndarray:
    """Returns one stitch of a knitted relief, float32 `[p, p]` about 1."""
    x = np.abs(np.linspace(-1.0, 1.0, 16, endpoint=False))
    y = np.arange(16) / 16.0
    wave = np.sin(2 * np.pi * (2 * y[:, None] + x[None, :]))
    return (1.0 - 0.1 * (x[None, :] > 0.8) + 0.07 * wave).astype(np.float32)
