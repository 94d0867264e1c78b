"""Hits of a manipulation by labels, and how near an image comes to one.

A hit has all the attributes wanted ([Ak21], FashionSearchNet-v2, Sec. 4.5). The paper does not say
how missing labels compare: `attributes.HIT_RULES` has two readings.
"""

import numpy as np

from fashionsearchnet.attributes import MISSING, differs

CHUNK_CELLS = 4_000_000  # cells of a block of comparisons, to bound memory


class Gallery:
    """The labels of a gallery, with its distinct combinations, each compared only once."""

    def __init__(self, labels: np.ndarray) -> None:
        """Takes int `[gallery, num_attributes]`, -1 for missing."""
        if labels.ndim != 2 or not len(labels):
            raise ValueError(
                f"gallery labels must have shape [number > 0, attributes]; got {labels.shape}."
            )
        self.labels = labels
        self.combinations, inverse, self.counts = np.unique(
            labels, axis=0, return_inverse=True, return_counts=True
        )
        self.combination_of = inverse.reshape(-1).astype(np.int32)
        self._numbers = {row.tobytes(): number for number, row in enumerate(self.combinations)}

    def __len__(self) -> int:
        return len(self.labels)

    def relevant(self, targets: np.ndarray, hit_rule: str) -> np.ndarray:
        """Tells which items are hits of targets `[targets, A]`, bool `[targets, gallery]`."""
        if hit_rule == "identical":  # then one combination at most has what a target wants
            rows = np.ascontiguousarray(targets, self.combinations.dtype)
            wanted = np.array([self._numbers.get(row.tobytes(), -1) for row in rows], np.int32)
            return wanted[:, None] == self.combination_of
        hits = count_differences(targets[:, None], self.combinations[None], hit_rule) == 0
        return hits[:, self.combination_of]

    def num_relevant(self, targets: np.ndarray, hit_rule: str) -> np.ndarray:
        """Counts the items that are hits of each target, int64 `[targets]`."""
        gain = np.zeros((targets.shape[1] + 1, targets.shape[1] + 1))
        gain[:, 0] = 1.0
        return np.round(self._sum_over_items(targets, hit_rule, gain)).astype(np.int64)

    def mean_gain(self, targets: np.ndarray, hit_rule: str) -> np.ndarray:
        """Averages 2^relevance - 1 over the gallery, float64 `[targets]`.

        This is the expected NDCG of a random order for every K, since the ideal gain is 1 at each
        rank.
        """
        considered, different = np.ogrid[: targets.shape[1] + 1, : targets.shape[1] + 1]
        gain = 2.0 ** (1.0 - different / np.maximum(considered, 1)) - 1.0
        return self._sum_over_items(targets, hit_rule, gain) / len(self)

    def _sum_over_items(self, targets: np.ndarray, hit_rule: str, gain: np.ndarray) -> np.ndarray:
        """Sums `gain[considered, different]` over the gallery, float64 `[targets]`.

        `gain`, float64 `[A + 1, A + 1]`, is by how many attributes count and how many differ.
        """
        distinct, inverse = np.unique(targets, axis=0, return_inverse=True)
        first = num_considered(distinct, hit_rule) * gain.shape[1]
        counts, sums = self.counts.astype(np.float64), np.empty(len(distinct))
        size = max(1, CHUNK_CELLS // len(self.combinations))
        for start in range(0, len(distinct), size):
            rows = slice(start, start + size)
            different = count_differences(distinct[rows, None], self.combinations[None], hit_rule)
            sums[rows] = gain.ravel()[first[rows, None] + different] @ counts
        return sums[inverse.reshape(-1)]


def count_differences(targets: np.ndarray, labels: np.ndarray, hit_rule: str) -> np.ndarray:
    """Counts the attributes in which labels differ from targets, int16 `[...]`; 0 is a hit.

    Args:
      targets: int `[..., A]`.
      labels: int `[..., A]`, broadcast against `targets` (but for the last axis).
      hit_rule: one of HIT_RULES.
    """
    number = np.zeros(np.broadcast_shapes(targets.shape[:-1], labels.shape[:-1]), np.int16)
    for attribute in range(targets.shape[-1]):
        number += differs(targets[..., attribute], labels[..., attribute], hit_rule)
    return number


def num_considered(targets: np.ndarray, hit_rule: str) -> np.ndarray:
    """Counts the attributes of targets `[..., A]` that matter, int `[...]`."""
    if hit_rule == "labelled":
        return (targets != MISSING).sum(axis=-1)
    return np.full(targets.shape[:-1], targets.shape[-1])


def relevance(targets: np.ndarray, labels: np.ndarray, hit_rule: str) -> np.ndarray:
    """Returns the share of attributes that match the target, float64 `[...]`; 1 exactly for a hit.

    Of all attributes under 'identical' (lacking one on both sides is a match), of those that the
    target states under 'labelled'. Shapes as in `count_differences`.
    """
    considered = np.maximum(num_considered(targets, hit_rule), 1)
    return 1.0 - count_differences(targets, labels, hit_rule) / considered
