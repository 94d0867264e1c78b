"""The attribute memory of [Zhao17] and [Ak21]: one prototype for every attribute value."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace


class AttributeMemory(keras.layers.Layer):
    """M, float32 `[C, dim]`, for C values of A attributes. Zero until it is set to `class_means`.

    Both papers write the answer to an edit as t M, with the indicator t of the wanted values.
    """

    def __init__(
        self,
        space: AttributeSpace,
        dim: int,
        initializer: str | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.offsets = np.array(space.offsets, np.int32)
        self._num_values = np.array(space.num_values, np.int32)
        self.memory = self.add_weight(
            shape=(space.total_values, dim), initializer=initializer, name="memory"
        )

    def overwrite(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns representations whose edited attributes have become prototypes, [Ak21] Sec. 3.3.

        Args:
          representations: float32 `[batch, A, dim]`.
          manipulation: int32 `[batch, A]`, the wanted value or -1 to keep.
        """
        rows = tf.maximum(manipulation, 0) + self.offsets
        prototypes = tf.gather(self.memory.value, rows)  # [B, A, dim]
        return tf.where((manipulation == KEEP)[..., None], representations, prototypes)

    def padded(self) -> tf.Tensor:
        """Returns the rows of each attribute beside each other, float32 `[most values, A, dim]`.

        An attribute with fewer values repeats its last row.
        """
        rows = np.minimum(np.arange(max(self._num_values))[:, None], self._num_values - 1)
        return tf.gather(self.memory.value, rows + self.offsets)

    def rows_of(self, padded: tf.Tensor) -> tf.Tensor:
        """Returns `[C, ...]`, the rows of what was computed from `padded`."""
        places = [(v, a) for a, number in enumerate(self._num_values) for v in range(number)]
        return tf.gather_nd(padded, np.array(places, np.int32))

    def sum_of_wanted(self, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the wanted values' prototypes, float32 `[batch, dim]` [Zhao17].

        It is zero where nothing is edited.

        Args:
          manipulation: int32 `[batch, A]`, the wanted value or -1 to keep.
        """
        # tf.one_hot gives zeros for a row of -1.
        none = tf.constant(-1, manipulation.dtype)
        rows = tf.where(manipulation == KEEP, none, manipulation + self.offsets)  # [B, A]
        indicator = tf.reduce_sum(tf.one_hot(rows, self.memory.shape[0]), axis=1)  # [B, C]
        return tf.matmul(indicator, self.memory.value)


def class_means(
    space: AttributeSpace, batches: Iterable[np.ndarray], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean feature of the images of every attribute value, and that of all images.

    [Ak21] Sec. 3.3: "features with the same attribute value are extracted from the training
    images and stored". A value that no image has gets the mean of all images. The sums are in
    float64, because float32 sums of many images drift.

    Args:
      space: A attributes of C values together.
      batches: float `[any, dim]` each, or `[any, A, dim]` where every attribute has a feature of
        its own; together the features of the images, in order.
      values: int32 `[num, A]` of all images, -1 for missing.

    Returns:
      means: float32 `[C, dim]`.
      mean: float32 `[dim]` or `[A, dim]`.
    """
    sums: list[np.ndarray] = []
    total, done = np.zeros(1), 0
    for batch in batches:
        features = batch.astype(np.float64)
        labels = values[done : done + len(features)]
        done += len(features)
        total = total + features.sum(axis=0)
        sums = sums or [np.zeros((size, features.shape[-1])) for size in space.num_values]
        for a, size in enumerate(space.num_values):
            shown = labels[None, :, a] == np.arange(size)[:, None]  # [size, batch]
            sums[a] += shown.astype(np.float64) @ _of_attribute(features, a)
    mean = total / done
    means = []
    for a, size in enumerate(space.num_values):
        counts = np.bincount(values[values[:, a] >= 0, a], minlength=size)[:, None]
        fallback = _of_attribute(mean[None], a)
        means.append(np.where(counts > 0, sums[a] / np.maximum(counts, 1), fallback))
    return np.concatenate(means).astype(np.float32), mean.astype(np.float32)


def shown_values(space: AttributeSpace, values: np.ndarray) -> np.ndarray:
    """Returns which of the C values some image shows, bool `[C]`.

    Args:
      space: A attributes.
      values: int32 `[num, A]`, -1 for missing.
    """
    counts = [
        np.bincount(values[values[:, a] >= 0, a], minlength=size)
        for a, size in enumerate(space.num_values)
    ]
    return np.concatenate(counts) > 0


def _of_attribute(features: np.ndarray, attribute: int) -> np.ndarray:
    """Returns `[n, dim]`: what all attributes share, or the feature of one of them."""
    return features if features.ndim == 2 else features[:, attribute]
