"""Candidates by how likely they show all that is wanted, for the baseline "predicted agreement".

A system reads p_a(v) off a candidate and q_a(v) off a query, for each attribute a and value v. An
edited attribute has q_a = 1 at the wanted value. If the readings are independent, the candidate
shows the wanted value of every attribute with the probability

    P = prod_a sum_v q_a(v) p_a(v).

To rank by P is to rank by the chance of a hit. The Euclidean distance between p and q does not: it
counts by how much the certainties of two readings differ.
"""

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.exact import Candidates

LABEL_TRUST = 0.9  # how likely a label of the gallery is right, in place of a reading
_LEAST = 1e-6  # of the sum of an attribute: a reading is never certain, and log(0) is infinite


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
        self._number = len(probabilities)

    def __len__(self) -> int:
        return self._number

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
