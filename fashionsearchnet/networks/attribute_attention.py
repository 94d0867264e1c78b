"""Attention that an attribute guides: where on a map it looks, and which channels count.

The head of ASENet_V2 [Ma20] and the parts of it that other heads share. A head computes any
number of attributes of an image in one pass: what depends on the image alone is computed once.

Everywhere, B is the number of images, Q that of the attributes asked for, P that of the cells of a
map and A that of all attributes.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import NORMALIZATIONS
from fashionsearchnet.networks.layers import FusedBatchNormalization


def cells_of(maps: tf.Tensor) -> tf.Tensor:
    """Returns the cells of maps `[B, h, w, channels]`, float32 `[B, P, channels]`."""
    _, height, width, channels = maps.shape
    return tf.reshape(tf.cast(maps, tf.float32), [-1, height * width, channels])


def attend(keys: tf.Tensor, conditions: tf.Tensor) -> tf.Tensor:
    """Returns where each condition looks: a softmax over the cells, float32 `[B, Q, P]`.

    Args:
      keys: float32 `[B, P, dim]`, of the cells.
      conditions: float32 `[B, Q, dim]`, of the attributes; a logit is a dot product over root dim.
    """
    logits = tf.matmul(conditions, keys, transpose_b=True)
    return tf.nn.softmax(logits / keys.shape[-1] ** 0.5)


class ImageKeys(keras.layers.Layer):
    """What attributes are compared with: tanh of the normalised 1x1 convolution of a map.

    Maps `[B, h, w, channels]` to float32 `[B, P, dim]`.
    """

    def __init__(self, dim: int, normalization: str, *, convolves: bool = True, **kwargs):
        """Prepares the layer.

        Args:
          dim: width of a key.
          normalization: 'batch' or 'none'.
          convolves: whether the convolution is part of the layer; if not, maps have `dim` channels.
        """
        super().__init__(dtype="float32", **kwargs)
        check_choice("attention_normalization", normalization, NORMALIZATIONS)
        self.convolution = (
            keras.layers.Dense(dim, dtype="float32", name="convolution") if convolves else None
        )
        self.normalization = (
            FusedBatchNormalization(dtype="float32", name="normalization")
            if normalization == "batch"
            else None
        )
        self._dim = dim

    def build(self, input_shape) -> None:
        if self.convolution is not None:
            self.convolution.build(input_shape)
        if self.normalization is not None:
            self.normalization.build((*input_shape[:-1], self._dim))

    def call(self, maps: tf.Tensor, training: bool = False) -> tf.Tensor:
        outputs = maps if self.convolution is None else self.convolution(maps)
        if self.normalization is not None:
            outputs = self.normalization(outputs, training=training)
        return cells_of(tf.tanh(outputs))


class AttributeTable(keras.layers.Layer):
    """A learned vector for each attribute, float32 `[A, dim]`; the attentions of a head share it.

    It starts at random with deviation 1, as PyTorch's Embedding does in the published code.
    """

    def __init__(self, num_attributes: int, dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.table = self.add_weight(
            shape=(num_attributes, dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="table",
        )

    def conditions(self, layer: keras.layers.Layer, attributes: tf.Tensor) -> tf.Tensor:
        """Returns a layer's vectors of attributes, each computed once, float32 `[B, Q, units]`.

        Args:
          layer: from `[A, dim]` to `[A, units]`.
          attributes: int32 `[B, Q]`.
        """
        return tf.gather(layer(self.table.value), attributes)


class ChannelGate(keras.layers.Layer):
    """The channel attention (ACA): which numbers of a vector count for an attribute, in 0..1.

    sigmoid(FC(ReLU(FC([vector, condition])))); the hidden layer has `hidden_dim` units.
    """

    def __init__(self, dim: int, hidden_dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.hidden = keras.layers.Dense(hidden_dim, "relu", dtype="float32", name="hidden")
        self.gate = keras.layers.Dense(dim, "sigmoid", dtype="float32", name="gate")

    def build(self, input_shape) -> None:
        self.hidden.build(input_shape)
        self.gate.build((*input_shape[:-1], self.hidden.units))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns float32 `[B, Q, dim]`.

        Args:
          inputs: float32 `[B, Q, in_dim]`, vectors and conditions side by side.
        """
        return self.gate(self.hidden(inputs))


class TableAttention(keras.layers.Layer):
    """The head of ASENet_V2 [Ma20]: a map becomes a unit vector of each attribute asked for.

    Spatial attention (ASA): the softmax over the cells of tanh(BN(conv1x1(map))) . tanh(FC(e)) over
    the root of hidden_dim, with the attribute's vector e of the table. The map itself is weighted
    and summed. Channel attention (ACA): times sigmoid(FC(ReLU(FC([sum, ReLU(FC(e))])))), whose
    hidden layer has half the channels. The vector has as many numbers as the map has channels.
    """

    def __init__(
        self, num_attributes: int, channels: int, hidden_dim: int, normalization: str, **kwargs
    ):
        """Builds the layer for maps of so many channels.

        Args:
          num_attributes: A.
          channels: of the map; 1024 in the published network.
          hidden_dim: width of table and keys; 512 in the published network.
          normalization: of the keys: 'batch', or 'none' as in ASEN++.
        """
        super().__init__(dtype="float32", **kwargs)
        self.dim = channels
        self.keys = ImageKeys(hidden_dim, normalization, name="keys")
        self.keys.build((None, None, None, channels))
        self.attribute_table = AttributeTable(num_attributes, hidden_dim, name="attributes")
        self.spatial = condition(hidden_dim, hidden_dim, "tanh", "spatial_condition")
        self.channel = condition(hidden_dim, hidden_dim, "relu", "channel_condition")
        self.gate = ChannelGate(channels, channels // 2, name="gate")
        self.gate.build((None, None, channels + hidden_dim))
        self.built = True

    def call(
        self, maps: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns unit vectors float32 `[B, Q, channels]` and attention `[B, Q, P]`, of sum 1.

        Args:
          maps: float `[B, h, w, channels]`.
          attributes: int32 `[B, Q]`.
          training: whether the normalisation uses the statistics of the batch.
        """
        keys = self.keys(maps, training=training)
        attention = attend(keys, self.attribute_table.conditions(self.spatial, attributes))
        summed = tf.matmul(attention, cells_of(maps))  # [B, Q, C]
        conditions = self.attribute_table.conditions(self.channel, attributes)
        gate = self.gate(tf.concat([summed, conditions], axis=-1))
        return tf.math.l2_normalize(summed * gate, axis=-1), attention


def condition(
    in_dim: int, units: int, activation: str | Callable[[tf.Tensor], tf.Tensor], name: str
) -> keras.layers.Dense:
    """Returns the built layer that turns an attribute's vector into a condition."""
    layer = keras.layers.Dense(units, activation, dtype="float32", name=name)
    layer.build((None, in_dim))
    return layer
