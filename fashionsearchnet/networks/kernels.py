"""Which operations a graph may use: some have no repeatable kernel on a GPU, or none in XLA.

They are faster on a CPU than the plain operations that compute the same, so they are the default.

TensorFlow computes with int32 on the host, even in a graph of a GPU: it waits for the GPU, copies
the numbers, and copies the result back. With int64 it computes on the GPU.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_for_xla = contextvars.ContextVar("for_xla", default=False)
_deterministic = False  # of all threads: each replica is traced in one of its own


@contextlib.contextmanager
def for_xla() -> Iterator[None]:
    """Holds graphs that are traced in this context to operations that XLA can compile."""
    token = _for_xla.set(True)
    try:
        yield
    finally:
        _for_xla.reset(token)


def make_deterministic() -> None:
    """Makes the operations of this process give the same numbers each time, on a GPU too."""
    global _deterministic
    tf.config.experimental.enable_op_determinism()
    _deterministic = True


def wide(tensors: Any) -> Any:
    """Returns nested tensors with int64 in place of int32, so that a GPU computes with them."""
    return tf.nest.map_structure(
        lambda tensor: tf.cast(tensor, tf.int64) if tensor.dtype == tf.int32 else tensor, tensors
    )


def plain_only() -> bool:
    """Returns whether a graph must do without operations such as `CropAndResize`.

    XLA cannot compile it, and its gradient has no deterministic kernel on a GPU: it fails there.
    """
    return _for_xla.get() or _deterministic
