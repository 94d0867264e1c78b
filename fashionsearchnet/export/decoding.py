"""Decoding inside the graph of an export, for clients that send a camera's file as it is.

Catalogue images and uploads are prepared by `data/image_files.py` before any model sees them. An
export also takes what was not: it turns an image upright by its EXIF orientation and puts
transparency on white, as the preparation does. It ignores colour profiles, which TensorFlow cannot
read, and the colours of CMYK files are libjpeg's: `image_files.normalize_image` handles both.
"""

import tensorflow as tf

from fashionsearchnet.data import preprocess
from fashionsearchnet.networks.image_input import ImageInput, VectorInput

_JPEG_WINDOW = 1 << 17  # bytes in which the EXIF segment of a JPEG file begins
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_ENTRIES = 128  # of an EXIF directory; cameras write about 15
_ORIENTATION, _SHORT = 0x0112, 3  # the tag, and its type: an unsigned number of 16 bits


def load_encoded(data: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    """Returns what a network sees of JPEG or PNG bytes, or of those of a vector (a scalar string).

    float32 `image_input.shape`.
    """
    if isinstance(image_input, VectorInput):
        return preprocess.decode_vector(data, image_input)
    image, shape = decode_upright(data, image_input)
    return preprocess.fit_image(image, image_input, shape)


def decode_upright(data: tf.Tensor, image_input: ImageInput) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `preprocess.decode_for` returns, upright and on white.

    It runs on the CPU, wherever the rest of the graph runs.

    Returns:
      uint8 `[height, width, 3]`, and int32 `[2]`, the height and width of the upright file.
    """
    with tf.device("CPU:0"):
        num_bytes = tf.strings.length(data)
        is_png = tf.equal(tf.strings.substr(data, 0, tf.minimum(num_bytes, len(_PNG))), _PNG)
        image, shape = tf.cond(
            is_png, lambda: _decode_png(data), lambda: preprocess.decode_for(data, image_input)
        )
        window = tf.where(is_png, num_bytes, tf.minimum(num_bytes, _JPEG_WINDOW))
        content = tf.io.decode_raw(tf.strings.substr(data, 0, window), tf.uint8)
        prefix = tf.where(is_png, b"eXIf", b"Exif\0\0")
        orientation = _read_orientation(
            tf.cast(content, tf.int64), tf.io.decode_raw(prefix, tf.uint8)
        )
        turned = tf.cond(orientation > 1, lambda: _turn(image, orientation), lambda: image)
        shape = tf.where(orientation >= 5, shape[1::-1], shape[:2])
    return tf.ensure_shape(turned, [None, None, 3]), shape


def _decode_png(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image = _on_white(tf.io.decode_png(data, channels=4))
    return image, tf.shape(image)


def _on_white(image: tf.Tensor) -> tf.Tensor:
    """Returns uint8 RGBA `[h, w, 4]` composited on white, uint8 `[h, w, 3]`."""
    colour, alpha = tf.cast(image[..., :3], tf.int32), tf.cast(image[..., 3:], tf.int32)
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _read_orientation(content: tf.Tensor, prefix: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation, int64 in 1..8, of a file's bytes int64 `[n]`; 1 for none.

    EXIF is a TIFF file after `prefix`: a byte order ("II" for little endian or "MM"), 42, and the
    offset of a directory of entries of 12 bytes: tag, type, number, value.
    """
    prefix = tf.cast(prefix, tf.int64)
    starts = _positions(content, prefix, b"II*\0"), _positions(content, prefix, b"MM\0*")
    found = tf.concat(starts, axis=0)
    return tf.cond(
        tf.size(found) > 0,
        lambda: _orientation_at(content, tf.reduce_min(found), tf.size(starts[0]) > 0),
        lambda: tf.constant(1, tf.int64),
    )


def _positions(content: tf.Tensor, prefix: tf.Tensor, header: bytes) -> tf.Tensor:
    """Returns where `header` begins after `prefix`, int64 `[matches]`."""
    pattern = tf.concat([prefix, tf.constant(list(header), tf.int64)], axis=0)
    number = tf.maximum(tf.size(content) - tf.size(pattern) + 1, 0)
    # Few places have the first two bytes; only there the others are compared.
    pairs = content[:number] * 256 + content[1 : number + 1]
    places = tf.where(tf.equal(pairs, pattern[0] * 256 + pattern[1]))  # [places, 1]
    texts = tf.gather(content, places + tf.range(tf.size(pattern, tf.int64)))  # [places, bytes]
    return tf.boolean_mask(places[:, 0], tf.reduce_all(tf.equal(texts, pattern), axis=1)) + tf.size(
        prefix, tf.int64
    )


def _orientation_at(content: tf.Tensor, start: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    """Returns the orientation, int64 in 1..8, in the TIFF file that begins at `start`."""

    def number(places: tf.Tensor, num_bytes: int) -> tf.Tensor:
        """Reads numbers at places int64 `[...]`; outside the file they are nonsense, no error."""
        total = tf.zeros_like(places)
        for position in range(num_bytes):
            power = tf.where(is_little, position, num_bytes - 1 - position)
            place = tf.clip_by_value(places + position, 0, tf.size(content, tf.int64) - 1)
            total += tf.gather(content, place) * tf.bitwise.left_shift(
                tf.constant(1, tf.int64), tf.cast(8 * power, tf.int64)
            )
        return total

    directory = start + number(start + 4, 4)
    entries = tf.range(tf.minimum(number(directory, 2), _MAX_ENTRIES))
    places = directory + 2 + 12 * entries  # [entries]
    is_it = tf.equal(number(places, 2), _ORIENTATION) & tf.equal(number(places + 2, 2), _SHORT)
    values = tf.boolean_mask(number(places + 8, 2), is_it)
    value = tf.concat([values, tf.constant([1], tf.int64)], axis=0)[0]
    return tf.where((value >= 1) & (value <= 8), value, tf.constant(1, tf.int64))


def _turn(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Returns an image `[h, w, 3]` upright: transposed for 5 to 8, then mirrored."""

    def is_one_of(*values: int) -> tf.Tensor:
        return tf.reduce_any(tf.equal(orientation, tf.constant(values, tf.int64)))

    # It turns the pixels' numbers, and gathers. On CPUs without AVX-512, oneDNN logs an error where
    # a graph transposes integers.
    height, width = tf.unstack(tf.shape(image)[:2])
    starts, columns = width * tf.range(height), tf.range(width)
    transposed = tf.cond(
        orientation >= 5,
        lambda: starts[None, :] + columns[:, None],
        lambda: starts[:, None] + columns[None, :],
    )
    mirrored = tf.stack([is_one_of(3, 4, 7, 8), is_one_of(2, 3, 6, 7)])  # up-down, left-right
    turned = tf.reverse(transposed, tf.boolean_mask(tf.constant([0, 1]), mirrored))
    return tf.gather(tf.reshape(image, [-1, 3]), turned)  # [h, w, 3]
