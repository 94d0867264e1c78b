"""Times functions in turn, and finds what a machine can do at best."""

import contextlib
import gc
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

Call = Callable[[], tf.Tensor]  # starts work, and returns a scalar to wait for

_LONG = 0.1  # seconds: shorter calls are started several at a time, as training does on a GPU
_MOST_CALLS = 20
_MOST_ROUNDS = 50
_MULTIPLY_ADD = 2  # operations


def in_turns(calls: Sequence[Call], *, seconds: float, least_rounds: int = 3) -> list[float]:
    """Returns the median seconds of each call, timed in turn, so that noise meets all of them.

    Args:
      calls: two warm-up calls of each are not timed.
      seconds: for all rounds together.
      least_rounds: made even if they take longer.
    """
    numbers = []
    for call in calls:
        call().numpy()
        start = time.perf_counter()
        call().numpy()
        single = time.perf_counter() - start
        numbers.append(max(1, min(_MOST_CALLS, round(_LONG / single))))
    taken: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while len(taken[0]) < least_rounds or (
        time.perf_counter() < end and len(taken[0]) < _MOST_ROUNDS
    ):
        for call, number, found in zip(calls, numbers, taken, strict=True):
            start = time.perf_counter()
            for _ in range(number):
                last = call()
            last.numpy()
            found.append((time.perf_counter() - start) / number)
    return [statistics.median(found) for found in taken]


def product_peak(dtype: str, size: int, *, seconds: float) -> float:
    """Returns the operations per second of a product of two matrices `[size, size]`."""
    left = tf.random.stateless_normal([size, size], [0, 1])
    left = tf.cast(left, dtype)
    product = tf.function(lambda: tf.matmul(left, left)[0, 0], autograph=False)
    (taken,) = in_turns([product], seconds=seconds)
    return _MULTIPLY_ADD * size**3 / taken


def operations(function: tf.types.experimental.ConcreteFunction) -> int:
    """Returns the operations of all convolutions and products of matrices in a graph.

    Their shapes must be known, the batch included.
    """
    return sum(map(_operations_of, function.graph.get_operations()))


def _operations_of(operation: tf.Operation) -> int:
    """Returns two operations for each multiply-add; 0 for other kinds."""
    if operation.type == "Conv2D":
        height, width, channels, _ = operation.inputs[1].shape
        summed = height * width * channels
    elif operation.type == "DepthwiseConv2dNative":
        summed = operation.inputs[1].shape[0] * operation.inputs[1].shape[1]
    elif operation.type in ("MatMul", "BatchMatMulV2"):
        is_turned = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
        summed = operation.inputs[0].shape[-2 if is_turned else -1]
    else:
        return 0
    return _MULTIPLY_ADD * int(summed) * int(operation.outputs[0].shape.num_elements())


class PeakMemory:
    """The most memory that was in use since `start`: of the GPU, or else of the process."""

    def __init__(self) -> None:
        self._has_gpu = bool(tf.config.list_logical_devices("GPU"))

    def start(self) -> None:
        """Collects garbage and forgets the former peak."""
        gc.collect()
        if self._has_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
            return
        with contextlib.suppress(OSError):  # then it is the most since the process started
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float | None:
        """Returns the peak; None where the system does not tell it."""
        if self._has_gpu:
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 / 1e6 if found else None
