"""The heads of the triplet net, CSN and ASENet V1; that of ASENet_V2 is in `networks`.

A head takes a map, float `[B, h, w, channels]`, and the attributes asked for, int32 `[B, Q]`. It
gives unit vectors float32 `[B, Q, dim]`, and its attention float32 `[B, Q, P]` over the P cells or
None.
"""

import keras
import tensorflow as tf

from fashionsearchnet.networks.attribute_attention import ChannelGate, TableAttention, cells_of

_MASK_MEAN, _MASK_DEVIATION = 0.9, 0.7  # of CSN's masks at the start, as published


class PooledHead(keras.layers.Layer):
    """The head of the triplet net: the mean over the cells through FC, one for all attributes."""

    def __init__(self, channels: int, dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.dim = dim
        self.projection = keras.layers.Dense(dim, dtype="float32", name="projection")
        self.projection.build((None, channels))
        self.built = True

    def project(self, maps: tf.Tensor) -> tf.Tensor:
        """Returns float32 `[B, dim]`, before any mask."""
        return self.projection(tf.reduce_mean(cells_of(maps), axis=1))

    def call(
        self, maps: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, None]:
        """Returns the same vector for whatever attribute; see the module."""
        vectors = tf.repeat(self.project(maps)[:, None], tf.shape(attributes)[1], axis=1)
        return tf.math.l2_normalize(vectors, axis=-1), None


class MaskedHead(PooledHead):
    """The head of CSN [Veit17] in the code of [Ma20]: times ReLU of a mask per attribute.

    The masks start at random with mean 0.9 and deviation 0.7, and are trained.
    """

    def __init__(self, num_attributes: int, channels: int, dim: int, **kwargs):
        super().__init__(channels, dim, **kwargs)
        self.masks = self.add_weight(
            shape=(num_attributes, dim),
            initializer=keras.initializers.RandomNormal(_MASK_MEAN, _MASK_DEVIATION),
            name="masks",
        )

    def call(
        self, maps: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, None]:
        """Returns the masked vectors; see the module."""
        masks = tf.gather(tf.nn.relu(self.masks.value), attributes)  # [B, Q, dim]
        return tf.math.l2_normalize(self.project(maps)[:, None] * masks, axis=-1), None


class OneHotAttention(keras.layers.Layer):
    """The head of ASENet V1 [Ma20]: attention by the one-hot vector of an attribute.

    Spatial attention (ASA): the softmax over the cells of tanh(conv1x1(tanh(conv1x1(map)) *
    tanh(FC(one-hot)))). The map is weighted and summed. Channel attention (ACA): times
    sigmoid(FC(ReLU(FC([sum, ReLU(FC(one-hot))])))), whose hidden layer has half the channels. The
    FC of the one-hot vectors have no bias, so each is a row per attribute. A last FC layer gives
    the vector.
    """

    def __init__(self, num_attributes: int, channels: int, hidden_dim: int, dim: int, **kwargs):
        """Builds the layer for maps of so many channels.

        Args:
          num_attributes: A.
          channels: of the map; 1024 in the published network.
          hidden_dim: width of what is compared; 512 in the published network.
          dim: of the vectors; 1024 in the published network.
        """
        super().__init__(dtype="float32", **kwargs)
        self.dim = dim
        self.keys = keras.layers.Dense(hidden_dim, "tanh", dtype="float32", name="keys")
        self.keys.build((None, None, channels))
        self.scores = keras.layers.Dense(1, dtype="float32", name="scores")
        self.scores.build((None, hidden_dim))
        widest = num_attributes**-0.5  # PyTorch's start of a layer with so many inputs
        start = keras.initializers.RandomUniform(-widest, widest)
        self.spatial = self.add_weight(
            shape=(num_attributes, hidden_dim), initializer=start, name="spatial_rows"
        )
        self.channel = self.add_weight(
            shape=(num_attributes, channels), initializer=start, name="channel_rows"
        )
        self.gate = ChannelGate(channels, channels // 2, name="gate")
        self.gate.build((None, None, 2 * channels))
        self.projection = keras.layers.Dense(dim, dtype="float32", name="projection")
        self.projection.build((None, channels))
        self.built = True

    def call(
        self, maps: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the vectors and the attention, of sum 1; see the module."""
        cells = cells_of(maps)
        # conv1x1(keys * condition) = keys . (condition * kernel) + bias: no [B, Q, P, dim] is made.
        conditions = tf.tanh(self.spatial.value) * self.scores.kernel.value[:, 0]  # [A, dim]
        products = tf.matmul(
            tf.gather(conditions, attributes), self.keys(cells), transpose_b=True
        )  # [B, Q, P]
        attention = tf.nn.softmax(tf.tanh(products + self.scores.bias.value))
        summed = tf.matmul(attention, cells)  # [B, Q, C]
        rows = tf.gather(tf.nn.relu(self.channel.value), attributes)
        gate = self.gate(tf.concat([summed, rows], axis=-1))
        return tf.math.l2_normalize(self.projection(summed * gate), axis=-1), attention


Head = PooledHead | MaskedHead | OneHotAttention | TableAttention


def build_head(
    kind: str,
    num_attributes: int,
    channels: int,
    *,
    hidden_dim: int,
    embedding_dim: int,
    normalization: str,
) -> Head:
    """Returns a head with its variables.

    Args:
      kind: 'pooled', 'masked', 'one_hot' or 'table'.
      num_attributes: A.
      channels: of the map.
      hidden_dim: of heads with attention: width of what is compared.
      embedding_dim: of heads that end in an FC layer: its width.
      normalization: of the keys of 'table'.
    """
    if kind == "pooled":
        return PooledHead(channels, embedding_dim, name="head")
    if kind == "masked":
        return MaskedHead(num_attributes, channels, embedding_dim, name="head")
    if kind == "one_hot":
        return OneHotAttention(num_attributes, channels, hidden_dim, embedding_dim, name="head")
    return TableAttention(num_attributes, channels, hidden_dim, normalization, name="head")
