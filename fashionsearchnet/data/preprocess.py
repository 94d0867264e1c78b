"""From image bytes to what a network sees. The same graph serves training, search and export."""

from collections.abc import Sequence

import tensorflow as tf


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """Returns uint8 `[height, width, 3]` of JPEG or PNG bytes (a scalar string)."""
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def fit_image(image: tf.Tensor, image_size: int, channel_means: Sequence[float]) -> tf.Tensor:
    """Returns float32 `[image_size, image_size, 3]`: resized, means subtracted, padded by zeros.

    [Ak21] Sec. 4.1: "No pre-processing steps other than removing the means from each channel".
    The paper does not say how an image becomes square; here its shape is kept and the rest is
    filled with the mean colour, which is zero after the subtraction.

    Args:
      image: uint8 `[height, width, 3]`, RGB.
      image_size: side of the result in pixels.
      channel_means: three numbers in 0..255.
    """
    height, width = _fitted_size(tf.shape(image), image_size)
    # Antialiasing matters for photos much larger than the input.
    resized = tf.image.resize(image, [height, width], antialias=True)
    centred = resized - tf.constant(list(channel_means), tf.float32)
    padded = tf.image.pad_to_bounding_box(
        centred, (image_size - height) // 2, (image_size - width) // 2, image_size, image_size
    )
    return tf.ensure_shape(padded, [image_size, image_size, 3])


def load_image(data: tf.Tensor, image_size: int, channel_means: Sequence[float]) -> tf.Tensor:
    """Returns `fit_image` of the image in `data`, a scalar string."""
    return fit_image(decode_image(data), image_size, channel_means)


def fit_boxes(boxes: tf.Tensor, image_shape: tf.Tensor, image_size: int) -> tf.Tensor:
    """Returns boxes of an image as boxes of what `fit_image` makes of it.

    Args:
      boxes: float32 `[num, 4]`, ymin, xmin, ymax, xmax in 0..1, or all -1 for none.
      image_shape: int32, height and width first.
      image_size: side of the fitted image.
    """
    height, width = _fitted_size(image_shape, image_size)
    size = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    top, left = (image_size - height) // 2, (image_size - width) // 2
    offset = tf.cast(tf.stack([top, left, top, left]), tf.float32)
    return tf.where(boxes < 0, boxes, (boxes * size + offset) / image_size)


def _fitted_size(image_shape: tf.Tensor, image_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width, int32, of an image scaled so that its longer side is `image_size`."""
    height, width = tf.cast(image_shape[0], tf.float32), tf.cast(image_shape[1], tf.float32)
    scale = float(image_size) / tf.maximum(height, width)
    fitted = tf.maximum(1, tf.cast(tf.round(tf.stack([height, width]) * scale), tf.int32))
    return fitted[0], fitted[1]
