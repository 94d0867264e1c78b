"""A gallery on disk, ready to be searched: vectors, ids, attribute values and images.

    INDEX/CURRENT, INDEX/states/    see `index/states.py`: items.npz, the engine's files, state.json
    INDEX/attribute_space.json      which attributes the items have
    INDEX/images/ab/<sha256>        the encoded images, named by their content

Changes are made in memory; `commit` writes them in one step.
"""

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range, suggestion
from fashionsearchnet.index.engines import Engine, EngineSettings, ItemFilter
from fashionsearchnet.index.flat import FlatEngine
from fashionsearchnet.index.image_store import ImageStore, digest_of
from fashionsearchnet.index.items import Item, ItemTable, Neighbours, check_items
from fashionsearchnet.index.ivf import IvfEngine
from fashionsearchnet.index.milvus import MilvusEngine
from fashionsearchnet.index.states import States

ENGINES: dict[str, type[Engine]] = {
    "flat": FlatEngine,
    "ivf": IvfEngine,
    "milvus": MilvusEngine,
}
_REBUILD = "Build the index in another folder with tools/build_index.py."


class GalleryIndex:
    """The vectors and items of a gallery; use `create` or `open`.

    Several threads may search at once, but not during `put`, `remove` or `commit`.

    Attributes:
      directory: its folder.
      space: the attributes.
      fingerprint: names the model of the vectors.
      dim: the length of the vectors.
      engine_name: one of `ENGINES`.
      engine: the search engine.
    """

    def __init__(
        self,
        directory: Path,
        space: AttributeSpace,
        state: Mapping[str, Any],
        items: ItemTable,
        engine: Engine,
    ) -> None:
        """Use `create` or `open`."""
        self.directory = directory
        self.space = space
        self.fingerprint: str = state["fingerprint"]
        self.dim: int = state["dim"]
        self.engine_name: str = state["engine"]["name"]
        self._items = items
        self.engine = engine
        self._images = ImageStore(directory / "images")
        self._states = States(directory)
        self._state_name: str | None = None
        self._unused_images: list[str] = list(state.get("unused_images", []))
        self._dead_keys: list[int] = []
        self._dropped_images: set[str] = set()
        self._lock = threading.Lock()

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        *,
        space: AttributeSpace,
        fingerprint: str,
        dim: int,
        engine: str = "flat",
        address: str | None = None,
    ) -> "GalleryIndex":
        """Creates an index without items, in memory and on disk.

        Args:
          directory: a folder without an index; it need not exist.
          space: the attributes of the items.
          fingerprint: names the model of the vectors.
          dim: the length of the vectors, at least 1.
          engine: one of `ENGINES`; see `index/engines.py`.
          address: URI of the Milvus server; only for the engine milvus.

        Raises:
          ValueError: for a bad argument, or if there is an index.
          OSError: if the folder cannot be written, or a server does not answer.
        """
        directory = Path(directory).expanduser()
        check_choice("engine", engine, ENGINES)
        check_range("dim", dim, 1)
        if (address is not None) != (engine == "milvus"):
            raise ValueError(
                f"the engine milvus needs the address of a server, such as http://localhost:19530, "
                f"and the others take none; got engine={engine!r}, address={address!r}."
            )
        if States(directory).exist():
            raise ValueError(
                f"{directory} already holds an index. Open it, or choose another folder."
            )
        space.save(directory / "attribute_space.json")
        state = {"fingerprint": fingerprint, "dim": dim, "engine": {"name": engine}}
        made = ENGINES[engine].create(EngineSettings(dim, space, address))
        index = cls(directory, space, state, ItemTable(space.num_attributes), made)
        index.commit()
        return index

    @classmethod
    def open(
        cls, directory: str | os.PathLike[str], *, address: str | None = None
    ) -> "GalleryIndex":
        """Opens the index in a folder.

        Args:
          directory: the folder.
          address: URI of the Milvus server, if it has moved.

        Raises:
          FileNotFoundError: if there is none.
          ValueError: if a file is missing or damaged, naming it and how to go back to the state
            before.
          OSError: if a server does not answer.
        """
        directory = Path(directory).expanduser()
        states = States(directory)
        while True:
            name = states.current()
            try:
                return cls._load(directory, name, address)
            except (ValueError, OSError):
                # Two commits of another process delete this state.
                if states.current() == name:
                    raise

    @classmethod
    def _load(cls, directory: Path, name: str, address: str | None) -> "GalleryIndex":
        states = States(directory)
        state = states.read(name)
        space = AttributeSpace.load(directory / "attribute_space.json")
        if space.fingerprint != state["space"]:
            raise ValueError(
                f"{directory / 'attribute_space.json'} is not the attribute space of the "
                f"index. Copy it from the export of its model, or: {_REBUILD}"
            )
        items = ItemTable.load(states.path(name), space.num_attributes)
        engine = ENGINES[check_choice("engine of the index", state["engine"]["name"], ENGINES)]
        settings = EngineSettings(state["dim"], space, address)
        loaded = engine.load(settings, states.path(name), state["engine"], items.keys)
        index = cls(directory, space, state, items, loaded)
        index._state_name = name
        return index

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    @property
    def ids(self) -> list[str]:
        """The ids in the order in which the items were put. Do not change the list."""
        return self._items.ids

    @property
    def values(self) -> np.ndarray:
        """The attribute values of all items in the order of `ids`, int32 `[n, A]`."""
        return self._items.values

    def get(self, name: str) -> Item:
        """Returns an item without its image; raises a KeyError if there is none of that id."""
        return Item(name, self._items[name].values)

    def image(self, name: str) -> bytes | None:
        """Returns the encoded image of an item, None if it was put without.

        Raises:
          KeyError: if there is no item of that id.
          OSError: if the file is missing or damaged.
        """
        digest = self._items[name].digest
        return self._images.get(digest) if digest else None

    def holds(self, item: Item) -> bool:
        """Returns whether the index has the item with the same values and the same image."""
        if item.id not in self._items:
            return False
        entry = self._items[item.id]
        if not np.array_equal(entry.values, item.values):
            return False
        if item.image is None:
            return not entry.digest
        return entry.digest == digest_of(item.image) and self._images.has(item.image, entry.digest)

    def put(self, items: Sequence[Item], vectors: np.ndarray) -> None:
        """Adds items. An item of the same id is replaced, and moves to the end of the order.

        Args:
          items: with different ids.
          vectors: float `[number, dim]`, of the model with this index's fingerprint.

        Raises:
          ValueError: for a bad id, bad values or bad vectors; then nothing is added.
          OSError: if an image cannot be written, or a server does not answer.
        """
        vectors = self._checked("vectors", vectors)
        ids, values = check_items(self.space, items)
        if len(items) != len(vectors):
            raise ValueError(f"each item needs a vector; got {len(items)} and {len(vectors)}.")
        if not items:
            return
        digests = ["" if i.image is None else self._images.put(i.image) for i in items]
        keys = self._items.reserve(len(items))
        self.engine.add(keys, vectors, ids, values)
        self._drop([name for name in ids if name in self._items])
        self._items.append(ids, keys, values, digests)

    def remove(self, ids: Collection[str]) -> None:
        """Removes items. On disk the state before has them until the commit after next.

        Raises:
          ValueError: if one of them does not exist; then none is removed.
        """
        for name in ids:
            if name not in self._items:
                near = suggestion(name, self.ids) if len(self) <= 10_000 else ""
                raise ValueError(
                    f"the index {self.directory} has no item {name!r}{near}; nothing was removed."
                )
        self._drop(list(dict.fromkeys(ids)))

    def commit(self) -> None:
        """Writes all changes so far in one step.

        Raises:
          OSError: if a file cannot be written, or another process has changed the index; the state
            on disk then stays the same.
        """
        self._settle()
        used = self._items.digests() if self._dropped_images or self._unused_images else set()
        unused = sorted(self._dropped_images - used)

        def write(folder: Path) -> dict[str, Any]:
            self._items.save(folder)
            return {
                "fingerprint": self.fingerprint,
                "dim": self.dim,
                "count": len(self),
                "space": self.space.fingerprint,
                "engine": {**self.engine.save(folder), "name": self.engine_name},
                "unused_images": unused,
            }

        self._state_name = self._states.commit(self._state_name, write)
        self.engine.committed()
        # The state before may use what the new one does not; what neither uses can go.
        self._images.delete(set(self._unused_images) - used)
        self._unused_images, self._dropped_images = unused, set()

    def search(
        self,
        queries: np.ndarray,
        k: int,
        filters: Mapping[str, Collection[str]] | None = None,
    ) -> list[Neighbours]:
        """Returns the K nearest items of each query, or as many as there are.

        Of equally distant items the one that was put earlier comes first.

        Args:
          queries: float `[B, dim]`.
          k: at least 1.
          filters: attribute name -> names of the allowed values. An item must pass every attribute;
            an item without a value of the attribute does not.

        Raises:
          ValueError: for bad queries or K, or an unknown attribute or value, listing those that
            exist.
        """
        queries = self._checked("queries", queries)
        check_range("k", k, 1)
        self._settle()
        item_filter = self._filter(filters or {})
        allowed = len(self) if item_filter is None else int(np.count_nonzero(item_filter.mask))
        if not allowed or not len(queries):
            none = Neighbours([], np.empty(0, np.float32), self.values[:0])
            return [none] * len(queries)
        distances, keys = self.engine.search(queries, min(k, allowed), item_filter)
        positions = np.searchsorted(self._items.keys, keys)
        ids, values = self.ids, self.values
        found = [row[there] for row, there in zip(positions, keys >= 0, strict=True)]
        return [
            Neighbours([ids[p] for p in row], distance[: len(row)], values[row])
            for row, distance in zip(found, distances, strict=True)
        ]

    def matching(self, filters: Mapping[str, Collection[str]]) -> np.ndarray:
        """Returns the positions in `ids` of the items that pass the filters, int64, ascending.

        See `search` for the filters and the errors.
        """
        item_filter = self._filter(filters)
        return np.arange(len(self)) if item_filter is None else np.flatnonzero(item_filter.mask)

    def check_model(self, fingerprint: str, space: AttributeSpace) -> None:
        """Raises a ValueError if this index belongs to another model or attribute space."""
        self.space.check_same(space, f"the index {self.directory}", "the model")
        if fingerprint != self.fingerprint:
            raise ValueError(
                f"the index {self.directory} holds vectors of the model {self.fingerprint}, not of "
                f"{fingerprint}: distances between them mean nothing. Use the export of the "
                "index, or build another index with tools/build_index.py."
            )

    def _drop(self, ids: list[str]) -> None:
        dropped = self._items.drop(ids)
        self._dead_keys += [entry.key for entry in dropped]
        self._dropped_images |= {entry.digest for entry in dropped} - {""}

    def _settle(self) -> None:
        """Deletes removed items in the engine, all at once: a deletion moves the others."""
        with self._lock:
            if self._dead_keys:
                self.engine.delete(np.sort(np.array(self._dead_keys, np.int64)))
                self._dead_keys = []

    def _filter(self, filters: Mapping[str, Collection[str]]) -> ItemFilter | None:
        if not filters:
            return None
        mask = np.ones(len(self), bool)
        choices = []
        for name, allowed in filters.items():
            attribute = self.space.attribute_index(name)
            if isinstance(allowed, str) or not allowed:
                raise ValueError(
                    f"the filter of {name!r} must be a list of one or more values; got {allowed!r}."
                )
            values = sorted({self.space.value_index(name, value) for value in allowed})
            passes = np.zeros(self.space.num_values[attribute] + 1, bool)  # the last one: missing
            passes[values] = True
            mask &= passes[self.values[:, attribute]]
            choices.append((attribute, tuple(values)))
        return ItemFilter(mask, tuple(choices))

    def _checked(self, what: str, vectors: np.ndarray) -> np.ndarray:
        """Returns contiguous float32 `[n, dim]`, or raises a ValueError."""
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(
                f"{what} must have shape [number, {self.dim}], as this index has; got "
                f"{vectors.shape}. Both must come from the same model."
            )
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{what} must not hold NaN or infinity (first in row {int(np.argmin(finite))}): "
                "the training of this model went wrong; take an earlier checkpoint."
            )
        return vectors
