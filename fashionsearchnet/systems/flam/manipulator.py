"""The query feature manipulator of [Shin19] Sec. 3.2: a generator and a discriminator on vectors.

Both compute in float32.
"""

import keras
import tensorflow as tf

from fashionsearchnet.networks.layers import ParallelDense
from fashionsearchnet.systems.flam.readers import AttributeEmbedders, unit

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
    """D with two heads: real or made, and f, which is matched with the embeddings.

    It is built like the embedders, so that it can start as their copy (`start_from`): then f gives
    the embeddings of real features from the first step on.
    """

    def __init__(self, dim: int, num_attributes: int, width: int, hidden_dim: int, **kwargs):
        """Builds the network.

        Args:
          dim: of a feature.
          num_attributes: A.
          width: of an embedding.
          hidden_dim: of the hidden layer for each attribute, as that of the embedders.
          **kwargs: of the layer.
        """
        super().__init__(dtype="float32", **kwargs)
        self._num_attributes, self._hidden_dim = num_attributes, hidden_dim
        self.hidden = _dense(num_attributes * hidden_dim, "hidden")
        self.matching = ParallelDense(width, dtype="float32", name="matching")
        self.realness_hidden = _dense(hidden_dim, "realness_hidden")
        self.realness = keras.layers.Dense(1, dtype="float32", name="realness")
        self.hidden.build((None, dim))
        self.matching.build((None, num_attributes, hidden_dim))
        self.realness_hidden.build((None, num_attributes * hidden_dim))
        self.realness.build((None, hidden_dim))

    def build(self, input_shape) -> None:
        """The constructor has built all layers."""

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the logit of being real, float32 `[B]`, and f, float32 `[B, A, width]`.

        f has length one for each attribute, as embeddings have.
        """
        hidden = tf.nn.relu(self.hidden(inputs))
        by_attribute = tf.reshape(hidden, [-1, self._num_attributes, self._hidden_dim])
        realness = self.realness(_bend(self.realness_hidden(hidden)))
        return realness[:, 0], unit(self.matching(by_attribute))

    def start_from(self, embedders: AttributeEmbedders) -> None:
        """Takes over the weights of the embedders, its teachers."""
        pairs = ((self.hidden, embedders.hidden), (self.matching, embedders.output_layer))
        for mine, theirs in pairs:
            for variable, source in zip(mine.variables, theirs.variables, strict=True):
                variable.assign(source)


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, kernel_initializer="he_normal", dtype="float32", name=name)


def _bend(values: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(values, _SLOPE)
