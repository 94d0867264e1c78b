"""An export (see `fashionsearchnet/export.py`) as three calls on encoded images."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace, check_manipulations

_CURE = "Write one by tools/export.py, or correct the path."


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the system reads in a batch of images.

    Attributes:
      probabilities: float32 `[B, C]`, one softmax per attribute's block of values.
      values: int32 `[B, A]`, the likeliest value of each attribute.
      maps: float32 `[B, A, h, w]`, where it looks; None for a system without attention.
      boxes: float32 `[B, A, 4]` (ymin, xmin, ymax, xmax) in 0..1 of the image padded to a
        square; None for a system without attention.
    """

    probabilities: np.ndarray
    values: np.ndarray
    maps: np.ndarray | None
    boxes: np.ndarray | None


class ExportedModel:
    """One version of an export, loaded. Its methods may be called from several threads.

    Attributes:
      directory: the folder of the version.
      description: what export.json says.
      space: the attributes.
      fingerprint: sixteen hex digits; vectors of equal fingerprints can be compared.
      dim: the length of an embedding.
      image_size: side of the network's input in pixels.
      channel_means: three numbers in 0..255, the colour of the padding.
      geometry: where the maps' cells lie, `first_centre` and `cell_stride` in pixels of the
        input; None where the system does not say.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Loads an export.

        Args:
          directory: of the export, of which the newest version is taken, or of one version.

        Raises:
          FileNotFoundError: if there is no export.
          ValueError: if it is damaged, or a SavedModel of another kind.
        """
        self.directory = find_version(directory)
        assets = self.directory / "assets"
        what = "the description of an export of this library"
        self.description: dict[str, Any] = files.read_json(assets / "export.json", what, _CURE)
        self.space = AttributeSpace.load(assets / "attribute_space.json")
        try:
            self.fingerprint: str = self.description["fingerprint"]
            self.dim: int = self.description["dim"]
            self.image_size: int = self.description["image_size"]
            self.channel_means = tuple(float(mean) for mean in self.description["channel_means"])
            self.geometry: dict[str, float] | None = self.description["geometry"]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{assets / 'export.json'} lacks the entry {error}. {_CURE}"
            ) from error
        try:
            self._loaded = tf.saved_model.load(str(self.directory))
        except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise ValueError(
                f"{self.directory} cannot be loaded ({reason}): the export is damaged or of "
                f"another version of TensorFlow than {tf.__version__}. Export the run again."
            ) from error
        self._signatures = self._loaded.signatures

    def encode_gallery(self, images: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors of images as they are, and what is read in them.

        Args:
          images: encoded JPEG or PNG, at least one.

        Returns:
          embedding float32 `[B, dim]` and probabilities float32 `[B, C]`.

        Raises:
          ValueError: naming the first image that cannot be decoded.
        """
        outputs = self._call("encode_gallery", images)
        return outputs["embedding"], outputs["probabilities"]

    def encode_query(
        self, images: Sequence[bytes], manipulations: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors of images with attributes changed.

        Args:
          images: encoded JPEG or PNG, at least one.
          manipulations: int32 `[B, A]`, the wanted value of each attribute, -1 to keep.

        Returns:
          embedding float32 `[B, dim]`, and probabilities float32 `[B, C]` of the images as they
          are.

        Raises:
          ValueError: naming the first image that cannot be decoded, or the wrong manipulation.
        """
        manipulations = check_manipulations(self.space, manipulations, len(images))
        outputs = self._call("encode_query", images, manipulation=tf.constant(manipulations))
        return outputs["embedding"], outputs["probabilities"]

    def predict(self, images: Sequence[bytes]) -> Prediction:
        """Returns what is read in images (encoded JPEG or PNG, at least one), and where.

        Raises:
          ValueError: naming the first image that cannot be decoded.
        """
        outputs = self._call("predict", images)
        return Prediction(
            probabilities=outputs["probabilities"],
            values=outputs["values"],
            maps=outputs.get("maps"),
            boxes=outputs.get("boxes"),
        )

    def _call(self, name: str, images: Sequence[bytes], **inputs: tf.Tensor) -> dict:
        """Returns the outputs of a signature as arrays."""
        if not len(images):
            raise ValueError("images must hold at least one encoded image; got none.")
        data = tf.constant(list(images), tf.string)
        try:
            outputs = self._signatures[name](image_bytes=data, **inputs)
        except tf.errors.InvalidArgumentError as error:
            _check_decodable(images)
            raise ValueError(f"{name} failed: {_first_line(error)}") from error
        return {key: value.numpy() for key, value in outputs.items()}


def find_version(directory: str | os.PathLike[str]) -> Path:
    """Returns the folder of the newest version of an export, or `directory` if it is a version.

    Raises:
      FileNotFoundError: if there is none.
    """
    directory = Path(directory).expanduser()
    if (directory / "saved_model.pb").is_file():
        return directory
    versions = {
        int(path.parent.name): path.parent
        for path in directory.glob("*/saved_model.pb")
        if path.parent.name.isdecimal()
    }
    if not versions:
        raise FileNotFoundError(
            f"{directory} holds no export: neither a saved_model.pb nor a numbered version with "
            f"one. {_CURE}"
        )
    return versions[max(versions)]


def _check_decodable(images: Sequence[bytes]) -> None:
    """Raises a ValueError that names the first image that cannot be decoded."""
    for position, data in enumerate(images):
        try:
            tf.io.decode_image(data, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"image {position} of {len(images)} ({len(data)} bytes) is not a readable JPEG or "
                f"PNG ({_first_line(error)}). Send the bytes of a whole image file; convert other "
                "formats first."
            ) from error


def _first_line(error: tf.errors.OpError) -> str:
    """The reason of a TensorFlow error, without the graph's trace."""
    lines = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", str(error.message)).strip().split("\n")
    return lines[0].strip()[:200]
