import dataclasses

import numpy as np
import pytest

from fashionsearchnet.data.garments.drawing import draw
from fashionsearchnet.data.garments.scene import (
    COLOURS,
    FRAMED,
    SCATTERED,
    SPACE,
    luminance,
    sample_scene,
)

SIZE = 64
LOCAL = ("neckline", "sleeve", "fastening", "pocket")
TORSO = {
    **{"category": "t-shirt", "colour": "blue", "pattern": "plain", "neckline": "round"},
    **{"sleeve": "short", "fastening": "none", "pocket": "none"},
}


def scene_of(index=0, values=None, **changes):
    """Returns a scene with the given values, and other fields replaced."""
    named = TORSO | (values or {})
    indices = [
        -1 if named[name] is None else SPACE.value_index(name, named[name]) for name in SPACE.names
    ]
    return dataclasses.replace(
        sample_scene(4, index), values=np.array(indices, np.int32), **changes
    )


def box_of(boxes, attribute):
    return boxes[SPACE.attribute_index(attribute)]


def centre_of(box):
    """Returns (x, y)."""
    return np.array([(box[1] + box[3]) / 2, (box[0] + box[2]) / 2])


def test_a_picture_depends_on_its_scene_alone():
    scenes = [sample_scene(7, i) for i in range(4)]
    first = [draw(scene, SIZE) for scene in scenes]
    again = [draw(scene, SIZE) for scene in reversed(scenes)][::-1]
    for (image, boxes), (same_image, same_boxes) in zip(first, again, strict=True):
        assert image.shape == (SIZE, SIZE, 3)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, same_image)
        np.testing.assert_array_equal(boxes, same_boxes)
    assert (first[0][0] != first[1][0]).any()


@pytest.mark.parametrize("layout", [FRAMED, SCATTERED])
def test_boxes_lie_in_the_picture_and_only_where_there_is_something(layout):
    for index in range(80):
        scene = sample_scene(3, index, layout)
        _, boxes = draw(scene, SIZE)
        assert boxes.dtype == np.float32
        assert boxes.shape == (SPACE.num_attributes, 4)
        for name, box in zip(SPACE.names, boxes, strict=True):
            if name in LOCAL and scene.value(name) not in ("-", "none"):
                assert np.all((box >= 0.0) & (box <= 1.0))
                height, width = box[2] - box[0], box[3] - box[1]
                assert height > 1.5 / SIZE, (name, scene)
                assert width > 1.5 / SIZE, (name, scene)
            else:
                np.testing.assert_array_equal(box, -1.0)


def test_a_larger_picture_shows_the_same_scene():
    small, small_boxes = draw(sample_scene(3, 1), 48)
    large, large_boxes = draw(sample_scene(3, 1), 96)
    np.testing.assert_allclose(small_boxes, large_boxes, atol=0.005)
    shrunk = large.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 12.0


@pytest.mark.parametrize(
    ("attribute", "value", "others"),
    [
        ("fastening", "buttons", {}),
        ("fastening", "zip", {"category": "jacket", "sleeve": "long"}),
        ("fastening", "laces", {"category": "dress", "neckline": "v-neck"}),
        ("pocket", "chest", {"pattern": "checks"}),
        ("pocket", "slit", {"category": "coat", "neckline": "collar"}),
        ("pocket", "patch", {"category": "trousers", "neckline": None, "sleeve": None}),
        ("pocket", "kangaroo", {"category": "sweater", "neckline": "boat"}),
    ],
)
def test_the_box_is_where_the_picture_changes(attribute, value, others):
    for index in range(4):
        without, _ = draw(scene_of(index, others), SIZE)
        picture, boxes = draw(scene_of(index, {**others, attribute: value}), SIZE)
        changed = np.abs(picture.astype(int) - without).max(axis=2) > 12
        rows, columns = np.nonzero(changed)
        box = box_of(boxes, attribute) * SIZE
        assert rows.size > 8
        assert rows.min() >= box[0] - 2.5
        assert rows.max() + 1 <= box[2] + 2.5
        assert columns.min() >= box[1] - 2.5
        assert columns.max() + 1 <= box[3] + 2.5
        # And it is no larger than what changes.
        assert rows.max() + 1 - rows.min() > 0.6 * (box[2] - box[0])
        assert columns.max() + 1 - columns.min() > 0.6 * (box[3] - box[1])


def test_the_neckline_box_is_where_necklines_differ():
    for index in range(4):
        round_neck, round_boxes = draw(scene_of(index), SIZE)
        v_neck, v_boxes = draw(scene_of(index, {"neckline": "v-neck"}), SIZE)
        changed = np.abs(round_neck.astype(int) - v_neck).max(axis=2) > 12
        rows, columns = np.nonzero(changed)
        both = np.stack([box_of(round_boxes, "neckline"), box_of(v_boxes, "neckline")]) * SIZE
        assert rows.size > 8
        inside = (rows >= both[:, 0].min() - 2) & (rows <= both[:, 2].max() + 1)
        inside &= (columns >= both[:, 1].min() - 2) & (columns <= both[:, 3].max() + 1)
        assert inside.mean() > 0.9  # a wider neck moves the line of the shoulders a little


def test_boxes_follow_the_pose():
    values = {"fastening": "buttons", "pocket": "chest"}
    still = {"angle": 0.0, "scale": 0.8, "shift": (0.5, 0.5), "arms": (25.0, 25.0)}
    _, boxes = draw(scene_of(0, values, **still), SIZE)
    neck, front, pocket = (centre_of(box_of(boxes, a)) for a in ("neckline", "fastening", "pocket"))
    assert neck[1] < front[1]
    assert neck[0] == pytest.approx(front[0], abs=0.01)
    assert pocket[0] > front[0]
    assert neck[0] == pytest.approx(0.5, abs=0.02)

    _, moved = draw(scene_of(0, values, **(still | {"shift": (1.0, 0.5)})), SIZE)
    step = moved[3:, 1] - boxes[3:, 1]
    assert np.all(step > 0.02)
    np.testing.assert_allclose(step, step[0], atol=1e-5)

    _, shrunk = draw(scene_of(0, values, **(still | {"scale": 0.7})), SIZE)
    ratio = (shrunk[3:, 2:] - shrunk[3:, :2]) / (boxes[3:, 2:] - boxes[3:, :2])
    np.testing.assert_allclose(ratio, 0.7 / 0.8, atol=1e-3)

    _, turned = draw(scene_of(0, values, **(still | {"angle": 12.0})), SIZE)
    lean = centre_of(box_of(turned, "neckline")) - centre_of(box_of(turned, "fastening"))
    assert lean[0] / -lean[1] == pytest.approx(np.tan(np.radians(12.0)), abs=0.06)


def test_longer_sleeves_reach_further_down():
    bottoms = []
    for sleeve in SPACE.values[SPACE.attribute_index("sleeve")]:
        scene = scene_of(0, {"sleeve": sleeve, "category": "coat"}, angle=0.0)
        _, boxes = draw(scene, SIZE)
        box, neck = box_of(boxes, "sleeve"), box_of(boxes, "neckline")
        bottoms.append((box[2] - neck[0]) / (neck[3] - neck[1]))  # in widths of the neck
    assert bottoms == sorted(bottoms)


def test_the_colour_can_be_seen():
    """The median of a plain torso is nearest to the named colour for nearly all scenes."""
    names = list(COLOURS)
    palette = np.array([COLOURS[name] for name in names], np.float64)
    palette_hue = palette - palette.mean(axis=1, keepdims=True)
    right = []
    for name in names:
        for index in range(6):
            base = sample_scene(2, index)
            colour = np.array(COLOURS[name]) * (0.9 + 0.03 * (index % 5))
            scene = scene_of(
                index, {"colour": name}, colour=tuple(colour), background=base.background
            )
            image, boxes = draw(scene, SIZE)
            x, y = (centre_of(box_of(boxes, "sleeve")) * SIZE).astype(int)
            patch = image[y + 2 : y + 12, x - 4 : x + 5].reshape(-1, 3)
            seen = np.median(patch, axis=0)
            hue = np.abs(palette_hue - (seen - seen.mean())).sum(axis=1)
            light = np.abs(palette.mean(axis=1) - seen.mean())
            right.append(names[int(np.argmin(hue + 0.6 * light))] == name)
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("index", range(3))
def test_the_direction_of_stripes_can_be_seen(index):
    energy = {}
    for pattern in ("horizontal-stripes", "vertical-stripes", "plain"):
        scene = scene_of(index, {"pattern": pattern}, angle=0.0, scale=1.0)
        image, boxes = draw(scene, 96)
        x, y = (centre_of(box_of(boxes, "sleeve")) * 96).astype(int)
        patch = image[y : y + 24, x - 12 : x + 12].astype(float).mean(axis=2)
        energy[pattern] = patch.mean(axis=1).std(), patch.mean(axis=0).std()
    assert energy["horizontal-stripes"][0] > 2.0 * energy["horizontal-stripes"][1]
    assert energy["vertical-stripes"][1] > 2.0 * energy["vertical-stripes"][0]
    assert energy["horizontal-stripes"][0] > 2.0 * energy["plain"][0]


def test_the_garment_stands_out_from_the_background():
    for index in range(20):
        scene = sample_scene(6, index)
        gap = np.abs(np.subtract(scene.colour, scene.background)).max()
        assert gap > 28.0 or abs(luminance(scene.colour) - luminance(scene.background)) > 28.0
