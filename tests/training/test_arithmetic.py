"""How precisely a process computes, and that a run in one precision can be searched in another."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE
from small_networks import network

from fashionsearchnet.choices import PRECISIONS
from fashionsearchnet.networks import kernels
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.training.arithmetic import compute_whole_products, set_arithmetic


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """What a test sets is set back; operations cannot be made arbitrary again, so they stay so."""
    enabled = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: enabled.append(1))
    monkeypatch.setattr(kernels, "_deterministic", False)
    yield enabled
    set_arithmetic("float32")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_sets_policy_and_products(precision):
    set_arithmetic(precision)
    is_short = precision == "tensor_float_32"
    assert tf.config.experimental.tensor_float_32_execution_enabled() == is_short
    policy = keras.mixed_precision.dtype_policy().name
    assert policy == ("float32" if is_short else precision)
    compute_whole_products()
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert keras.mixed_precision.dtype_policy().name == policy


def test_deterministic_operations(restored):
    set_arithmetic("float32")
    assert not restored and not kernels.plain_only()
    set_arithmetic("mixed_bfloat16", deterministic=True)
    assert restored and kernels.plain_only()
    with pytest.raises(ValueError, match="have no precision tensor_float_32"):
        set_arithmetic("tensor_float_32", deterministic=True)
    with pytest.raises(ValueError, match="precision must be one of float32, tensor_float_32"):
        set_arithmetic("float64")


def test_graphs_for_xla_are_plain():
    with kernels.for_xla():
        assert kernels.plain_only()
    assert not kernels.plain_only()


def build(precision: str) -> FashionSearchNetV2:
    set_arithmetic(precision)
    keras.utils.set_random_seed(0)
    return FashionSearchNetV2(
        SPACE,
        **network(width=0.2),
        variant="ours",
        hidden_dims=(16, 16),
        representation_dim=8,
        block_dim=8,
    )


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_queries_of_another_precision_find_themselves_in_an_index(precision, rng):
    """The same weights; edits included. What regions and distances read is float32 in both."""
    exact, other = build("float32"), build(precision)
    other.set_weights(exact.get_weights())
    size = exact.image_input.size
    colours = rng.uniform(-100, 100, size=(24, 1, 1, 3))
    images = tf.constant(colours + rng.normal(0, 40, (24, size, size, 3)), tf.float32)
    edits = np.full((24, SPACE.num_attributes), -1, np.int32)
    edits[:, 0] = np.arange(24) % SPACE.num_values[0]
    found = [model.image_features(images) for model in (exact, other)]
    assert {tensor.dtype for tensor in found[1].values()} == {tf.float32}
    attention = other.attention(images)
    assert attention is not None and attention["maps"].dtype == tf.float32
    same_boxes = np.all(np.isclose(found[0]["boxes"], found[1]["boxes"]), axis=-1)
    assert same_boxes.mean() > 0.8  # a threshold moves some: their vectors stay near all the same
    for edit in (np.full_like(edits, -1), edits):
        gallery, queries = (
            model.query_embedding(features, tf.constant(edit)).numpy()
            for model, features in zip((exact, other), found, strict=True)
        )
        distances = np.linalg.norm(queries[:, None] - gallery, axis=-1)
        np.testing.assert_array_equal(distances.argmin(axis=1), np.arange(24))
