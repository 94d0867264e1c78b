"""The trunk of systems on vectors that another model computed: it hands them on."""

from collections.abc import Mapping
from pathlib import Path

import keras

from fashionsearchnet.networks.architecture import Architecture
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry

_MAP = "vector"


class VectorTrunk(Architecture):
    """A vector `[size]` as a map of one cell, so that all that reads maps or their means reads it.

    It has no weights. It is the trunk of a data set of vectors, never one of --backbone.
    """

    name = "vectors"
    least_size = 1
    taps: Mapping[str, str] = {_MAP: _MAP}
    default_tap = _MAP
    pooled_taps = (_MAP,)

    def build(self, image_size: int) -> keras.Model:
        """Returns the model from float32 `[batch, size]` to `[batch, 1, 1, size]`."""
        vectors = keras.Input((image_size,), name="vectors")
        cell = keras.layers.Reshape((1, 1, image_size), name=_MAP)(vectors)
        return keras.Model(vectors, cell, name=self.name)

    def image_input(self, size: int) -> ImageInput:
        """Raises a ValueError: the data set says which vectors it has."""
        raise self._no_weights()

    def load_imagenet(self, model: keras.Model) -> None:
        """Raises a ValueError: there are no weights."""
        raise self._no_weights()

    def load_file(self, model: keras.Model, path: Path) -> list[str]:
        """Raises a ValueError: there are no weights."""
        raise self._no_weights()

    def geometries(
        self, model: keras.Model, maps: Mapping[str, keras.KerasTensor]
    ) -> dict[str, MapGeometry]:
        """Returns one cell that is all of the input: a vector has no places."""
        size = model.inputs[0].shape[1]
        return {name: MapGeometry(size / 2, float(size), size) for name in maps}

    def _no_weights(self) -> ValueError:
        return ValueError(
            "a data set of vectors needs no pretrained network; leave --pretrained_weights and "
            "--image_input out."
        )
