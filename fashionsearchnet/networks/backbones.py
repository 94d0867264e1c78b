"""Convolutional trunks behind one interface: images in, a grid of features out.

A backbone ends where the paper's pretrained part ends, after conv4; a system puts its own new
layers (conv5 and on) behind it.
"""

import dataclasses
import functools
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry
from fashionsearchnet.networks.layers import (
    NORMALIZATIONS,
    ConvolutionBlock,
    LocalResponseNormalization,
)

APPLICATIONS = {
    "resnet50": keras.applications.ResNet50,
    "mobilenet_v2": keras.applications.MobileNetV2,
    # Its own rescaling would come on top of the subtracted means.
    "efficientnet_v2_b0": functools.partial(
        keras.applications.EfficientNetV2B0, include_preprocessing=False
    ),
}
BACKBONES = ("alexnet", *APPLICATIONS)
_NUM_HALVINGS = 5  # of the image, in each of these networks
_PRETRAINED_LAYERS = ("conv1", "conv2", "conv3", "conv4")


@dataclasses.dataclass(frozen=True)
class Trunk:
    """Which network a system stands on.

    Attributes:
      backbone: one of BACKBONES.
      width: multiplies the number of AlexNet's filters; 1 in [Ak21].
      first_stride: the stride of AlexNet's conv1; 4 in [Ak21], 2 suits images under 100 px.
      normalization: AlexNet only: 'none' (with the original response normalisation) or 'batch'.
    """

    backbone: str = "alexnet"
    width: float = 1.0
    first_stride: int = 4
    normalization: str = "none"

    def __post_init__(self) -> None:
        check_choice("backbone", self.backbone, BACKBONES)
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        if self.backbone == "alexnet":
            check_range("width", self.width, 0.05, 4.0)
            check_range("first_stride", self.first_stride, 1, 4)

    @classmethod
    def of(cls, given: "Trunk | Mapping[str, Any]") -> "Trunk":
        """Returns `given`, or the trunk that a mapping of `to_dict` describes."""
        return given if isinstance(given, Trunk) else cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes for JSON."""
        return dataclasses.asdict(self)


PAPER_TRUNK = Trunk()  # of [Ak21] Sec. 4.1
PAPER_INPUT = ImageInput(227)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """An untrained trunk and the place of its grid cells on the image.

    Attributes:
      model: maps float `[batch, image_size, image_size, 3]` to `[batch, h, w, channels]`.
      geometry: where the cells lie.
    """

    model: keras.Model
    geometry: MapGeometry


def build_backbone(trunk: Trunk, image_size: int) -> Backbone:
    """Returns an untrained backbone.

    Args:
      trunk: which network.
      image_size: side of the square input in pixels; 227 in [Ak21].

    Raises:
      ValueError: for an image too small for two poolings.
    """
    if trunk.backbone != "alexnet":
        return _application(trunk.backbone, image_size)
    stride = trunk.first_stride
    check_range("image_size", image_size, 11 + 14 * stride)
    inputs = keras.Input((image_size, image_size, 3))
    outputs = _alexnet(inputs, trunk.width, stride, trunk.normalization)
    # conv1 (11x11, valid) centres its first cell at 5.5 pixels; each valid 3x3/2 pooling moves the
    # first centre by one of its input's cells and doubles the stride.
    geometry = MapGeometry(5.5 + 3.0 * stride, 4.0 * stride, image_size)
    return Backbone(keras.Model(inputs, outputs, name="alexnet"), geometry)


def _alexnet(inputs, width: float, first_stride: int, normalization: str):
    """conv1-conv4 of AlexNet: [Krizhevsky12], one group, no pool5."""

    def block(filters: int, size: int, name: str, **kwargs) -> ConvolutionBlock:
        return ConvolutionBlock(
            max(8, round(filters * width)), size, normalization=normalization, name=name, **kwargs
        )

    def pool(features, name: str):
        if normalization == "none":
            features = LocalResponseNormalization(name=f"{name}_response")(features)
        return keras.layers.MaxPool2D(3, 2, name=name)(features)

    features = block(96, 11, "conv1", strides=first_stride, padding="valid")(inputs)
    features = pool(features, "pool1")
    features = block(256, 5, "conv2")(features)
    features = pool(features, "pool2")
    features = block(384, 3, "conv3")(features)
    return block(384, 3, "conv4")(features)


def _application(name: str, image_size: int) -> Backbone:
    """A network of keras.applications without its top, from scratch."""
    model = APPLICATIONS[name](
        include_top=False, weights=None, input_shape=(image_size, image_size, 3)
    )
    geometry = MapGeometry(_first_centre(name, image_size), 2.0**_NUM_HALVINGS, image_size)
    return Backbone(model, geometry)


def _first_centre(name: str, image_size: int) -> float:
    """Pixels from the image's edge to the first centre of a network of keras.applications.

    ResNet pads both sides alike before it strides, so its first cell is centred on the first
    pixel. The others pad as TensorFlow's 'same' does: a stride of 2 over an even size pads the
    far side only, which moves the first centre by one of its input's cells.
    """
    if name == "resnet50":
        return 0.5
    centre, size = 0.5, image_size
    for halving in range(_NUM_HALVINGS):
        centre += 2**halving * (size % 2 == 0)
        size = -(-size // 2)
    return centre


def load_pretrained(backbone: Backbone, path: str | os.PathLike[str]) -> list[str]:
    """Loads published weights into a backbone and returns the names of the layers set.

    Args:
      path: `*.weights.h5` of the same keras model, or `*.npy`: the AlexNet file that is passed
        around in the TensorFlow world, a pickled dict {layer: [kernel, bias]} for BGR images with
        conv2 and conv4 in two groups. BGR is turned into RGB, and two groups become one kernel
        with zeros between the groups, which computes the same.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file does not fit the backbone.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"pretrained weights {path} do not exist; check the path.")
    if path.suffix == ".h5":
        _load_keras_weights(backbone.model, path)
        return [layer.name for layer in backbone.model.layers if layer.weights]
    if path.suffix != ".npy" or backbone.model.name != "alexnet":
        raise ValueError(
            f"pretrained weights must be *.weights.h5, or *.npy for backbone alexnet; got {path} "
            f"for backbone {backbone.model.name}."
        )
    try:
        # A pickle can run code: only load a file that you trust. The format leaves no choice.
        layers = np.load(path, allow_pickle=True, encoding="latin1").item()
        if not isinstance(layers, dict):
            raise ValueError(f"it holds a {type(layers).__name__}")
    except (ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a pickled dict of layers ({error}).") from error
    for name in _PRETRAINED_LAYERS:
        _set_convolution(backbone.model.get_layer(name).convolution, layers, name, path)
    return list(_PRETRAINED_LAYERS)


def _load_keras_weights(model: keras.Model, path: Path) -> None:
    """Loads a Keras weights file, or raises a ValueError that names it."""
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).split("\n")[0][:200]
        raise ValueError(
            f"{path} does not fit backbone {model.name} ({reason}); it is damaged, or was made "
            "with other settings (backbone, width, normalization)."
        ) from error


def _set_convolution(convolution, layers: dict, name: str, path: Path) -> None:
    """Sets one convolution from the published file, after checking its shape."""
    if name not in layers:
        raise ValueError(f"{path} has no layer {name!r}; it has {', '.join(sorted(layers))}.")
    if not convolution.use_bias:
        raise ValueError(
            f"{path} is for the original AlexNet; pass normalization=none to load it "
            "(batch normalisation has no bias)."
        )
    kernel, bias = (np.asarray(part, np.float32) for part in layers[name])
    wanted = tuple(convolution.kernel.shape)
    kernel = _ungroup(kernel, wanted[2])
    if name == "conv1":
        kernel = kernel[:, :, ::-1]  # BGR -> RGB
    if kernel.shape != wanted or bias.shape != wanted[-1:]:
        raise ValueError(
            f"{path}: {name} has kernel {kernel.shape} and bias {bias.shape}, the model wants "
            f"{wanted}; pretrained weights need width=1."
        )
    convolution.kernel.assign(kernel)
    convolution.bias.assign(bias)


def _ungroup(kernel: np.ndarray, in_channels: int) -> np.ndarray:
    """Returns the kernel of one group that computes the same as `kernel` in several."""
    groups, rest = divmod(in_channels, kernel.shape[2])
    if rest or groups < 2 or kernel.shape[3] % groups:
        return kernel
    whole = np.zeros((*kernel.shape[:2], in_channels, kernel.shape[3]), np.float32)
    ins, outs = kernel.shape[2], kernel.shape[3] // groups
    for g in range(groups):
        block = kernel[..., g * outs : (g + 1) * outs]
        whole[:, :, g * ins : (g + 1) * ins, g * outs : (g + 1) * outs] = block
    return whole
