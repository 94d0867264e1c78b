"""Exact search with FAISS: every query against every item, with a fixed order of ties."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np

from fashionsearchnet.index.engines import EngineSettings, ItemFilter
from fashionsearchnet.index.exact import nearest
from fashionsearchnet.index.parts import Part, PartOfVectors
from fashionsearchnet.index.shortlist import Shortlist, shortlist_of
from fashionsearchnet.index.vectors import Float16Vectors, Float32Vectors, Searchable, Vectors

# Queries times dimensions from which FAISS multiplies matrices instead of comparing pairs. With its
# own 128,000, batches of 32 to 249 queries of 512 numbers take twice to three times as long.
faiss.cvar.distance_compute_blas_threshold = 8192

_SPARE = 16  # candidates beyond K, to tell apart those on the border
_FEW = 16  # queries for which a shortlist is faster than a product of matrices
_FILE = "vectors.faiss"


class FlatEngine:
    """All vectors in memory: 4 bytes times `dim` per item in float32, 2 in float16.

    FAISS proposes candidates, and this class computes their distances again, pair by pair: matrix
    products round differently from place to place, so two equal vectors could have different
    distances. Where rounding leaves open which items are the K, it compares all items pair by pair.

    In float16 the search is exact for the vectors as they are stored; see `index/vectors.py` for
    their rounding. After `prepare`, a few queries at a time are searched by `index/shortlist.py`,
    with the same results.
    """

    storages: ClassVar[tuple[str, ...]] = ("float32", "float16")

    def __init__(self, vectors: Vectors, keys: np.ndarray) -> None:
        self.vectors = vectors
        self._keys = keys
        self._shortlist: Shortlist | None = None

    @classmethod
    def create(cls, settings: EngineSettings) -> "FlatEngine":
        is_whole = settings.storage == "float32"
        vectors = Float32Vectors(settings.dim) if is_whole else Float16Vectors(settings.dim)
        return cls(vectors, np.empty(0, np.int64))

    @classmethod
    def load(
        cls, settings: EngineSettings, folder: Path, description: dict[str, Any], keys: np.ndarray
    ) -> "FlatEngine":
        del description
        path = folder / _FILE
        vectors: Vectors
        if settings.storage == "float32":
            vectors = Float32Vectors.load(settings.dim, path)
        else:
            vectors = Float16Vectors.load(settings.dim, path, mapped=settings.storage == "pq")
        if (len(vectors), vectors.index.d) != (len(keys), settings.dim):
            raise ValueError(
                f"{path} holds {len(vectors)} vectors of {vectors.index.d} numbers, but the "
                f"state lists {len(keys)} items of {settings.dim}."
            )
        return cls(vectors, keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> np.ndarray:
        """The keys of all items, int64 `[n]`, ascending: the rows of `vectors`."""
        return self._keys

    def add(
        self, keys: np.ndarray, vectors: np.ndarray, ids: list[str], values: np.ndarray
    ) -> None:
        del ids, values
        self._shortlist = None
        self.vectors.add(vectors)
        self._keys = np.concatenate([self._keys, keys])

    def delete(self, keys: np.ndarray) -> None:
        rows = self.rows_of(keys)
        self._shortlist = None
        self.vectors.remove(rows)
        self._keys = np.delete(self._keys, rows)

    def prepare(self) -> None:
        self._shortlist = shortlist_of(self.vectors, self.vectors.get, self.vectors.dim)

    def search(
        self,
        queries: np.ndarray,
        k: int,
        item_filter: ItemFilter | None,
        parts: Sequence[Part] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._shortlist is None or parts or len(queries) > _FEW:
            return self._search_all(queries, k, item_filter, parts)
        mask = None if item_filter is None else item_filter.mask
        found = []
        for query in np.split(queries, len(queries)):
            rows = self._shortlist.candidates(self.vectors, query, k, mask)
            if rows is None:
                found.append(self._search_all(query, k, item_filter))
                continue
            squares, rows = rank(self.vectors, query, rows[None])
            found.append((np.sqrt(squares[:, :k]), self._keys[rows[:, :k]]))
        distances, keys = zip(*found, strict=True)
        return np.concatenate(distances), np.concatenate(keys)

    def _search_all(
        self,
        queries: np.ndarray,
        k: int,
        item_filter: ItemFilter | None,
        parts: Sequence[Part] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `search` does, and compares each query with each vector."""
        mask = None if item_filter is None else item_filter.mask
        allowed = len(self) if mask is None else int(np.count_nonzero(mask))
        fetch = min(k + _SPARE, allowed)
        vectors: Searchable = self.vectors
        if parts:
            vectors = PartOfVectors(self.vectors, parts)
            queries = vectors.of_queries(queries)
        squares, rows = rank(vectors, queries, vectors.candidates(queries, fetch, mask))
        if fetch < allowed:
            for query in np.flatnonzero(_is_open(vectors, queries, squares, k)):
                found = _compare_all(vectors, queries[query], k, mask)
                squares[query, :k], rows[query, :k] = found
        return np.sqrt(squares[:, :k]), self._keys[rows[:, :k]]

    def rows_of(self, keys: np.ndarray) -> np.ndarray:
        """Returns the rows, int64, of keys that are there; -1 stays -1."""
        return np.where(keys < 0, -1, np.searchsorted(self._keys, keys))

    def save(self, folder: Path) -> dict[str, Any]:
        self.vectors.save(folder / _FILE)
        return {}

    def committed(self) -> None:
        pass


def rank(
    vectors: Searchable, queries: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns squared distances float32 `[B, m]` and rows int64 `[B, m]`, nearest first.

    Distances are computed pair by pair, so equal vectors are equally far; ties go to the
    lower row. The row -1 stands for none and is infinitely far.
    """
    squares = vectors.squares(queries, rows)
    squares[rows < 0] = np.inf
    order = np.lexsort((rows, squares), axis=1)
    return np.take_along_axis(squares, order, 1), np.take_along_axis(rows, order, 1)


def _is_open(vectors: Searchable, queries: np.ndarray, squares: np.ndarray, k: int) -> np.ndarray:
    """Returns bool `[B]`: whether the candidates may lack one of the K nearest items."""
    # |q|^2 - 2 q.g + |g|^2 in float32 is off by about eps sqrt(dim) (|q| + |g|)^2, and no
    # vector g that matters is longer than |q| plus its distance. A sum of squared differences is
    # off by about eps sqrt(dim) |q - g|^2.
    reach = np.sqrt(squares[:, -1])
    if not vectors.subtracts:
        reach += 2.0 * np.linalg.norm(queries, axis=1)
    error = np.finfo(np.float32).eps * np.sqrt(queries.shape[1]) * reach**2
    return squares[:, k - 1] + error >= squares[:, -1]


def _compare_all(
    vectors: Searchable, query: np.ndarray, k: int, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns squared distances and rows of the K nearest of all allowed items, `[k]`."""
    rows = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    squares = vectors.squares(query[None], rows[None])
    best = nearest(squares, k)[0]
    return squares[0, best], rows[best]
