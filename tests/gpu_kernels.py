"""Finds the operations of a graph that TensorFlow has no GPU kernel for; needs no GPU.

TensorFlow's builds for Linux register the kernels for GPUs on every machine. Soft placement sends
an operation without one to the CPU and copies its inputs and outputs, in silence.

Some kernels for GPUs read from the host's memory, such as all arithmetic of int32. Where a GPU has
computed or holds what they read, the host waits for the GPU and copies it.
"""

from collections.abc import Collection, Iterator
from functools import cache

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import kernels, op_def_registry
from tensorflow.python.framework.convert_to_constants import _run_inline_graph_optimization

# TensorFlow replaces these by the graphs that they call.
_CALLS = {"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"}
_CALLS |= {"PartitionedCall", "StatefulPartitionedCall"}
# Encoded images are decoded and resized on the CPU, by design; so are checks of arguments.
_ON_CPU = {"DecodeImage", "ScaleAndTranslate", "Assert"}
_TEXT = {tf.string.as_datatype_enum}
_ON_DEVICE = {"IteratorGetNext", "ReadVariableOp"}  # what they give lies on the device
# The host knows shapes; and it must know whether a loop goes on, so that it waits for a number.
_KNOWN_TO_HOST = {"Shape", "ShapeN", "Size", "Rank", "LoopCond"}


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
    return bool(_fitting_kernels(node))


def _fitting_kernels(node: NodeDef) -> list[set[str]]:
    """The arguments in the host's memory of each GPU kernel that takes the types of a node."""
    types = dict(_types(node))
    return [
        host
        for constraints, host in _gpu_kernels(node.op)
        if all(name not in types or types[name] in allowed for name, allowed in constraints)
    ]


@cache
def _gpu_kernels(op: str) -> list[tuple[list[tuple[str, list[int]]], set[str]]]:
    """The type constraints of each GPU kernel of an operation, and its arguments on the host."""
    return [
        (
            [(each.name, list(each.allowed_values.list.type)) for each in kernel.constraint],
            set(kernel.host_memory_arg),
        )
        for kernel in kernels.get_registered_kernels_for_op(op).kernel
        if kernel.device_type in ("GPU", "DEFAULT")
    ]


def read_by_host(function: tf.types.experimental.ConcreteFunction) -> list[str]:
    """What makes the host wait for a GPU: 'op (types): name', sorted.

    Such an operation reads a tensor in the host's memory, and the tensor is a batch, a variable, or
    a result of these. The conditions of loops do so too; this function leaves them out.
    """
    graph = _run_inline_graph_optimization(function, True, True)  # with the graphs that it calls
    on_device = _on_device(graph)
    return sorted(
        _describe(node)
        for node in graph.node
        if node.op not in _KNOWN_TO_HOST | {"Switch"} and _host_inputs(node) & on_device
    )


def _on_device(graph: GraphDef) -> set[str]:
    """The nodes whose outputs come from batches or variables, by name."""
    found = {node.name for node in graph.node if node.op in _ON_DEVICE}
    number = 0
    while len(found) > number:  # loops lead back to earlier nodes
        number = len(found)
        for node in graph.node:
            # The second input of a Switch says where the first one goes.
            inputs = _inputs(node)[:1] if node.op == "Switch" else _inputs(node)
            if node.op not in _KNOWN_TO_HOST and not found.isdisjoint(inputs):
                found.add(node.name)
    return found


def _inputs(node: NodeDef) -> list[str]:
    """The names of the nodes that a node reads."""
    return [name.partition(":")[0] for name in node.input if not name.startswith("^")]


def _host_inputs(node: NodeDef) -> set[str]:
    """The names of the nodes that a node reads in the host's memory, by each of its kernels."""
    fitting = _fitting_kernels(node)
    on_host = set.intersection(*fitting) if fitting else set()
    return {name for argument, name in _named_inputs(node, _inputs(node)) if argument in on_host}


def _named_inputs(node: NodeDef, inputs: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yields (argument, node that it comes from)."""
    remaining = iter(inputs)
    for argument in op_def_registry.get(node.op).input_arg:
        number = 1
        if argument.number_attr:
            number = node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            number = len(node.attr[argument.type_list_attr].list.type)
        for _, name in zip(range(number), remaining, strict=False):
            yield argument.name, name
