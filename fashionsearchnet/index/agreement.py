"""Ranking by how likely images show all that is wanted: "predicted agreement".

A system reads p_a(v) off a candidate and q_a(v) off a query, for each attribute a and value v. An
edited attribute has q_a = 1 at the wanted value. If the readings are independent, the candidate
shows the wanted value of every attribute with the probability

    P = prod_a sum_v q_a(v) p_a(v).

To rank by P is to rank by the chance of a hit. The Euclidean distance between p and q does not: it
counts by how much the certainties of two readings differ.

P is no distance between two vectors, so an index cannot search by it. It can put the first results
of another search in order: `likeliest_first`, and `ReRanked` for many queries.
"""

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.exact import Candidates

_LABEL_TRUST = 0.9  # how likely a label of the gallery is right, in place of a reading
_LEAST = 1e-6  # of the sum of an attribute: a reading is never certain, and log(0) is infinite


def trusted(beliefs: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Returns the probabilities of values where some labels are known, float32 `[N, C]`.

    Args:
      beliefs: float32 `[N, C]`, the one-hots of known labels, and `read` for the others.
      read: float32 `[N, C]`, what the system reads off the images.
    """
    return _LABEL_TRUST * beliefs + (1.0 - _LABEL_TRUST) * read


def likeliest_first(space: AttributeSpace, wanted: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Returns the order of images by P, int64 `[N]`; images with the same P keep their order.

    Args:
      space: the attributes, with C values in all.
      wanted: float32 `[C]`, how likely each value is wanted.
      read: float32 `[N, C]`, what the system reads off the images.
    """
    if not len(read):
        return np.arange(0)
    likely = AgreementCandidates(space, read).squared_distances(wanted[None])
    return np.argsort(likely[0], kind="stable")


class AgreementCandidates(Candidates):
    """What a system reads off the images of a gallery."""

    def __init__(self, space: AttributeSpace, probabilities: np.ndarray) -> None:
        """Takes float32 `[gallery, C]`, for C values in all; each block sums to 1."""
        self._blocks = [
            (
                slice(start, start + size),
                np.ascontiguousarray(probabilities[:, start : start + size].T),
            )
            for start, size in zip(space.offsets, space.num_values, strict=True)
        ]
        self._number, self._dim = probabilities.shape

    def __len__(self) -> int:
        return self._number

    @property
    def dim(self) -> int:
        """The number of values of all attributes."""
        return self._dim

    def squared_distances(self, queries: np.ndarray) -> np.ndarray:
        """Returns -2 log P, float32 `[queries, gallery]`, for float32 queries `[queries, C]`.

        As a squared distance is, up to a constant, -2 log of a normal density.
        """
        distances = np.zeros((len(queries), len(self)), np.float32)
        for block, gallery in self._blocks:
            agreement = np.maximum(queries[:, block] @ gallery, _LEAST)
            distances -= np.log(agreement, out=agreement)
        distances *= 2.0
        return distances


class ReRanked(Candidates):
    """The nearest of some candidates in the order of others; behind them the rest as they were."""

    def __init__(self, first: Candidates, second: Candidates, number: int) -> None:
        """Joins two rankings of the same items.

        Args:
          first: finds the nearest.
          second: puts them in order.
          number: how many, at least 1; above the number of items it counts as that.
        """
        self._first, self._second = first, second
        self._number = min(number, len(first))

    def __len__(self) -> int:
        return len(self._first)

    @property
    def dim(self) -> int:
        """The length of a query of `first` and, behind it, one of `second`."""
        return self._first.dim + self._second.dim

    def squared_distances(self, queries: np.ndarray) -> np.ndarray:
        """Returns numbers in the order of the ranking, float32 `[queries, gallery]`."""
        distances = self._first.squared_distances(queries[:, : self._first.dim])
        order = self._second.squared_distances(queries[:, self._first.dim :])
        nearest = np.argpartition(distances, self._number - 1, axis=1)[:, : self._number]
        order = np.take_along_axis(order, nearest, axis=1)
        distances += order.max(axis=1, keepdims=True) - distances.min(axis=1, keepdims=True) + 1.0
        np.put_along_axis(distances, nearest, order, axis=1)
        return distances
