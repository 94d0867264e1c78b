"""What reads the attributes off a feature: embedders with a dictionary, or classifiers."""

import abc

import keras
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.networks.layers import AttributeClassifiers, ParallelDense, dropout

# What the cosines to the dictionary are multiplied by, to become logits.
SHARPNESS = 16.0


def unit(vectors: tf.Tensor) -> tf.Tensor:
    """Returns vectors of length one, float32; a zero vector stays zero."""
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1, epsilon=1e-12)


class AttributeReader(keras.layers.Layer, abc.ABC):
    """Reads A attributes off vectors, float32 `[B, dim]`; computes in float32.

    Attributes:
      width: of what it reads of one attribute.
    """

    def __init__(self, space: AttributeSpace, width: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.space, self.width = space, width

    @abc.abstractmethod
    def call(self, inputs: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns what it reads, float32 `[B, A, width]`.

        Args:
          inputs: float32 `[B, dim]`, standardised features.
          seed: int32 `[2]` switches dropout on.
        """

    @abc.abstractmethod
    def logits(self, read: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns logits of what it reads, float32 `[B, C]`, a block per attribute."""

    @abc.abstractmethod
    def blocks(self, read: tf.Tensor) -> tf.Tensor:
        """Returns what it reads as a search compares it, float32 `[B, A, width]`, of length one."""

    @abc.abstractmethod
    def dictionary(self) -> tf.Tensor:
        """Returns the vector of each value, float32 `[C, width]`, of length one."""

    def wanted(self, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the dictionary vectors of wanted values, float32 `[B, A, width]`.

        Args:
          manipulation: int32 `[B, A]`; where it keeps an attribute, the vector of its first value.
        """
        return tf.gather(self.dictionary(), tf.maximum(manipulation, 0) + self.space.offsets)


class AttributeEmbedders(AttributeReader):
    """[Shin19] Sec. 3.1: phi_a and d_a of every attribute. A reading is the nearest d_a."""

    def __init__(
        self,
        space: AttributeSpace,
        width: int,
        hidden_dim: int,
        dropout_rate: float,
        input_dropout_rate: float,
        **kwargs,
    ):
        super().__init__(space, width, **kwargs)
        self.hidden_dim = hidden_dim
        self.dropout_rate, self.input_dropout_rate = dropout_rate, input_dropout_rate
        # One product for the hidden layers of all attributes.
        self.hidden = keras.layers.Dense(
            space.num_attributes * hidden_dim,
            "relu",
            kernel_initializer="he_normal",
            dtype="float32",
            name="hidden",
        )
        self.output_layer = ParallelDense(width, dtype="float32", name="embedding")
        self.vectors = self.add_weight(
            shape=(space.total_values, width),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="dictionary",
        )

    def build(self, input_shape) -> None:
        self.hidden.build(input_shape)
        self.output_layer.build((None, self.space.num_attributes, self.hidden_dim))

    def call(self, inputs: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns e_a, float32 `[B, A, width]`, of length one; see the base class."""
        thinned = dropout(inputs, self.input_dropout_rate, seed, 0)
        hidden = dropout(self.hidden(thinned), self.dropout_rate, seed, 1)
        hidden = tf.reshape(hidden, [-1, self.space.num_attributes, self.hidden_dim])  # [B, A, h]
        return unit(self.output_layer(hidden))

    def logits(self, read: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns SHARPNESS times the cosines to the dictionary; see the base class."""
        del seed
        blocks = tf.split(self.dictionary(), list(self.space.num_values))
        cosines = [tf.matmul(read[:, a], block, transpose_b=True) for a, block in enumerate(blocks)]
        return SHARPNESS * tf.concat(cosines, axis=-1)

    def blocks(self, read: tf.Tensor) -> tf.Tensor:
        return read

    def dictionary(self) -> tf.Tensor:
        return unit(self.vectors.value)


class FeatureClassifiers(AttributeReader):
    """Two dense layers per attribute; what is read is the hidden one ([Shin19] Sec. 4.2)."""

    def __init__(
        self,
        space: AttributeSpace,
        width: int,
        dropout_rate: float,
        input_dropout_rate: float,
        **kwargs,
    ):
        super().__init__(space, width, **kwargs)
        self.dropout_rate, self.input_dropout_rate = dropout_rate, input_dropout_rate
        self.hidden = keras.layers.Dense(
            space.num_attributes * width,
            "relu",
            kernel_initializer="he_normal",
            dtype="float32",
            name="hidden",
        )
        self.classifiers = AttributeClassifiers(
            space.num_values, dtype="float32", name="classifiers"
        )
        # Class means and the mean of all, set after training.
        self.means = self.add_weight(
            shape=(space.total_values, width), initializer="zeros", trainable=False, name="means"
        )
        self.origin = self.add_weight(
            shape=(space.num_attributes, width), initializer="zeros", trainable=False, name="origin"
        )

    def build(self, input_shape) -> None:
        self.hidden.build(input_shape)
        self.classifiers.build((None, self.space.num_attributes, self.width))

    def call(self, inputs: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the hidden layers, float32 `[B, A, width]`; see the base class."""
        hidden = self.hidden(dropout(inputs, self.input_dropout_rate, seed, 0))
        return tf.reshape(hidden, [-1, self.space.num_attributes, self.width])  # [B, A, w]

    def logits(self, read: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        return self.classifiers(dropout(read, self.dropout_rate, seed, 1))

    def blocks(self, read: tf.Tensor) -> tf.Tensor:
        """Returns directions from the mean of all training images; see the base class.

        Behind a ReLU all numbers are positive, so directions from zero differ little.
        """
        return unit(read - self.origin)

    def dictionary(self) -> tf.Tensor:
        """Returns the mean direction of the images of each value; see the base class."""
        return unit(self.means.value)
