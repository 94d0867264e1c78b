"""Two levels of a trunk on one grid, and the rest of it above its tap.

AG-MAN [Xiao24] joins the map at the tap with the map of half its stride, and classifies with what
the network has above the tap.
"""

import keras
import tensorflow as tf

from fashionsearchnet.networks.backbones import Backbone, cut_network
from fashionsearchnet.networks.image_input import MapGeometry

_WINDOW, _STRIDE = 3, 2  # of the max-pooling that brings the lower map to the grid of the upper one


class AlignedMaxPooling(keras.layers.Layer):
    """Max-pooling 3x3 of stride 2 whose cells lie where those of another map lie.

    Networks pad in different ways, so the cells before the first row are chosen by geometry: for
    ResNet-50 this is the published pooling with one padded cell.
    """

    def __init__(self, before: int, size: int, **kwargs):
        """Prepares the layer.

        Args:
          before: cells padded before the first row and column.
          size: rows and columns of the result.
        """
        super().__init__(**kwargs)
        self._before, self._size = before, size

    def call(self, maps: tf.Tensor) -> tf.Tensor:
        """Returns `[B, size, size, channels]` of `[B, h, w, channels]`."""
        needed = (self._size - 1) * _STRIDE + _WINDOW
        after = max(needed - self._before - maps.shape[1], 0)
        around = [self._before, after]
        lowest = maps.dtype.min  # a padded cell never is the maximum
        padded = tf.pad(maps, [[0, 0], around, around, [0, 0]], constant_values=lowest)
        return tf.nn.max_pool2d(padded[:, :needed, :needed], _WINDOW, _STRIDE, "VALID")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self._size, self._size, input_shape[-1])


def lower_tap(backbone: Backbone) -> str:
    """Returns the last tap whose cells are half as far apart as those of the trunk's map.

    Raises:
      ValueError: if the network has no such tap.
    """
    wanted = backbone.geometry.cell_stride / _STRIDE
    found = [name for name, grid in backbone.geometries.items() if grid.cell_stride == wanted]
    if not found:
        strides = ", ".join(f"{n} {grid.cell_stride:g}" for n, grid in backbone.geometries.items())
        raise ValueError(
            f"the multi-level embedding joins the trunk's map, whose cells are "
            f"{backbone.geometry.cell_stride:g} pixels apart, with one of {wanted:g}, which "
            f"{backbone.trunk.backbone} does not have (pixels by tap: {strides}). Use another "
            "--trunk_tap or --backbone, or a --variant without the multi-level embedding."
        )
    return found[-1]


def two_levels(backbone: Backbone) -> keras.Model:
    """Returns a model of the pooled lower map and the trunk's map, channels side by side.

    The model shares its weights with the backbone.

    Returns:
      a model from float `[B, size, size, 3]` to `[B, h, w, lower channels + channels]`.

    Raises:
      ValueError: see `lower_tap`.
    """
    name = lower_tap(backbone)
    upper = backbone.model.output
    pooling = AlignedMaxPooling(
        _cells_before(backbone.geometries[name], backbone.geometry),
        upper.shape[1],
        name="lower_level",
    )
    joined = keras.layers.Concatenate(name="levels")([pooling(backbone.maps[name]), upper])
    return cut_network(backbone.network, joined, backbone.trunk, "two_levels")


def above_tap(backbone: Backbone) -> keras.Model | None:
    """Returns what the network has above the trunk's map; None if that is its last one.

    The model shares its weights with the backbone, and is trained as the trunk is.

    Returns:
      a model from `[B, h, w, channels]` of the tap to the last tap's map.
    """
    last = list(backbone.maps.values())[-1]
    tap = backbone.model.output
    if last is tap:
        return None
    return cut_network(backbone.network, last, backbone.trunk, "above_tap", start=tap)


def _cells_before(lower: MapGeometry, upper: MapGeometry) -> int:
    """Returns how many cells to pad, so that the pooled cells lie on those of the upper map."""
    shift = (upper.first_centre - lower.first_centre) / lower.cell_stride
    return min(max(round((_WINDOW - 1) / 2 - shift), 0), _WINDOW - 1)
