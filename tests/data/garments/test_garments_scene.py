import collections
import dataclasses

import numpy as np
import pytest

from fashionsearchnet.attributes import MISSING
from fashionsearchnet.data.garments.scene import (
    _STOCK,
    FRAMED,
    SCATTERED,
    SPACE,
    luminance,
    sample_scene,
    sample_values,
)


def draw_values(count, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([sample_values(rng) for _ in range(count)])


def test_a_scene_depends_on_seed_and_index_alone():
    forwards = [sample_scene(5, i) for i in range(6)]
    backwards = [sample_scene(5, i) for i in reversed(range(6))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.colour, a.angle, a.shift) == (b.colour, b.angle, b.shift)
    assert sample_scene(6, 0).angle != forwards[0].angle
    assert len({scene.angle for scene in forwards}) == 6


def test_values_are_in_the_space_and_missing_where_they_do_not_apply():
    for values in draw_values(400):
        category = SPACE.values[0][values[0]]
        for attribute, name in enumerate(SPACE.names[1:], start=1):
            if name in _STOCK[category]:
                assert 0 <= values[attribute] < SPACE.num_values[attribute]
            else:
                assert values[attribute] == MISSING
        no_neck = category in ("trousers", "skirt")
        assert (values[SPACE.attribute_index("neckline")] == MISSING) == no_neck
        assert (values[SPACE.attribute_index("sleeve")] == MISSING) == no_neck


def test_every_value_occurs_among_the_first_scenes_of_the_tiny_configuration():
    values = np.stack([sample_scene(1, i).values for i in range(600)])
    for attribute, size in enumerate(SPACE.num_values):
        assert set(range(size)) <= set(values[:, attribute].tolist()), SPACE.names[attribute]


def test_combinations_are_skewed_but_leave_single_edits_to_be_found():
    gallery = collections.Counter(map(tuple, draw_values(6000, seed=1).tolist()))
    common = sum(count for _, count in gallery.most_common(len(gallery) // 10))
    assert common > 0.35 * 6000  # a tenth of the combinations make much of the stock
    num_edits = []
    for query in draw_values(100, seed=2):
        targets = 0
        for attribute, size in enumerate(SPACE.num_values):
            for value in range(size if query[attribute] != MISSING else 0):
                target = query.copy()
                target[attribute] = value
                targets += value != query[attribute] and tuple(target.tolist()) in gallery
        num_edits.append(targets)
    assert 5 <= np.median(num_edits) <= 16


def test_what_goes_together_is_drawn_together():
    values = draw_values(4000)
    sweaters = values[values[:, 0] == SPACE.value_index("category", "sweater")]
    hooded = sweaters[:, 3] == SPACE.value_index("neckline", "hood")
    kangaroo = sweaters[:, 6] == SPACE.value_index("pocket", "kangaroo")
    assert kangaroo[hooded].mean() > 1.5 * kangaroo[~hooded].mean()


def test_pose_and_colours_stay_in_their_bounds():
    for index in range(300):
        scene = sample_scene(9, index)
        assert abs(scene.angle) <= 12.0
        assert 0.7 <= scene.scale <= 1.0
        assert min(scene.shift) >= 0.25 and max(scene.shift) <= 0.75
        assert all(0.0 <= c <= 255.0 for c in scene.colour + scene.accent + scene.background)
        assert abs(luminance(scene.colour) - luminance(scene.accent)) > 40.0
        assert max(abs(a - b) for a, b in zip(scene.colour, scene.background, strict=True)) > 28.0


def test_scattered_garments_are_the_same_ones_elsewhere():
    framed, scattered = (
        [sample_scene(9, index, layout) for index in range(300)] for layout in (FRAMED, SCATTERED)
    )
    for one, other in zip(framed, scattered, strict=True):
        moved = dataclasses.replace(other, scale=one.scale, shift=one.shift)
        np.testing.assert_array_equal(moved.values, one.values)
        assert (moved.angle, moved.colour) == (one.angle, one.colour)
    assert 0.45 <= min(scene.scale for scene in scattered) < 0.5
    places = [place for scene in scattered for place in scene.shift]
    assert 0.0 <= min(places) < 0.02 and 0.98 < max(places) <= 1.0


@pytest.mark.parametrize("category", SPACE.values[0])
def test_the_stock_lists_each_colour_once(category):
    assert sorted(_STOCK[category]["colour"].split()) == sorted(SPACE.values[1])
