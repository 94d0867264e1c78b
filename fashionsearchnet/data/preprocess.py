"""From image bytes to what a network sees. The same graph serves training, search and export."""

import tensorflow as tf

from fashionsearchnet.networks.image_input import ImageInput, VectorInput


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """Returns uint8 `[height, width, 3]` of JPEG or PNG bytes (a scalar string)."""
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def fit_image(image: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    """Returns a network's input: float32 `[size, size, 3]`, (pixel - mean) / scale.

    [Ak21] Sec. 4.1: "No pre-processing steps other than removing the means from each channel".
    The paper does not say how an image becomes square. The default `pad` keeps its shape and
    fills the rest with the mean colour, which is zero after the subtraction.

    Args:
      image: uint8 `[height, width, 3]`, RGB.
      image_input: what the network wants to see.
    """
    if image_input.fit == "crop":
        top, left, side = _middle_square(tf.shape(image))
        image = image[top : top + side, left : left + side]
    size = image_input.size
    height, width = _fitted_size(tf.shape(image), image_input)
    # Antialiasing matters for photos much larger than the input.
    resized = tf.image.resize(image, [height, width], antialias=True)
    values = resized - tf.constant(image_input.mean, tf.float32)
    if image_input.scale != (1.0, 1.0, 1.0):
        values /= tf.constant(image_input.scale, tf.float32)
    top, left = (size - height) // 2, (size - width) // 2
    padded = tf.image.pad_to_bounding_box(values, top, left, size, size)
    ordered = padded[..., ::-1] if image_input.channels == "bgr" else padded
    return tf.ensure_shape(ordered, [size, size, 3])


def load_image(data: tf.Tensor, image_input: ImageInput) -> tf.Tensor:
    """Returns what a network sees of the image, or the vector, in `data`, a scalar string.

    Args:
      data: JPEG or PNG, for `fit_image`; or the bytes of a vector, see `VectorInput`.
      image_input: what the network wants to see.
    """
    if isinstance(image_input, VectorInput):
        return decode_vector(data, image_input)
    return fit_image(decode_image(data), image_input)


def decode_vector(data: tf.Tensor, vector_input: VectorInput) -> tf.Tensor:
    """Returns float32 `[size]` of the bytes of a vector (a scalar string), all numbers finite."""
    vector = tf.io.decode_raw(data, tf.float32, little_endian=True)
    right = tf.debugging.assert_equal(
        tf.size(vector), vector_input.size, f"a vector must have {vector_input.size} numbers."
    )
    with tf.control_dependencies([right]):
        vector = tf.debugging.check_numerics(vector, "a vector must hold finite numbers")
    return tf.ensure_shape(vector, [vector_input.size])


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
