"""The interface of a search engine.

* `flat`: FAISS in memory, exact; up to some hundred thousand items.
* `ivf`: FAISS in memory, approximate, with exact distances and order; for a million items.
* `milvus`: a Milvus server or cluster, exact; see `index/milvus.py`.

How an engine stores vectors:

* `float32`: as the model made them.
* `float16`: rounded, half as large; see `index/vectors.py`.
* `pq`, only ivf: codes of product quantization in memory, and float16 vectors on disk.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.parts import Part


class Choice(NamedTuple):
    """What an item must have: a label of `attribute` among `values`, or a key among `keys`."""

    attribute: int
    values: tuple[int, ...]
    keys: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class ItemFilter:
    """The items that a search may return.

    Attributes:
      mask: bool `[n]`, over all items in the order of their keys.
      choices: the same filter for engines that do their own; an item must pass all of them.
    """

    mask: np.ndarray
    choices: tuple[Choice, ...]


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """The settings of an engine.

    Attributes:
      dim: the length of the vectors.
      space: the attributes of the items.
      storage: one of the engine's `storages`.
      address: URI of the server; None for engines without one.
    """

    dim: int
    space: AttributeSpace
    storage: str = "float32"
    address: str | None = None


class Engine(Protocol):
    """Vectors under keys: int64, each used once, in ascending order.

    The caller checks arguments. Several threads may search at once, but not during a change.

    Attributes:
      storages: how it can store vectors; the first is the default.
    """

    storages: ClassVar[tuple[str, ...]]

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
          ids: the names of the items, for a server that others read too.
          values: int32 `[m, A]`, -1 for missing; for engines that do their own filtering.
        """

    def delete(self, keys: np.ndarray) -> None:
        """Removes the items of these keys, ascending; all exist."""

    def prepare(self) -> None:
        """Makes single searches faster until the next change, where the engine can.

        It may take a second or more, and some memory: for a process that answers many searches.
        """

    def search(
        self,
        queries: np.ndarray,
        k: int,
        item_filter: ItemFilter | None,
        parts: Sequence[Part] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns Euclidean distances float32 `[B, k]` and keys int64 `[B, k]`, nearest first.

        Of equally distant items the lower key comes first. Where fewer are found, distances are
        infinite and keys -1.

        Args:
          queries: float32 `[B, dim]`.
          k: from 1 to the number of items that pass the filter.
          item_filter: the items that may be returned; None for all.
          parts: of the vectors, if only these count; see `index/parts.py` for the distance.

        Raises:
          ValueError: if the engine cannot search by parts, or not for so many results.
          OSError: if a server does not answer.
        """

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes files into a folder; returns the description that `load` needs, for JSON."""

    def committed(self) -> None:
        """The index calls this when the files of `save` are the current state."""
