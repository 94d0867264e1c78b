"""The items of a gallery without their vectors: id, key, attribute values, image."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import MISSING, AttributeSpace

MAX_ID_BYTES = 1024  # in UTF-8; servers want a bound
_FILE = "items.npz"


@dataclasses.dataclass(frozen=True)
class Item:
    """One image of a gallery.

    Attributes:
      id: its name, any text of 1 to 1,024 bytes in UTF-8.
      values: int32 `[A]`, its attribute values, -1 for missing.
      image: the encoded image, which the index stores; None for none.
    """

    id: str
    values: np.ndarray
    image: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The k items nearest to a query, nearest first.

    Attributes:
      ids: their names.
      distances: float32 `[k]`, Euclidean.
      labels: int32 `[k, A]`, -1 for missing.
    """

    ids: list[str]
    distances: np.ndarray
    labels: np.ndarray

    def first(self, k: int, without: str | None = None) -> "Neighbours":
        """Returns the first k of those that are not called `without`."""
        kept = [rank for rank, name in enumerate(self.ids) if name != without][:k]
        ids = [self.ids[rank] for rank in kept]
        return Neighbours(ids, self.distances[kept], self.labels[kept])


class Entry(NamedTuple):
    """One item.

    Attributes:
      key: its key.
      values: int32 `[A]`, its labels, -1 for missing.
      digest: the SHA-256 of its image, or ''.
      predicted: int32 `[A]`, what the system reads off its image, -1 where that is not known.
    """

    key: int
    values: np.ndarray
    digest: str
    predicted: np.ndarray


class ItemTable:
    """The items in the order in which they were put; their keys ascend in it.

    Attributes:
      next_key: no item ever had this key or a higher one.
    """

    def __init__(self, num_attributes: int) -> None:
        self.next_key = 0
        self._num_attributes = num_attributes
        self._entries: dict[str, Entry] = {}
        self._columns: tuple[list[str], np.ndarray, np.ndarray, np.ndarray] | None = None

    @classmethod
    def load(cls, folder: Path, num_attributes: int) -> "ItemTable":
        """Reads what `save` wrote, also without predictions, as version 0.1 did."""
        table = cls(num_attributes)
        with np.load(folder / _FILE) as content:
            ids = json.loads(content["ids"].tobytes())
            digests = [digest.decode() for digest in content["digests"]]
            values = content["values"]
            predicted = np.full_like(values, MISSING)
            if "predicted" in content:
                predicted = content["predicted"]
            rows = zip(content["keys"].tolist(), values, digests, predicted, strict=True)
            table._entries = {name: Entry(*row) for name, row in zip(ids, rows, strict=True)}
            table.next_key = int(content["next_key"])
        return table

    def save(self, folder: Path) -> None:
        """Writes all into one file of the folder."""
        digests = np.array([entry.digest for entry in self._entries.values()], "S64")
        with files.replace_file(folder / _FILE) as temporary:
            np.savez(
                temporary,
                ids=np.frombuffer(json.dumps(self.ids).encode(), np.uint8),
                keys=self.keys,
                values=self.values,
                digests=digests,
                predicted=self.predicted,
                next_key=self.next_key,
            )

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        """Returns the entry of an id; raises a KeyError if there is none."""
        return self._entries[name]

    @property
    def ids(self) -> list[str]:
        """The ids of all items. Do not change the list."""
        return self._arrays()[0]

    @property
    def keys(self) -> np.ndarray:
        """The keys of all items, int64 `[n]`, ascending."""
        return self._arrays()[1]

    @property
    def values(self) -> np.ndarray:
        """The values of all items, int32 `[n, A]`."""
        return self._arrays()[2]

    @property
    def predicted(self) -> np.ndarray:
        """What the system reads off the images of all items, int32 `[n, A]`, -1 if not known."""
        return self._arrays()[3]

    def digests(self) -> set[str]:
        """Returns the SHA-256 of all images."""
        return {entry.digest for entry in self._entries.values()} - {""}

    def reserve(self, number: int) -> np.ndarray:
        """Returns new keys, int64 `[number]`."""
        keys = np.arange(self.next_key, self.next_key + number, dtype=np.int64)
        self.next_key += number
        return keys

    def append(
        self,
        ids: Sequence[str],
        keys: np.ndarray,
        values: np.ndarray,
        digests: Sequence[str],
        predicted: np.ndarray,
    ) -> None:
        """Adds items whose ids are new; see Entry."""
        for name, *row in zip(ids, keys.tolist(), values, digests, predicted, strict=True):
            self._entries[name] = Entry(*row)
        self._columns = None

    def drop(self, ids: Iterable[str]) -> list[Entry]:
        """Removes these items, which must be there; returns their entries."""
        dropped = [self._entries.pop(name) for name in ids]
        self._columns = None
        return dropped

    def _arrays(self) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        if self._columns is None:
            entries = self._entries.values()
            keys = np.fromiter((entry.key for entry in entries), np.int64, len(entries))
            shape = (len(entries), self._num_attributes)
            values = np.array([entry.values for entry in entries], np.int32).reshape(shape)
            predicted = np.array([entry.predicted for entry in entries], np.int32).reshape(shape)
            self._columns = list(self._entries), keys, values, predicted
        return self._columns


def check_items(space: AttributeSpace, items: Sequence[Item]) -> tuple[list[str], np.ndarray]:
    """Returns the ids and the values, int32 `[n, A]`, of items of one call.

    Raises:
      ValueError: for an id that is no text, too long or repeated, or for values that do not exist.
    """
    ids = [item.id for item in items]
    for name in ids:
        if not 1 <= _encoded_size(name) <= MAX_ID_BYTES:
            raise ValueError(
                f"an id must be text of 1 to {MAX_ID_BYTES:,} bytes in UTF-8; got {name!r:.80}."
            )
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ValueError(f"items of one call must have different ids; {twice!r} occurs twice.")
    shape = (space.num_attributes,)
    for item in items:
        values = np.asarray(item.values)
        is_fit = values.shape == shape and np.issubdtype(values.dtype, np.integer)
        if not is_fit or (values < MISSING).any() or (values >= space.num_values).any():
            raise ValueError(
                f"the values of item {item.id!r} must be {shape[0]} integers, -1 for missing and "
                f"else below {list(space.num_values)}; got {values.tolist()}."
            )
    return ids, np.array([item.values for item in items], np.int32).reshape(-1, *shape)


def _encoded_size(name: str) -> int:
    """Returns the bytes of a text in UTF-8, 0 if it cannot be encoded, as some file names."""
    try:
        return len(name.encode())
    except (UnicodeEncodeError, AttributeError):
        return 0
