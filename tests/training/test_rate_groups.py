"""Learning rates of their own, by hand-worked steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.training import OptimizerSettings, Update
from fashionsearchnet.training.rate_groups import rate_groups

RATES = {"slow": 0.1}


def update_of(variables, rates) -> Update:
    """An update whose loss nobody asks for."""
    return Update(lambda batch, seed: (tf.constant(0.0), {}), variables, rate_multipliers=rates)


def moved(gradients, rates=RATES, **settings) -> list[float]:
    """How far variables 'fast', 'slow' and 'other' are from 1 after a step."""
    variables = [keras.Variable(1.0, name=name) for name in ("fast", "slow", "other")]
    update = update_of(variables, rates)
    groups = rate_groups(update, OptimizerSettings(learning_rate=0.01, **settings), 10)
    groups.apply([tf.constant(gradient) for gradient in gradients])
    return [1.0 - float(variable) for variable in variables]


def test_sgd_multiplies_the_gradient():
    np.testing.assert_allclose(moved([1.0, 2.0, 3.0]), [0.01, 0.002, 0.03], rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_has_an_optimizer_for_each_rate(optimizer):
    found = moved([5.0, 0.3, -2.0], optimizer=optimizer)
    np.testing.assert_allclose(found, [0.01, 0.001, -0.01], rtol=1e-3)
    found = moved([5.0, 0.3, -2.0], {"slow": 0.1, "other": 0.0}, optimizer=optimizer)
    np.testing.assert_allclose(found, [0.01, 0.001, 0.0], rtol=1e-3)


def test_sgd_bounds_the_norm_before_it_multiplies():
    found = moved([3.0, 4.0, 0.0], {"slow": 100.0}, gradient_clip_norm=1.0)
    np.testing.assert_allclose(found, [0.006, 0.8, 0.0], rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_decay_is_at_the_rate_of_its_variable(optimizer):
    layers = [keras.layers.Dense(1, use_bias=False, name=name) for name in ("fast", "slow")]
    for layer in layers:
        layer.build((None, 1))
        layer.kernel.assign([[1.0]])
    kernels = [layer.kernel for layer in layers]
    update = update_of(kernels, {kernels[1].path: 0.1})
    settings = OptimizerSettings(optimizer=optimizer, learning_rate=0.01, weight_decay=0.5)
    rate_groups(update, settings, 10).apply([tf.zeros_like(k.value) for k in kernels])
    left = [float(np.squeeze(kernel.numpy())) for kernel in kernels]
    np.testing.assert_allclose(left, [1 - 0.01 * 0.5, 1 - 0.001 * 0.5], rtol=1e-6)


def test_the_norm_of_all_groups_together_is_bounded():
    """Adam's step does not see the bound, but its slots do: the first one is (1 - beta_1) g."""
    variables = [keras.Variable(1.0, name=name) for name in ("fast", "slow")]
    update = update_of(variables, RATES)
    settings = OptimizerSettings(optimizer="adam", gradient_clip_norm=1.0)
    groups = rate_groups(update, settings, 10)
    groups.apply([tf.constant(3.0), tf.constant(4.0)])
    slots = [
        float(v) for group in groups.optimizers for v in group.variables if "momentum" in v.path
    ]
    np.testing.assert_allclose(slots, [0.06, 0.08], rtol=1e-5)


def test_one_rate_has_one_optimizer():
    variables = [keras.Variable(1.0, name="a"), keras.Variable(1.0, name="b")]
    update = update_of(variables, {})
    assert len(rate_groups(update, OptimizerSettings(optimizer="adam"), 3).optimizers) == 1


@pytest.mark.parametrize(
    "settings", [{"optimizer": "adam"}, {"weight_decay": 0.1}, {"gradient_clip_norm": 1.0}]
)
def test_loss_scales_belong_to_one_optimizer(settings):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(ValueError, match=r"rate multipliers under .* need a precision other"):
            moved([1.0, 1.0, 1.0], **settings)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
