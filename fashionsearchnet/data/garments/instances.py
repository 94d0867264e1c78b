"""Garments that are photographed several times, for the search of an item.

The pictures of a garment share its attribute values and its individual details: shade, accent,
trim, buttons, size and phase of the pattern, proportions. They differ in pose, place, light,
exposure, ground and clutter.
"""

import dataclasses

import numpy as np

from fashionsearchnet.data.garments import scene
from fashionsearchnet.data.garments.scene import Layout, Scene

_LAYOUT = Layout(least_scale=0.6, spread=1.0)
_BUTTONS = ((22, 22, 26), (247, 247, 244), (150, 100, 55), (205, 170, 80), (150, 30, 40))  # RGB
# Streams of random numbers; zero would be the stream of `sample_scene`.
_DETAILS, _FIRST_VIEW = 1, 2


def sample_view(seed: int, garment: int, view: int, twin: int | None = None) -> Scene:
    """Returns picture number `view` of garment number `garment` in the world `seed`.

    With a `twin`, the garment has the attribute values of that other one, and its own details.
    """
    item = _sample_garment(seed, garment, twin)
    stream = (seed, garment, _FIRST_VIEW + view)
    rng = np.random.default_rng(stream)
    arms = rng.uniform(14.0, 36.0) + rng.uniform(-5.0, 5.0, 2)
    exposure = rng.uniform(0.82, 1.1) * rng.uniform(0.96, 1.04, 3)
    return dataclasses.replace(
        item,
        angle=float(np.clip(rng.normal(0.0, 10.0), -24.0, 24.0)),
        scale=rng.uniform(_LAYOUT.least_scale, 1.0),
        shift=(scene.sample_shift(_LAYOUT, rng), scene.sample_shift(_LAYOUT, rng)),
        arms=(float(arms[0]), float(arms[1])),
        light=(rng.uniform(-0.16, 0.16), rng.uniform(-0.06, 0.16)),
        background=scene.sample_background(item.colour, rng),
        exposure=tuple(float(factor) for factor in exposure),
        noise_seed=(*stream, 1),
    )


def _sample_garment(seed: int, garment: int, twin: int | None) -> Scene:
    """Returns a garment with its individual details, in some pose."""
    values = None if twin is None else scene.sample_scene(seed, twin, _LAYOUT).values
    item = scene.sample_scene(seed, garment, _LAYOUT, values)
    rng = np.random.default_rng((seed, garment, _DETAILS))
    phase = rng.uniform(-0.15, 0.15, 2)
    trim = None
    if rng.uniform() < 0.4:
        colours = list(scene.COLOURS.values())
        trim = scene.jitter(colours[rng.integers(len(colours))], rng)
    button = _BUTTONS[rng.integers(len(_BUTTONS))]
    return dataclasses.replace(
        item,
        period=rng.uniform(0.7, 1.5),
        phase=(float(phase[0]), float(phase[1])),
        stretch=(rng.uniform(0.9, 1.14), rng.uniform(0.88, 1.14)),
        trim=trim,
        contrast=tuple(float(c) for c in button) if rng.uniform() < 0.5 else None,
    )
