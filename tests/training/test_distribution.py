import json
import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from fashionsearchnet.training import distribution


@pytest.fixture(scope="module")
def mirrored():
    """Two logical CPU devices; see conftest.py."""
    return distribution.get_strategy("mirrored")


def test_strategies_by_name(mirrored):
    assert distribution.get_strategy("one_device").num_replicas_in_sync == 1
    assert mirrored.num_replicas_in_sync == 2
    assert all(distribution.is_chief(s) for s in (mirrored, tf.distribute.get_strategy()))
    with pytest.raises(ValueError, match=r"distribution must be one of .*did you mean mirrored"):
        distribution.get_strategy("mirored")


@pytest.mark.parametrize(
    ("tasks", "chief"),
    [
        ({"worker": 2}, ("worker", 0)),
        ({"chief": 1, "worker": 2}, ("chief", 0)),
        ({"worker": 2, "evaluator": 1}, ("worker", 0)),
    ],
)
def test_a_cluster_has_one_chief(tasks, chief, monkeypatch):
    cluster = {kind: [f"{kind}{i}:2222" for i in range(n)] for kind, n in tasks.items()}
    chiefs = []
    for kind, number in tasks.items():
        for index in range(number):
            task = {"type": kind, "index": index}
            monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
            resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            strategy: Any = types.SimpleNamespace(cluster_resolver=resolver)
            if distribution.is_chief(strategy):
                chiefs.append((kind, index))
    assert chiefs == [chief]


@pytest.mark.parametrize(
    "config", [None, "", "{", "[]", "3", "{}", '{"cluster": {}}', '{"cluster": {"worker": []}}']
)
def test_several_machines_need_to_be_listed(config, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="TF_CONFIG, such as"):
        distribution.get_strategy("multi_worker")


def test_an_array_lies_once_on_each_replica(mirrored):
    with mirrored.scope():
        stored = distribution.on_each_replica(np.arange(6.0, dtype=np.float32))
    devices = {str(copy.device) for copy in mirrored.experimental_local_results(stored)}
    assert len(devices) == 2
    np.testing.assert_array_equal(stored, np.arange(6.0))
    devices = set()

    @tf.function(autograph=False)
    def step():
        def replica():
            read = stored.read_value() + 0.0
            devices.add(str(read.device))
            return read

        return mirrored.run(replica)

    step()
    assert len(devices) == 2  # each reads its own


def test_one_process_does_all_that_one_must_do():
    done = []
    distribution.once(lambda: done.append(1))
    assert done == [1]


def test_one_replica_gathers_itself_and_keeps_the_seed():
    tensor, seed = tf.ones([2, 3]), tf.constant([1, 2])
    assert distribution.num_replicas() == 1
    assert distribution.gather(tensor) is tensor
    assert distribution.replica_seed(seed) is seed


def test_replicas_see_the_whole_batch_and_draw_seeds_of_their_own(mirrored):
    @tf.function(autograph=False)
    def step():
        def replica():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = tf.fill([2, 1], tf.cast(number, tf.float32))
            seed = distribution.replica_seed(tf.constant([1, 2]))
            return distribution.gather(rows), seed, tf.constant(distribution.num_replicas())

        return mirrored.run(replica)

    gathered, seeds, numbers = (mirrored.experimental_local_results(v) for v in step())
    for rows in gathered:
        np.testing.assert_array_equal(rows[:, 0], [0, 0, 1, 1])
    assert tuple(seeds[0].numpy()) != tuple(seeds[1].numpy())
    assert [int(n) for n in numbers] == [2, 2]


def test_the_gradients_of_replicas_add_up_to_that_of_the_whole_batch(mirrored):
    values = np.arange(8, dtype=np.float32).reshape(4, 2)

    def loss_of(rows):
        return tf.reduce_mean(tf.square(rows @ tf.transpose(rows)))

    with mirrored.scope():
        weight = tf.Variable([[1.0, 2.0]])

    @tf.function(autograph=False)
    def step():
        def replica():
            context = tf.distribute.get_replica_context()
            first = tf.cast(context.replica_id_in_sync_group, tf.int32) * 2
            with tf.GradientTape() as tape:
                own = tf.constant(values)[first : first + 2] * weight
                loss = loss_of(distribution.gather(own)) / distribution.num_replicas()
            gradient = tape.gradient(loss, weight)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, gradient])

        return mirrored.run(replica)

    loss, gradient = (mirrored.experimental_local_results(v)[0] for v in step())
    whole = tf.Variable([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        expected = loss_of(tf.constant(values) * whole)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, tape.gradient(expected, whole), rtol=1e-5)


def test_batches_lie_on_the_device_that_computes(monkeypatch):
    """The second CPU stands in for a GPU."""
    batches = tf.data.Dataset.range(5).map(lambda n: {"number": n, "image": tf.fill([2, 3], n)})
    assert distribution.compute_device().endswith("CPU:0")
    assert distribution.prefetched(batches) is batches
    second = tf.config.list_logical_devices("CPU")[1].name
    monkeypatch.setattr(distribution, "compute_device", lambda: second)
    there = list(distribution.prefetched(batches))
    assert {tensor.device[-5:] for batch in there for tensor in batch.values()} == {"CPU:1"}
    assert [int(batch["number"]) for batch in there] == list(range(5))


@pytest.mark.parametrize("op", ["GeneratorDataset", "PrefetchDataset", "IteratorGetNext"])
def test_prefetched_batches_have_kernels_on_a_gpu(op):
    found = kernels.get_registered_kernels_for_op(op).kernel
    assert "GPU" in {kernel.device_type for kernel in found}


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64, tf.float32])
def test_what_replicas_gather_has_a_known_shape(dtype, mirrored):
    shapes = []

    @tf.function(autograph=False)
    def step():
        mirrored.run(lambda: shapes.append(distribution.gather(tf.zeros([3, 4, 5], dtype)).shape))

    step()
    assert [shape.as_list()[1:] for shape in shapes] == [[4, 5]] * 2
