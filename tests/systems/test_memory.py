from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.features import extract_features
from fashionsearchnet.systems.memory import AttributeMemory, class_means

DIM = 4
EDITS = np.array([[-1, -1, -1], [2, -1, -1], [-1, 0, 3], [0, 1, 0], [-1, -1, 1]], np.int32)


@pytest.fixture
def memory(rng):
    layer = AttributeMemory(SPACE, DIM)
    np.testing.assert_array_equal(layer.memory, np.zeros((9, DIM)))
    layer.memory.assign(rng.normal(size=(9, DIM)))
    return layer


def test_edited_attributes_are_overwritten_by_their_rows(memory, rng):
    representations = rng.normal(size=(5, 3, DIM)).astype(np.float32)
    edited = memory.overwrite(representations, tf.constant(EDITS)).numpy()
    rows = memory.memory.numpy()
    for i, edit in enumerate(EDITS):
        for a, offset in enumerate(SPACE.offsets):
            expected = representations[i, a] if edit[a] < 0 else rows[offset + edit[a]]
            np.testing.assert_array_equal(edited[i, a], expected)


def test_the_rows_of_the_wanted_values_are_summed(memory):
    rows, found = memory.memory.numpy(), memory.sum_of_wanted(tf.constant(EDITS)).numpy()
    for edit, vector in zip(EDITS, found, strict=True):
        wanted = [rows[o + v] for o, v in zip(SPACE.offsets, edit, strict=True) if v >= 0]
        np.testing.assert_allclose(vector, np.sum(wanted, axis=0) if wanted else 0.0, atol=1e-6)


def test_gradients_reach_the_rows_in_use_and_the_kept_representations(memory):
    representations = tf.Variable(tf.ones([2, 3, DIM]))
    manipulation = tf.constant([[1, -1, -1], [-1, -1, 3]])
    for read in (
        lambda: memory.overwrite(representations, manipulation),
        lambda: memory.sum_of_wanted(manipulation),
    ):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(read())
        rows, kept = tape.gradient(total, [memory.memory.value, representations])
        rows = tf.convert_to_tensor(rows).numpy()
        assert set(np.flatnonzero(rows.any(axis=1))) == {1, 8}
        if kept is not None:
            np.testing.assert_array_equal(kept[..., 0], [[0, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize("shape", [(60, DIM), (60, 3, DIM)], ids=["one feature", "one each"])
def test_class_means_equal_a_loop(rng, shape):
    features = rng.normal(size=shape).astype(np.float32)
    values = rng.integers(0, SPACE.num_values, (60, 3)).astype(np.int32)
    values[rng.random(values.shape) < 0.3] = -1
    values[values[:, 2] == 1, 2] = 0  # nobody has value 1 of attribute 2
    means, mean = class_means(SPACE, np.split(features, [7, 50]), values)
    assert means.dtype == mean.dtype == np.float32
    np.testing.assert_allclose(mean, features.mean(axis=0), atol=1e-6)
    for a, (offset, size) in enumerate(zip(SPACE.offsets, SPACE.num_values, strict=True)):
        own = features if len(shape) == 2 else features[:, a]
        for v in range(size):
            shown = own if (a, v) == (2, 1) else own[values[:, a] == v]
            np.testing.assert_allclose(means[offset + v], shown.mean(axis=0), atol=1e-6)


def test_sums_of_many_images_do_not_drift():
    """A float32 sum of these loses the third digit."""
    features = np.full((2_000_000, 1), 1000.1, np.float32)
    values = np.zeros((len(features), 3), np.int32)
    means, _ = class_means(SPACE, np.split(features, 20), values)
    np.testing.assert_array_equal(means[0], features[0])


def test_everything_is_float32_whatever_the_policy():
    """The memory's layer, and the copy of a system that fills it."""
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        memory = AttributeMemory(SPACE, DIM)
        edited = memory.overwrite(tf.ones([2, 3, DIM]), tf.constant([[-1, 0, -1]] * 2))
        assert edited.dtype == tf.float32
        heads: dict[str, Any] = {"hidden_dims": (6,), "representation_dim": DIM, "global_dim": 5}
        mixed = FashionSearchNetV2(SPACE, **heads, **network())
        exact = mixed.in_float32()
        assert keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"
        assert exact is not mixed
        dataset = FakeDataset(sizes={"train": 6})
        found = extract_features(exact, dataset, "train")["embedding"]
        rounded = extract_features(mixed, dataset, "train")["embedding"]
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    plain = FashionSearchNetV2(SPACE, **heads, **network())
    plain.set_weights(mixed.get_weights())
    assert plain.in_float32() is plain
    wanted = extract_features(plain, dataset, "train")["embedding"]
    np.testing.assert_array_equal(found, wanted)
    assert (rounded != wanted).any()
