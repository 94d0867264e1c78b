"""The blocks of a gallery that uses labels, apart from its vectors.

A block is what an image shows of one attribute. With it, an item whose label has changed gets its
vector without its image going through the network.
"""

from pathlib import Path

import numpy as np

from fashionsearchnet import files

_FILE = "blocks.npy"
_CHUNK = 1024  # items that are written at a time


class BlockStore:
    """Blocks float32 `[A, block_dim]` by key; those of the last commit stay on disk until asked."""

    def __init__(self) -> None:
        self._fresh: dict[int, np.ndarray] = {}
        self._keys = np.empty(0, np.int64)
        self._stored: np.ndarray | None = None

    @classmethod
    def load(cls, folder: Path, keys: np.ndarray) -> "BlockStore":
        """Returns what `save` wrote for these keys."""
        store = cls()
        if len(keys):
            store._keys, store._stored = keys, np.load(folder / _FILE, mmap_mode="r")
        return store

    def add(self, keys: np.ndarray, blocks: np.ndarray) -> None:
        """Adds blocks `[n, A, block_dim]` under new keys int64 `[n]`."""
        self._fresh |= dict(zip(keys.tolist(), blocks, strict=True))

    def get(self, keys: np.ndarray) -> np.ndarray:
        """Returns the blocks of keys that are there, float32 `[n, A, block_dim]`."""
        return np.stack([self._of(int(key)) for key in keys])

    def save(self, folder: Path, keys: np.ndarray) -> None:
        """Writes the blocks of these keys into a file of the folder, none if there are no keys."""
        if not len(keys):
            return
        shape = self._of(int(keys[0])).shape
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(keys), *shape)}
        with files.replace_file(folder / _FILE) as temporary, open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(keys), _CHUNK):
                blocks = self.get(keys[start : start + _CHUNK])
                file.write(np.ascontiguousarray(blocks, "<f4").data)

    def _of(self, key: int) -> np.ndarray:
        if key in self._fresh:
            return self._fresh[key]
        assert self._stored is not None
        return np.asarray(self._stored[np.searchsorted(self._keys, key)])
