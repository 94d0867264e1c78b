import numpy as np
import pytest

from fashionsearchnet.data.garments.canvas import Canvas, blend, compose, mix, similarity

SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


def blank(size=20):
    return np.zeros((size, size, 3), np.uint8)


def test_a_filled_square_covers_its_box():
    canvas = Canvas(blank(), similarity(0.0, 4.0, 10.0, 8.0))  # x 6..14, y 4..12
    canvas.fill(SQUARE, (200.0, 100.0, 50.0))
    np.testing.assert_allclose(canvas.box(SQUARE), np.array([4, 6, 12, 14]) / 20)
    np.testing.assert_array_equal(canvas.pixels[5:11, 7:13, 0], 200)
    outside = canvas.pixels.copy()
    outside[3:14, 5:16] = 0  # OpenCV draws up to a pixel over the edge
    assert not outside.any()


def test_the_box_of_a_turned_square_is_wider_by_root_two():
    canvas = Canvas(blank(), similarity(45.0, 4.0, 10.0, 10.0))
    half = 4.0 * 2**0.5 / 20
    np.testing.assert_allclose(
        canvas.box(SQUARE), [0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half], atol=1e-6
    )
    assert canvas.unit == pytest.approx(4.0)


def test_boxes_are_clipped_to_the_picture():
    canvas = Canvas(blank(), similarity(0.0, 4.0, 0.0, 20.0))
    np.testing.assert_allclose(canvas.box(SQUARE), [0.8, 0.0, 1.0, 0.2])


def test_compose_applies_the_inner_map_first():
    outer, inner = similarity(30.0, 2.0, 1.0, -1.0), similarity(-70.0, 0.5, 3.0, 4.0)
    point = np.array([0.3, -0.8])
    step = inner[:, :2] @ point + inner[:, 2]
    both = compose(outer, inner)
    np.testing.assert_allclose(both[:, :2] @ point + both[:, 2], outer[:, :2] @ step + outer[:, 2])


def test_cloth_is_repeated_along_its_grain_and_only_within_the_outline():
    tile = np.zeros((8, 8, 3), np.uint8)
    tile[:4] = 255  # horizontal stripes
    canvas = Canvas(blank(32), similarity(0.0, 8.0, 16.0, 16.0))  # the square: 8..24
    canvas.cover(SQUARE, tile, similarity(0.0, 1.0 / 8, 0.0, 0.0))  # one repeat: 8 pixels
    grey = canvas.pixels[..., 0].astype(float)
    assert not grey[:7].any()
    assert not grey[:, 26:].any()
    inside = grey[9:23, 9:23]
    assert inside.std(axis=1).max() < 1.0  # constant along a row
    np.testing.assert_array_equal(inside[:6], inside[8:14])  # period 8
    across = Canvas(blank(32), similarity(0.0, 8.0, 16.0, 16.0))
    across.cover(SQUARE, tile, similarity(90.0, 1.0 / 8, 0.0, 0.0))
    assert across.pixels[9:23, 9:23, 0].std(axis=0).max() < 1.0


def test_cloth_outside_the_picture_is_nothing():
    canvas = Canvas(blank(), similarity(0.0, 2.0, -50.0, -50.0))
    canvas.cover(SQUARE, np.full((4, 4, 3), 255, np.uint8), similarity(0.0, 1.0, 0.0, 0.0))
    assert not canvas.pixels.any()


def test_blend_weighs_by_the_mask():
    below, above = np.full((1, 3, 3), 100, np.uint8), np.full((1, 3, 3), 200, np.uint8)
    blend(below, above, np.array([[0, 128, 255]], np.uint8))
    np.testing.assert_allclose(below[0, :, 0], [100, 150, 200], atol=1)


def test_mix_goes_from_one_colour_to_the_other():
    assert mix((0.0, 100.0, 50.0), (100.0, 0.0, 50.0), 0.25) == (25.0, 75.0, 50.0)
