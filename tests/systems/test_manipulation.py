import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.systems.fashionsearchnet_v2.manipulation import (
    AttributeMemory,
    GlobalRepresentation,
    class_means,
    flatten,
)

DIM = 4
NOTHING = np.full((100, 3), -1, np.int32)


@pytest.fixture
def memory(space, rng):
    layer = AttributeMemory(space, DIM)
    layer.memory.assign(rng.normal(size=(9, DIM)))
    return layer


def test_edited_attributes_are_overwritten_by_their_rows(space, memory, rng):
    representations = rng.normal(size=(5, 3, DIM)).astype(np.float32)
    manipulation = np.array([[-1, -1, -1], [2, -1, -1], [-1, 0, 3], [0, 1, 0], [-1, -1, 1]])
    edited = memory(representations, tf.constant(manipulation, tf.int32)).numpy()
    rows = memory.memory.numpy()
    for i in range(5):
        for a, offset in enumerate((0, 3, 5)):
            wanted = manipulation[i, a]
            expected = representations[i, a] if wanted < 0 else rows[offset + wanted]
            np.testing.assert_array_equal(edited[i, a], expected)


def test_gradients_reach_the_rows_in_use_and_the_kept_representations(memory):
    representations = tf.Variable(tf.ones([2, 3, DIM]))
    manipulation = tf.constant([[1, -1, -1], [-1, -1, 3]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(memory(representations, manipulation))
    rows, kept = tape.gradient(total, [memory.memory.value, representations])
    rows = tf.convert_to_tensor(rows).numpy()
    assert set(np.flatnonzero(rows.any(axis=1))) == {1, 8}
    np.testing.assert_array_equal(kept[..., 0], [[0, 1, 1], [1, 1, 0]])


def test_a_new_memory_is_zero(space):
    np.testing.assert_array_equal(AttributeMemory(space, DIM).memory, np.zeros((9, DIM)))


def test_class_means_equal_a_loop(space, rng):
    representations = rng.normal(size=(60, 3, DIM)).astype(np.float32)
    values = rng.integers(0, space.num_values, (60, 3)).astype(np.int32)
    values[rng.random(values.shape) < 0.3] = -1
    values[values[:, 2] == 1, 2] = 0  # nobody has value 1 of attribute 2
    memory = class_means(space, representations, values)
    assert memory.dtype == np.float32
    for a, (offset, size) in enumerate(zip(space.offsets, space.num_values, strict=True)):
        for v in range(size):
            own = representations[values[:, a] == v, a]
            if (a, v) == (2, 1):
                own = representations[values[:, a] >= 0, a]
            np.testing.assert_allclose(memory[offset + v], own.mean(axis=0), atol=1e-5)


def test_class_means_of_an_attribute_that_nobody_has(space, rng):
    representations = rng.normal(size=(4, 3, DIM)).astype(np.float32)
    values = np.array([[0, -1, 1]] * 4, np.int32)
    memory = class_means(space, representations, values)
    np.testing.assert_array_equal(memory[3:5], np.zeros((2, DIM)))
    assert np.isfinite(memory).all()


def test_the_global_representation_is_equation_7(rng):
    layer = GlobalRepresentation(6)
    representations = rng.normal(size=(5, 3, DIM)).astype(np.float32)
    layer.build(representations.shape)
    weights, projection = rng.normal(size=3), rng.normal(size=(3 * DIM, 6))
    layer.attribute_weights.assign(weights)
    layer.projection.assign(projection)
    result = layer.query(representations, NOTHING[:5]).numpy()
    for i in range(5):
        joined = np.concatenate([representations[i, a] * weights[a] for a in range(3)])
        np.testing.assert_allclose(result[i], joined @ projection, rtol=1e-4, atol=1e-5)


def test_a_new_global_representation_keeps_distances_roughly(rng):
    layer = GlobalRepresentation(512)
    representations = rng.normal(size=(40, 3, 20)).astype(np.float32)
    layer.build(representations.shape)
    projected = layer.query(representations, NOTHING[:40]).numpy()
    flat = representations.reshape(40, -1)
    for one, other in zip(range(0, 40, 2), range(1, 40, 2), strict=True):
        before = np.linalg.norm(flat[one] - flat[other])
        assert np.linalg.norm(projected[one] - projected[other]) == pytest.approx(before, rel=0.2)
    assert layer.attribute_weights.numpy().tolist() == [1.0, 1.0, 1.0]


def test_both_layers_compute_in_float32_whatever_the_policy(space):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        memory, merge = AttributeMemory(space, DIM), GlobalRepresentation(6)
        edited = memory(tf.ones([2, 3, DIM]), tf.constant([[-1, 0, -1]] * 2))
        merge.build(edited.shape)
        assert edited.dtype == merge.query(edited, NOTHING[:2]).dtype == tf.float32
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def test_flatten_puts_attributes_one_after_the_other():
    values = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(flatten(tf.constant(values)), values.reshape(2, 12))
