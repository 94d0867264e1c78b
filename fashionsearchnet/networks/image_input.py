"""What a network wants to see: an image of any size as its input, or a vector (no TensorFlow)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from fashionsearchnet.checks import check_choice, check_range

FITS = {
    "pad": "the longer side becomes `size`; the rest of the square is filled with the mean",
    "crop": "the shorter side becomes `size`; the middle square is kept",
    "stretch": "both sides become `size`, whatever the shape of the image",
}
CHANNELS = ("rgb", "bgr")
PIXELS = {
    "exact": "all of an image is decoded and resized in float32",
    "rounded": "the same, rounded to whole numbers in 0..255, which need a quarter of the bytes",
    "fast": "rounded, and JPEG files are decoded at 1/2 or 1/4 of their size where that is at "
    "least 9/8 of the network's, and at 1/8 where that is at least twice the network's",
}
METRICS = {
    "cosine": "vectors are compared by their direction; an edited one has length one",
    "euclidean": "vectors are compared as they are",
}
_MIDDLE_GREY = (127.5, 127.5, 127.5)


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """The input of a network: a value is (pixel - mean) / scale, pixels in 0..255.

    The input pipeline, extraction, export and service all read it, and nothing else changes a
    pixel. It is one of a system's arguments, so it travels with the run and the export.

    Attributes:
      size: side of the square input in pixels.
      fit: how an image becomes a square; a key of FITS.
      channels: the order in which the network takes red, green and blue; one of CHANNELS.
      mean: of red, green and blue, each in 0..255.
      scale: of red, green and blue, each above 0.
      pixels: how pixels are computed; a key of PIXELS. docs/datasets.md says how far the results
        are apart.
    """

    size: int
    fit: str = "pad"
    channels: str = "rgb"
    mean: tuple[float, float, float] = _MIDDLE_GREY
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pixels: str = "exact"

    def __post_init__(self) -> None:
        check_range("image size", self.size, 1)
        check_choice("fit", self.fit, FITS)
        check_choice("channels", self.channels, CHANNELS)
        check_choice("pixels", self.pixels, PIXELS)
        for name in ("mean", "scale"):
            numbers = tuple(float(number) for number in getattr(self, name))
            if len(numbers) != 3:
                raise ValueError(f"{name} must be three numbers: red, green, blue; got {numbers}.")
            object.__setattr__(self, name, numbers)
        for number in self.scale:
            if number <= 0:
                raise ValueError(f"scale must be above 0; got {self.scale}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image as the network sees it: `[size, size, 3]`."""
        return (self.size, self.size, 3)

    @classmethod
    def of(cls, given: "ImageInput | Mapping[str, Any]") -> "ImageInput":
        """Returns `given`, or the input that a mapping of `to_dict` describes."""
        if isinstance(given, ImageInput):
            return given
        return VectorInput(**given) if "features" in given else ImageInput(**given)

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes for JSON."""
        content = dataclasses.asdict(self)
        if self.pixels == "exact":  # older runs do not say it, and stay the same
            del content["pixels"]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}


@dataclasses.dataclass(frozen=True)
class VectorInput(ImageInput):
    """The input of a system on vectors that another model computed: a vector counts as an image.

    Its encoded form, where an image has JPEG or PNG bytes, is `size` float32 numbers, little
    endian. `fit`, `channels`, `mean` and `scale` have no meaning for it.

    Attributes:
      size: numbers of a vector.
      metric: how vectors are compared; a key of METRICS.
      features: which model the vectors are of: a name, or the first digits of a file's SHA-256.
        Vectors of different `features` cannot be compared.
    """

    metric: str = "cosine"
    features: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("metric", self.metric, METRICS)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one vector: `[size]`."""
        return (self.size,)

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes that have a meaning, for JSON."""
        return {"size": self.size, "metric": self.metric, "features": self.features}

    def check(self, vector: np.ndarray, what: str) -> np.ndarray:
        """Returns a vector float32 `[size]`, or raises a ValueError that begins with `what`."""
        if vector.shape != (self.size,):
            raise ValueError(
                f"{what} must be one vector of {self.size} numbers, as the vectors that the model "
                f"learned on; got shape {list(vector.shape)}. Is it of another model?"
            )
        vector = vector.astype(np.float32)
        if not np.isfinite(vector).all():
            place = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise ValueError(
                f"{what} must hold finite numbers; number {place} is {vector[place]}. Compute the "
                "vector again."
            )
        if self.metric == "cosine" and not vector.any():
            raise ValueError(f"{what} is all zeros, which has no direction to compare by.")
        return vector

    def decode(self, data: bytes, what: str) -> np.ndarray:
        """Returns the vector that `encode_vector` encoded; see `check`."""
        whole = data if len(data) % 4 == 0 else b""
        return self.check(np.frombuffer(whole, "<f4"), what)

    def check_same(self, other: ImageInput, what: str, whose: str) -> None:
        """Raises a ValueError that says why `what` cannot be given to `whose` model.

        Args:
          other: the input of `what`.
          what: the vectors or images, for the message.
          whose: the model, whose input this is.
        """
        kind = f"vectors of {self.size} numbers (features {self.features!r}, {self.metric})"
        if not isinstance(other, VectorInput):
            raise ValueError(f"{whose} sees {kind}, but {what} holds images. Use its own data set.")
        if other.size != self.size or other.metric != self.metric:
            raise ValueError(
                f"{whose} sees {kind}, but {what} holds vectors of {other.size} numbers "
                f"({other.metric}): they are of another model, or prepared with another --metric."
            )
        if other.features != self.features:
            raise ValueError(
                f"{whose} learned on vectors of features {self.features!r}, but {what} is of "
                f"features {other.features!r}: vectors of two models cannot be compared. If one "
                f"model computed both, say so by --features_model={self.features} where you name "
                "the file."
            )


def encode_vector(vector: np.ndarray) -> bytes:
    """Returns the bytes that stand for a vector where an image has its file; see `VectorInput`."""
    return np.ascontiguousarray(vector, "<f4").tobytes()


def check_input(seen: ImageInput, given: ImageInput | None, what: str, whose: str) -> None:
    """Raises a ValueError unless a model can see what a data set holds.

    Args:
      seen: the input of the model.
      given: that of vectors; None for images.
      what: the data set, for the message.
      whose: the model, for the message.
    """
    if isinstance(seen, VectorInput):
        seen.check_same(given or ImageInput(1), what, whose)
    elif given is not None:
        raise ValueError(
            f"{whose} sees images, but {what} holds vectors of {given.size} numbers. Train it on "
            "this data set, or use a data set of images."
        )


@dataclasses.dataclass(frozen=True)
class MapGeometry:
    """Where the cells of a map lie on the square input of a network, in its pixels.

    Attributes:
      first_centre: from the edge of the input to the centre of the first cell's receptive field;
        the middle of the first pixel is at 0.5.
      cell_stride: distance between the centres of neighbouring cells.
      image_size: side of the input.
    """

    first_centre: float
    cell_stride: float
    image_size: int
