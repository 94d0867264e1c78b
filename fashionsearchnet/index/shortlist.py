"""Exact search that reads few vectors: their main directions rule out the others.

A vector g less the mean has the part Pg along the main directions of all vectors, and a rest of the
length r(g). For any query q

    |q - g|^2  >=  |Pq - Pg|^2 + (r(q) - r(g))^2,

a squared distance between two short vectors [Pg, r(g)]. A search ranks the short vectors first. The
long distance of the K-th of these is a bound: no vector whose short distance is above it can be
one of the K nearest. What is left are few vectors, and their long distances decide.
"""

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from fashionsearchnet.index.vectors import Rows, Searchable

_NUM_DIRECTIONS = 63  # and the rest: 64 numbers
_LEAST_NUMBERS = 2**21  # vectors times length: 8 MB of float32 are read in half a millisecond
_SAMPLE = 4096  # vectors that the directions are of
_TRIALS = 16  # searches that decide whether the shortlist pays
_CHUNK = 4096  # vectors that are projected at once
_LARGEST_SHARE = 1 / 8  # of the vectors: above, reading all of them in a row is faster
_SPARE = 16  # short vectors beyond K

_faiss: Any = faiss  # its type stubs lack the function of `_squares`

Get = Callable[[Rows], np.ndarray]


class Shortlist:
    """The short vectors of a gallery; 256 bytes a vector, beside it. It knows no changes."""

    def __init__(self, get: Get, number: int) -> None:
        """Projects vectors; takes a second for a hundred million numbers.

        Args:
          get: returns rows float32 `[m, dim]`.
          number: of the vectors.
        """
        rng = np.random.default_rng(0)
        sample = get(np.sort(rng.permutation(number)[:_SAMPLE])).astype(np.float64)
        self._mean = sample.mean(axis=0)
        self._directions = _main_directions(sample - self._mean, rng)
        self._short = np.empty((number, self._directions.shape[1] + 1), np.float32)
        self._longest = 0.0
        for start in range(0, number, _CHUNK):
            short = self._shorten(get(slice(start, start + _CHUNK)))
            self._longest = max(self._longest, float(np.linalg.norm(short, axis=1).max()))
            self._short[start : start + _CHUNK] = short

    def __len__(self) -> int:
        return len(self._short)

    def candidates(
        self, vectors: Searchable, query: np.ndarray, k: int, mask: np.ndarray | None
    ) -> np.ndarray | None:
        """Returns rows among which are the K nearest and all as near as the K-th, int64, ascending.

        None if there are so many that a search of all vectors is faster.

        Args:
          vectors: the long ones.
          query: float32 `[1, dim]`.
          k: at least 1, at most the rows that the mask leaves.
          mask: bool `[n]`, which rows may be returned; None for all.
        """
        allowed = len(self) if mask is None else int(np.count_nonzero(mask))
        short = self._shorten(query)
        near = self._squares(short)
        if mask is not None:
            near[~mask] = np.inf
        number = min(k + _SPARE, allowed)
        rows = np.argpartition(near, number - 1)[:number]
        farthest = float(np.partition(vectors.squares(query, rows[None])[0], k - 1)[k - 1])
        # Rounding of both sides: of the short vectors, of their distance, and of the long one.
        eps, width = float(np.finfo(np.float32).eps), short.shape[1] + 8
        error = eps * width * (float(np.linalg.norm(short)) + self._longest) ** 2
        error += eps * query.shape[1] * farthest + float(np.finfo(np.float32).tiny)
        found = np.flatnonzero(near <= farthest + error)
        return None if len(found) > max(_LARGEST_SHARE * allowed, number) else found

    def _squares(self, short: np.ndarray) -> np.ndarray:
        """Returns the squared distances float32 `[n]` of all to one short vector, `[1, width]`."""
        # On one core: a product of NumPy takes all, and they spin for milliseconds afterwards.
        squares = np.empty(len(self), np.float32)
        arrays = (faiss.swig_ptr(array) for array in (squares, short, self._short))
        _faiss.fvec_L2sqr_ny(*arrays, self._short.shape[1], len(self))
        return squares

    def _shorten(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the short vectors float32 `[m, directions + 1]` of float `[m, dim]`."""
        # In float64: what is left of a length of which nearly all is gone has few digits.
        centred = vectors.astype(np.float64) - self._mean
        along = centred @ self._directions
        squares = np.einsum("md,md->m", centred, centred) - np.einsum("md,md->m", along, along)
        rest = np.sqrt(np.maximum(squares, 0.0))
        return np.concatenate([along, rest[:, None]], axis=1).astype(np.float32)


def shortlist_of(vectors: Searchable, get: Get, dim: int) -> Shortlist | None:
    """Returns the shortlist of vectors, or None where searches are no faster by one.

    That is so for few vectors, and for vectors without main directions, such as noise.
    """
    number = len(vectors)
    if number * dim < _LEAST_NUMBERS or dim <= 2 * _NUM_DIRECTIONS:
        return None
    made = Shortlist(get, number)
    trials = np.random.default_rng(1).permutation(number)[:_TRIALS]
    # Vectors of the gallery find themselves; the K-th neighbour is another.
    found = [made.candidates(vectors, get(trials[i : i + 1]), 32, None) for i in range(_TRIALS)]
    return made if sum(rows is None for rows in found) <= _TRIALS // 4 else None


def _main_directions(centred: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns orthonormal columns float64 `[dim, directions]`, nearly those of most variance.

    Any orthonormal columns give right bounds; these give narrow ones. The method is a randomized
    range finder with two power iterations (Halko, Martinsson and Tropp, 2011, Algorithm 4.4).
    """
    start = centred.T @ rng.standard_normal((len(centred), _NUM_DIRECTIONS))
    directions, _ = np.linalg.qr(start)
    for _ in range(2):
        directions, _ = np.linalg.qr(centred.T @ (centred @ directions))
    return directions
