"""An export (see `fashionsearchnet/export/`) as three calls on encoded images."""

import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import check_manipulations
from fashionsearchnet.networks.image_input import ImageInput, VectorInput
from fashionsearchnet.serving.calls import ModelCalls, UndecodableImage
from fashionsearchnet.serving.export_folder import (
    ExportDescription,
    check_folder,
    find_version,
    read_space,
)

_SIGNATURES = {"encode_gallery", "encode_query", "predict"}  # that every export has
_FEATURE = "feature_"


class ExportedModel(ModelCalls):
    """One version of an export, loaded. Its methods may be called from several threads.

    Attributes:
      directory: the folder of the version.
      description: what export.json says.
      space: the attributes.
      fingerprint: sixteen hex digits; vectors of equal fingerprints can be compared.
      dim: the length of an embedding.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Loads an export.

        Args:
          directory: an export, whose newest version is loaded, or one version.

        Raises:
          FileNotFoundError: if there is no export.
          ValueError: if it is damaged, or a SavedModel of another kind.
        """
        self.directory = find_version(directory)
        check_folder(self.directory)
        assets = self.directory / "assets"
        self.description = ExportDescription.read(assets / "export.json")
        self.fingerprint, self.dim = self.description.fingerprint, self.description.dim
        self.space = read_space(assets / "attribute_space.json", self.description)
        try:
            self._loaded = tf.saved_model.load(str(self.directory))
            missing = _SIGNATURES - set(self._loaded.signatures)
            if missing:
                raise ValueError(f"it lacks the signatures {', '.join(sorted(missing))}")
        except Exception as error:  # whatever a damaged protocol buffer leads TensorFlow to
            reason = f"{type(error).__name__}: {error}".strip().split("\n")[0][:200]
            raise ValueError(
                f"{self.directory} cannot be loaded ({reason}): the export is damaged, or "
                f"another version of TensorFlow than {tf.__version__} wrote it. Export the run "
                "again."
            ) from error
        self._signatures = self._loaded.signatures

    @property
    def gives_features(self) -> bool:
        """Whether it has `image_features` and `embed_query`; earlier versions lack them."""
        return "embed_query" in self._signatures

    def image_features(self, images: Sequence[bytes]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns what any edit of images needs of them, and probabilities float32 `[B, C]`.

        Args:
          images: encoded JPEG or PNG, at least one.

        Returns:
          The features by name, each `[B, ...]`, and the probabilities.

        Raises:
          ValueError: naming the first image that cannot be decoded.
        """
        outputs = self._call("image_features", images)
        probabilities = outputs.pop("probabilities")
        return _unnamed(outputs), probabilities

    def query_features(
        self, images: Sequence[bytes], manipulations: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Returns the features and probabilities of `image_features`, and the vectors of edits.

        One call of the model; an export of an earlier version needs two.

        Args:
          images: encoded JPEG or PNG, at least one.
          manipulations: int32 `[B, A]`, the wanted value of each attribute, -1 to keep.

        Returns:
          The features by name, each `[B, ...]`, the probabilities float32 `[B, C]` of the images as
          they are, and the vectors float32 `[B, dim]` of the edited ones.

        Raises:
          ValueError: naming the first image that cannot be decoded, or the wrong manipulation.
        """
        if "query_features" not in self._signatures:
            features, probabilities = self.image_features(images)
            return features, probabilities, self.embed_query(features, manipulations)
        manipulations = check_manipulations(self.space, manipulations, len(images))
        outputs = self._call("query_features", images, manipulation=manipulations)
        probabilities, embedding = outputs.pop("probabilities"), outputs.pop("embedding")
        return _unnamed(outputs), probabilities, embedding

    def embed_query(
        self, features: Mapping[str, np.ndarray], manipulations: np.ndarray
    ) -> np.ndarray:
        """Returns the vectors of edited images, float32 `[B, dim]`, from their features.

        Args:
          features: of `image_features`.
          manipulations: int32 `[B, A]`, the wanted value of each attribute, -1 to keep.

        Raises:
          ValueError: naming the wrong manipulation.
        """
        number = len(next(iter(features.values())))
        manipulations = check_manipulations(self.space, manipulations, number)
        inputs = {_FEATURE + name: tf.constant(array) for name, array in features.items()}
        outputs = self._signatures["embed_query"](manipulation=tf.constant(manipulations), **inputs)
        return outputs["embedding"].numpy()

    def check_uses_labels(self) -> None:
        """Raises a ValueError, with the cure, if an index of this export cannot use labels."""
        if "embed_blocks" not in self._signatures or self.description.label_blend is None:
            raise ValueError(
                f"{self.directory} cannot make a gallery that uses labels: its system has no "
                "blocks, or an earlier version wrote it. Export a run of fashionsearchnet_v2 by "
                "this version of tools/export.py."
            )

    def encode_blocks(self, images: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Returns what images show of each attribute, and what the system reads off them.

        Args:
          images: encoded JPEG or PNG, at least one.

        Returns:
          blocks float32 `[B, A, block_dim]` and probabilities float32 `[B, C]`.

        Raises:
          ValueError: naming the first image that cannot be decoded; see `check_uses_labels`.
        """
        self.check_uses_labels()
        outputs = self._call("encode_blocks", images)
        return outputs["blocks"], outputs["probabilities"]

    def embed_blocks(
        self, blocks: np.ndarray, beliefs: np.ndarray, blend: Sequence[float]
    ) -> np.ndarray:
        """Returns gallery vectors that use labels, float32 `[B, dim]`.

        Args:
          blocks: of `encode_blocks`.
          beliefs: float32 `[B, C]`; see `gallery_labels.beliefs_of`.
          blend: the share of the label's prototype in 0..1, for each attribute.
        """
        self.check_uses_labels()
        outputs = self._signatures["embed_blocks"](
            blocks=tf.constant(blocks, tf.float32),
            beliefs=tf.constant(beliefs, tf.float32),
            blend=tf.constant(blend, tf.float32),
        )
        return outputs["embedding"].numpy()

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
            _check_decodable(images, self.description.image_input)
            raise ValueError(f"{signature} failed: {_first_line(error)}") from error
        return {key: value.numpy() for key, value in outputs.items()}


def _unnamed(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns features by the names that the system gives them."""
    return {name.removeprefix(_FEATURE): array for name, array in outputs.items()}


def _check_decodable(images: Sequence[bytes], image_input: ImageInput) -> None:
    """Raises an UndecodableImage for the first image that cannot be decoded.

    Raises a ValueError for the first such vector.
    """
    for position, data in enumerate(images):
        if isinstance(image_input, VectorInput):
            image_input.decode(data, f"vector {position} of {len(images)}")
            continue
        try:
            tf.io.decode_image(data, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError as error:
            raise UndecodableImage(
                f"image {position} of {len(images)} ({len(data)} bytes) is not a readable JPEG or "
                f"PNG ({_first_line(error)}). Send the bytes of a whole image file; convert other "
                "formats first."
            ) from error


def _first_line(error: tf.errors.OpError) -> str:
    """The reason of a TensorFlow error, without the graph's trace."""
    lines = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", str(error.message)).strip().split("\n")
    return lines[0].strip()[:200]
