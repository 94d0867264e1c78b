"""The search for kernels that stages and exports are held to; see tests/systems/."""

import tensorflow as tf
from gpu_kernels import without_kernel


def test_an_operation_without_a_kernel_is_found():
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int32)])
    def first_largest(values):
        return tf.argmax(tf.while_loop(lambda v: v[0, 0] < 3, lambda v: v + 1, [values])[0], axis=1)

    found = without_kernel(first_largest.get_concrete_function())
    assert len(found) == 1 and found[0].startswith("ArgMax {"), found
