"""The few methods behind which any search engine stands.

* `flat`: FAISS in memory, exact; up to some hundred thousand items.
* `ivf`: FAISS in memory, approximate, with exact distances and order; for a million items.
* `milvus`: a Milvus server or cluster, exact; see `index/milvus.py`.
"""

import dataclasses
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fashionsearchnet.attributes import AttributeSpace


@dataclasses.dataclass(frozen=True)
class Selection:
    """The items that a search may return.

    Attributes:
      mask: bool `[n]`, over all items in the order of their keys.
      choices: the same as pairs of attribute index and allowed value indices, all of which hold.
    """

    mask: np.ndarray
    choices: tuple[tuple[int, tuple[int, ...]], ...]


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """What an engine is made for.

    Attributes:
      dim: the length of the vectors.
      space: the attributes of the items.
      address: URI of the server; None for engines without one.
    """

    dim: int
    space: AttributeSpace
    address: str | None = None


class Engine(Protocol):
    """Vectors under keys. A key is an int64 that is given once, in ascending order.

    Arguments are checked by the caller. Searches may run in several threads, but not beside a
    change.
    """

    @classmethod
    def create(cls, settings: EngineSettings) -> "Engine":
        """Returns an engine without items."""

    @classmethod
    def load(
        cls, settings: EngineSettings, folder: Path, description: dict[str, Any], keys: np.ndarray
    ) -> "Engine":
        """Returns the engine that `save` described, with the items int64 `[n]`.

        Raises:
          ValueError: if it does not hold these items, with the cure.
          OSError: if a server does not answer.
        """

    def add(
        self, keys: np.ndarray, vectors: np.ndarray, ids: list[str], values: np.ndarray
    ) -> None:
        """Adds float32 vectors `[m, dim]` under keys above all earlier ones.

        Args:
          keys: int64 `[m]`.
          vectors: the vectors.
          ids: the names of the items, for engines that others read too.
          values: int32 `[m, A]`, -1 for missing; for engines that filter by themselves.
        """

    def delete(self, keys: np.ndarray) -> None:
        """Takes out the items of these keys, ascending, all of which are there."""

    def search(
        self, queries: np.ndarray, k: int, selection: Selection | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns Euclidean distances float32 `[B, k]` and keys int64 `[B, k]`, nearest first.

        Of equally distant items the lower key comes first. Where fewer are found, distances are
        infinite and keys -1.

        Args:
          queries: float32 `[B, dim]`.
          k: from 1 to the number of items that may be returned.
          selection: which may; None for all.
        """

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes into a folder what `load` needs; returns the rest, to be kept as JSON."""

    def committed(self) -> None:
        """Is called once what `save` wrote is the state that counts."""
