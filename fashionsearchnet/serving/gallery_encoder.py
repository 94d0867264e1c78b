"""An export as the model of an index: what `index/building.py` asks for."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.index.building import Encoded
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.systems.gallery_labels import beliefs_of


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
            return Encoded(vectors, probabilities)
        blocks, probabilities = self.model.encode_blocks(images)
        return Encoded(self.embed(blocks, probabilities, values), probabilities, blocks)

    def embed(
        self, blocks: np.ndarray, probabilities: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """See `building.Encoder`."""
        beliefs = beliefs_of(self.model.space, values, probabilities)
        return self.model.embed_blocks(blocks, beliefs, self.label_blend or ())
