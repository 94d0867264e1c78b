"""Standardised features: what the systems on pooled features and on vectors share."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

_LEAST_DEVIATION = 1e-4  # of a number that differs between images


class Standardization(keras.layers.Layer):
    """Subtracts the training images' means of features and divides by their deviations.

    Both are weights that no stage trains, so that they travel with the model.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def build(self, input_shape) -> None:
        shape = (input_shape[-1],)
        self.mean = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="feature_mean"
        )
        self.deviation = self.add_weight(
            shape=shape, initializer="ones", trainable=False, name="feature_deviation"
        )

    def adapt(self, parts: Iterable[np.ndarray]) -> None:
        """Sets both from features of the training images, part by part; a constant keeps 1.

        Args:
          parts: float `[any, numbers]`, together those of all images.
        """
        number, total, squares = 0, 0.0, 0.0
        for part in parts:
            exact = part.astype(np.float64)
            number += len(exact)
            total = total + exact.sum(axis=0)
            squares = squares + np.square(exact).sum(axis=0)
        mean = np.asarray(total) / number
        deviation = np.sqrt(np.maximum(np.asarray(squares) / number - np.square(mean), 0.0))
        self.mean.assign(mean)
        self.deviation.assign(np.where(deviation > _LEAST_DEVIATION, deviation, 1.0))

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns float32 `[batch, numbers]`."""
        return (features - self.mean) / self.deviation
