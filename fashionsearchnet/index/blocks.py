"""What the system finds in the images of a gallery, apart from their vectors.

Probabilities are what it reads off an image: a search for items alike in some attributes compares
them. A gallery that uses labels also has blocks: what an image shows of each attribute. With both,
an item whose label has changed gets its vector without its image going through the network.
"""

from pathlib import Path

import numpy as np

from fashionsearchnet import files

_BLOCKS, _PROBABILITIES = "blocks.npy", "probabilities.npy"
_CHUNK = 1024  # items that are written at a time


class ArrayStore:
    """Arrays of one shape, float32, by key; those of the last commit stay on disk until asked."""

    def __init__(self, file: str) -> None:
        """Takes the name of the file."""
        self._file = file
        self._fresh: dict[int, np.ndarray] = {}
        self._keys = np.empty(0, np.int64)
        self._stored: np.ndarray | None = None

    @classmethod
    def load(cls, file: str, folder: Path, keys: np.ndarray) -> "ArrayStore":
        """Returns what `save` wrote for these keys."""
        store = cls(file)
        if len(keys):
            store._keys, store._stored = keys, np.load(folder / file, mmap_mode="r")
        return store

    def add(self, keys: np.ndarray, arrays: np.ndarray) -> None:
        """Adds arrays `[n, ...]` under new keys int64 `[n]`."""
        self._fresh |= dict(zip(keys.tolist(), arrays, strict=True))

    def get(self, keys: np.ndarray) -> np.ndarray:
        """Returns the arrays of keys that are there, float32 `[n, ...]`."""
        rows = np.searchsorted(self._keys, keys)
        is_stored = np.zeros(len(keys), bool)
        if len(self._keys):
            is_stored = self._keys[np.minimum(rows, len(self._keys) - 1)] == keys
        found = np.empty((len(keys), *self._shape), np.float32)
        if self._stored is not None:
            found[is_stored] = self._stored[rows[is_stored]]
        for row in np.flatnonzero(~is_stored):
            found[row] = self._fresh[int(keys[row])]
        return found

    def all_of(self, keys: np.ndarray) -> np.ndarray:
        """Returns the arrays of keys that are there; the file itself if it has just these."""
        if self._stored is not None and np.array_equal(keys, self._keys):
            return self._stored
        return self.get(keys)

    def save(self, folder: Path, keys: np.ndarray) -> None:
        """Writes the arrays of these keys into a file of the folder, none if there are no keys."""
        if not len(keys):
            return
        parts = (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))
        shape = (len(keys), *self._shape)
        files.write_array(folder / self._file, shape, "<f4", map(self.get, parts))

    @property
    def _shape(self) -> tuple[int, ...]:
        """The shape of one array."""
        if self._stored is not None:
            return self._stored.shape[1:]
        return next(iter(self._fresh.values())).shape


class BlockStore:
    """Probabilities float32 `[C]` of items by key, and their blocks float32 `[A, block_dim]`.

    Attributes:
      keeps_blocks: whether there are blocks: the index uses labels.
      is_complete: whether all items have probabilities. Once one was put without, or by an earlier
        version, the store keeps none.
    """

    def __init__(self, keeps_blocks: bool) -> None:
        """Makes an empty store."""
        self.keeps_blocks, self.is_complete = keeps_blocks, True
        self._blocks, self._read = ArrayStore(_BLOCKS), ArrayStore(_PROBABILITIES)

    def reload(self, folder: Path, keys: np.ndarray) -> "BlockStore":
        """Returns the store that `save` wrote for these keys."""
        store = BlockStore(self.keeps_blocks)
        store.is_complete = not len(keys) or (folder / _PROBABILITIES).is_file()
        if self.keeps_blocks:
            store._blocks = ArrayStore.load(_BLOCKS, folder, keys)
        if store.is_complete:
            store._read = ArrayStore.load(_PROBABILITIES, folder, keys)
        return store

    def add(
        self, keys: np.ndarray, blocks: np.ndarray | None, probabilities: np.ndarray | None
    ) -> None:
        """Adds those of new keys int64 `[n]`; blocks are for a store that keeps them."""
        if blocks is not None:
            self._blocks.add(keys, blocks)
        if probabilities is None:
            self.is_complete, self._read = False, ArrayStore(_PROBABILITIES)
        elif self.is_complete:
            self._read.add(keys, probabilities)

    def get(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns blocks `[n, A, block_dim]` and probabilities `[n, C]` of keys that are there."""
        return self._blocks.get(keys), self._read.get(keys)

    def readings(self, keys: np.ndarray) -> np.ndarray:
        """Returns the probabilities of some keys that are there, in any order, float32 `[n, C]`."""
        return self._read.get(keys)

    def probabilities(self, keys: np.ndarray, number: int) -> np.ndarray:
        """Returns those of all keys int64 `[n]`, ascending, float32 `[n, number]`.

        Between two commits they are copied; after one they stay in the file.
        """
        return self._read.all_of(keys) if len(keys) else np.empty((0, number), np.float32)

    def save(self, folder: Path, keys: np.ndarray) -> None:
        """Writes those of these keys into files of the folder."""
        if self.keeps_blocks:
            self._blocks.save(folder, keys)
        if self.is_complete:
            self._read.save(folder, keys)
