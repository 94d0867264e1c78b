"""Where the cells of a network's maps lie on its input, worked out layer by layer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from fashionsearchnet.networks.image_input import MapGeometry
from fashionsearchnet.networks.layers import ConvolutionBlock


class _Grid(NamedTuple):
    """The centre of a map's first cell and the distance of its cells, in pixels of the input."""

    first_centre: float
    cell_stride: float


def map_geometries(
    model: keras.Model, maps: Mapping[str, keras.KerasTensor]
) -> dict[str, MapGeometry]:
    """Returns where the cells of each of `maps` lie on the square input of `model`.

    A convolution or pooling of size k and stride s that pads p cells before the first one moves
    the first centre by (k - 1) / 2 - p cells of its input and makes the distance s times as
    large. Every other layer keeps the grid of its first input that has one.
    """
    grids = {id(model.inputs[0]): _Grid(0.5, 1.0)}
    for operation in model.operations:
        inputs = keras.tree.flatten(operation.input)
        known = [tensor for tensor in inputs if id(tensor) in grids]
        if known and len(operation.output.shape) == 4 and id(operation.output) not in grids:
            grid = _step(operation, grids[id(known[0])], known[0].shape[1])
            grids[id(operation.output)] = grid
    return {
        name: MapGeometry(*grids[id(tensor)], image_size=model.inputs[0].shape[1])
        for name, tensor in maps.items()
    }


def _step(operation: Any, grid: _Grid, size: int) -> _Grid:
    """Returns the grid of an operation's output from that of its input with `size` rows."""
    if isinstance(operation, ConvolutionBlock):
        operation = operation.convolution
    if isinstance(operation, keras.layers.ZeroPadding2D):
        before = operation.padding[0][0]
        return _Grid(grid.first_centre - before * grid.cell_stride, grid.cell_stride)
    if isinstance(operation, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        window = operation.kernel_size[0]
    elif isinstance(operation, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
        window = operation.pool_size[0]
    else:
        return grid
    stride = operation.strides[0]
    # TensorFlow's 'same' puts the smaller half of the padding first.
    missing = (-(-size // stride) - 1) * stride + window - size
    before = max(missing, 0) // 2 if operation.padding == "same" else 0
    shift = (window - 1) / 2 - before
    return _Grid(grid.first_centre + shift * grid.cell_stride, grid.cell_stride * stride)
