"""Presets of KerasHub as trunks: backbones of images that give maps or patch tokens."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import keras
import numpy as np

from fashionsearchnet.networks.architecture import Architecture
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry

PREFIX = "hub:"
_OUTPUT = "output"


class HubPreset(Architecture):
    """A preset of KerasHub, or a folder that `save_to_preset` wrote.

    Its taps are the backbone's pyramid, if it has one, and 'output'. Its published weights are
    those of the preset, whatever data they were trained on.
    """

    least_size = 32
    taps: Mapping[str, str] = {}
    default_tap = _OUTPUT
    pooled_taps = (_OUTPUT,)

    def __init__(self, preset: str):
        """Names the preset; nothing is read yet."""
        self.name = f"{PREFIX}{preset}"
        self._preset = preset

    def build(self, image_size: int) -> keras.Model:
        return self._build(image_size, load_weights=False)

    def image_input(self, size: int) -> ImageInput:
        converter = self._from_preset(_keras_hub().layers.ImageConverter)
        # The converter computes pixel * scale + offset.
        scale, offset = (
            np.broadcast_to(given if given is not None else default, 3).astype(float)
            for given, default in ((converter.scale, 1.0), (converter.offset, 0.0))
        )
        return ImageInput(size, mean=tuple(-offset / scale), scale=tuple(1.0 / scale))

    def load_imagenet(self, model: keras.Model) -> None:
        trained = self._build(model.inputs[0].shape[1], load_weights=True)
        model.set_weights(trained.get_weights())

    def maps(self, model: keras.Model) -> dict[str, keras.KerasTensor]:
        pyramid = getattr(model, "pyramid_outputs", {})  # only some backbones of KerasHub have one
        found = {**pyramid, _OUTPUT: model.output}
        if not all(isinstance(tensor, keras.KerasTensor) for tensor in found.values()):
            raise ValueError(
                f"backbone {self.name} gives no map of an image: it is no image trunk."
            )
        return {name: self._as_map(model, tensor) for name, tensor in found.items()}

    def geometries(
        self, model: keras.Model, maps: Mapping[str, keras.KerasTensor]
    ) -> dict[str, MapGeometry]:
        """Takes the cells to divide the image evenly, as patches do; others lie nearly so."""
        size = model.inputs[0].shape[1]
        strides = {name: size / tensor.shape[1] for name, tensor in maps.items()}
        return {name: MapGeometry(stride / 2, stride, size) for name, stride in strides.items()}

    def _as_map(self, model: keras.Model, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """Returns a map as it is, and tokens `[batch, tokens, dim]` as the map of their patches."""
        if len(tensor.shape) == 4:
            return tensor
        patch = model.get_config().get("patch_size")
        if len(tensor.shape) != 3 or patch is None:
            raise ValueError(f"backbone {self.name} gives {tensor.shape}, neither map nor patches.")
        side = model.inputs[0].shape[1] // int(np.max(patch))
        # Tokens of no patch (class, registers) come first. [B, T, D] -> [B, side, side, D]
        patches = tensor[:, tensor.shape[1] - side * side :]
        return keras.layers.Reshape((side, side, tensor.shape[2]))(patches)

    def _build(self, image_size: int, load_weights: bool) -> keras.Model:
        return self._from_preset(
            _keras_hub().models.Backbone,
            load_weights=load_weights,
            image_shape=(image_size, image_size, 3),
        )

    def _from_preset(self, kind: Any, **arguments: Any) -> Any:
        try:
            return kind.from_preset(self._preset, **arguments)
        except Exception as error:  # KerasHub and its download clients share no narrower one
            raise FileNotFoundError(
                f"preset {self._preset} cannot be read ({str(error).splitlines()[0]}); download "
                "its folder where there is a network and name it: hub:/path/to/folder."
            ) from error


def _keras_hub() -> ModuleType:
    """Returns the package keras_hub, which only these trunks need."""
    try:
        import keras_hub
    except ImportError as error:
        raise ValueError(
            "a hub: backbone needs keras-hub; run `pip install 'fashionsearchnet[hub]'`."
        ) from error
    return keras_hub
