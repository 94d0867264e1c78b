"""The query feature manipulator of [Shin19] Sec. 3.2: a generator and a discriminator on vectors.

Both compute in float32.
"""

import keras
import tensorflow as tf

_SLOPE = 0.2  # of the leaky ReLU below zero


class Generator(keras.layers.Layer):
    """G(x, e-): adds to a standardised feature what an edit changes of it."""

    def __init__(self, dim: int, num_attributes: int, width: int, hidden_dim: int, **kwargs):
        """Builds the network.

        Args:
          dim: of a feature.
          num_attributes: A.
          width: of an embedding.
          hidden_dim: of both hidden layers.
          **kwargs: of the layer.
        """
        super().__init__(dtype="float32", **kwargs)
        self._block_dim = num_attributes * width
        self.hidden = _dense(hidden_dim, "hidden")
        self.hidden_2 = _dense(hidden_dim, "hidden_2")
        # A new generator leaves features nearly as they are.
        self.change = keras.layers.Dense(
            dim,
            kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
            dtype="float32",
            name="change",
        )
        self.hidden.build((None, dim + self._block_dim + num_attributes))
        self.hidden_2.build((None, hidden_dim))
        self.change.build((None, hidden_dim))

    def build(self, input_shape) -> None:
        """The constructor has built all layers."""

    def call(self, inputs: tf.Tensor, wanted: tf.Tensor, edited: tf.Tensor) -> tf.Tensor:
        """Returns edited features, float32 `[B, dim]`.

        Args:
          inputs: float32 `[B, dim]`, standardised features.
          wanted: float32 `[B, A, width]`, the embedding that each edited attribute shall have.
          edited: float32 `[B, A]`: 1 for the edited attributes. The others' `wanted` is not read.
        """
        blocks = tf.reshape(wanted * edited[..., None], [-1, self._block_dim])  # [B, A * width]
        joined = tf.concat([inputs, blocks, edited], axis=-1)
        return inputs + self.change(_bend(self.hidden_2(_bend(self.hidden(joined)))))


class Discriminator(keras.layers.Layer):
    """D with two heads: real or made, and f, which is matched with the embeddings."""

    def __init__(self, dim: int, num_attributes: int, width: int, hidden_dim: int, **kwargs):
        """Builds the network; see `Generator` for the arguments."""
        super().__init__(dtype="float32", **kwargs)
        self._num_attributes, self._width = num_attributes, width
        self.hidden = _dense(hidden_dim, "hidden")
        self.hidden_2 = _dense(hidden_dim, "hidden_2")
        self.realness = keras.layers.Dense(1, dtype="float32", name="realness")
        self.matching = keras.layers.Dense(num_attributes * width, dtype="float32", name="matching")
        self.hidden.build((None, dim))
        for layer in (self.hidden_2, self.realness, self.matching):
            layer.build((None, hidden_dim))

    def build(self, input_shape) -> None:
        """The constructor has built all layers."""

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the logit of being real, float32 `[B]`, and f, float32 `[B, A, width]`."""
        hidden = _bend(self.hidden_2(_bend(self.hidden(inputs))))
        found = tf.reshape(self.matching(hidden), [-1, self._num_attributes, self._width])
        return self.realness(hidden)[:, 0], found


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, kernel_initializer="he_normal", dtype="float32", name=name)


def _bend(values: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(values, _SLOPE)
