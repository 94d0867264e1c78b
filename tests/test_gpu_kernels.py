"""The search for kernels that stages and exports are held to; see tests/systems/."""

import tensorflow as tf
from gpu_kernels import read_by_host, without_kernel


def test_an_operation_without_a_kernel_is_found():
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 3], tf.int32)])
    def first_largest(values):
        return tf.argmax(tf.while_loop(lambda v: v[0, 0] < 3, lambda v: v + 1, [values])[0], axis=1)

    found = without_kernel(first_largest.get_concrete_function())
    assert len(found) == 1 and found[0].startswith("ArgMax {"), found


def test_what_the_host_reads_is_found():
    """Arithmetic of int32 is, of int64 and of shapes is not; through calls and loops alike."""
    labels = tf.data.Dataset.from_tensors(tf.constant([[1, 2, -1]])).repeat()
    batches = iter(labels)

    def step(batches, dtype):
        given = tf.cast(next(batches), dtype)
        start = (tf.constant(0), tf.zeros(3))
        add = tf.function(lambda sums: sums + tf.cast(given[0] >= 0, tf.float32), autograph=False)
        rows = tf.shape(given)[0]
        return tf.while_loop(lambda i, _: i < rows, lambda i, sums: (i + 1, add(sums)), start)

    def found(dtype):
        compiled = tf.function(lambda batches: step(batches, dtype), autograph=False)
        return {
            text.split(" ")[0] for text in read_by_host(compiled.get_concrete_function(batches))
        }

    assert found(tf.int64) == set()
    assert (
        {"GreaterEqual", "StridedSlice"}
        <= found(tf.int32)
        <= {
            *("GreaterEqual", "StridedSlice", "Identity", "Enter", "Switch", "Exit", "Merge"),
            "NextIteration",
        }
    )
