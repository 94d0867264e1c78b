"""The memory block: one prototype of the whole image's feature for every attribute value."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace, one_hot_blocks


class AttributeMemory(keras.layers.Layer):
    """M of [Zhao17], float32 `[total values, feature_dim]`. Zero until it is set to `class_means`.

    Reading it is t = p M with the indicator p of the edit: the sum of the wanted values' rows.
    """

    def __init__(self, space: AttributeSpace, feature_dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.offsets = np.array(space.offsets, np.int32)
        self.memory = self.add_weight(
            shape=(space.total_values, feature_dim), initializer="zeros", name="memory"
        )

    def call(self, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns t, float32 `[batch, feature_dim]`; zero where nothing is edited.

        Args:
          manipulation: int32 `[batch, attributes]`, the wanted value or -1 to keep.
        """
        # A row of -1 is nowhere one.
        rows = tf.where(manipulation == KEEP, -1, manipulation + self.offsets)  # [B, A]
        indicator = tf.reduce_sum(tf.one_hot(rows, self.memory.shape[0]), axis=1)  # [B, C]
        return tf.matmul(indicator, self.memory.value)


def class_means(
    space: AttributeSpace, batches: Iterable[np.ndarray], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean feature of every attribute value, and that of all images.

    A value that no image shows gets the mean of all.

    Args:
      space: the attribute space.
      batches: float32 `[any, dim]` each; together the features of the images, in order.
      values: int32 `[num, attributes]` of all images, -1 for missing.

    Returns:
      means: float32 `[total values, dim]`.
      mean: float32 `[dim]`.
    """
    # float64: a plain float32 sum of many images drifts.
    sums, total, done = np.zeros(1), np.zeros(1), 0
    for features in batches:
        shown = one_hot_blocks(space, values[done : done + len(features)])  # [B, C]
        sums = sums + (shown.T @ features).astype(np.float64)
        total = total + features.sum(axis=0, dtype=np.float64)
        done += len(features)
    counts = one_hot_blocks(space, values).sum(axis=0)[:, None]
    mean = total / done
    means = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
    return means.astype(np.float32), mean.astype(np.float32)
