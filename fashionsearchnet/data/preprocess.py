"""From image bytes to what a network sees. The same graph serves training, search and export."""

import functools
import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from fashionsearchnet.networks.image_input import ImageInput, VectorInput

_JPEG = b"\xff\xd8\xff"
# libjpeg decodes at these ratios; what it leaves is at least so many times the network's size.
# Blocks of eight pixels average edges away, so that what they leave must be larger.
_LEAST_SCALES = {2: 9 / 8, 4: 9 / 8, 8: 2}


def decoding_rule(image_input: ImageInput) -> dict[str, Any]:
    """Returns the rule that `image_input.pixels` stands for here, as JSON can hold it.

    It belongs to what names a file of pixels, or of what a network makes of them: a file of another
    rule is another file. Empty where the name says all.
    """
    if image_input.pixels != "fast":
        return {}
    return {"least_scales": {str(ratio): scale for ratio, scale in _LEAST_SCALES.items()}}


class Pixels(NamedTuple):
    """Images as whole numbers, before a device makes a network's input of them by `as_input`.

    Attributes:
      values: uint8 `[..., size, size, 3]`, RGB, black where the square shows no image.
      place: int32 `[..., 4]`, top, left, height and width of the image on the square.
    """

    values: tf.Tensor
    place: tf.Tensor


# A network's input float32 `[..., size, size, 3]`, or what `as_input` makes it of.
Images: TypeAlias = tf.Tensor | Pixels


@tf.autograph.experimental.do_not_convert
def decode_image(data: tf.Tensor) -> tf.Tensor:
    """Returns uint8 `[height, width, 3]` of JPEG or PNG bytes (a scalar string)."""
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


@tf.autograph.experimental.do_not_convert
def fit_image(
    image: tf.Tensor, image_input: ImageInput, shape: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns a network's input: float32 `[size, size, 3]`, (pixel - mean) / scale.

    [Ak21] Sec. 4.1: "No pre-processing steps other than removing the means from each channel".
    The paper does not say how an image becomes square. The default `pad` keeps its shape and
    fills the rest with the mean colour, which is zero after the subtraction.

    Args:
      image: uint8 `[height, width, 3]`, RGB.
      image_input: what the network wants to see.
      shape: int32, height and width first, of an image that was decoded at a fraction of its size;
        by default that of `image`.
    """
    if image_input.pixels != "exact":
        return as_input(fit_pixels(image, image_input, shape), image_input)
    resized, place = _resize(image, image_input, shape)
    top, left, _, _ = tf.unstack(place)
    size = image_input.size
    values = _normalize(resized, image_input)
    padded = tf.image.pad_to_bounding_box(values, top, left, size, size)
    return tf.ensure_shape(_ordered(padded, image_input), [size, size, 3])


@tf.autograph.experimental.do_not_convert
def fit_pixels(image: tf.Tensor, image_input: ImageInput, shape: tf.Tensor | None = None) -> Pixels:
    """Returns one image as whole numbers; see `fit_image` for the arguments.

    `as_input` gives what `fit_image` gives for pixels `rounded` and `fast`. For `exact` it does so
    for images that need no resizing; see `keeps_size`.
    """
    resized, place = _resize(image, image_input, shape)
    top, left, _, _ = tf.unstack(place)
    size = image_input.size
    values = tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
    padded = tf.image.pad_to_bounding_box(values, top, left, size, size)
    return Pixels(tf.ensure_shape(padded, [size, size, 3]), place)


@tf.autograph.experimental.do_not_convert
def as_input(images: Images, image_input: ImageInput) -> tf.Tensor:
    """Returns a network's input float32 `[..., size, size, 3]` of whole numbers; runs anywhere.

    Args:
      images: Pixels; what is a network's input already stays as it is.
      image_input: what the network wants to see.
    """
    if not isinstance(images, Pixels):
        return images
    values = _normalize(tf.cast(images.values, tf.float32), image_input)
    top, left, height, width = tf.unstack(images.place[..., None, None], axis=-3)  # [..., 1, 1]
    numbers = tf.range(image_input.size, dtype=images.place.dtype)
    rows, columns = numbers[:, None], numbers[None, :]
    is_image = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    return _ordered(tf.where(is_image[..., None], values, 0.0), image_input)


def mirror(pixels: Pixels, is_mirrored: tf.Tensor) -> Pixels:
    """Returns a batch in which some images are mirrored: those of bool `[batch]`."""
    top, left, height, width = tf.unstack(pixels.place, axis=-1)
    left = tf.where(is_mirrored, tf.shape(pixels.values)[-2] - left - width, left)
    values = tf.where(is_mirrored[:, None, None, None], pixels.values[:, :, ::-1], pixels.values)
    return Pixels(values, tf.stack([top, left, height, width], axis=-1))


def place_of(image_shape: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    """Returns top, left, height and width of a fitted image on the square, int32 `[4]`.

    Args:
      image_shape: int32, height and width first, of the image in its file.
      image_input: what the network wants to see.
    """
    size = image_input.size
    if image_input.fit == "crop":
        return tf.constant([0, 0, size, size])
    height, width = _fitted_size(image_shape, image_input)
    return tf.stack([(size - height) // 2, (size - width) // 2, height, width])


def _resize(
    image: tf.Tensor, image_input: ImageInput, shape: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the resized image float32 `[height, width, 3]`, and its place; see `place_of`."""
    place = place_of(tf.shape(image) if shape is None else shape, image_input)
    if image_input.fit == "crop":
        top, left, side = _middle_square(tf.shape(image))
        image = image[top : top + side, left : left + side]
    size = place[2:]
    resized = tf.cond(
        tf.reduce_all(tf.equal(tf.shape(image)[:2], size)),
        lambda: tf.cast(image, tf.float32),
        # Antialiasing matters for photos much larger than the input.
        lambda: tf.image.resize(image, size, antialias=True),
    )
    return tf.ensure_shape(resized, [None, None, 3]), place


def _normalize(values: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    values -= tf.constant(image_input.mean, tf.float32)
    if image_input.scale != (1.0, 1.0, 1.0):
        values /= tf.constant(image_input.scale, tf.float32)
    return values


def _ordered(values: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    return values[..., ::-1] if image_input.channels == "bgr" else values


@tf.autograph.experimental.do_not_convert
def load_image(data: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    """Returns what a network sees of the image, or the vector, in `data`, a scalar string.

    Args:
      data: JPEG or PNG, for `fit_image`; or the bytes of a vector, see `VectorInput`.
      image_input: what the network wants to see.
    """
    if isinstance(image_input, VectorInput):
        return decode_vector(data, image_input)
    image, shape = decode_for(data, image_input)
    return fit_image(image, image_input, shape)


@tf.autograph.experimental.do_not_convert
def decode_for(data: tf.Tensor, image_input: ImageInput) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns an image as a network's input needs it, and the shape that it has in its file.

    Args:
      data: JPEG or PNG, a scalar string.
      image_input: with pixels `fast`, a JPEG file may be decoded at a fraction of its size.

    Returns:
      uint8 `[height, width, 3]` and int32, height and width first.
    """
    if image_input.pixels != "fast":
        image = decode_image(data)
        return image, tf.shape(image)
    is_jpeg = tf.equal(tf.strings.substr(data, 0, len(_JPEG)), _JPEG)
    shape = tf.cond(
        is_jpeg, lambda: tf.io.extract_jpeg_shape(data), lambda: tf.zeros([3], tf.int32)
    )
    sides = shape[:2]
    # What becomes `size`: the longer side when padded, else the shorter.
    side = tf.reduce_max(sides) if image_input.fit == "pad" else tf.reduce_min(sides)
    branches = [functools.partial(decode_image, data)]
    branches += [functools.partial(tf.io.decode_jpeg, data, 3, r) for r in _LEAST_SCALES]
    least = [math.ceil(s * image_input.size * ratio) for ratio, s in _LEAST_SCALES.items()]
    image = tf.switch_case(tf.reduce_sum(tf.cast(side >= least, tf.int32)), branches)
    image = tf.ensure_shape(image, [None, None, 3])
    return image, tf.where(is_jpeg, shape, tf.shape(image))


def decode_vector(data: tf.Tensor, vector_input: VectorInput) -> tf.Tensor:
    """Returns float32 `[size]` of the bytes of a vector (a scalar string), all numbers finite."""
    vector = tf.io.decode_raw(data, tf.float32, little_endian=True)
    right = tf.debugging.assert_equal(
        tf.size(vector), vector_input.size, f"a vector must have {vector_input.size} numbers."
    )
    with tf.control_dependencies([right]):
        vector = tf.debugging.check_numerics(vector, "a vector must hold finite numbers")
    return tf.ensure_shape(vector, [vector_input.size])


@tf.autograph.experimental.do_not_convert
def fit_boxes(boxes: tf.Tensor, image_shape: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    """Returns boxes of an image as boxes of what `fit_image` makes of it.

    `crop` cuts boxes at the edge of the square; a box outside it becomes -1, no place.

    Args:
      boxes: float32 `[num, 4]`, ymin, xmin, ymax, xmax in 0..1, or all -1 for none.
      image_shape: int32, height and width first.
      image_input: what the network wants to see.
    """
    if image_input.fit == "crop":
        return _crop_boxes(boxes, image_shape)
    height, width = _fitted_size(image_shape, image_input)
    size = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    top, left = (image_input.size - height) // 2, (image_input.size - width) // 2
    offset = tf.cast(tf.stack([top, left, top, left]), tf.float32)
    return tf.where(boxes < 0, boxes, (boxes * size + offset) / image_input.size)


def _crop_boxes(boxes: tf.Tensor, image_shape: tf.Tensor) -> tf.Tensor:
    top, left, side = (tf.cast(x, tf.float32) for x in _middle_square(image_shape))
    size = tf.cast(tf.tile(image_shape[:2], [2]), tf.float32)  # height, width, height, width
    cut = tf.clip_by_value((boxes * size - tf.stack([top, left, top, left])) / side, 0.0, 1.0)
    is_seen = tf.reduce_all(cut[:, 2:] > cut[:, :2], axis=1, keepdims=True) & (boxes >= 0)
    return tf.where(is_seen, cut, -1.0)


def _middle_square(image_shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the first row, the first column and the side of the middle square, int32."""
    height, width = image_shape[0], image_shape[1]
    side = tf.minimum(height, width)
    return (height - side) // 2, (width - side) // 2, side


def _fitted_size(image_shape: tf.Tensor, image_input: ImageInput) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns height and width, int32: the square for `stretch`, else the longer side is `size`."""
    if image_input.fit == "stretch":
        return tf.constant(image_input.size), tf.constant(image_input.size)
    height, width = tf.cast(image_shape[0], tf.float32), tf.cast(image_shape[1], tf.float32)
    scale = float(image_input.size) / tf.maximum(height, width)
    fitted = tf.maximum(1, tf.cast(tf.round(tf.stack([height, width]) * scale), tf.int32))
    return fitted[0], fitted[1]


def keeps_size(shapes: np.ndarray, image_input: ImageInput) -> bool:
    """Returns whether images int32 `[n, 2]`, height and width, need no resizing."""
    if image_input.fit == "stretch":
        return bool((shapes == image_input.size).all())
    sides = shapes.max(axis=1) if image_input.fit == "pad" else shapes.min(axis=1)
    return bool((sides == image_input.size).all())
