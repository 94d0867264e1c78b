from types import SimpleNamespace

import pytest
import tensorflow as tf

from fashionsearchnet.benchmarks import timing


def test_medians_of_calls_in_turns(monkeypatch):
    order: list[str] = []
    clock = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def call(name, seconds):
        def run():
            order.append(name)
            clock[0] += seconds
            return tf.zeros([])

        return run

    slow, slower = timing.in_turns([call("a", 0.1), call("b", 0.2)], seconds=0.0, least_rounds=2)
    assert slow == pytest.approx(0.1) and slower == pytest.approx(0.2)
    assert order[4:] == ["a", "b"] * 2  # after two calls of each to warm up
    order.clear()
    timing.in_turns([call("a", 0.02)], seconds=0.0, least_rounds=1)
    assert len(order) == 2 + 5  # short calls are started several at a time


def test_operations_by_hand():
    images, kernel = tf.zeros([2, 8, 8, 3]), tf.zeros([3, 3, 3, 5])

    @tf.function(autograph=False)
    def network(images):
        convolved = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))  # [2, 4, 4, 5]
        each = tf.nn.depthwise_conv2d(convolved, tf.zeros([3, 3, 5, 1]), [1, 1, 1, 1], "SAME")
        return tf.matmul(tf.reshape(each, [2, 80]), tf.zeros([7, 80]), transpose_b=True)

    count = timing.operations(network.get_concrete_function(images))
    assert count == 2 * (2 * 4 * 4 * 5) * 27 + 2 * (2 * 4 * 4 * 5) * 9 + 2 * (2 * 7) * 80


def test_peaks():
    memory = timing.PeakMemory()
    memory.start()
    block = bytearray(50_000_000)
    assert len(block) and (memory.megabytes() or 1000) > 50
    assert timing.product_peak("float32", 64, seconds=0.0) > 1e6
