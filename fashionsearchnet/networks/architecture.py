"""The facts that every network brings to be a trunk."""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import keras

from fashionsearchnet.networks.geometry import map_geometries
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry

IMAGENET = "imagenet"


class Architecture(abc.ABC):
    """A network: how it is built, where it is cut, what it sees and where its weights come from.

    Attributes:
      name: its key in the registry.
      least_size: the smallest side of its input in pixels.
      taps: its named maps; each stands with a prefix, and the last layer whose name starts with the
        prefix gives the map. Empty where only the built network knows its maps.
      default_tap: the map that a system takes by default.
      pooled_taps: the maps that `pooled_features` joins by default.
      weights_files: endings of the weights files that `load_file` reads.
    """

    name: str
    least_size: int
    taps: Mapping[str, str]
    default_tap: str
    pooled_taps: tuple[str, ...]
    weights_files: ClassVar[tuple[str, ...]] = ("*.weights.h5",)

    @abc.abstractmethod
    def build(self, image_size: int) -> keras.Model:
        """Returns the untrained network up to its last tap, for `[batch, size, size, 3]`."""

    @abc.abstractmethod
    def image_input(self, size: int) -> ImageInput:
        """Returns the input that the published weights were trained on, at another size."""

    @abc.abstractmethod
    def load_imagenet(self, model: keras.Model) -> None:
        """Sets the published ImageNet weights.

        Raises:
          FileNotFoundError: if they are not on this machine and cannot be fetched; the message
            says which file goes where.
        """

    def load_file(self, model: keras.Model, path: Path) -> list[str]:
        """Sets the weights of an existing file and returns the names of the layers set.

        Raises:
          ValueError: if the file does not fit.
        """
        if path.suffix != ".h5":
            raise ValueError(
                f"pretrained weights of backbone {self.name} must be "
                f"{' or '.join(self.weights_files)}; got {path}."
            )
        try:
            model.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            reason = str(error).split("\n")[0][:200]
            raise ValueError(
                f"{path} does not fit backbone {self.name} ({reason}); the file is damaged or "
                "holds another network; use the same backbone, width and normalization."
            ) from error
        return [layer.name for layer in model.layers if layer.weights]

    def maps(self, model: keras.Model) -> dict[str, keras.KerasTensor]:
        """Returns the map of every tap of a network from `build`."""
        return {
            tap: [layer for layer in model.layers if layer.name.startswith(prefix)][-1].output
            for tap, prefix in self.taps.items()
        }

    def geometries(
        self, model: keras.Model, maps: Mapping[str, keras.KerasTensor]
    ) -> dict[str, MapGeometry]:
        """Returns where the cells of each map lie on the input."""
        return map_geometries(model, maps)
