"""What the vectors of a gallery that uses labels are made of, apart from them.

Blocks are what an image shows of each attribute, and probabilities are what the system reads off
it. With them, an item whose label has changed gets its vector without its image going through the
network.
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
        return np.stack([self._of(int(key)) for key in keys])

    def save(self, folder: Path, keys: np.ndarray) -> None:
        """Writes the arrays of these keys into a file of the folder, none if there are no keys."""
        if not len(keys):
            return
        shape = self._of(int(keys[0])).shape
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(keys), *shape)}
        with files.replace_file(folder / self._file) as temporary, open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(keys), _CHUNK):
                arrays = self.get(keys[start : start + _CHUNK])
                file.write(np.ascontiguousarray(arrays, "<f4").data)

    def _of(self, key: int) -> np.ndarray:
        if key in self._fresh:
            return self._fresh[key]
        assert self._stored is not None
        return np.asarray(self._stored[np.searchsorted(self._keys, key)])


class BlockStore:
    """Blocks float32 `[A, block_dim]` and probabilities float32 `[C]` of items by key."""

    def __init__(self, blocks: ArrayStore | None = None, read: ArrayStore | None = None) -> None:
        """Makes an empty store, or one of loaded parts."""
        self._blocks = blocks or ArrayStore(_BLOCKS)
        self._read = read or ArrayStore(_PROBABILITIES)

    @classmethod
    def load(cls, folder: Path, keys: np.ndarray) -> "BlockStore":
        """Returns what `save` wrote for these keys."""
        return cls(*(ArrayStore.load(file, folder, keys) for file in (_BLOCKS, _PROBABILITIES)))

    def add(self, keys: np.ndarray, blocks: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds those of new keys int64 `[n]`."""
        self._blocks.add(keys, blocks)
        self._read.add(keys, probabilities)

    def get(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns blocks `[n, A, block_dim]` and probabilities `[n, C]` of keys that are there."""
        return self._blocks.get(keys), self._read.get(keys)

    def save(self, folder: Path, keys: np.ndarray) -> None:
        """Writes those of these keys into two files of the folder."""
        self._blocks.save(folder, keys)
        self._read.save(folder, keys)
