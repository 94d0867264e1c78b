"""Optimizers and schedules by hand-worked cases."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.training import OptimizerSettings


def rates(num_steps: int, **settings) -> list[float]:
    """The learning rate of each step."""
    rate = OptimizerSettings(**settings).rate(num_steps)
    if isinstance(rate, float):
        return [rate] * num_steps
    return [float(rate(step)) for step in range(num_steps + 1)]


def values_after(gradients, *, name="kernel", start=1.0, num_steps=10, **settings) -> list[float]:
    """A variable after each of these gradients."""
    variable = keras.Variable(start, name=name)
    optimizer = OptimizerSettings(**settings).build(num_steps, [variable])
    found = []
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [variable])
        found.append(float(variable))
    return found


def test_the_default_is_plain_sgd_at_a_constant_rate():
    assert rates(3) == [0.01] * 3
    np.testing.assert_allclose(values_after([1.0, 2.0]), [0.99, 0.97], rtol=1e-6)


def test_a_cosine_falls_from_the_rate_to_zero():
    found = rates(4, learning_rate=0.2, schedule="cosine")
    half = 0.1 * np.sqrt(0.5)
    np.testing.assert_allclose(found, [0.2, 0.1 + half, 0.1, 0.1 - half, 0.0], atol=1e-8)


def test_a_cosine_after_a_warm_up():
    found = rates(6, learning_rate=0.2, schedule="cosine", warmup_steps=2)
    np.testing.assert_allclose(found[:3], [0.0, 0.1, 0.2], atol=1e-8)
    np.testing.assert_allclose(found[4], 0.1, atol=1e-8)
    np.testing.assert_allclose(found[6], 0.0, atol=1e-8)


def test_steps_multiply_the_rate_at_each_drop():
    found = rates(7, learning_rate=1.0, schedule="steps", step_every=3, step_factor=0.5)
    np.testing.assert_allclose(found, [1.0] * 3 + [0.5] * 3 + [0.25] * 2, rtol=1e-6)


def test_momentum_and_decay_of_sgd():
    """v = m v - rate g, and a kernel loses rate * decay of itself before the step."""
    found = values_after([1.0, 1.0], learning_rate=0.1, momentum=0.5, weight_decay=0.2)
    first = 1.0 * (1 - 0.02) - 0.1
    second = first * (1 - 0.02) - (0.5 * 0.1 + 0.1)
    np.testing.assert_allclose(found, [first, second], rtol=1e-6)
    np.testing.assert_allclose(
        values_after([1.0], name="bias", learning_rate=0.1, weight_decay=0.2), [0.9], rtol=1e-6
    )


def adam_by_hand(gradients, rate, beta_1, beta_2, decay=0.0, start=1.0) -> list[float]:
    """Kingma and Ba's algorithm 1, with Loshchilov and Hutter's decay."""
    value, mean, square, found = start, 0.0, 0.0, []
    for step, gradient in enumerate(gradients, 1):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        value *= 1 - rate * decay
        corrected = square / (1 - beta_2**step)
        value -= rate * mean / (1 - beta_1**step) / np.sqrt(corrected)
        found.append(value)
    return found


@pytest.mark.parametrize(("optimizer", "decay"), [("adam", 0.0), ("adamw", 0.0), ("adamw", 0.3)])
def test_adam_by_hand(optimizer, decay):
    gradients = [1.0, -2.0, 0.5]
    found = values_after(
        gradients, optimizer=optimizer, learning_rate=0.1, beta_1=0.5, weight_decay=decay
    )
    expected = adam_by_hand(gradients, 0.1, 0.5, 0.999, decay)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_norm_of_all_gradients_together_is_bounded():
    variables = [keras.Variable(0.0, name="kernel"), keras.Variable(0.0, name="bias")]
    settings = OptimizerSettings(learning_rate=1.0, gradient_clip_norm=1.0)
    settings.build(1, variables).apply([tf.constant(3.0), tf.constant(4.0)], variables)
    np.testing.assert_allclose([float(v) for v in variables], [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adm"}, r"optimizer must be one of sgd, adam, adamw.*did you mean adam"),
        ({"schedule": "step"}, "schedule must be one of constant, cosine, steps.*did you mean"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum is for sgd, but optimizer is adam"),
        ({"optimizer": "adam", "weight_decay": 0.1}, "adam has no weight decay.*Use adamw"),
        ({"schedule": "steps"}, "schedule steps needs step_every.*at least 1; got 0"),
        (
            {"schedule": "steps", "step_every": 2, "warmup_steps": 1},
            "warmup_steps is for .* cosine",
        ),
        (
            {"warmup_steps": 5},
            "warmup_steps is for schedule cosine, but schedule is constant; got 5",
        ),
        ({"beta_1": 1.0}, "beta_1 must be at least 0 and below 1; got 1.0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        OptimizerSettings(**settings)
