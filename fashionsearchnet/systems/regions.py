"""From attribute activation maps to boxes, in the graph: threshold, largest region, box.

The largest connected region is found by flooding, with a whole map row held in the bits of one
integer: one dilation of a region by its eight neighbours costs eight operations on
`[maps, height]` integers, whatever the width. That is less work than OpenCV's labelling in a
Python loop, and unlike the loop it exports and runs on a GPU. OpenCV's answer is the tests'
oracle.

Every operation here has a kernel for GPUs. The integers are int64 throughout: TensorFlow keeps
int32 tensors in the host's memory for many operations. It has no argmax of int32, no pad and no
minimum of int64 on a GPU at all.
"""

import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import MAP_SCALINGS
from fashionsearchnet.networks.image_input import MapGeometry

MAX_WIDTH = 62  # bits of a non-negative int64, with one to spare for the shift to the left


def threshold_maps(maps: tf.Tensor, threshold: float, scaling: str = "max") -> tf.Tensor:
    """Returns the cells above the threshold, bool like `maps`.

    Args:
      maps: float32 `[..., height, width]`.
      threshold: a share of the maximum, less than 1; 0.2 in [Ak21].
      scaling: 'max' compares the map with `threshold * max`, as in [Ak21]; 'min_max' first
        stretches it to [0, 1]. Where the maximum is not positive (or a map to be stretched is
        flat), every cell counts.
    """
    check_choice("scaling", scaling, MAP_SCALINGS)
    highest = tf.reduce_max(maps, axis=[-2, -1], keepdims=True)
    lowest = tf.zeros_like(highest)
    if scaling == "min_max":
        lowest = tf.reduce_min(maps, axis=[-2, -1], keepdims=True)
    return (maps - lowest > threshold * (highest - lowest)) | (highest <= lowest)


def largest_regions(mask: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Returns the largest 8-connected region of each mask, bool `[num, height, width]`.

    Regions of equal area are told apart by their sum of activations, the larger one wins.

    Args:
      mask: bool `[num, height, width]`, with at least one true cell each; width at most 62.
      maps: float32, the same shape.
    """
    width = mask.shape[-1]
    if width is None or width > MAX_WIDTH:
        raise ValueError(f"maps must have a known width of at most {MAX_WIDTH}; got {width}.")
    rows = _pack(mask)  # [num, height], one bit per cell
    zeros = tf.zeros_like(rows)

    def more_to_find(rest, best, best_area, best_sum):
        # A map is done once what is left of it could not make a larger region.
        return tf.reduce_any(_area(rest) >= tf.maximum(best_area, 1))

    def next_region(rest, best, best_area, best_sum):
        region = _flood(_first_cell(rest), rest)
        area = _area(region)
        activation = tf.reduce_sum(tf.where(_unpack(region, width), maps, 0.0), axis=[1, 2])
        better = (area > best_area) | ((area == best_area) & (activation > best_sum))
        return (
            tf.bitwise.bitwise_and(rest, tf.bitwise.invert(region)),
            tf.where(better[:, None], region, best),
            tf.where(better, area, best_area),
            tf.where(better, activation, best_sum),
        )

    nothing = tf.zeros_like(rows[:, 0])
    start = (rows, zeros, nothing, tf.zeros_like(maps[:, 0, 0]))
    _, best, _, _ = tf.while_loop(more_to_find, next_region, start)
    return _unpack(best, width)


def region_boxes(regions: tf.Tensor) -> tf.Tensor:
    """Returns int64 `[num, 4]`: first row, first column, last row, last column of each region."""
    regions |= ~tf.reduce_any(regions, axis=[1, 2], keepdims=True)  # no region: the whole map
    corners = []
    for axis in (2, 1):  # over the columns: which rows are touched; then the other way round
        touched = tf.reduce_any(regions, axis=axis)
        corners.append((_first_true(touched), _last_true(touched)))
    (top, bottom), (left, right) = corners
    return tf.stack([top, left, bottom, right], axis=1)


def attention_boxes(maps: tf.Tensor, threshold: float, scaling: str = "max") -> tf.Tensor:
    """Returns the box of the largest connected region above the threshold, [Ak21] Sec. 3.2.

    Args:
      maps: float32 `[batch, attributes, height, width]`.
      threshold: see `threshold_maps`.
      scaling: see `threshold_maps`.

    Returns:
      int32 `[batch, attributes, 4]`: first row, first column, last row, last column, inclusive.
    """
    height, width = maps.shape[-2:]
    flat = tf.reshape(maps, [-1, height, width])  # [B * A, h, w]
    boxes = region_boxes(largest_regions(threshold_maps(flat, threshold, scaling), flat))
    return tf.cast(tf.reshape(boxes, [-1, maps.shape[1], 4]), tf.int32)


def crop_boxes(boxes: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the boxes as `tf.image.crop_and_resize` wants them, float32 in [0, 1].

    It maps 0 and 1 to the centres of the first and the last cell, hence `size - 1`.
    """
    scale = tf.constant([height - 1, width - 1, height - 1, width - 1], tf.float32)
    return tf.cast(boxes, tf.float32) / tf.maximum(scale, 1.0)


def sample(maps: tf.Tensor, boxes: tf.Tensor, size: int) -> tf.Tensor:
    """Returns bilinear samples of each box, float32 `[batch * attributes, size, size, channels]`.

    The first and the last sample of a row are the centres of the first and the last cell.

    Args:
      maps: float32 `[batch, height, width, channels]`.
      boxes: int32 `[batch, attributes, 4]`, inclusive cells.
      size: samples per side, at least 2.
    """
    batch, num_attributes = tf.shape(boxes)[0], boxes.shape[1]
    _, height, width, _ = maps.shape
    return tf.image.crop_and_resize(
        maps,
        tf.reshape(crop_boxes(boxes, height, width), [-1, 4]),
        tf.repeat(tf.range(batch), num_attributes),
        [size, size],
    )


def sample_by_products(maps: tf.Tensor, boxes: tf.Tensor, size: int) -> tf.Tensor:
    """Returns what `sample` does, by products of matrices; see `networks.kernels.plain_only`."""
    num_attributes, boxes = boxes.shape[1], tf.cast(boxes, tf.float32)
    _, height, width, channels = maps.shape
    rows = _bilinear_weights(boxes[..., 0], boxes[..., 2], size, height)  # [B, A, size, h]
    columns = _bilinear_weights(boxes[..., 1], boxes[..., 3], size, width)  # [B, A, size, w]
    sampled = tf.matmul(
        tf.reshape(rows, [-1, num_attributes * size, height]),
        tf.reshape(maps, [-1, height, width * channels]),
    )  # [B, A * size, w * C]
    sampled = tf.reshape(sampled, [-1, num_attributes, size, width, channels])
    sampled = tf.matmul(columns[:, :, None], sampled)  # [B, A, size, size, C]
    return tf.reshape(sampled, [-1, size, size, channels])


def _bilinear_weights(first: tf.Tensor, last: tf.Tensor, size: int, length: int) -> tf.Tensor:
    """Returns the share of each cell in each sample, float32 `[..., size, length]`.

    `first` and `last` are float32 `[...]`, cells of one axis.
    """
    first, last = first[..., None], last[..., None]
    place = first + (last - first) * tf.range(size, dtype=tf.float32) / (size - 1)
    cells = tf.range(length, dtype=tf.float32)
    return tf.maximum(0.0, 1.0 - tf.abs(place[..., None] - cells))


def image_boxes(boxes: tf.Tensor, grid: MapGeometry) -> tf.Tensor:
    """Returns the outer edges of the boxes' cells on the network's input, float32 in [0, 1].

    Args:
      boxes: int32 `[..., 4]`, inclusive cells.
      grid: where the cells lie.
    """
    cells = tf.cast(boxes, tf.float32)
    half = tf.constant([-0.5, -0.5, 0.5, 0.5]) * grid.cell_stride
    edges = (grid.first_centre + cells * grid.cell_stride + half) / grid.image_size
    return tf.clip_by_value(edges, 0.0, 1.0)


def _pack(mask: tf.Tensor) -> tf.Tensor:
    """bool [num, h, w] -> int64 [num, h], column x in bit x."""
    weights = tf.bitwise.left_shift(tf.ones([], tf.int64), tf.range(mask.shape[-1], dtype=tf.int64))
    return tf.reduce_sum(tf.where(mask, weights, tf.zeros([], tf.int64)), axis=-1)


def _unpack(rows: tf.Tensor, width: int) -> tf.Tensor:
    """int64 [num, h] -> bool [num, h, w]."""
    weights = tf.bitwise.left_shift(tf.ones([], tf.int64), tf.range(width, dtype=tf.int64))
    return tf.bitwise.bitwise_and(rows[..., None], weights) != 0


def _area(rows: tf.Tensor) -> tf.Tensor:
    """int64 [num, h] -> int64 [num]: how many cells are set."""
    return tf.reduce_sum(tf.cast(tf.raw_ops.PopulationCount(x=rows), tf.int64), axis=1)


def _first_cell(rows: tf.Tensor) -> tf.Tensor:
    """Keeps only the first set cell of each map, in scan order."""
    filled = rows != 0
    is_first = tf.range(rows.shape[1], dtype=tf.int64) == _first_true(filled)[:, None]
    return tf.where(is_first, tf.bitwise.bitwise_and(rows, -rows), 0)


def _first_true(flags: tf.Tensor) -> tf.Tensor:
    """bool [num, length] -> int64 [num]: the first true place, `length` where there is none."""
    length = flags.shape[1]
    from_the_end = tf.range(length - 1, -1, -1, dtype=tf.int64)
    return length - 1 - tf.reduce_max(tf.where(flags, from_the_end, -1), axis=1)


def _last_true(flags: tf.Tensor) -> tf.Tensor:
    """bool [num, length] -> int64 [num]: the last true place, -1 where there is none."""
    places = tf.range(flags.shape[1], dtype=tf.int64)
    return tf.reduce_max(tf.where(flags, places, -1), axis=1)


def _flood(seed: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Grows `seed` within `mask` through eight neighbours until nothing changes."""

    def growing(region, grown):
        return tf.reduce_any(region != grown)

    def grow(_, region):
        once = _dilate(region, mask)
        return once, _dilate(once, mask)

    _, region = tf.while_loop(growing, grow, (tf.zeros_like(seed), seed))
    return region


def _dilate(region: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """One step to the eight neighbours, within `mask`."""
    ors, shift = tf.bitwise.bitwise_or, tf.bitwise
    sideways = ors(region, ors(shift.left_shift(region, 1), shift.right_shift(region, 1)))
    nothing = tf.zeros_like(sideways[:, :1])
    padded = tf.concat([nothing, sideways, nothing], axis=1)
    whole = ors(sideways, ors(padded[:, :-2], padded[:, 2:]))
    return tf.bitwise.bitwise_and(whole, mask)
