"""Distribution strategies by name, and what replicas share."""

import functools
import json
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import STRATEGIES

_PREFETCHED = 2  # batches, on a device

_of_workers: tf.distribute.Strategy | None = None  # of this process, if it is one of several


@functools.cache
def get_strategy(name: str) -> tf.distribute.Strategy:
    """Returns a strategy; the same one at each call, since a process can only run one at a time.

    Args:
      name: 'one_device' (the GPU if there is one, else the CPU), 'mirrored' (all GPUs of this
        machine, or all logical CPUs where there is no GPU), or 'multi_worker' (the machines that
        the environment variable TF_CONFIG lists; run the same command on each, with a workdir
        that all of them share).

    Raises:
      ValueError: for another name, or 'multi_worker' without a usable TF_CONFIG.
    """
    check_choice("distribution", name, STRATEGIES)
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    try:
        workers = json.loads(os.environ.get("TF_CONFIG", ""))["cluster"]["worker"]
        if not workers:
            raise KeyError("worker")
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            "distribution=multi_worker needs the environment variable TF_CONFIG, such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}} on the first host.'
        ) from error
    global _of_workers
    _of_workers = tf.distribute.MultiWorkerMirroredStrategy()
    return _of_workers


def once(make: Callable[[], object]) -> None:
    """Calls `make` in one process, the chief, for all workers that share a disk.

    All workers must call it at the same point. It returns in each once the chief is done.
    """
    strategy = tf.distribute.get_strategy() if _of_workers is None else _of_workers
    if is_chief(strategy):
        make()
    if _of_workers is not None:  # a sum that needs all of them
        ones = _of_workers.run(lambda: tf.ones([]))
        _of_workers.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process writes the run's files: the chief or else the first worker."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def compute_device() -> str:
    """Returns the name of the device that a single replica computes on: the first GPU, or a CPU."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return devices[0].name


def prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set whose next batches already lie on the device that computes.

    A batch is copied while the device computes the one before it. Several replicas get their
    batches from `tf.distribute`, which does the same.
    """
    device = compute_device()
    if device == tf.config.list_logical_devices("CPU")[0].name:
        return batches
    return batches.apply(tf.data.experimental.prefetch_to_device(device, _PREFETCHED))


def num_replicas() -> int:
    """Returns the number of replicas that share a step; call it in the step or the scope."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_rows(global_batch_size: int, context: tf.distribute.InputContext | None) -> list[slice]:
    """Returns the rows of a global batch that this worker's replicas take, one after the other."""
    if context is None:
        return [slice(0, global_batch_size)]
    share = global_batch_size // context.num_input_pipelines
    first = context.input_pipeline_id * share
    size = context.get_per_replica_batch_size(global_batch_size)
    return [slice(start, start + size) for start in range(first, first + share, size)]


def on_each_replica(array: np.ndarray) -> tf.Variable:
    """Returns an array as a constant that lies once on each replica; call it in the scope.

    A tensor would lie on the first device, and be copied to the others in every step.
    """
    return tf.Variable(array, trainable=False)


def gather(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the tensors of all replicas joined along the batch; call it inside the step.

    A loss of the gathered batch is computed by every replica, so it must be divided by
    `num_replicas()`: the gradients that come back are summed over the replicas.
    """
    if num_replicas() == 1:
        return tensor
    # A tensor that comes from outside the step has no device; a worker with one replica needs it.
    own = tf.identity(tensor)
    gathered = tf.distribute.get_replica_context().all_gather(own, axis=0)
    return tf.ensure_shape(gathered, [None, *tensor.shape[1:]])  # all_gather may forget it


def mean(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the means of tensors over all replicas; call it inside the step."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def replica_seed(seed: tf.Tensor) -> tf.Tensor:
    """Returns a seed of its own for each replica, for noise that replicas must not share."""
    if num_replicas() == 1:
        return seed
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(replica, tf.int32))
