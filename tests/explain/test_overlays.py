import numpy as np
import pytest

from fashionsearchnet.explain.overlays import (
    as_seen,
    enlarge,
    map_on_image,
    overlay_map,
    seen_region,
    square_image,
)
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry


def test_square_image_puts_the_image_in_the_middle():
    image = np.full((4, 2, 3), 7, np.uint8)
    square = square_image(image, (1.4, 2.6, 300))
    assert square.shape == (4, 4, 3)
    assert (square[:, 1:3] == 7).all()
    assert square[0, 0].tolist() == square[3, 3].tolist() == [1, 3, 255]


def test_map_on_image_is_scaled_by_its_maximum_and_clipped_at_zero():
    heat = map_on_image(np.array([[-5.0, 2.0], [1.0, 4.0]]), 100)
    assert heat.shape == (100, 100)
    np.testing.assert_allclose(heat[[0, 0, -1, -1], [0, -1, 0, -1]], [0, 0.5, 0.25, 1])
    assert map_on_image(np.full((3, 3), -1.0), 9).max() == 0.0


def test_map_on_image_follows_the_geometry_of_the_cells():
    activation = np.zeros((5, 5))
    activation[1, 3] = 1.0
    geometry = MapGeometry(first_centre=20.0, cell_stride=12.0, image_size=80)
    heat = map_on_image(activation, 160, geometry)
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    np.testing.assert_allclose(hottest, [2 * 32, 2 * 56], atol=1)
    assert heat[64, 112 - 26] < 0.01  # a cell and a bit away: nothing


def test_overlay_leaves_cold_places_alone():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    heat = np.zeros((8, 8))
    heat[2, 3] = 1.0
    out = overlay_map(image, heat)
    changed = (out != image).any(axis=-1)
    assert changed[2, 3] and changed.sum() == 1


def test_what_a_network_sees_follows_its_fit():
    image = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
    padded = as_seen(image, ImageInput(8, mean=(1.4, 2.6, 200)))
    np.testing.assert_array_equal(padded, square_image(image, (1.4, 2.6, 200)))
    np.testing.assert_array_equal(as_seen(image, ImageInput(8, fit="crop")), image[1:3])
    stretched = as_seen(image, ImageInput(8, fit="stretch"))
    assert stretched.shape == (4, 4, 3)
    assert (np.diff(stretched[..., 0].astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("fit", "tall"),
    [
        ("pad", (0, 0, 1, 1)),
        ("crop", (0.25, 0.25, 0.75, 0.75)),
        ("stretch", (0, 0.25, 1, 0.75)),
    ],
)
def test_where_the_input_lies_on_the_padded_square(fit, tall):
    image_input = ImageInput(8, fit=fit)
    np.testing.assert_allclose(seen_region(40, 20, image_input), tall)
    wide = [tall[1], tall[0], tall[3], tall[2]]
    np.testing.assert_allclose(seen_region(20, 40, image_input), wide)
    assert seen_region(30, 30, image_input) == (0, 0, 1, 1)


def test_enlarge_keeps_the_shape_and_large_images():
    assert enlarge(np.zeros((10, 20, 3), np.uint8), 256).shape == (128, 256, 3)
    large = np.zeros((300, 10, 3), np.uint8)
    assert enlarge(large, 256) is large
