"""AlexNet up to conv4 [Krizhevsky12], where the pretrained part of [Ak21] ends."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np

from fashionsearchnet.networks.architecture import Architecture
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import ConvolutionBlock, LocalResponseNormalization
from fashionsearchnet.networks.safe_pickle import SafeUnpickler

_PRETRAINED_LAYERS = ("conv1", "conv2", "conv3", "conv4")
_reconstruct = np.empty(0).__reduce__()[0]  # how NumPy pickles an array


class AlexNet(Architecture):
    """conv1 to conv4 of AlexNet: one group, no pool5."""

    name = "alexnet"
    taps: Mapping[str, str] = {"conv2": "conv2", "conv4": "conv4"}
    default_tap = "conv4"
    pooled_taps = ("conv4",)
    weights_files = ("*.weights.h5", "*.npy")

    def __init__(self, width: float = 1.0, first_stride: int = 4, normalization: str = "none"):
        """See `backbones.Trunk` for the arguments."""
        self._width = width
        self._first_stride = first_stride
        self._normalization = normalization
        self.least_size = 11 + 14 * first_stride  # one cell after both poolings, and its like

    def build(self, image_size: int) -> keras.Model:
        inputs = keras.Input((image_size, image_size, 3))
        features = self._block(96, 11, "conv1", strides=self._first_stride, padding="valid")(inputs)
        features = self._pool(features, "pool1")
        features = self._block(256, 5, "conv2")(features)
        features = self._pool(features, "pool2")
        features = self._block(384, 3, "conv3")(features)
        return keras.Model(inputs, self._block(384, 3, "conv4")(features), name=self.name)

    def _block(self, filters: int, size: int, name: str, **kwargs) -> ConvolutionBlock:
        filters = max(8, round(filters * self._width))
        return ConvolutionBlock(
            filters, size, normalization=self._normalization, name=name, **kwargs
        )

    def _pool(self, features, name: str):
        if self._normalization == "none":
            features = LocalResponseNormalization(name=f"{name}_response")(features)
        return keras.layers.MaxPool2D(3, 2, name=name)(features)

    def image_input(self, size: int) -> ImageInput:
        """Returns the input of the published weights, whose BGR kernels are turned into RGB.

        A *.weights.h5 does not say which means it was trained on; ImageNet's stand for them.
        """
        return ImageInput(size, mean=(122.679, 116.669, 104.007))

    def load_imagenet(self, model: keras.Model) -> None:
        raise FileNotFoundError(
            "no package brings the ImageNet weights of alexnet; give the path of "
            "bvlc_alexnet.npy in place of 'imagenet'."
        )

    def load_file(self, model: keras.Model, path: Path) -> list[str]:
        """Sets weights; a *.npy is the AlexNet file that is passed around in the TensorFlow world.

        That is a pickled dict {layer: [kernel, bias]} for BGR images with conv2 and conv4 in two
        groups. BGR is turned into RGB, and two groups become one kernel with zeros between the
        groups, which computes the same.
        """
        if path.suffix != ".npy":
            return super().load_file(model, path)
        layers = _read_layers(path)
        convolutions = {name: model.get_layer(name).convolution for name in _PRETRAINED_LAYERS}
        values = {
            name: _published_values(convolution, layers, name, path)
            for name, convolution in convolutions.items()
        }
        for name, convolution in convolutions.items():
            convolution.set_weights(values[name])
        return list(_PRETRAINED_LAYERS)


def _read_layers(path: Path) -> dict:
    """Returns the layers of the published file."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"it has version {version} of the format")
            np.lib.format.read_array_header_1_0(file)
            layers = _ArrayUnpickler(file, encoding="latin1").load().item()
        if not isinstance(layers, dict):
            raise ValueError(f"it holds a {type(layers).__name__}")
    except Exception as error:  # a damaged pickle can fail in any way
        raise ValueError(f"{path} is not a pickled dict of layers ({error}).") from error
    return layers


class _ArrayUnpickler(SafeUnpickler):
    """An unpickler of NumPy arrays."""

    allowed: ClassVar = {
        "_codecs.encode": codecs.encode,
        "numpy.dtype": np.dtype,
        "numpy.ndarray": np.ndarray,
        "numpy.core.multiarray._reconstruct": _reconstruct,
        "numpy._core.multiarray._reconstruct": _reconstruct,
    }


def _published_values(
    convolution: keras.layers.Conv2D, layers: dict, name: str, path: Path
) -> list[np.ndarray]:
    """Returns kernel and bias of one layer of the published file, in the layout of `convolution`.

    Raises:
      ValueError: if they do not fit it.
    """
    if name not in layers:
        raise ValueError(f"{path} has no layer {name!r}; it has {', '.join(sorted(layers))}.")
    if not convolution.use_bias:
        raise ValueError(
            f"{path} is for the original AlexNet; pass normalization=none to load it "
            "(batch normalisation has no bias)."
        )
    wanted = tuple(convolution.kernel.shape)
    try:
        kernel, bias = (np.asarray(part, np.float32) for part in layers[name])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name} is no pair of kernel and bias ({error}).") from error
    if kernel.ndim == 4:
        kernel = _ungroup(kernel, wanted[2])
        if name == "conv1":
            kernel = kernel[:, :, ::-1]  # BGR -> RGB
    if kernel.shape != wanted or bias.shape != wanted[-1:]:
        raise ValueError(
            f"{path}: {name} has kernel {kernel.shape} and bias {bias.shape}, the model wants "
            f"{wanted}; pretrained weights need width=1."
        )
    return [kernel, bias]


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
