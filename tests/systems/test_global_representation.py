import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.systems.edit_ranking import flatten
from fashionsearchnet.systems.fashionsearchnet_v2.manipulation import GlobalRepresentation

DIM = 4
NOTHING = np.full((100, 3), -1, np.int32)


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


def test_it_computes_in_float32_whatever_the_policy():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        merge = GlobalRepresentation(6)
        merge.build((None, 3, DIM))
        assert merge.query(tf.ones([2, 3, DIM]), NOTHING[:2]).dtype == tf.float32
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def test_flatten_puts_attributes_one_after_the_other():
    values = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(flatten(tf.constant(values)), values.reshape(2, 12))
