"""An export as the model of an index: what `index/building.py` asks for."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.attributes import predicted_values
from fashionsearchnet.index.building import Encoded
from fashionsearchnet.serving.exported import ExportedModel


@dataclasses.dataclass(frozen=True)
class GalleryEncoder:
    """An export, and how the index uses labels.

    Attributes:
      model: the export.
      label_blend: of the index; None for one that does not use labels.
    """

    model: ExportedModel
    label_blend: tuple[float, ...] | None = None

    def encode(self, images: Sequence[bytes], values: np.ndarray) -> Encoded:
        """See `building.Encoder`; raises a ValueError that names an image that is none."""
        if self.label_blend is None:
            vectors, probabilities = self.model.encode_gallery(images)
            return Encoded(vectors, predicted_values(self.model.space, probabilities))
        blocks, probabilities = self.model.encode_blocks(images)
        predicted = predicted_values(self.model.space, probabilities)
        return Encoded(self.embed(blocks, values), predicted, blocks)

    def embed(self, blocks: np.ndarray, values: np.ndarray) -> np.ndarray:
        """See `building.Encoder`."""
        return self.model.embed_blocks(blocks, values, self.label_blend or ())
