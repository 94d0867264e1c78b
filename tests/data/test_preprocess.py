import cv2
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.data import preprocess
from fashionsearchnet.networks.image_input import FITS, ImageInput


def seen_by(size, fit="pad", **kwargs):
    """An input that subtracts nothing unless told."""
    return ImageInput(size, fit, **({"mean": (0.0, 0.0, 0.0)} | kwargs))


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
    fitted = preprocess.fit_image(image, seen_by(6, mean=(10.0, 20.0, 30.0)))
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
    fitted = preprocess.fit_image(image, seen_by(16, mean=means)).numpy()
    assert fitted.shape == (16, 16, 3)
    expected = np.zeros((16, 16, 3))
    expected[slice(*rows), slice(*columns)] = (10, 20, 30)
    np.testing.assert_allclose(fitted, expected, atol=1e-3)


def test_shrinking_averages_instead_of_skipping():
    board = (np.indices((160, 160)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fitted = preprocess.fit_image(np.stack([board] * 3, axis=-1), seen_by(16)).numpy()
    assert np.abs(fitted[2:-2, 2:-2] - 127.5).max() < 8.0


def test_every_shape_gives_the_size_asked_for():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 700, (12, 2)):
        image = np.zeros((height, width, 3), np.uint8)
        assert preprocess.fit_image(image, seen_by(227)).shape == (227, 227, 3)


def test_load_image_traces_over_bytes(rng):
    image = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    data = tf.data.Dataset.from_tensor_slices([encode(image, ".png"), encode(image[:5], ".png")])
    image_input = seen_by(12, mean=(1.0, 2.0, 3.0))
    data = data.map(lambda item: preprocess.load_image(item, image_input)).batch(2)
    assert data.element_spec.shape.as_list() == [None, 12, 12, 3]
    (batch,) = list(data)
    np.testing.assert_allclose(batch[0], preprocess.fit_image(image, image_input))
    np.testing.assert_allclose(batch[1], preprocess.fit_image(image[:5], image_input))


def test_boxes_by_hand():
    # 40 x 20 becomes 16 x 8 with 4 columns of padding on either side.
    boxes = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.25, 0.5, 0.5, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    fitted = preprocess.fit_boxes(boxes, tf.constant([40, 20, 3]), seen_by(16))
    expected = [[0.0, 0.25, 1.0, 0.75], [0.25, 0.5, 0.5, 0.75], [-1.0] * 4]
    np.testing.assert_allclose(fitted, expected, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (64, 64), (50, 77)])
def test_boxes_follow_what_they_frame(height, width, fit):
    image = np.zeros((height, width, 3), np.uint8)
    top, left, bottom, right = height // 3, width // 4, 2 * height // 3, 3 * width // 4
    image[top:bottom, left:right] = 255
    box = np.array([[top / height, left / width, bottom / height, right / width]], np.float32)
    size = 48
    fitted = preprocess.fit_image(image, seen_by(size, fit)).numpy()[..., 0] > 127
    rows, columns = np.flatnonzero(fitted.any(axis=1)), np.flatnonzero(fitted.any(axis=0))
    seen = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / size
    result = preprocess.fit_boxes(tf.constant(box), tf.shape(image), seen_by(size, fit))
    np.testing.assert_allclose(result[0], seen, atol=1.01 / size)


def stored(height, width):
    """A picture whose red rises from left to right, green from top to bottom; blue is 40."""
    rows, columns = np.mgrid[:height, :width]
    red, green = 250 * columns / width, 250 * rows / height
    return np.stack([red, green, np.full_like(red, 40)], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), [(96, 64), (64, 96), (64, 64), (65, 96), (120, 60)])
def test_every_fit_against_opencv(height, width, fit):
    image, size = stored(height, width), 32
    fitted = preprocess.fit_image(image, seen_by(size, fit)).numpy()
    expected = np.zeros((size, size, 3), np.float32)
    if fit == "pad":
        rows, columns = np.rint(np.array([height, width]) * size / max(height, width)).astype(int)
        top, left = (size - rows) // 2, (size - columns) // 2
        scaled = cv2.resize(image, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
        expected[top : top + rows, left : left + columns] = scaled
    else:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        whole = image[top : top + side, left : left + side] if fit == "crop" else image
        expected[:] = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(fitted, expected, atol=3.0)  # filters differ at edges


def test_an_image_of_the_size_is_cropped_exactly(rng):
    image = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
    fitted = preprocess.fit_image(image, seen_by(6, "crop")).numpy()
    np.testing.assert_allclose(fitted, image[:, 1:7], atol=1e-3)


@pytest.mark.parametrize("fit", FITS)
def test_mean_scale_and_order_of_channels(rng, fit):
    image = rng.integers(0, 256, (20, 14, 3)).astype(np.uint8)
    mean, scale = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    plain = preprocess.fit_image(image, seen_by(16, fit)).numpy()
    expected = (plain - np.array(mean)) / np.array(scale)
    if fit == "pad":  # 11 of 16 columns show the image, the rest is zero
        expected[:, [0, 1, -3, -2, -1]] = 0.0
    rgb = preprocess.fit_image(image, seen_by(16, fit, mean=mean, scale=scale))
    bgr = preprocess.fit_image(image, seen_by(16, fit, mean=mean, scale=scale, channels="bgr"))
    np.testing.assert_allclose(rgb, expected, atol=1e-4)
    np.testing.assert_array_equal(bgr, rgb.numpy()[..., ::-1])


def test_the_default_is_resized_centred_and_padded_bit_for_bit(rng):
    image = rng.integers(0, 256, (30, 20, 3)).astype(np.uint8)
    resized = tf.image.resize(image, [16, 11], antialias=True)
    centred = resized - tf.constant([1.1, 2.2, 3.3], tf.float32)
    expected = tf.image.pad_to_bounding_box(centred, 0, 2, 16, 16)
    found = preprocess.fit_image(image, ImageInput(16, mean=(1.1, 2.2, 3.3)))
    np.testing.assert_array_equal(found, expected)


def test_boxes_of_every_fit_by_hand():
    # 40 x 20: the middle square is rows 10 to 30; a box above it is not seen.
    boxes = [[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.25, 1.0], [-1.0] * 4]
    expected = {
        "crop": [[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0], [-1.0] * 4, [-1.0] * 4],
        "stretch": boxes,
        "pad": [[0.0, 0.25, 1.0, 0.75], [0.5, 0.5, 1.0, 0.75], [0.0, 0.25, 0.25, 0.75], [-1.0] * 4],
    }
    for fit in FITS:
        fitted = preprocess.fit_boxes(tf.constant(boxes), tf.constant([40, 20]), seen_by(16, fit))
        np.testing.assert_allclose(fitted, expected[fit], atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(31, 50), (50, 31), (20, 20), (7, 9)])
def test_rounded_pixels_differ_by_half_a_step_at_most(rng, fit, shape):
    image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    settings = {"mean": (9.0, 120.0, 250.0), "scale": (2.0, 1.0, 0.5), "channels": "bgr"}
    exact = preprocess.fit_image(image, seen_by(20, fit, **settings)).numpy()
    rounded = preprocess.fit_image(image, seen_by(20, fit, pixels="rounded", **settings)).numpy()
    steps = np.abs(exact - rounded) * [0.5, 1.0, 2.0]  # of 255, by the scales in order bgr
    assert steps.max() <= 0.501
    if shape == (20, 20):  # needs no resizing
        np.testing.assert_array_equal(exact, rounded)
    # What lies beside the image stays zero.
    np.testing.assert_array_equal((exact == 0).all((0, 2)), (rounded == 0).all((0, 2)))


def test_whole_numbers_in_batches_and_mirrored(rng):
    seen = seen_by(9, mean=(5.0, 6.0, 7.0), pixels="rounded")
    images = [rng.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in ((9, 4), (3, 9))]
    found = [preprocess.fit_pixels(image, seen) for image in images]
    batch = preprocess.Pixels(*(tf.stack(part) for part in zip(*found, strict=True)))
    mirrored = preprocess.mirror(batch, tf.constant([True, False]))
    for pixels, first in ((batch, slice(None)), (mirrored, slice(None, None, -1))):
        whole = preprocess.as_input(pixels, seen)
        upright = preprocess.fit_image(images[0], seen).numpy()
        np.testing.assert_array_equal(whole[0], upright[:, first])
        np.testing.assert_array_equal(whole[1], preprocess.fit_image(images[1], seen))


def photo():
    """uint8 [512, 384, 3]: smooth shapes, edges and fine grain, as a photo has them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:512, :384].astype(np.float32)
    base = 120 + 60 * np.sin(x / 41) * np.cos(y / 67)
    base += 50 * ((x - 190) ** 2 + (y - 250) ** 2 < 120**2) - 40 * (np.sin((x + y) / 9) > 0.8)
    image = base[..., None] + [0, 15, -20] + rng.normal(0, 6, (512, 384, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "fit"),
    [*((size, fit) for size in (24, 48, 85, 96, 170) for fit in FITS), (113, "pad"), (227, "pad")],
)
def test_jpeg_at_a_fraction_of_its_size_changes_little(size, fit):
    """docs/datasets.md states this bound."""
    data = tf.constant(cv2.imencode(".jpg", photo(), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    exact, fast = (
        preprocess.load_image(data, seen_by(size, fit, pixels=pixels)).numpy()
        for pixels in ("exact", "fast")
    )
    difference = np.abs(exact - fast)
    assert difference.mean() < 1.5 and np.percentile(difference, 99.9) < 8.0
    assert difference.max() > 0.6  # it was decoded at a fraction


@pytest.mark.parametrize(
    ("size", "fit", "ratio"),
    [
        *((228, "pad", 1), (227, "pad", 2), (114, "pad", 2), (113, "pad", 4), (33, "pad", 4)),
        *((32, "pad", 8), (9, "pad", 8)),
        *((171, "crop", 1), (170, "crop", 2), (86, "crop", 2), (85, "crop", 4), (24, "crop", 8)),
    ],
)
def test_the_fraction_leaves_more_than_the_size(size, fit, ratio):
    """9/8 of it, and twice the size where blocks of eight pixels become one."""
    data = tf.constant(cv2.imencode(".jpg", photo())[1].tobytes())
    image, shape = preprocess.decode_for(data, seen_by(size, fit, pixels="fast"))
    assert image.shape.as_list() == [512 // ratio, 384 // ratio, 3]
    assert shape.numpy().tolist()[:2] == [512, 384]


def test_png_and_small_jpeg_are_decoded_whole(rng):
    image = rng.integers(0, 256, (90, 70, 3)).astype(np.uint8)
    for suffix, size in ((".png", 9), (".jpg", 60)):
        data = tf.constant(encode(image, suffix))
        fast, rounded = (
            preprocess.load_image(data, seen_by(size, pixels=p)) for p in ("fast", "rounded")
        )
        np.testing.assert_array_equal(fast, rounded)
