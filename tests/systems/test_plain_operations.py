"""Stages without operations that XLA cannot compile, or that no GPU computes repeatably."""

import numpy as np
import tensorflow as tf
from stage_table import finetuned_representations, train

from fashionsearchnet.networks import kernels
from fashionsearchnet.systems.fashionsearchnet_v2.representations import pool_regions


def test_a_step_by_plain_operations_is_the_same_step(tmp_path, monkeypatch):
    stage = finetuned_representations(normalization="none", dropout_rate=0.0)
    before, moved = stage.model.get_weights(), []
    for is_deterministic in (False, True):
        stage.model.set_weights(before)
        monkeypatch.setattr(kernels, "_deterministic", is_deterministic)
        train(stage, tmp_path / str(is_deterministic), 1, rate=1e-3)
        pairs = zip(stage.model.get_weights(), before, strict=True)
        moved.append([after - first for after, first in pairs])
    for one, other in zip(*moved, strict=True):
        assert np.linalg.norm(other - one) <= 1e-2 * np.linalg.norm(one) + 1e-9


def test_xla_compiles_pooled_regions(rng):
    """No other operation of a stage has no kernel of XLA; a compiled stage takes long to test."""
    maps = tf.constant(rng.normal(size=(2, 5, 5, 3)), tf.float32)
    boxes = tf.constant([[[0, 0, 4, 4]], [[1, 2, 3, 3]]], tf.int32)

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = tf.reduce_sum(tf.square(pool_regions(maps, boxes, 3)))
        return tape.gradient(loss, maps)

    with kernels.for_xla():
        compiled = tf.function(gradient, jit_compile=True, autograph=False)()
    np.testing.assert_allclose(compiled, gradient(), rtol=1e-4, atol=1e-4)
