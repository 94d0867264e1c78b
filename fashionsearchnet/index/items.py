"""The items of a gallery without their vectors: id, key, attribute values, image, columns."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.checks import suggestion

MAX_ID_BYTES = 1024  # in UTF-8; servers want a bound
MAX_COLUMNS_BYTES = 65_536  # of an item's columns as JSON: an answer carries those of 100 items
_FILE = "items.npz"
_FEW = 10_000  # items that are searched for a similar id


@dataclasses.dataclass(frozen=True)
class Item:
    """One image of a gallery.

    Attributes:
      id: its name, any text of 1 to 1,024 bytes in UTF-8.
      values: int32 `[A]`, its attribute values, -1 for missing.
      image: the encoded image, which the index stores; None for none.
      columns: what else a shop shows of it, such as {"title": ..., "price": ...}, in order.
      group: the id of the product that it shows; '' if that is not known.
    """

    id: str
    values: np.ndarray
    image: bytes | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    group: str = ""


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The k items nearest to a query, nearest first.

    Attributes:
      ids: their names.
      distances: float32 `[k]`, Euclidean.
      labels: int32 `[k, A]`, -1 for missing.
      predicted: int32 `[k, A]`, what the system reads off their images, -1 where that is not known;
        None where nobody read them.
      groups: the ids of their products, '' where that is not known; None where nobody asked.
    """

    ids: list[str]
    distances: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray | None = None
    groups: list[str] | None = None

    def first(
        self, k: int, without: str | None = None, without_group: str = "", skip: int = 0
    ) -> "Neighbours":
        """Returns k of those that are not the item `without` nor of the group `without_group`.

        The first `skip` of them are left out.
        """
        groups = self.groups or [""] * len(self.ids)
        kept = [
            rank
            for rank, (name, group) in enumerate(zip(self.ids, groups, strict=True))
            if name != without and not (group and group == without_group)
        ][skip : skip + k]
        return self.ranked(np.array(kept, np.int64))

    def ranked(self, ranks: np.ndarray) -> "Neighbours":
        """Returns those of these ranks, int64 `[n]`, in this order."""
        return Neighbours(
            [self.ids[rank] for rank in ranks],
            self.distances[ranks],
            self.labels[ranks],
            None if self.predicted is None else self.predicted[ranks],
            None if self.groups is None else [self.groups[rank] for rank in ranks],
        )


class Entry(NamedTuple):
    """One item.

    Attributes:
      key: its key.
      values: int32 `[A]`, its labels, -1 for missing.
      digest: the SHA-256 of its image, or ''.
      predicted: int32 `[A]`, what the system reads off its image, -1 where that is not known.
      columns: its columns as a JSON object.
      group: the id of its product, or ''.
    """

    key: int
    values: np.ndarray
    digest: str
    predicted: np.ndarray
    columns: str = "{}"
    group: str = ""

    def as_item(self, name: str) -> Item:
        """Returns the item of an id, without its image."""
        return Item(name, self.values, columns=json.loads(self.columns), group=self.group)

    def is_described_as(self, item: Item) -> bool:
        """Returns whether it has the columns and the group of an item."""
        return (self.columns, self.group) == (_as_json(item.columns), item.group)


class ItemTable:
    """The items in the order in which they were put; their keys ascend in it.

    Items that were loaded stay in arrays: an object for each would take three times the memory.

    Attributes:
      next_key: no item ever had this key or a higher one.
    """

    def __init__(self, num_attributes: int) -> None:
        self.next_key = 0
        self._num_attributes = num_attributes
        self._entries: dict[str, Entry | int] = {}  # a new item, or its row among those loaded
        self._loaded = _Loaded.none(num_attributes)
        self._columns: _Columns | None = None

    @classmethod
    def load(cls, folder: Path, num_attributes: int) -> "ItemTable":
        """Reads what `save` wrote, also without predictions and columns, as older versions did."""
        table = cls(num_attributes)
        with np.load(folder / _FILE) as content:
            ids = json.loads(content["ids"].tobytes())
            values = content["values"]
            predicted = np.full_like(values, MISSING)
            if "predicted" in content:
                predicted = content["predicted"]
            columns, groups = ["{}"] * len(ids), [""] * len(ids)
            if "described" in content:
                described = json.loads(content["described"].tobytes())
                same: dict[str, str] = {}
                columns, groups = ([same.setdefault(t, t) for t in texts] for texts in described)
            arrays = content["keys"], values, content["digests"], predicted
            table._loaded = _Loaded(*arrays, columns, groups)
            table._entries = {name: row for row, name in enumerate(ids)}
            table.next_key = int(content["next_key"])
        return table

    def save(self, folder: Path) -> None:
        """Writes all into one file of the folder."""
        entries = list(self._all())
        described = [[entry.columns for entry in entries], [entry.group for entry in entries]]
        with files.replace_file(folder / _FILE) as temporary:
            np.savez(
                temporary,
                ids=np.frombuffer(json.dumps(self.ids).encode(), np.uint8),
                keys=self.keys,
                values=self.values,
                digests=np.array([entry.digest for entry in entries], "S64"),
                predicted=self.predicted,
                described=np.frombuffer(json.dumps(described).encode(), np.uint8),
                next_key=self.next_key,
            )

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        """Returns the entry of an id; raises a KeyError if there is none."""
        return self._loaded.entry(self._entries[name])

    def group(self, name: str) -> str:
        """Returns the id of an item's product, or ''; raises a KeyError if there is no item."""
        entry = self._entries[name]
        return entry.group if isinstance(entry, Entry) else self._loaded.groups[entry]

    @property
    def ids(self) -> list[str]:
        """The ids of all items. Do not change the list."""
        return self._arrays().ids

    @property
    def keys(self) -> np.ndarray:
        """The keys of all items, int64 `[n]`, ascending."""
        return self._arrays().keys

    @property
    def values(self) -> np.ndarray:
        """The values of all items, int32 `[n, A]`."""
        return self._arrays().values

    @property
    def predicted(self) -> np.ndarray:
        """What the system reads off the images of all items, int32 `[n, A]`, -1 if not known."""
        return self._arrays().predicted

    @property
    def groups(self) -> np.ndarray:
        """The number of each item's group, int64 `[n]`; an item without one has its own number."""
        return self._arrays().groups

    @property
    def has_groups(self) -> bool:
        """Whether two items are of one group."""
        groups = self.groups
        return len(groups) > 0 and int(groups.max()) + 1 < len(groups)

    def digests(self) -> set[str]:
        """Returns the SHA-256 of all images."""
        return {entry.digest for entry in self._all()} - {""}

    def reserve(self, number: int) -> np.ndarray:
        """Returns new keys, int64 `[number]`."""
        keys = np.arange(self.next_key, self.next_key + number, dtype=np.int64)
        self.next_key += number
        return keys

    def append(
        self,
        items: Sequence[Item],
        keys: np.ndarray,
        values: np.ndarray,
        digests: Sequence[str],
        predicted: np.ndarray,
    ) -> None:
        """Adds items whose ids are new; see Entry."""
        rows = zip(items, keys.tolist(), values, digests, predicted, strict=True)
        for item, key, labels, digest, read in rows:
            described = _as_json(item.columns), item.group
            self._entries[item.id] = Entry(key, labels, digest, read, *described)
        self._columns = None

    def describe(self, items: Sequence[Item]) -> None:
        """Gives items that exist the columns and the groups of these."""
        for item in items:
            self._entries[item.id] = self[item.id]._replace(
                columns=_as_json(item.columns), group=item.group
            )
        self._columns = None

    def check_known(self, ids: Iterable[str], where: str) -> None:
        """Raises a ValueError if there is no item of one of the ids; `where` names the table."""
        for name in ids:
            if name not in self:
                near = suggestion(name, self.ids) if len(self) <= _FEW else ""
                raise ValueError(f"{where} has no item {name!r}{near}; nothing was removed.")

    def drop(self, ids: Iterable[str]) -> list[Entry]:
        """Removes these items, which must be there; returns their entries."""
        dropped = [self._loaded.entry(self._entries.pop(name)) for name in ids]
        self._columns = None
        return dropped

    def _all(self) -> Iterator[Entry]:
        return map(self._loaded.entry, self._entries.values())

    def _arrays(self) -> "_Columns":
        if self._columns is None:
            everything = self._entries.values()
            rows = np.array([e for e in everything if isinstance(e, int)], np.int64)
            fresh = [entry for entry in everything if isinstance(entry, Entry)]
            groups = [self._loaded.groups[row] for row in rows] + [e.group for e in fresh]
            keys = _joined(self._loaded.keys[rows], [entry.key for entry in fresh])
            order = np.argsort(keys)  # an item that was described again is fresh in its old place
            self._columns = _Columns(
                ids=list(self._entries),
                keys=keys[order],
                values=_joined(self._loaded.values[rows], [e.values for e in fresh])[order],
                predicted=_joined(self._loaded.predicted[rows], [e.predicted for e in fresh])[
                    order
                ],
                groups=_numbered([groups[place] for place in order]),
            )
        return self._columns


class _Loaded(NamedTuple):
    """The fields of loaded entries as arrays; rows of items that were dropped stay in them."""

    keys: np.ndarray
    values: np.ndarray
    digests: np.ndarray
    predicted: np.ndarray
    columns: list[str]
    groups: list[str]

    @classmethod
    def none(cls, num_attributes: int) -> "_Loaded":
        """Returns those of no items."""
        values = np.empty((0, num_attributes), np.int32)
        return cls(np.empty(0, np.int64), values, np.empty(0, "S64"), values, [], [])

    def entry(self, entry: Entry | int) -> Entry:
        """Returns an entry, or that of a row."""
        if isinstance(entry, Entry):
            return entry
        return Entry(
            int(self.keys[entry]),
            self.values[entry],
            self.digests[entry].decode(),
            self.predicted[entry],
            self.columns[entry],
            self.groups[entry],
        )


class _Columns(NamedTuple):
    """The entries of a table as arrays, for its properties."""

    ids: list[str]
    keys: np.ndarray
    values: np.ndarray
    predicted: np.ndarray
    groups: np.ndarray


def _joined(loaded: np.ndarray, fresh: Sequence[object]) -> np.ndarray:
    """Returns an array with more rows."""
    more = np.array(fresh, loaded.dtype).reshape(len(fresh), *loaded.shape[1:])
    return np.concatenate([loaded, more])


def _numbered(groups: list[str]) -> np.ndarray:
    """Returns a number for each group, int64 `[n]`; each item without one has its own."""
    numbers: dict[str | int, int] = {}
    # The position of an item without a group is no text, so it is a group of its own.
    found = (numbers.setdefault(g or at, len(numbers)) for at, g in enumerate(groups))
    return np.fromiter(found, np.int64, len(groups)) if any(groups) else np.arange(len(groups))


def check_items(space: AttributeSpace, items: Sequence[Item]) -> tuple[list[str], np.ndarray]:
    """Returns the ids and the values, int32 `[n, A]`, of items of one call.

    Raises:
      ValueError: for an id that is no text, too long or repeated, for values that do not exist, or
        for columns that are no texts or too long.
    """
    ids = [item.id for item in items]
    for name in ids:
        if not 1 <= _encoded_size(name) <= MAX_ID_BYTES:
            raise ValueError(
                f"an id must be text of 1 to {MAX_ID_BYTES:,} bytes in UTF-8; got {name!r:.80}. "
                "Shorten or rename it; the id of a file is its path below the folder."
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
        _check_described(item)
    return ids, np.array([item.values for item in items], np.int32).reshape(-1, *shape)


def _check_described(item: Item) -> None:
    """Raises a ValueError unless columns and group are texts of a bounded length."""
    texts = [item.group, *item.columns, *item.columns.values()]
    odd = [text for text in texts if not isinstance(text, str) or _encoded_size(text or " ") == 0]
    if odd:
        raise ValueError(
            f"the columns and the group of item {item.id!r} must be texts; got {odd[0]!r:.80}."
        )
    size = len(_as_json(item.columns).encode())
    if size > MAX_COLUMNS_BYTES or len(item.group.encode()) > MAX_ID_BYTES:
        raise ValueError(
            f"the columns of item {item.id!r} may have {MAX_COLUMNS_BYTES:,} bytes and its group "
            f"{MAX_ID_BYTES:,}; got {size:,} and {len(item.group.encode()):,}. Shorten the texts, "
            "or leave a column out of --show_columns."
        )


def _as_json(columns: Mapping[str, str]) -> str:
    return json.dumps(dict(columns), ensure_ascii=False)


def _encoded_size(name: str) -> int:
    """Returns the bytes of a text in UTF-8, 0 if it cannot be encoded, as some file names."""
    try:
        return len(name.encode())
    except (UnicodeEncodeError, AttributeError):
        return 0
