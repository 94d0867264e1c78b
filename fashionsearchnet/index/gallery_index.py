"""A gallery on disk, ready to be searched: vectors, ids, attribute values and images.

    INDEX/CURRENT, INDEX/states/    see `index/states.py`: items.npz, the engine's files, state.json
    INDEX/attribute_space.json      which attributes the items have
    INDEX/images/ab/<sha256>        the encoded images, named by their content

Changes are made in memory; `commit` writes them in one step.

An index may use the labels of its items (`systems/gallery_labels.py`). Then it also holds the
blocks of their images, so that another label needs no network (`building.relabel`).
"""

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.index import arrays
from fashionsearchnet.index.blocks import BlockStore
from fashionsearchnet.index.engine_table import ENGINES, check_engine, storage_of
from fashionsearchnet.index.engines import Engine, EngineSettings
from fashionsearchnet.index.filters import AllowedValues, item_filter
from fashionsearchnet.index.image_store import ImageStore, digest_of
from fashionsearchnet.index.items import Item, ItemTable, Neighbours, check_items
from fashionsearchnet.index.nearest import first_of_groups, nearest_items
from fashionsearchnet.index.parts import parts_of
from fashionsearchnet.index.states import States

_REBUILD = "Build the index in another folder with tools/build_index.py."
_SPACE_FILE, _IMAGES = "attribute_space.json", "images"  # beside the states


class GalleryIndex:
    """The vectors and items of a gallery; use `create` or `open`.

    Several threads may search at once, but not during `put`, `remove` or `commit`.

    Attributes:
      directory: its folder.
      space: the attributes.
      fingerprint: names the model of the vectors.
      dim: the length of the vectors.
      label_blend: the share of the label's prototype in the blocks, for each attribute; None for
        an index that does not use labels.
      engine_name: one of `ENGINES`.
      storage: how the engine stores vectors.
      engine: the search engine.
      items: the table of the items; only the methods of this class change it.
      blocks: what the model found in their images; only the methods of this class change it.
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
        self.storage = storage_of(state)
        blend = state.get("label_blend")  # version 0.1 did not write it
        self.label_blend: tuple[float, ...] | None = None if blend is None else tuple(blend)
        self.items, self.engine = items, engine
        self.blocks = BlockStore(blend is not None)
        self._images = ImageStore(directory / _IMAGES)
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
        storage: str | None = None,
        address: str | None = None,
        label_blend: Sequence[float] | None = None,
    ) -> "GalleryIndex":
        """Creates an index without items, in memory and on disk.

        Args:
          directory: a folder without an index; it need not exist.
          space: the attributes of the items.
          fingerprint: names the model of the vectors.
          dim: the length of the vectors, at least 1.
          engine: one of `ENGINES`; see `index/engines.py`.
          storage: one of the engine's `storages`; None for float32.
          address: URI of the Milvus server; only for the engine milvus.
          label_blend: for an index that uses labels, the share of the label's prototype in 0..1
            for each attribute; None for one that does not.

        Raises:
          ValueError: for a bad argument, or if the folder holds an index or other files.
          OSError: if the folder cannot be written, or a server does not answer.
        """
        directory = Path(directory).expanduser()
        storage = check_engine(engine, storage, address)
        check_range("dim", dim, 1)
        States(directory).check_free((_SPACE_FILE, _IMAGES))
        space.save(directory / _SPACE_FILE)
        state: dict[str, Any] = {"fingerprint": fingerprint, "dim": dim, "label_blend": label_blend}
        state["engine"] = {"name": engine, "storage": storage}
        made = ENGINES[engine].create(EngineSettings(dim, space, storage, address))
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
        space = AttributeSpace.load(directory / _SPACE_FILE)
        if space.fingerprint != state["space"]:
            raise ValueError(
                f"{directory / _SPACE_FILE} is not the attribute space of the "
                f"index. Copy it from the export of its model, or: {_REBUILD}"
            )
        items = ItemTable.load(states.path(name), space.num_attributes)
        engine = ENGINES[check_choice("engine of the index", state["engine"]["name"], ENGINES)]
        settings = EngineSettings(state["dim"], space, storage_of(state), address)
        loaded = engine.load(settings, states.path(name), state["engine"], items.keys)
        index = cls(directory, space, state, items, loaded)
        index._state_name = name
        index.blocks = index.blocks.reload(states.path(name), items.keys)
        return index

    def __len__(self) -> int:
        return len(self.items)

    @property
    def state(self) -> str:
        """The name of the state on disk that this index was opened from or last committed."""
        return self._state_name or ""

    def is_current(self) -> bool:
        """Returns whether no other process has committed since then; reads one small file.

        If not, `open` returns the new state, and this index goes on answering from its own. The
        images of items that are in none of the two states on disk are gone.

        Raises:
          FileNotFoundError: if the index was deleted.
          ValueError: if the file is damaged.
        """
        return self._states.current() == self._state_name

    def __contains__(self, name: object) -> bool:
        return name in self.items

    @property
    def ids(self) -> list[str]:
        """The ids in the order in which the items were put. Do not change the list."""
        return self.items.ids

    @property
    def values(self) -> np.ndarray:
        """The attribute values of all items in the order of `ids`, int32 `[n, A]`."""
        return self.items.values

    def get(self, name: str) -> Item:
        """Returns an item without its image; raises a KeyError if there is none of that id."""
        return self.items[name].as_item(name)

    def image(self, name: str) -> bytes | None:
        """Returns the encoded image of an item, None if it was put without.

        Raises:
          KeyError: if there is no item of that id.
          OSError: if the file is missing or damaged.
        """
        digest = self.items[name].digest
        return self._images.get(digest) if digest else None

    def holds(self, item: Item) -> bool:
        """Returns whether the index has the item with the same values and the same image."""
        return self.shows(item) and np.array_equal(self.items[item.id].values, item.values)

    def describe(self, items: Sequence[Item]) -> None:
        """Gives items the columns and groups of these; they keep vectors, values and place.

        Raises:
          KeyError: for an item that the index does not have.
          ValueError: for columns that are no texts or too long.
        """
        check_items(self.space, items)
        self.items.describe(items)

    def shows(self, item: Item) -> bool:
        """Returns whether the index has the item with the same image, whatever its values."""
        if item.id not in self.items:
            return False
        entry = self.items[item.id]
        if item.image is None:
            return not entry.digest
        return entry.digest == digest_of(item.image) and self._images.has(item.image, entry.digest)

    def put(
        self,
        items: Sequence[Item],
        vectors: np.ndarray,
        *,
        probabilities: np.ndarray | None = None,
        blocks: np.ndarray | None = None,
    ) -> None:
        """Adds items. An item of the same id is replaced, and moves to the end of the order.

        Args:
          items: with different ids.
          vectors: float `[number, dim]`, of the model with this index's fingerprint.
          probabilities: float `[number, C]`, what the model reads off the images, if it is known.
          blocks: float `[number, A, block_dim]`, of the images, for an index that uses labels.

        Raises:
          ValueError: for a bad id, bad values, vectors or blocks; then nothing is added.
          OSError: if an image cannot be written, or a server does not answer.
        """
        vectors = arrays.check_vectors("vectors", vectors, self.dim)
        ids, values = check_items(self.space, items)
        if len(items) != len(vectors):
            raise ValueError(f"each item needs a vector; got {len(items)} and {len(vectors)}.")
        uses_labels = self.label_blend is not None
        blocks = arrays.check_blocks(self.space, blocks, len(items), uses_labels, probabilities)
        probabilities, read = arrays.check_probabilities(self.space, probabilities, len(items))
        if not items:
            return
        digests = ["" if i.image is None else self._images.put(i.image) for i in items]
        keys = self.items.reserve(len(items))
        self.engine.add(keys, vectors, ids, values)
        self.blocks.add(keys, blocks, probabilities)
        self._drop([name for name in ids if name in self.items])
        self.items.append(items, keys, values, digests, read)

    def blocks_of(self, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `put` got for items that exist: blocks and probabilities.

        Raises:
          KeyError: for an id that does not exist.
          ValueError: for an index that does not use labels.
        """
        arrays.check_has_blocks(f"the index {self.directory}", self.label_blend)
        return self.blocks.get(np.array([self.items[name].key for name in ids]))

    def remove(self, ids: Collection[str]) -> None:
        """Removes items. The former state on disk keeps them until the commit after next.

        Raises:
          ValueError: if one of them does not exist; then none is removed.
        """
        self.items.check_known(ids, f"the index {self.directory}")
        self._drop(list(dict.fromkeys(ids)))

    def commit(self) -> None:
        """Writes all changes so far in one step.

        Raises:
          OSError: if a file cannot be written, or another process has changed the index; the state
            on disk then stays the same.
        """
        self._settle()
        used = self.items.digests() if self._dropped_images or self._unused_images else set()
        unused = sorted(self._dropped_images - used)

        def write(folder: Path) -> dict[str, Any]:
            self.items.save(folder)
            self.blocks.save(folder, self.items.keys)
            return {
                "fingerprint": self.fingerprint,
                "dim": self.dim,
                "label_blend": self.label_blend,
                "count": len(self),
                "space": self.space.fingerprint,
                "engine": self.engine.save(folder)
                | {"name": self.engine_name, "storage": self.storage},
                "unused_images": unused,
            }

        self._state_name = self._states.commit(self._state_name, write)
        self.blocks = self.blocks.reload(self._states.path(self._state_name), self.items.keys)
        self.engine.committed()
        # The former state may use images that the new one does not; the others can go.
        self._images.delete(set(self._unused_images) - used)
        self._unused_images, self._dropped_images = unused, set()

    def search(
        self,
        queries: np.ndarray,
        k: int,
        filters: AllowedValues | None = None,
        must: AllowedValues | None = None,
        one_per_group: bool = False,
        like: Mapping[str, float] | None = None,
    ) -> list[Neighbours]:
        """Returns the K nearest items of each query, or as many as there are.

        Of equally distant items the one that was put earlier comes first.

        Args:
          queries: float `[B, dim]`.
          k: at least 1.
          filters: attribute name -> names of the allowed values. An item must pass every attribute;
            an item without a value of the attribute does not.
          must: the same, but where an item has no value of the attribute, what the model read off
            its image counts.
          one_per_group: whether of the images of one product only the nearest is returned.
          like: attribute name -> weight, for vectors of a block for each attribute: only these
            blocks are compared. The squared distance is the weighted sum of those of the blocks.

        Raises:
          ValueError: for bad queries or K, or an unknown attribute or value, listing those that
            exist.
        """
        queries = arrays.check_vectors("queries", queries, self.dim)
        check_range("k", k, 1)
        self._settle()
        chosen = item_filter(self.space, self.items, filters or {}, must or {})
        parts = parts_of(self.space, self.dim, like or {})
        return nearest_items(self.engine, self.items, queries, k, chosen, one_per_group, parts)

    def matching(
        self,
        filters: AllowedValues,
        must: AllowedValues | None = None,
        one_per_group: bool = False,
    ) -> np.ndarray:
        """Returns the positions in `ids` of the items that pass the filters, int64, ascending.

        See `search` for the filters, the groups and the errors. The first item of a group counts.
        """
        chosen = item_filter(self.space, self.items, filters, must or {})
        passing = np.arange(len(self)) if chosen is None else np.flatnonzero(chosen.mask)
        return passing[first_of_groups(self.items, passing)] if one_per_group else passing

    def check_model(self, fingerprint: str, space: AttributeSpace) -> None:
        """Raises a ValueError if this index belongs to another model or attribute space."""
        self.space.check_same(space, f"the index {self.directory}", "the model")
        arrays.check_fingerprint(f"the index {self.directory}", self.fingerprint, fingerprint)

    def _drop(self, ids: list[str]) -> None:
        dropped = self.items.drop(ids)
        self._dead_keys += [entry.key for entry in dropped]
        self._dropped_images |= {entry.digest for entry in dropped} - {""}

    def _settle(self) -> None:
        """Deletes the removed items in the engine, all at once: a deletion moves the others."""
        with self._lock:
            if self._dead_keys:
                self.engine.delete(np.sort(np.array(self._dead_keys, np.int64)))
                self._dead_keys = []
