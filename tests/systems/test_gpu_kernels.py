"""Every stage's step and every export signature has GPU kernels for all that it computes."""

import pytest
import tensorflow as tf
from gpu_kernels import without_kernel
from stage_table import ALL
from test_conformance import BUILDERS

from fashionsearchnet import training
from fashionsearchnet.export.signatures import ServedSystem
from fashionsearchnet.training.rate_groups import rate_groups

SETTINGS = training.OptimizerSettings(momentum=0.9, weight_decay=1e-4)


def test_an_operation_without_a_kernel_is_found():
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int32)])
    def first_largest(values):
        return tf.argmax(tf.while_loop(lambda v: v[0, 0] < 3, lambda v: v + 1, [values])[0], axis=1)

    found = without_kernel(first_largest.get_concrete_function())
    assert len(found) == 1 and found[0].startswith("ArgMax {"), found


@pytest.mark.parametrize("build", ALL, ids=lambda build: build.__name__)
def test_a_training_step_stays_on_the_gpu(build):
    stage = build()
    groups = [(update, rate_groups(update, SETTINGS, 10)) for update in stage.updates()]

    @tf.function
    def step(batch, seed):
        for update, group in groups:
            with tf.GradientTape() as tape:
                loss, _ = update.loss(batch, seed)
            gradients = tape.gradient(loss, [variable.value for variable in update.variables])
            group.apply([tf.convert_to_tensor(gradient) for gradient in gradients])

    batch = next(iter(stage.examples(0, None)))
    assert not without_kernel(step.get_concrete_function(batch, tf.constant([0, 1])))


@pytest.mark.parametrize("name", BUILDERS)
def test_an_export_stays_on_the_gpu(name):
    for key, signature in ServedSystem(BUILDERS[name](), "float32").signatures().items():
        assert not without_kernel(signature.get_concrete_function()), key
