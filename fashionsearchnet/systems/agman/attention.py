"""The improved attention of AG-MAN [Xiao24]."""

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.networks.attribute_attention import (
    AttributeTable,
    ChannelGate,
    ImageKeys,
    attend,
    cells_of,
    condition,
)

_OWN, _OTHERS = 1.0, 0.1  # an attribute's mask at the start: in its own slice, and elsewhere


class GuidedAttention(keras.layers.Layer):
    """The head of AG-MAN: a map becomes a unit vector of each attribute asked for.

    With F = conv1x1(w map), and e the attribute's vector in a table that both attentions share:

    1. Spatial attention (ASA): s = softmax of SiLU(FC(e)) . tanh(BN(F)) over the root of dim;
       F becomes F w1 s.
    2. A gate over the cells: sigmoid(conv7x7([mean, max of F over the channels])); F becomes F
       times the gate. The vector v is the sum of F over the cells.
    3. Channel attention (ACA): v becomes v sigmoid(FC(ReLU(FC([v, SiLU(FC(e))])))).
    4. v times ReLU of the attribute's mask, at length 1.

    w and w1 are learned numbers that start at 1. The published w2 scales what is brought to length
    1, so it has no effect and is left out. The map of each attribute is F times a number
    per cell, so its mean and maximum over the channels follow from those of F: a hundred attributes
    cost hardly more than one.
    """

    def __init__(self, num_attributes: int, channels: int, dim: int, normalization: str, **kwargs):
        """Builds the layer for maps of so many channels.

        Args:
          num_attributes: A.
          channels: of the map; 2048 in the published network.
          dim: of F and the vectors; 512 in the published network.
          normalization: of F in the spatial attention: 'batch' or 'none'.
        """
        super().__init__(dtype="float32", **kwargs)
        self.dim = dim
        self.reduction = keras.layers.Dense(
            dim, kernel_initializer="he_normal", dtype="float32", name="reduction"
        )
        self.reduction.build((None, None, None, channels))
        self.keys = ImageKeys(dim, normalization, convolves=False, name="keys")
        self.keys.build((None, None, None, dim))
        self.attribute_table = AttributeTable(num_attributes, dim, name="attributes")
        self.spatial = condition(dim, dim, "silu", "spatial_condition")
        self.channel = condition(dim, dim, "silu", "channel_condition")
        self.gate = ChannelGate(dim, dim, name="gate")
        self.gate.build((None, None, 2 * dim))
        self.cell_gate = keras.layers.Conv2D(
            1,
            7,
            padding="same",
            use_bias=False,
            activation="sigmoid",
            dtype="float32",
            name="cell_gate",
        )
        self.cell_gate.build((None, None, None, 2))
        self.w, self.w1 = (
            self.add_weight(shape=(), initializer="ones", name=name) for name in ("w", "w1")
        )
        start = _slices(num_attributes, dim)
        self.masks = self.add_weight(
            shape=start.shape, initializer=lambda shape, dtype: start, name="masks"
        )
        self.built = True

    def call(
        self, maps: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns unit vectors and where the head looked.

        Args:
          maps: float `[B, h, w, channels]`.
          attributes: int32 `[B, Q]`.
          training: whether the normalisation uses the statistics of the batch.

        Returns:
          vectors: float32 `[B, Q, dim]`.
          attention: float32 `[B, Q, h * w]`, the spatial attention times the gate, of sum 1.
        """
        reduced = self._reduced(maps)  # [B, h, w, dim]
        cells = cells_of(reduced)
        keys = self.keys(reduced, training=training)
        asked = self.attribute_table.conditions(self.spatial, attributes)
        spatial = attend(keys, asked)  # [B, Q, P]
        factors = self.w1 * spatial
        gates = self._gates(cells, factors, maps.shape[1:3])
        summed = tf.matmul(factors * gates, cells)  # [B, Q, dim]
        conditions = self.attribute_table.conditions(self.channel, attributes)
        gate = self.gate(tf.concat([summed, conditions], axis=-1))
        masks = tf.gather(tf.nn.relu(self.masks.value), attributes)
        vectors = tf.math.l2_normalize(summed * gate * masks, axis=-1)
        looked = spatial * gates
        return vectors, looked / tf.reduce_sum(looked, axis=-1, keepdims=True)

    def _reduced(self, maps: tf.Tensor) -> tf.Tensor:
        """Returns F, float32 `[B, h, w, dim]`, of maps `[B, h, w, channels]`."""
        # w scales the kernel in place of the maps, which are larger.
        kernel = self.w * self.reduction.kernel.value
        product = tf.tensordot(tf.cast(maps, tf.float32), kernel, 1)
        return tf.nn.bias_add(product, self.reduction.bias.value)

    def _gates(self, cells: tf.Tensor, factors: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
        """Returns the gate of each cell, float32 `[B, Q, P]`, in 0..1.

        Args:
          cells: float32 `[B, P, dim]`.
          factors: float32 `[B, Q, P]`, on the cells.
          size: height and width of the map.
        """
        mean, highest, lowest = (
            reduce(cells, axis=-1)[:, None]
            for reduce in (tf.reduce_mean, tf.reduce_max, tf.reduce_min)
        )  # [B, 1, P] each
        # The maximum of F times a number is that of F, or the minimum where the number is negative.
        extreme = tf.where(factors >= 0.0, highest, lowest)
        planes = tf.stack([factors * mean, factors * extreme], axis=-1)  # [B, Q, P, 2]
        number, (height, width) = tf.shape(factors), size
        gates = self.cell_gate(tf.reshape(planes, [-1, height, width, 2]))
        return tf.reshape(gates, [number[0], number[1], height * width])


def _slices(num_attributes: int, dim: int) -> np.ndarray:
    """Returns the masks at the start, float32 `[A, dim]`: each attribute has a slice of its own."""
    length = dim // num_attributes
    owner = np.arange(dim) // max(length, 1)
    own = owner[None] == np.arange(num_attributes)[:, None]
    return np.where(own, _OWN, _OTHERS).astype(np.float32)
