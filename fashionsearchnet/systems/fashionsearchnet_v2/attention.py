"""Attribute activation maps: conv6, conv7, global average pooling and one classifier each."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from fashionsearchnet.networks.layers import ConvolutionBlock


class AttributeActivationMap(keras.layers.Layer):
    """Classifies every attribute from the conv5 map and shows where each decision came from.

    Eq. 1 of [Ak21] writes the pooling as a sum; the mean is taken here, which differs by a
    constant factor and suits the paper's learning rate.
    """

    def __init__(
        self, num_values: Sequence[int], channels: int, normalization: str = "none", **kwargs
    ):
        super().__init__(**kwargs)
        self.num_values = tuple(num_values)
        self.conv6 = ConvolutionBlock(channels, 3, normalization=normalization, name="conv6")
        self.conv7 = ConvolutionBlock(channels, 3, normalization=normalization, name="conv7")
        # w_a of all attributes beside each other: [channels, total values].
        self.classifier = keras.layers.Dense(
            sum(self.num_values),
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",
            name="classifier",
        )

    def build(self, input_shape) -> None:
        self.conv6.build(input_shape)
        shape = self.conv6.compute_output_shape(input_shape)
        self.conv7.build(shape)
        self.classifier.build((shape[0], self.conv7.compute_output_shape(shape)[-1]))

    def call(self, conv5: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns float32 logits `[batch, total values]` (Eq. 1-2) and conv7 `[batch, h, w, k]`."""
        conv7 = self.conv7(self.conv6(conv5, training=training), training=training)
        pooled = tf.reduce_mean(tf.cast(conv7, tf.float32), axis=[1, 2])  # [B, K]
        return self.classifier(pooled), conv7

    def maps(self, conv7: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Returns each attribute's map for its most probable value, [Ak21] Eq. 3.

        Args:
          conv7: float `[batch, h, w, channels]`.
          logits: float32 `[batch, total values]`.

        Returns:
          float32 `[batch, attributes, h, w]`.
        """
        rows, offset = [], 0
        for block in tf.split(logits, list(self.num_values), axis=-1):
            rows.append(tf.argmax(block, -1) + offset)  # int64: see networks.kernels
            offset += block.shape[-1]
        # One weight vector per image and attribute: [B, A, K].
        kernel = tf.transpose(self.classifier.kernel)
        weights = tf.gather(kernel, tf.stack(rows, axis=1))
        _, height, width, channels = conv7.shape
        cells = tf.reshape(tf.cast(conv7, tf.float32), [-1, height * width, channels])
        maps = tf.matmul(weights, cells, transpose_b=True)  # [B, A, h * w]
        return tf.reshape(maps, [-1, len(self.num_values), height, width])
