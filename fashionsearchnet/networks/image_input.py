"""What a network wants to see: how an image of any size becomes its input (no TensorFlow)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fashionsearchnet.checks import check_choice, check_range

FITS = {
    "pad": "the longer side becomes `size`; the rest of the square is filled with the mean",
    "crop": "the shorter side becomes `size`; the middle square is kept",
    "stretch": "both sides become `size`, whatever the shape of the image",
}
CHANNELS = ("rgb", "bgr")
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
    """

    size: int
    fit: str = "pad"
    channels: str = "rgb"
    mean: tuple[float, float, float] = _MIDDLE_GREY
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        check_range("image size", self.size, 1)
        check_choice("fit", self.fit, FITS)
        check_choice("channels", self.channels, CHANNELS)
        for name in ("mean", "scale"):
            numbers = tuple(float(number) for number in getattr(self, name))
            if len(numbers) != 3:
                raise ValueError(f"{name} must be three numbers: red, green, blue; got {numbers}.")
            object.__setattr__(self, name, numbers)
        for number in self.scale:
            if number <= 0:
                raise ValueError(f"scale must be above 0; got {self.scale}.")

    @classmethod
    def of(cls, given: "ImageInput | Mapping[str, Any]") -> "ImageInput":
        """Returns `given`, or the input that a mapping of `to_dict` describes."""
        return given if isinstance(given, ImageInput) else cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes for JSON."""
        content = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}


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
