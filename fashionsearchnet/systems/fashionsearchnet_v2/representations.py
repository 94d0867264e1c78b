"""Local representations: pooled regions of conv5 through three dense layers per attribute."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from fashionsearchnet.networks import kernels
from fashionsearchnet.networks.layers import AttributeClassifiers, ParallelDense, dropout
from fashionsearchnet.systems import regions

# Each cell of a pooled region is the maximum over 2x2 bilinear samples. One sample per cell of a
# 3x3 region would look at three rows of a whole 13x13 map and skip the ten between them.
_SAMPLES = 2


def pool_regions(conv5: tf.Tensor, boxes: tf.Tensor, size: int) -> tf.Tensor:
    """Returns `[batch, attributes, size * size * channels]`: each box of conv5, resampled.

    [Ak21] Sec. 3.2, by bilinear samples in float32.

    Args:
      conv5: float `[batch, h, w, channels]`.
      boxes: int32 `[batch, attributes, 4]`, inclusive cells.
      size: cells per side of the pooled region.
    """
    num_attributes, channels = boxes.shape[1], conv5.shape[-1]
    sample = regions.sample_by_products if kernels.plain_only() else regions.sample
    crops = sample(tf.cast(conv5, tf.float32), boxes, size * _SAMPLES)
    pooled = tf.nn.max_pool2d(crops, _SAMPLES, _SAMPLES, "VALID")
    return tf.reshape(pooled, [-1, num_attributes, size * size * channels])


def pool_whole(conv5: tf.Tensor, num_attributes: int, size: int) -> tf.Tensor:
    """Returns what `pool_regions` gives for boxes of the whole map, computed once per image."""
    _, height, width, _ = conv5.shape
    whole = tf.constant([[[0, 0, height - 1, width - 1]]], tf.int32)
    pooled = pool_regions(conv5, tf.tile(whole, [tf.shape(conv5)[0], 1, 1]), size)
    return tf.repeat(pooled, num_attributes, axis=1)


class AttributeHeads(keras.layers.Layer):
    """fc8, fc9, fc10 of every attribute, and the classifier on fc10 for L_TC.

    [Ak21] drops out half of "all fully connected layers". Here fc8 and fc9 are dropped out, and
    fc10 on its way to the classifier; the triplets see fc10 whole, since distances between
    differently thinned vectors would measure the thinning.
    """

    def __init__(
        self,
        num_values: Sequence[int],
        hidden_dims: Sequence[int],
        representation_dim: int,
        dropout_rate: float,
        input_dropout_rate: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dropout_rate, self.input_dropout_rate = dropout_rate, input_dropout_rate
        self.hidden = [
            ParallelDense(units, "relu", name=f"fc{8 + i}") for i, units in enumerate(hidden_dims)
        ]
        self.output_layer = ParallelDense(representation_dim, name=f"fc{8 + len(hidden_dims)}")
        self.classifiers = AttributeClassifiers(num_values, name="classifiers")

    def build(self, input_shape) -> None:
        shape = input_shape
        layers: list[keras.layers.Layer] = [*self.hidden, self.output_layer, self.classifiers]
        for layer in layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, inputs: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns fc10 and its logits.

        Args:
          inputs: float `[batch, attributes, in_dim]`, pooled regions or features.
          seed: int32 `[2]` switches dropout on.

        Returns:
          representations: float32 `[batch, attributes, representation_dim]`.
          logits: float32 `[batch, total values]`.
        """
        last = len(self.hidden)
        features = dropout(inputs, self.input_dropout_rate, seed, last + 1)
        for i, layer in enumerate(self.hidden):
            features = dropout(layer(features), self.dropout_rate, seed, i)
        representations = self.output_layer(features)
        thinned = dropout(representations, self.dropout_rate, seed, last)
        return tf.cast(representations, tf.float32), self.classifiers(thinned)
