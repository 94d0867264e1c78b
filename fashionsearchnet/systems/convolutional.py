"""What the systems share that see images through a convolutional trunk."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.networks.backbones import Backbone, Trunk, build_backbone
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry
from fashionsearchnet.systems.system import System


class ConvolutionalSystem(System):
    """A system on a trunk of `networks.backbones`.

    Attributes:
      backbone: the trunk with its geometry.
      trunk: the network of the backbone: images to a map, or to the means of several maps.
    """

    def __init__(
        self,
        name: str,
        space: AttributeSpace,
        image_input: ImageInput,
        trunk: Trunk,
        arguments: Mapping[str, Any],
        *,
        view: Callable[[Backbone], keras.Model] | None = None,
        largest_stride: float | None = None,
    ):
        """Builds the trunk; a subclass builds the rest.

        Args:
          name: the key of the system.
          space: the attributes.
          image_input: what the network wants to see.
          trunk: which network the system stands on.
          arguments: the other arguments of the subclass, as JSON can hold them.
          view: what the system takes of the trunk, such as `pooled_features`; None for the map at
            its tap.
          largest_stride: see `build_backbone`.
        """
        super().__init__(name, space, image_input, {"trunk": trunk.to_dict(), **arguments})
        self.backbone = build_backbone(trunk, image_input.size, largest_stride)
        self.trunk = view(self.backbone) if view else self.backbone.model

    @property
    def map_geometry(self) -> MapGeometry | None:
        """Where the cells of the maps lie: where those of the trunk do."""
        return self.backbone.geometry if self.has_attention else None

    def image_features(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `System`: the `features_of` the trunk's outputs."""
        return self.features_of(self.trunk(images, training=False))

    def features_of(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `image_features` of what the trunk gave for the images.

        Args:
          outputs: float `[B, ...]` of the trunk.
        """
        raise NotImplementedError

    def copy_parts(self, other: "ConvolutionalSystem", *names: str) -> None:
        """Takes over the weights of the named parts of another instance, such as 'trunk'.

        Raises:
          ValueError: if a part has other variables there; nothing is taken over then.
        """
        parts = [(getattr(self, name), getattr(other, name)) for name in names]
        for name, (part, source) in zip(names, parts, strict=True):
            for mine, theirs in itertools.zip_longest(part.variables, source.variables):
                if _key(mine) != _key(theirs):
                    raise ValueError(
                        f"{name}: {_name_and_shape(theirs)} in the run to start from does not fit "
                        f"{_name_and_shape(mine)} here; use the same settings."
                    )
        for part, source in parts:
            for mine, theirs in zip(part.variables, source.variables, strict=True):
                mine.assign(theirs)


def _key(variable: keras.Variable | None) -> tuple | None:
    """What two instances share of a variable: Keras may number the layers of each differently."""
    return None if variable is None else (variable.name, *variable.shape)


def _name_and_shape(variable: keras.Variable | None) -> str:
    """The last two parts of a variable's path, and its shape."""
    if variable is None:
        return "nothing"
    return f"{'/'.join(variable.path.split('/')[-2:])} {tuple(variable.shape)}"
