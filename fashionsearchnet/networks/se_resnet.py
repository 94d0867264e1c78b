"""SE-ResNet-50 and SE-ResNeXt-50 (32x4d), built here: no Keras library that is kept has them.

[Hu18] J. Hu, L. Shen, G. Sun: Squeeze-and-Excitation Networks, CVPR 2018. [Xie17] S. Xie et al.:
Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017. The stem is one 7x7
convolution, and a block strides in its 3x3 convolution. Nobody publishes ImageNet weights for
Keras. timm's PyTorch files, seresnet50 and seresnext50_32x4d, can be loaded.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from fashionsearchnet.networks.architecture import Architecture
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import FusedBatchNormalization
from fashionsearchnet.networks.torch_file import in_keras_layout, read_tensors

_REDUCTION = 16  # of [Hu18]
_REPEATS = (3, 4, 6, 3)  # blocks of each stage
_CHANNELS = (256, 512, 1024, 2048)  # that a stage gives
_NORMALIZATION = functools.partial(FusedBatchNormalization, momentum=0.9, epsilon=1e-5)
_STATISTICS = ("weight", "bias", "running_mean", "running_var")


class SEResNet(Architecture):
    """A ResNet of 50 layers whose blocks weigh their channels by squeeze-and-excitation."""

    least_size = 32
    taps: Mapping[str, str] = {f"layer{i}": f"layer{i}_" for i in range(1, 5)}
    default_tap = "layer4"
    pooled_taps = ("layer1", "layer3", "layer4")
    weights_files = ("*.pth", "*.weights.h5")

    def __init__(self, name: str, timm_name: str, width: int, groups: int):
        """Describes one network.

        Args:
          name: its key.
          timm_name: of the network in timm, whose files fit it.
          width: channels of the 3x3 convolutions of the first stage; twice as many in the next.
          groups: of the 3x3 convolutions; 1 for ResNet, 32 for ResNeXt.
        """
        self.name, self._timm_name = name, timm_name
        self._width, self._groups = width, groups

    def build(self, image_size: int) -> keras.Model:
        inputs = keras.Input((image_size, image_size, 3))
        features = _convolution(inputs, "stem", 64, 7, stride=2)
        features = keras.layers.ZeroPadding2D(1, name="pool_padding")(features)
        features = keras.layers.MaxPooling2D(3, 2, name="pool")(features)
        for stage, (repeats, channels) in enumerate(zip(_REPEATS, _CHANNELS, strict=True)):
            for repeat in range(repeats):
                stride = 2 if stage and not repeat else 1
                name = f"layer{stage + 1}_block{repeat + 1}"
                width = self._width * 2**stage
                features = self._block(features, name, width, channels, stride, not repeat)
        return keras.Model(inputs, features, name=self.name)

    def _block(self, inputs, name: str, width: int, channels: int, stride: int, is_first: bool):
        """A bottleneck; the first one of a stage brings the skip to its shape."""
        features = _convolution(inputs, f"{name}_reduce", width, 1)
        features = _convolution(features, f"{name}_spatial", width, 3, stride, self._groups)
        features = _convolution(features, f"{name}_expand", channels, 1, relu=False)
        features = _excite(features, f"{name}_se", channels)
        if is_first:
            inputs = _convolution(inputs, f"{name}_skip", channels, 1, stride, relu=False)
        joined = keras.layers.Add(name=f"{name}_add")([inputs, features])
        return keras.layers.ReLU(name=f"{name}_relu")(joined)

    def image_input(self, size: int) -> ImageInput:
        return ImageInput(
            size,
            mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
            scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        )

    def load_imagenet(self, model: keras.Model) -> None:
        raise FileNotFoundError(
            f"nobody publishes ImageNet weights of {self.name} for Keras. Give a file to "
            f"--pretrained_weights: the .pth of timm's {self._timm_name}, which you save where "
            "PyTorch is by torch.save(model.state_dict(), path), or a *.weights.h5."
        )

    def load_file(self, model: keras.Model, path: Path) -> list[str]:
        if path.suffix != ".pth":
            return super().load_file(model, path)
        tensors = read_tensors(path)
        try:
            values = _layer_values(model, tensors)
        except ValueError as error:
            raise ValueError(f"{path} is not timm's {self._timm_name}: {error}.") from error
        for layer, arrays in values.items():
            model.get_layer(layer).set_weights(arrays)
        return list(values)


SE_RESNETS: Mapping[str, SEResNet] = {
    network.name: network
    for network in (
        SEResNet("se_resnet50", "seresnet50", width=64, groups=1),
        SEResNet("se_resnext50_32x4d", "seresnext50_32x4d", width=128, groups=32),
    )
}


def _convolution(
    inputs, name: str, filters: int, kernel: int, stride: int = 1, groups: int = 1, relu=True
):
    """A convolution without bias that pads both sides alike, batch normalisation, and ReLU."""
    features = inputs
    if kernel > 1:
        features = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_padding")(features)
    features = keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        groups=groups,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_convolution",
    )(features)
    features = _NORMALIZATION(name=f"{name}_normalization")(features)
    return keras.layers.ReLU(name=f"{name}_relu")(features) if relu else features


def _excite(features, name: str, channels: int):
    """[Hu18] Eq. 2-4: the means of all channels decide how much of each passes."""
    means = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(features)
    hidden = keras.layers.Dense(channels // _REDUCTION, "relu", name=f"{name}_fc1")(means)
    shares = keras.layers.Dense(channels, "sigmoid", name=f"{name}_fc2")(hidden)
    return keras.layers.Multiply(name=f"{name}_scale")([features, shares])


def _layer_values(
    model: keras.Model, tensors: Mapping[str, np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """Returns the weights of each layer of `model`; a ValueError says what does not fit."""
    names = {layer.name: _torch_names(layer.name) for layer in model.layers if layer.weights}
    used = {name for layer_names in names.values() for name in layer_names}
    for name in tensors:
        # The classifier is left out, and PyTorch alone counts batches.
        if name not in used and not name.startswith("fc.") and "num_batches" not in name:
            raise ValueError(f"it has {name}, which is no part of it")
    return {
        layer: [
            in_keras_layout(_squeezed(tensors.get(name), name), name, tuple(variable.shape))
            for name, variable in zip(layer_names, model.get_layer(layer).weights, strict=True)
        ]
        for layer, layer_names in names.items()
    }


def _squeezed(found: np.ndarray | None, name: str) -> np.ndarray | None:
    """Returns the kernel of a squeeze-and-excitation, which PyTorch holds as a 1x1 convolution."""
    if found is not None and ".se.fc" in name and found.shape[2:] == (1, 1):
        return found[:, :, 0, 0]
    return found


def _torch_names(layer: str) -> tuple[str, ...]:
    """Returns the names that timm gives to the weights of a layer."""
    place, _, kind = layer.rpartition("_")
    if place == "stem":
        prefix, convolution, normalization = "", "conv1", "bn1"
    else:
        stage, block, part = place.split("_")
        prefix = f"{stage}.{int(block.removeprefix('block')) - 1}."
        if part == "se":
            return f"{prefix}se.{kind}.weight", f"{prefix}se.{kind}.bias"
        number = ("reduce", "spatial", "expand", "skip").index(part) + 1
        convolution, normalization = f"conv{number}", f"bn{number}"
        if part == "skip":
            convolution, normalization = "downsample.0", "downsample.1"
    if kind == "convolution":
        return (f"{prefix}{convolution}.weight",)
    return tuple(f"{prefix}{normalization}.{name}" for name in _STATISTICS)
