"""The three calls of a model on encoded images, wherever its signatures run."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fashionsearchnet.attributes import AttributeSpace, check_manipulations


class UndecodableImage(ValueError):
    """An encoded image that the model's decoder refuses; its message names the image."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The attributes that the system reads off a batch of images.

    Attributes:
      probabilities: float32 `[B, C]`, one softmax per attribute's block of values.
      values: int32 `[B, A]`, the likeliest value of each attribute.
      maps: float32 `[B, A, h, w]`, where it looks; None for a system without attention.
      boxes: float32 `[B, A, 4]` (ymin, xmin, ymax, xmax) in 0..1 of the network's
        input; None for a system without attention.
    """

    probabilities: np.ndarray
    values: np.ndarray
    maps: np.ndarray | None
    boxes: np.ndarray | None


class ModelCalls:
    """The signatures of `fashionsearchnet/export/signatures.py` as methods; a subclass runs them.

    A model on a server also raises the errors of its connection.

    Attributes:
      space: the attributes; A of them with C values in all.
    """

    space: AttributeSpace

    def encode_gallery(self, images: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors of unedited images, and the attributes that the system reads.

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
        outputs = self._call("encode_query", images, manipulation=manipulations)
        return outputs["embedding"], outputs["probabilities"]

    def predict(self, images: Sequence[bytes]) -> Prediction:
        """Returns the attributes that the system reads off images, and where it looks.

        Args:
          images: encoded JPEG or PNG, at least one.

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

    def _call(
        self, signature: str, images: Sequence[bytes], **others: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """Returns the outputs of a signature for the input `image_bytes` and `others`."""
        raise NotImplementedError
