import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks import kernels
from fashionsearchnet.networks.layers import (
    AttributeClassifiers,
    ConvolutionBlock,
    FusedBatchNormalization,
    LocalResponseNormalization,
    ParallelDense,
    dropout,
)


def normalisations(rng, channels=5):
    """Our layer and Keras' own with the same weights."""
    ours = FusedBatchNormalization(momentum=0.9, epsilon=1e-3)
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    for layer in (ours, theirs):
        layer.build((None, 4, 4, channels))
    gamma, beta, mean = rng.normal(size=(3, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2.0, channels).astype(np.float32)
    for layer in (ours, theirs):
        layer.set_weights([gamma, beta, mean, variance])
    return ours, theirs


def test_batch_normalization_at_inference_equals_keras(rng):
    ours, theirs = normalisations(rng)
    inputs = rng.normal(1.0, 3.0, size=(6, 4, 3, 5)).astype(np.float32)
    before = [w.copy() for w in ours.get_weights()]
    np.testing.assert_allclose(ours(inputs), theirs(inputs, training=False), atol=1e-5)
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_batch_normalization_in_training_equals_keras(rng):
    ours, theirs = normalisations(rng)
    for _ in range(3):
        inputs = tf.constant(rng.normal(1.0, 3.0, size=(6, 4, 3, 5)).astype(np.float32))
        # Keras averages the biased variance of the batch, the fused kernel the unbiased one.
        unbiased = (6 * 4 * 3) / (6 * 4 * 3 - 1)
        old = theirs.moving_variance.numpy()
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            actual, expected = (layer(inputs, training=True) for layer in (ours, theirs))
            sums = [tf.reduce_sum(tf.sin(result)) for result in (actual, expected)]
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-5)
        batch_variance = np.var(inputs.numpy(), axis=(0, 1, 2))
        np.testing.assert_allclose(
            theirs.moving_variance, 0.9 * old + 0.1 * batch_variance, rtol=1e-4
        )
        np.testing.assert_allclose(
            ours.moving_variance, 0.9 * old + 0.1 * batch_variance * unbiased, rtol=1e-4
        )
        theirs.moving_variance.assign(ours.moving_variance)
        for part in ("gamma", "beta"):
            actual, expected = (
                tape.gradient(total, getattr(layer, part).value)
                for total, layer in zip(sums, (ours, theirs), strict=True)
            )
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
        actual, expected = (tape.gradient(total, inputs) for total in sums)
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_batch_normalization_keeps_float32_statistics_of_lower_precision(rng):
    layer = FusedBatchNormalization(dtype="mixed_bfloat16")
    inputs = tf.constant(rng.normal(4.0, 1.0, size=(8, 3, 3, 2)), tf.bfloat16)
    assert layer(inputs, training=True).dtype == tf.bfloat16
    assert layer(inputs).dtype == tf.bfloat16
    assert {w.dtype for w in layer.weights} == {"float32"}
    np.testing.assert_allclose(layer.moving_mean, [0.4, 0.4], atol=0.05)


def test_only_scale_and_offset_are_trained():
    layer = FusedBatchNormalization()
    layer.build((None, 2, 2, 3))
    assert [v.name for v in layer.trainable_variables] == ["gamma", "beta"]
    assert [v.name for v in layer.non_trainable_variables] == ["moving_mean", "moving_variance"]


def test_local_response_normalization_equals_a_loop(rng):
    # Large enough that the term beside 1 counts.
    inputs = rng.normal(0.0, 300.0, size=(2, 3, 2, 7)).astype(np.float32)
    expected = np.empty_like(inputs)
    for c in range(7):
        near = inputs[..., max(0, c - 2) : c + 3].astype(np.float64)
        # Krizhevsky et al.: n = 5, alpha = 1e-4 (over the window, as Caffe has it), beta = 0.75.
        expected[..., c] = inputs[..., c] / (1 + 1e-4 / 5 * (near**2).sum(axis=-1)) ** 0.75
    np.testing.assert_allclose(LocalResponseNormalization()(inputs), expected, rtol=1e-4)


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_convolution_block_equals_its_parts(rng, normalization):
    block = ConvolutionBlock(6, 3, strides=2, padding="valid", normalization=normalization)
    inputs = rng.normal(size=(4, 9, 9, 2)).astype(np.float32)
    outputs = block(inputs, training=True)
    assert tuple(outputs.shape) == block.compute_output_shape((4, 9, 9, 2)) == (4, 4, 4, 6)
    assert block.convolution.use_bias == (normalization == "none")
    assert len(block.trainable_variables) == (3 if normalization == "batch" else 2)
    kernel = block.convolution.kernel.numpy()
    expected = np.empty((4, 4, 4, 6))
    for y in range(4):
        for x in range(4):
            window = inputs[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            expected[:, y, x] = np.einsum("byxc,yxcf->bf", window, kernel)
    if normalization == "batch":
        spread = np.sqrt(expected.var(axis=(0, 1, 2)) + 1e-3)
        expected = (expected - expected.mean(axis=(0, 1, 2))) / spread
    np.testing.assert_allclose(outputs, np.maximum(expected, 0), atol=1e-4)


def test_an_unknown_normalization():
    with pytest.raises(ValueError, match="normalization must be one of batch, none; got 'layer'"):
        ConvolutionBlock(6, 3, normalization="layer")


@pytest.mark.parametrize("activation", [None, "relu"])
def test_parallel_dense_equals_a_loop(rng, activation):
    layer = ParallelDense(4, activation)
    inputs = rng.normal(size=(6, 3, 5)).astype(np.float32)
    layer.build(inputs.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    outputs = layer(inputs).numpy()
    assert outputs.shape == layer.compute_output_shape((6, 3, 5)) == (6, 3, 4)
    for a in range(3):
        expected = inputs[:, a] @ layer.kernel.numpy()[a] + layer.bias.numpy()[a]
        if activation == "relu":
            expected = np.maximum(expected, 0)
        np.testing.assert_allclose(outputs[:, a], expected, rtol=1e-4, atol=1e-5)


def test_parallel_dense_starts_with_the_variance_of_one_attribute():
    keras.utils.set_random_seed(0)
    layer = ParallelDense(200, "relu")
    layer.build((None, 30, 100))
    deviation = layer.kernel.numpy().std()
    # Keras does not widen its truncated normal to the deviation that it is given.
    assert 0.85 < deviation / np.sqrt(2.0 / 100) < 1.05


def test_attribute_classifiers_equal_a_loop(rng):
    num_values = (3, 2, 4)
    layer = AttributeClassifiers(num_values)
    inputs = rng.normal(size=(6, 3, 5)).astype(np.float32)
    layer.build(inputs.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    outputs = layer(inputs).numpy()
    assert outputs.shape == layer.compute_output_shape((6, 3, 5)) == (6, 9)
    kernel, bias = layer.get_weights()
    row = 0
    for a, size in enumerate(num_values):
        for _ in range(size):
            expected = inputs[:, a] @ kernel[row] + bias[row]
            np.testing.assert_allclose(outputs[:, row], expected, rtol=1e-4, atol=1e-5)
            row += 1


def test_logits_are_float32_whatever_the_precision(rng):
    inputs = rng.normal(size=(2, 2, 4)).astype(np.float32)
    assert ParallelDense(4, dtype="mixed_bfloat16")(inputs).dtype == tf.bfloat16
    assert AttributeClassifiers((2, 3), dtype="mixed_bfloat16")(inputs).dtype == tf.float32


def test_dropout_is_a_function_of_its_seed():
    inputs = tf.ones([200, 50])
    seed = tf.constant([1, 2])
    first = dropout(inputs, 0.25, seed, 0).numpy()
    tf.random.set_seed(5)  # has no say
    np.testing.assert_array_equal(first, dropout(inputs, 0.25, seed, 0))
    compiled = tf.function(dropout, autograph=False)
    np.testing.assert_array_equal(first, compiled(inputs, 0.25, seed, 0))
    assert (first != dropout(inputs, 0.25, seed, 1).numpy()).any()
    assert (first != dropout(inputs, 0.25, tf.constant([1, 3]), 0).numpy()).any()
    assert set(np.unique(first)) == {0.0, np.float32(1 / 0.75)}
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_dropout_without_a_seed_or_a_rate_does_nothing():
    inputs = tf.ones([3, 4])
    assert dropout(inputs, 0.5, None, 0) is inputs
    assert dropout(inputs, 0.0, tf.constant([1, 2]), 0) is inputs


def test_plain_operations_normalize_as_the_fused_kernel_does(rng, monkeypatch):
    layer = FusedBatchNormalization()
    inputs = tf.constant(rng.normal(4.0, 2.0, size=(8, 3, 3, 2)), tf.float32)
    layer(inputs, training=True)
    fused = layer(inputs)
    monkeypatch.setattr(kernels, "_deterministic", True)
    np.testing.assert_allclose(layer(inputs), fused, rtol=1e-5, atol=1e-5)
