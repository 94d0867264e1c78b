"""Convolutional trunks behind one interface: images in, grids of features out.

A backbone ends at a tap. AlexNet's is where the pretrained part of [Ak21] ends, after conv4; a
system puts its own new layers (conv5 and on) behind it.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.choices import BACKBONES, NORMALIZATIONS, TRUNK_TRAINING
from fashionsearchnet.networks import hub
from fashionsearchnet.networks.alexnet import AlexNet
from fashionsearchnet.networks.applications import APPLICATIONS
from fashionsearchnet.networks.architecture import IMAGENET, Architecture
from fashionsearchnet.networks.efficientnet_lite import EFFICIENTNET_LITES
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry
from fashionsearchnet.networks.se_resnet import SE_RESNETS
from fashionsearchnet.networks.vector_trunk import VectorTrunk

NOT_PRETRAINED = "none"


@dataclasses.dataclass(frozen=True)
class Trunk:
    """Which network a system stands on.

    Attributes:
      backbone: one of BACKBONES, or 'hub:' and a preset of KerasHub, or 'vectors' for vectors that
        another model computed.
      width: multiplies the number of AlexNet's filters; 1 in [Ak21].
      first_stride: the stride of AlexNet's conv1; 4 in [Ak21], 2 suits images under 100 px.
      normalization: AlexNet only: 'none' (with the original response normalisation) or 'batch'.
      pretrained: the weights it starts from: 'none', 'imagenet' or the path of a file. Building
        a trunk reads no weights; `load_pretrained` does.
      tap: the map that it gives; '' for the network's default.
      pooled_taps: the maps whose means `pooled_features` joins; () for the network's default.
      training: how a stage trains it; a key of TRUNK_TRAINING.
    """

    backbone: str = "alexnet"
    width: float = 1.0
    first_stride: int = 4
    normalization: str = "none"
    pretrained: str = NOT_PRETRAINED
    tap: str = ""
    pooled_taps: tuple[str, ...] = ()
    training: str = "full"

    def __post_init__(self) -> None:
        if not self.backbone.startswith(hub.PREFIX) and self.backbone != VectorTrunk.name:
            check_choice("backbone", self.backbone, BACKBONES)
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_choice("training of the trunk", self.training, TRUNK_TRAINING)
        if not self.pretrained:
            raise ValueError("pretrained must be none, imagenet or the path of a file; got ''.")
        if self.backbone == AlexNet.name:
            check_range("width", self.width, 0.05, 4.0)
            check_range("first_stride", self.first_stride, 1, 4)
        object.__setattr__(self, "pooled_taps", tuple(self.pooled_taps))  # a list in JSON
        known = self.architecture.taps
        for tap in (self.tap, *self.pooled_taps):
            if known and tap:
                check_choice(f"tap of {self.backbone}", tap, known)

    @classmethod
    def of(cls, given: "Trunk | Mapping[str, Any]") -> "Trunk":
        """Returns `given`, or the trunk that a mapping of `to_dict` describes."""
        return given if isinstance(given, Trunk) else cls(**given)

    @property
    def architecture(self) -> Architecture:
        """The network's build, taps, input and weights."""
        if self.backbone.startswith(hub.PREFIX):
            return hub.HubPreset(self.backbone.removeprefix(hub.PREFIX))
        if self.backbone == VectorTrunk.name:
            return VectorTrunk()
        if self.backbone == AlexNet.name:
            return AlexNet(self.width, self.first_stride, self.normalization)
        if self.backbone in EFFICIENTNET_LITES:
            return EFFICIENTNET_LITES[self.backbone]
        if self.backbone in SE_RESNETS:
            return SE_RESNETS[self.backbone]
        return APPLICATIONS[self.backbone]

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes for JSON."""
        return {**dataclasses.asdict(self), "pooled_taps": list(self.pooled_taps)}


PAPER_TRUNK = Trunk()  # of [Ak21] Sec. 4.1
PAPER_INPUT = ImageInput(227)
VECTOR_TRUNK = Trunk(VectorTrunk.name, training="frozen")


@dataclasses.dataclass(frozen=True)
class Backbone:
    """An untrained trunk and the place of its grid cells on the image.

    Attributes:
      trunk: what it was built from.
      model: maps float `[batch, image_size, image_size, 3]` to the tap's `[batch, h, w, channels]`.
      geometry: where the cells of that map lie.
      network: the whole network. `model` is its part up to the tap; they share weights.
      maps: the network's map at every tap, as symbolic tensors.
      geometries: where the cells of each map lie.
    """

    trunk: Trunk
    model: keras.Model
    geometry: MapGeometry
    network: keras.Model
    maps: Mapping[str, keras.KerasTensor]
    geometries: Mapping[str, MapGeometry]


class FixedStatistics(keras.Model):
    """A functional model that always infers: batch norm keeps its statistics while weights learn.

    A frozen layer of Keras does so by itself; a layer that learns follows the statistics of its
    batches, and small batches of photos that are alike spoil those of a pretrained network.
    """

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False, mask=mask)


def build_backbone(trunk: Trunk, image_size: int, largest_stride: float | None = None) -> Backbone:
    """Returns an untrained backbone.

    Args:
      trunk: which network.
      image_size: side of the square input in pixels; 227 in [Ak21].
      largest_stride: a trunk that names no tap gives the last map whose cells are at most so many
        pixels apart; None for the network's default map.

    Raises:
      ValueError: for an image too small for the network.
    """
    architecture = trunk.architecture
    _check_size(architecture, image_size)
    network = architecture.build(image_size)
    maps = architecture.maps(network)
    geometries = architecture.geometries(network, maps)
    tap = trunk.tap or architecture.default_tap
    if largest_stride is not None and not trunk.tap:
        fine = [name for name, each in geometries.items() if each.cell_stride <= largest_stride]
        tap = fine[-1] if fine else tap
    check_choice(f"tap of {trunk.backbone}", tap, maps)
    network.trainable = trunk.training != "frozen"
    is_whole = maps[tap] is network.output and trunk.training == "full"
    model = network if is_whole else cut_network(network, maps[tap], trunk, network.name)
    return Backbone(trunk, model, geometries[tap], network, maps, geometries)


def pooled_features(backbone: Backbone, names: Sequence[str] = ()) -> keras.Model:
    """Returns a model of the global means of one or several maps, side by side.

    Colour lives in low maps and kinds of garments in high ones, so several levels say more than
    the last one. The model shares its weights with the backbone.

    Args:
      backbone: the trunk.
      names: taps in the order of their numbers; by default those of the trunk, or else those of
        its network.

    Returns:
      a model from float `[batch, image_size, image_size, 3]` to float32 `[batch, numbers]`.
    """
    chosen = names or backbone.trunk.pooled_taps or backbone.trunk.architecture.pooled_taps
    for name in chosen:
        check_choice(f"tap of {backbone.trunk.backbone}", name, backbone.maps)
    means = [
        keras.layers.GlobalAveragePooling2D(name=f"{name}_mean", dtype="float32")(
            backbone.maps[name]
        )
        for name in chosen
    ]
    join = keras.layers.Concatenate(name="means", dtype="float32")
    joined = means[0] if len(means) == 1 else join(means)
    return cut_network(backbone.network, joined, backbone.trunk, "pooled_features")


def cut_network(
    network: keras.Model,
    output: keras.KerasTensor,
    trunk: Trunk,
    name: str,
    start: keras.KerasTensor | None = None,
) -> keras.Model:
    """Returns a part of a network, which shares its weights and is trained as the trunk says.

    Args:
      network: of a backbone.
      output: where the part ends.
      trunk: which network that is.
      name: of the part.
      start: where it begins; None for the network's input.
    """
    kind = keras.Model if trunk.training == "full" else FixedStatistics
    model = kind(network.inputs[0] if start is None else start, output, name=name)
    model.trainable = network.trainable
    return model


def _check_size(architecture: Architecture, image_size: int) -> None:
    """Raises a ValueError for an image below the least that the network takes."""
    if image_size < architecture.least_size:
        raise ValueError(
            f"image_size must be at least {architecture.least_size} for backbone "
            f"{architecture.name}; got {image_size}."
        )


def pretrained_input(trunk: Trunk, size: int) -> ImageInput:
    """Returns the input that the trunk's pretrained weights were trained on, at a size in pixels.

    Raises:
      ValueError: for a size below the network's least, or a trunk that is not pretrained.
    """
    if trunk.pretrained == NOT_PRETRAINED:
        raise ValueError(
            f"trunk {trunk.backbone} is not pretrained, so no weights say what it sees; use the "
            "means of the data set."
        )
    architecture = trunk.architecture
    _check_size(architecture, size)
    return architecture.image_input(size)


def load_pretrained(backbone: Backbone, source: str | os.PathLike[str]) -> list[str]:
    """Loads published weights into a backbone and returns the names of the layers set.

    Args:
      backbone: the trunk; the maps above its tap get their weights too.
      source: 'imagenet', or the path of a file: `*.weights.h5` of the whole network, the `*.npy`
        of AlexNet, the `*.pth` of an EfficientNet-Lite or of an SE-ResNet.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file does not fit the backbone.
    """
    architecture = backbone.trunk.architecture
    if source == IMAGENET:
        architecture.load_imagenet(backbone.network)
        return [layer.name for layer in backbone.network.layers if layer.weights]
    path = Path(source).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"pretrained weights {path} do not exist; check the path.")
    return architecture.load_file(backbone.network, path)
