"""Methods of ranking, and the vectors that they rank by."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from fashionsearchnet.attributes import softmax_blocks
from fashionsearchnet.index.exact import Candidates
from fashionsearchnet.systems.features import FeatureArrays, attribute_logits, gallery_embeddings
from fashionsearchnet.systems.system import System


@dataclasses.dataclass(frozen=True)
class Method:
    """One way of answering: embeds queries, and has an index of each group's candidates.

    Attributes:
      name: its row in the tables.
      embed: from the numbers of questions of one group, int `[B]`, to float32 `[B, dim]`.
      index: from a group to the index of its candidates.
      passes: from the numbers of questions to the candidates that a filter lets through, bool
        `[B, N]`; None without a filter. The others come last, and are no hits.
    """

    name: str
    embed: Callable[[np.ndarray], np.ndarray]
    index: Callable[[int], Candidates]
    passes: Callable[[np.ndarray], np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Representations:
    """A system's outputs for the queries and the gallery; each is computed when first asked for.

    Attributes:
      system: the system.
      queries: features of the query split.
      gallery: features of the gallery split.
      generic: vectors of both splits that know nothing of the attributes, if any.
    """

    system: System
    queries: FeatureArrays
    gallery: FeatureArrays
    generic: tuple[np.ndarray, np.ndarray] | None = dataclasses.field(default=None, kw_only=True)

    @functools.cached_property
    def probabilities(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The softmax outputs of the queries and of the gallery; None if the system has none."""
        logits = [attribute_logits(self.system, each) for each in (self.queries, self.gallery)]
        queries, gallery = logits
        if queries is None or gallery is None:
            return None
        space = self.system.space
        return softmax_blocks(space, queries), softmax_blocks(space, gallery)

    @functools.cached_property
    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """The gallery vectors of the queries and of the gallery, for no edit."""
        queries, gallery = self.queries, self.gallery
        return gallery_embeddings(self.system, queries), gallery_embeddings(self.system, gallery)
