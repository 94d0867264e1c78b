"""Keras layers that two systems or more use."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import NORMALIZATIONS
from fashionsearchnet.networks import kernels


class FusedBatchNormalization(keras.layers.Layer):
    """Batch normalisation of `[batch, height, width, channels]` in TensorFlow's fused kernel.

    Keras' own layer computes the same by separate operations, which is slower on
    the CPU. One difference: the moving variance averages the unbiased variance
    of the batches here (that is what the kernel returns), the biased one in Keras.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape) -> None:
        def add(name: str, initial: str, trainable: bool):
            return self.add_weight(
                shape=(input_shape[-1],),
                initializer=initial,
                trainable=trainable,
                # The kernel takes float32 statistics beside inputs of lower precision.
                autocast=False,
                aggregation="none" if trainable else "mean",
                name=name,
            )

        self.gamma = add("gamma", "ones", True)
        self.beta = add("beta", "zeros", True)
        self.moving_mean = add("moving_mean", "zeros", False)
        self.moving_variance = add("moving_variance", "ones", False)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            mean, variance = self.moving_mean.value, self.moving_variance.value
            if kernels.plain_only():  # the kernel's gradient is not deterministic on a GPU
                factor = self.gamma.value * tf.math.rsqrt(variance + self.epsilon)
                outputs = tf.cast(inputs, tf.float32) * factor + (self.beta.value - mean * factor)
                return tf.cast(outputs, inputs.dtype)
            return self._normalise(inputs, mean, variance, False)[0]
        empty = tf.zeros([0], tf.float32)
        outputs, mean, variance = self._normalise(inputs, empty, empty, True)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving.value * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def _normalise(self, inputs, mean, variance, is_training: bool):
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=is_training,
        )
        return outputs, mean, variance


class LocalResponseNormalization(keras.layers.Layer):
    """The response normalisation of the original AlexNet, which its published weights expect."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # Caffe divides alpha by the window: 1e-4 over 5 channels is 2e-5 per channel.
        normalised = tf.nn.local_response_normalization(
            tf.cast(inputs, tf.float32), depth_radius=2, bias=1.0, alpha=2e-5, beta=0.75
        )
        return tf.cast(normalised, self.compute_dtype)


class ConvolutionBlock(keras.layers.Layer):
    """Convolution, optional batch normalisation, ReLU.

    With normalisation the convolution has no bias: the normalisation would remove it.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        normalization: str = "batch",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("normalization", normalization, NORMALIZATIONS)
        self.convolution = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding,
            use_bias=normalization == "none",
            kernel_initializer="he_normal",
            name="convolution",
        )
        self.normalization = (
            FusedBatchNormalization(name="normalization") if normalization == "batch" else None
        )

    def build(self, input_shape) -> None:
        self.convolution.build(input_shape)
        if self.normalization is not None:
            self.normalization.build(self.convolution.compute_output_shape(input_shape))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        outputs = self.convolution(inputs)
        if self.normalization is not None:
            outputs = self.normalization(outputs, training=training)
        return tf.nn.relu(outputs)

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)


class ParallelDense(keras.layers.Layer):
    """One dense layer per attribute, all in a single batched product.

    Maps `[batch, attributes, in_dim]` to `[batch, attributes, units]`.
    """

    def __init__(self, units: int, activation: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape) -> None:
        _, num_attributes, in_dim = input_shape
        # He's variance for the ReLU; per attribute, so not keras' fan-in of a rank-3 kernel.
        deviation = (2.0 / in_dim) ** 0.5
        self.kernel = self.add_weight(
            shape=(num_attributes, in_dim, self.units),
            initializer=keras.initializers.TruncatedNormal(stddev=deviation),
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(num_attributes, self.units), initializer="zeros", name="bias"
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # [B, A, I] -> [A, B, I] x [A, I, U] -> [B, A, U]
        outputs = tf.matmul(tf.transpose(inputs, [1, 0, 2]), self.kernel)
        return self.activation(tf.transpose(outputs, [1, 0, 2]) + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)


class AttributeClassifiers(keras.layers.Layer):
    """One linear classifier per attribute on that attribute's own representation.

    Maps `[batch, attributes, dim]` to float32 logits `[batch, sum(num_values)]`.
    """

    def __init__(self, num_values: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.num_values = tuple(num_values)

    def build(self, input_shape) -> None:
        # A rank-2 kernel holding every value's weights beside each other keeps the classifiers of
        # unequal sizes in one variable.
        self.kernel = self.add_weight(
            shape=(sum(self.num_values), input_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(sum(self.num_values),), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernels = tf.split(self.kernel, list(self.num_values), axis=0)
        logits = [
            tf.matmul(inputs[:, a], kernel, transpose_b=True) for a, kernel in enumerate(kernels)
        ]
        return tf.cast(tf.concat(logits, axis=-1) + self.bias, tf.float32)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], sum(self.num_values))


def dropout(inputs: tf.Tensor, rate: float, seed: tf.Tensor | None, place: int) -> tf.Tensor:
    """Returns `inputs` with dropout, which is stateless: a resumed run drops the same units.

    Args:
      inputs: float, any shape.
      rate: the share to drop, in 0..1.
      seed: of the network in this step, int32 `[2]`; None for no dropout.
      place: number of this dropout in the network, so that no two drop the same units.
    """
    if seed is None or rate == 0.0:
        return inputs
    own = tf.random.experimental.stateless_fold_in(seed, place)
    return tf.nn.experimental.stateless_dropout(inputs, rate=rate, seed=own)
