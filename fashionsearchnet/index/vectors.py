"""The vectors of a gallery in full or in half precision: what an exact distance is computed from.

* `float32`: 4 bytes a number, as the model made them.
* `float16`: 2 bytes a number, rounded to the nearest that float16 has (of two equally near ones,
  the even). A number changes by at most 1/2048 of itself, or by 3e-8 if it is below 6e-5.

Distances are always float32, from a query that is not rounded to the vectors as they are stored.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import faiss
import numpy as np

from fashionsearchnet import files

_CHUNK = 65_536  # vectors that are converted at once
_ALL = slice(None)
_HALF = np.finfo(np.float16)

# FAISS's Python layer adds arguments that its type stubs lack.
_SearchParameters: Any = faiss.SearchParameters
_IDSelectorBitmap: Any = faiss.IDSelectorBitmap

Rows = np.ndarray | slice


class Searchable(Protocol):
    """Vectors in rows that can be compared with queries of full length.

    Attributes:
      subtracts: whether `candidates` always sums squared differences, which round less than
        products of matrices.
    """

    subtracts: ClassVar[bool]

    def __len__(self) -> int: ...

    def candidates(self, queries: np.ndarray, number: int, mask: np.ndarray | None) -> np.ndarray:
        """Returns the rows of the nearest but for rounding, int64 `[B, number]`; -1 for none.

        Args:
          queries: float32 `[B, dim]`.
          number: at least 1, at most the rows that the mask leaves.
          mask: bool `[n]`, which rows may be returned; None for all.
        """

    def squares(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns squared distances float32 `[B, m]` of queries `[B, dim]` to rows int64 `[B, m]`.

        Each is computed pair by pair, so equal vectors are equally far. What stands at a row of -1
        is arbitrary.
        """


class Vectors(Searchable, Protocol):
    """Vectors in rows.

    Attributes:
      index: a FAISS index whose ids are the rows.
      dim: the length of a vector.
    """

    index: Any
    dim: int

    def add(self, vectors: np.ndarray) -> None:
        """Adds rows float32 `[m, dim]`; raises a ValueError if they cannot be stored."""

    def remove(self, rows: np.ndarray) -> None:
        """Removes rows, int64; the others keep their order."""

    def get(self, rows: Rows, columns: slice = _ALL) -> np.ndarray:
        """Returns rows as they are stored, or some columns of them, float32 `[m, dim]`."""

    def save(self, path: Path) -> None:
        """Writes a file; raises an OSError if that fails."""


class Float32Vectors:
    """See the head of this file; its file is an `IndexFlatL2`."""

    subtracts: ClassVar[bool] = False

    def __init__(self, dim: int, index: Any = None) -> None:
        """Takes what `faiss.read_index` returns, for vectors that exist."""
        self.dim = dim
        self.index: Any = faiss.IndexFlatL2(dim) if index is None else index

    @classmethod
    def load(cls, dim: int, path: Path) -> "Float32Vectors":
        """Reads what `save` wrote."""
        return cls(dim, faiss.read_index(str(path)))

    def __len__(self) -> int:
        return self.index.ntotal

    def add(self, vectors: np.ndarray) -> None:
        self.index.add(vectors)

    def remove(self, rows: np.ndarray) -> None:
        self.index.remove_ids(faiss.IDSelectorBatch(rows))

    def get(self, rows: Rows, columns: slice = _ALL) -> np.ndarray:
        flat = faiss.rev_swig_ptr(self.index.get_xb(), len(self) * self.dim)
        return flat.reshape(len(self), self.dim)[rows, columns]

    def candidates(self, queries: np.ndarray, number: int, mask: np.ndarray | None) -> np.ndarray:
        return _candidates(self.index, queries, number, mask)

    def squares(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(rows, np.int64)
        squares = np.empty(rows.shape, np.float32)
        self.index.compute_distance_subset(
            len(queries),
            faiss.swig_ptr(queries),
            rows.shape[1],
            faiss.swig_ptr(squares),
            faiss.swig_ptr(rows),
        )
        return squares

    def save(self, path: Path) -> None:
        write_faiss(self.index, path)


class Float16Vectors:
    """See the head of this file; its file is an `IndexScalarQuantizer` of the type QT_fp16.

    Read with `mapped`, the vectors stay in the file, and the system reads the parts that a search
    needs. A change brings all of them into memory.
    """

    subtracts: ClassVar[bool] = True

    def __init__(self, dim: int, index: Any = None, is_mapped: bool = False) -> None:
        """Takes what `faiss.read_index` returns, for vectors that exist."""
        self.dim = dim
        self.index: Any = _half_index(dim) if index is None else index
        self._is_mapped = is_mapped

    @classmethod
    def load(cls, dim: int, path: Path, mapped: bool = False) -> "Float16Vectors":
        """Reads what `save` wrote, or leaves it in the file."""
        flags = faiss.IO_FLAG_MMAP_IFC if mapped else 0
        return cls(dim, faiss.read_index(str(path), flags), mapped)

    def __len__(self) -> int:
        return self.index.ntotal

    def add(self, vectors: np.ndarray) -> None:
        _check_range(vectors)
        self._own()
        # Rounded here, because FAISS rounds ties in two ways, by the instructions of the machine.
        self.index.add(vectors.astype(np.float16).astype(np.float32))

    def remove(self, rows: np.ndarray) -> None:
        self._own()
        self.index.remove_ids(faiss.IDSelectorBatch(rows))

    def get(self, rows: Rows, columns: slice = _ALL) -> np.ndarray:
        codes = self._codes()[rows, columns].view(np.uint8)
        return _half_index(codes.shape[1] // 2).sa_decode(np.ascontiguousarray(codes))

    def candidates(self, queries: np.ndarray, number: int, mask: np.ndarray | None) -> np.ndarray:
        return _candidates(self.index, queries, number, mask)

    def squares(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return pairwise_squares(self.get, queries, rows)

    def save(self, path: Path) -> None:
        write_faiss(self.index, path)

    def _codes(self) -> np.ndarray:
        """Returns a view of the numbers in the file or in memory, float16 `[n, dim]`."""
        flat = faiss.rev_swig_ptr(self.index.codes.data(), len(self) * 2 * self.dim)
        return flat.view(np.float16).reshape(len(self), self.dim)

    def _own(self) -> None:
        """Takes the vectors out of the file: FAISS ends the process if one changes a mapped one."""
        if self._is_mapped:
            owned = _half_index(self.dim)
            owned.add_sa_codes(np.array(self._codes()).view(np.uint8))
            self.index, self._is_mapped = owned, False


def pairwise_squares(
    get: Callable[[np.ndarray], np.ndarray], queries: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Returns what `Searchable.squares` does, for vectors that `get` returns by row."""
    squares = np.empty(rows.shape, np.float32)
    for query, chosen, result in zip(queries, rows, squares, strict=True):
        for start in range(0, len(chosen), _CHUNK):
            difference = get(chosen[start : start + _CHUNK]) - query
            result[start : start + _CHUNK] = np.einsum("md,md->m", difference, difference)
    return squares


def selector(mask: np.ndarray) -> Any:
    """Returns the FAISS selector of the ids at which a mask, bool `[n]`, is true."""
    return _IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def write_faiss(index: Any, path: Path) -> None:
    """Writes a FAISS index by `files.replace_file`; raises an OSError if that fails."""
    with files.replace_file(path) as temporary:
        try:
            faiss.write_index(index, str(temporary))
        except RuntimeError as error:
            raise OSError(f"FAISS could not write it: {error}") from error


def _candidates(
    index: Any, queries: np.ndarray, number: int, mask: np.ndarray | None
) -> np.ndarray:
    params = None if mask is None else _SearchParameters(sel=selector(mask))
    return index.search(queries, number, params=params)[1]


def _check_range(vectors: np.ndarray) -> None:
    """Raises a ValueError if float16 cannot hold the vectors, or has few digits for them."""
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    tiny = (largest > 0.0) & (largest < _HALF.smallest_normal)
    if largest.max(initial=0.0) > _HALF.max or tiny.any():
        number = largest.max() if not tiny.any() else largest[tiny].max()
        raise ValueError(
            f"the largest number of a vector is {number:g}, but float16 has its 3 digits from "
            f"{_HALF.smallest_normal:.2g} to {_HALF.max:,.0f}. Build the index with "
            "--storage=float32."
        )


def _half_index(dim: int) -> Any:
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
