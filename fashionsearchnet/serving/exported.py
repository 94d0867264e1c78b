"""An export (see `fashionsearchnet/export.py`) as three calls on encoded images."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.serving.calls import ModelCalls

_CURE = "Write one by tools/export.py, or correct the path."


class ExportedModel(ModelCalls):
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

    def _call(
        self, signature: str, images: Sequence[bytes], **others: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature as arrays."""
        if not len(images):
            raise ValueError("images must hold at least one encoded image; got none.")
        inputs = {"image_bytes": tf.constant(list(images), tf.string)}
        inputs |= {name: tf.constant(array) for name, array in others.items()}
        try:
            outputs = self._signatures[signature](**inputs)
        except tf.errors.InvalidArgumentError as error:
            _check_decodable(images)
            raise ValueError(f"{signature} failed: {_first_line(error)}") from error
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
