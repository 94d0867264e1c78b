import cv2
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.data import preprocess

NO_MEANS = (0.0, 0.0, 0.0)


def encode(image, suffix):
    """Bytes of an RGB, RGBA or grey image."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    if image.ndim == 3:
        image = cv2.cvtColor(image, order[image.shape[2]])
    return cv2.imencode(suffix, image)[1].tobytes()


def test_png_comes_back_exactly_in_rgb(rng):
    image = rng.integers(0, 256, (7, 5, 3)).astype(np.uint8)
    decoded = preprocess.decode_image(encode(image, ".png"))
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, image)


def test_alpha_is_dropped(rng):
    image = rng.integers(0, 256, (7, 5, 4)).astype(np.uint8)
    np.testing.assert_array_equal(preprocess.decode_image(encode(image, ".png")), image[..., :3])


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_images_get_three_equal_channels(suffix):
    image = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 24, axis=1)
    decoded = preprocess.decode_image(encode(image, suffix)).numpy()
    assert decoded.shape == (32, 24, 3)
    assert (decoded == decoded[..., :1]).all()
    np.testing.assert_allclose(decoded[..., 0].astype(int), image, atol=6)


def test_a_square_image_of_the_size_is_only_shifted(rng):
    image = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    fitted = preprocess.fit_image(image, 6, (10.0, 20.0, 30.0))
    assert fitted.dtype == tf.float32
    np.testing.assert_allclose(fitted, image - np.array([10.0, 20.0, 30.0]), atol=1e-3)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (40, 20, (0, 16), (4, 12)),
        (20, 40, (4, 12), (0, 16)),
        (30, 20, (0, 16), (2, 13)),  # 10.67 -> 11 columns, the odd one on the right
        (8, 4, (0, 16), (4, 12)),  # enlarged
        (400, 3, (0, 16), (7, 8)),  # never less than one pixel
        (1, 1, (0, 16), (0, 16)),
        (37, 37, (0, 16), (0, 16)),
    ],
)
def test_the_shape_is_kept_and_the_rest_is_zero(height, width, rows, columns):
    means = (50.0, 100.0, 150.0)
    image = np.full((height, width, 3), (60, 120, 180), np.uint8)
    fitted = preprocess.fit_image(image, 16, means).numpy()
    assert fitted.shape == (16, 16, 3)
    expected = np.zeros((16, 16, 3))
    expected[slice(*rows), slice(*columns)] = (10, 20, 30)
    np.testing.assert_allclose(fitted, expected, atol=1e-3)


def test_shrinking_averages_instead_of_skipping():
    board = (np.indices((160, 160)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fitted = preprocess.fit_image(np.stack([board] * 3, axis=-1), 16, NO_MEANS).numpy()
    assert np.abs(fitted[2:-2, 2:-2] - 127.5).max() < 8.0


def test_every_shape_gives_the_size_asked_for():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 700, (12, 2)):
        image = np.zeros((height, width, 3), np.uint8)
        assert preprocess.fit_image(image, 227, NO_MEANS).shape == (227, 227, 3)


def test_load_image_traces_over_bytes(rng):
    image = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    data = tf.data.Dataset.from_tensor_slices([encode(image, ".png"), encode(image[:5], ".png")])
    data = data.map(lambda item: preprocess.load_image(item, 12, (1.0, 2.0, 3.0))).batch(2)
    assert data.element_spec.shape.as_list() == [None, 12, 12, 3]
    (batch,) = list(data)
    np.testing.assert_allclose(batch[0], preprocess.fit_image(image, 12, (1.0, 2.0, 3.0)))
    np.testing.assert_allclose(batch[1], preprocess.fit_image(image[:5], 12, (1.0, 2.0, 3.0)))


def test_boxes_by_hand():
    # 40 x 20 becomes 16 x 8 with 4 columns of padding on either side.
    boxes = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.25, 0.5, 0.5, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    fitted = preprocess.fit_boxes(boxes, tf.constant([40, 20, 3]), 16)
    expected = [[0.0, 0.25, 1.0, 0.75], [0.25, 0.5, 0.5, 0.75], [-1.0] * 4]
    np.testing.assert_allclose(fitted, expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (64, 64), (31, 77)])
def test_boxes_follow_what_they_frame(height, width):
    image = np.zeros((height, width, 3), np.uint8)
    top, left, bottom, right = height // 3, width // 4, 2 * height // 3, 3 * width // 4
    image[top:bottom, left:right] = 255
    box = np.array([[top / height, left / width, bottom / height, right / width]], np.float32)
    size = 48
    fitted = preprocess.fit_image(image, size, NO_MEANS).numpy()[..., 0] > 127
    rows, columns = np.flatnonzero(fitted.any(axis=1)), np.flatnonzero(fitted.any(axis=0))
    seen = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / size
    result = preprocess.fit_boxes(tf.constant(box), tf.shape(image), size)
    np.testing.assert_allclose(result[0], seen, atol=1.01 / size)
