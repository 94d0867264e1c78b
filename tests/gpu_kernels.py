"""Finds the operations of a graph that TensorFlow has no GPU kernel for; needs no GPU.

TensorFlow's builds for Linux register the kernels for GPUs on every machine. Soft placement sends
an operation without one to the CPU and copies its inputs and outputs, in silence.
"""

from collections.abc import Iterator
from functools import cache

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import kernels

# TensorFlow replaces these by the graphs that they call.
_CALLS = {"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"}
_CALLS |= {"PartitionedCall", "StatefulPartitionedCall"}
# Encoded images are decoded and resized on the CPU, by design; so are checks of arguments.
_ON_CPU = {"DecodeImage", "ScaleAndTranslate", "Assert"}
_TEXT = {tf.string.as_datatype_enum}


def without_kernel(function: tf.types.experimental.ConcreteFunction) -> list[str]:
    """What a GPU cannot run of a function and of all that it calls: 'op (types): name', sorted."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node]
    for called in graph.library.function:
        nodes += called.node_def
    return sorted({_describe(node) for node in nodes if not _runs_on_gpu(node)})


def _describe(node: NodeDef) -> str:
    types = {name: tf.as_dtype(value).name for name, value in _types(node)}
    return f"{node.op} {types}: {node.name}"


def _types(node: NodeDef) -> Iterator[tuple[str, int]]:
    """The type attributes of a node, by name."""
    for name, value in node.attr.items():
        if value.WhichOneof("value") == "type":
            yield name, value.type


def _runs_on_gpu(node: NodeDef) -> bool:
    types = dict(_types(node))
    if "CPU" in node.device:  # placed there on purpose
        return True
    if node.op in _CALLS | _ON_CPU or _TEXT & set(types.values()):
        return True
    return any(
        all(name not in types or types[name] in allowed for name, allowed in constraints)
        for constraints in _gpu_kernels(node.op)
    )


@cache
def _gpu_kernels(op: str) -> list[list[tuple[str, list[int]]]]:
    """The type constraints of each GPU kernel of an operation."""
    return [
        [(each.name, list(each.allowed_values.list.type)) for each in kernel.constraint]
        for kernel in kernels.get_registered_kernels_for_op(op).kernel
        if kernel.device_type in ("GPU", "DEFAULT")
    ]
