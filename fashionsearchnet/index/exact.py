"""Exact nearest neighbours: every query against every gallery item."""

import abc
from collections.abc import Iterator

import numpy as np

from fashionsearchnet.checks import check_range

_CHUNK_DISTANCES = 4_000_000  # per block of queries: 16 MB of float32, so memory stays small
_MAX_CHUNK = 1024  # queries per block, however small the gallery is


class Candidates(abc.ABC):
    """The items of a gallery, each of which is compared with every query."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of items."""

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """The length of a query."""

    @abc.abstractmethod
    def squared_distances(self, queries: np.ndarray) -> np.ndarray:
        """Returns float32 `[queries, gallery]` for float queries `[queries, dim]`; see `chunks`."""

    def chunks(self, num_queries: int) -> Iterator[slice]:
        """Yields slices of so many queries that their distances fit into little memory."""
        size = min(max(1, _CHUNK_DISTANCES // len(self)), _MAX_CHUNK)
        for start in range(0, num_queries, size):
            yield slice(start, min(start + size, num_queries))


class ExactIndex(Candidates):
    """The embeddings of a gallery, ready to be searched by Euclidean distance."""

    def __init__(self, embeddings: np.ndarray) -> None:
        """Takes float `[gallery, dim]`.

        Raises:
          ValueError: if it is not two-dimensional, is empty or holds NaN or infinity.
        """
        embeddings = _checked("gallery embeddings", embeddings)
        if not embeddings.size:
            raise ValueError(f"gallery embeddings must not be empty; got shape {embeddings.shape}.")
        # |q - g|^2 is computed as |q|^2 - 2 q.g + |g|^2, which loses digits where the vectors are
        # long and their differences short. Moving the origin to their mean shortens them.
        self._origin = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._centered = embeddings - self._origin
        self._squares = np.einsum("gd,gd->g", self._centered, self._centered)

    def __len__(self) -> int:
        return len(self._centered)

    @property
    def dim(self) -> int:
        """The length of an embedding."""
        return self._centered.shape[1]

    def squared_distances(self, queries: np.ndarray) -> np.ndarray:
        """Returns float32 `[queries, gallery]` for float queries `[queries, dim]`.

        Rounding may put a zero distance slightly below zero. Use `chunks` for many queries.

        Raises:
          ValueError: if the queries have another length, or hold NaN or infinity.
        """
        queries = _checked("query embeddings", queries)
        if queries.shape[1] != self.dim:
            raise ValueError(
                f"query embeddings must be as long as those of the gallery, {self.dim}; "
                f"got {queries.shape[1]}. Both must come from the same system."
            )
        centered = queries - self._origin
        distances = centered @ self._centered.T
        distances *= -2.0
        distances += self._squares
        distances += np.einsum("qd,qd->q", centered, centered)[:, None]
        return distances

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the K nearest gallery items of each query, nearest first.

        Args:
          queries: float `[queries, dim]`.
          k: at least 1; above the size of the gallery it counts as that.

        Returns:
          Euclidean distances float32 `[queries, k]` and gallery positions int64 `[queries, k]`.
          Of items with equal computed distances the one that stands earlier in the gallery comes
          first. Rounding may part equal vectors by a last digit.
        """
        check_range("k", k, 1)
        k = min(k, len(self))
        distances = np.empty((len(queries), k), np.float32)
        positions = np.empty((len(queries), k), np.int64)
        for rows in self.chunks(len(queries)):
            squared = self.squared_distances(queries[rows])
            positions[rows] = nearest(squared, k)
            found = np.take_along_axis(squared, positions[rows], axis=1)
            distances[rows] = np.sqrt(np.maximum(found, 0.0))
        return distances, positions


def nearest(distances: np.ndarray, k: int) -> np.ndarray:
    """Returns the positions of the K smallest of each row, smallest first, int64 `[rows, k]`.

    Ties go to the lower position, also at the edge between K and K + 1, which a plain
    `argpartition` leaves open.

    Args:
      distances: float32 `[rows, items]`, without NaN.
      k: at least 1, at most the number of items.
    """
    farthest = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    # Positions ascend within a row, and a stable sort leaves equal ones in that order.
    rows, positions, first = cells_by_row(distances <= farthest)
    found = distances[rows, positions]
    order = np.lexsort((found, rows))
    # Where several items share the K-th distance a row has more than K of them.
    return positions[order[first[:, None] + np.arange(k)]]


def cells_by_row(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns rows and columns of the true cells of `mask` `[n, m]`, int64, in reading order.

    The third array, int64 `[n]`, says where in the other two the cells of each row begin.
    """
    # np.flatnonzero is twenty times as fast as np.nonzero of two axes.
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns, np.searchsorted(rows, np.arange(len(mask)))


def _checked(what: str, embeddings: np.ndarray) -> np.ndarray:
    """Returns the embeddings as contiguous float32 `[n, dim]`, or raises a ValueError."""
    embeddings = np.ascontiguousarray(embeddings, np.float32)
    if embeddings.ndim != 2:
        raise ValueError(f"{what} must have shape [number, dim]; got {embeddings.shape}.")
    if not np.isfinite(embeddings).all():
        row = int(np.argmin(np.isfinite(embeddings).all(axis=1)))
        raise ValueError(
            f"{what} hold NaN or infinity (first in row {row}): the training of this system went "
            "wrong; take an earlier checkpoint."
        )
    return embeddings
