"""The measuring protocol: which manipulations are tried, and what counts as a hit.

[Ak21] (FashionSearchNet-v2) Sec. 4.4-4.5: a single attribute of a query image is changed, every
change that is available in the gallery is tried, and it is a hit if one of the K nearest gallery
images has all the attributes wanted. The paper does not say how missing labels compare; the two
readings are the hit rules `identical` and `labelled`.
"""

import dataclasses

import numpy as np

from fashionsearchnet.attributes import KEEP, MISSING, apply_manipulation
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.metrics import random_hit_rate

HIT_RULES = {
    "identical": "all attributes agree, and what the target lacks the image must lack too",
    "labelled": "all attributes that the target states agree; what it lacks may be anything",
}
_CHUNK_CELLS = 4_000_000  # cells of a block of comparisons, to bound memory


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
        self.combination_of = inverse.reshape(-1)

    def __len__(self) -> int:
        return len(self.labels)

    def relevant(self, targets: np.ndarray, hit_rule: str) -> np.ndarray:
        """Returns bool `[targets, gallery]`: which items are hits of targets `[targets, A]`."""
        hits = count_differences(targets[:, None], self.combinations[None], hit_rule) == 0
        return hits[:, self.combination_of]

    def num_relevant(self, targets: np.ndarray, hit_rule: str) -> np.ndarray:
        """Returns int64 `[targets]`: how many items are hits of each target."""
        gain = np.zeros((targets.shape[1] + 1, targets.shape[1] + 1))
        gain[:, 0] = 1.0
        return np.round(self._sum_over_items(targets, hit_rule, gain)).astype(np.int64)

    def mean_gain(self, targets: np.ndarray, hit_rule: str) -> np.ndarray:
        """Returns float64 `[targets]`: the mean of 2^relevance - 1 over the gallery.

        This is the expected NDCG of a random order, for every K, since the ideal gain is 1 at
        each rank.
        """
        considered, different = np.ogrid[: targets.shape[1] + 1, : targets.shape[1] + 1]
        gain = 2.0 ** (1.0 - different / np.maximum(considered, 1)) - 1.0
        return self._sum_over_items(targets, hit_rule, gain) / len(self)

    def _sum_over_items(self, targets: np.ndarray, hit_rule: str, gain: np.ndarray) -> np.ndarray:
        """Returns float64 `[targets]`: the sum of gain[considered, different] over the gallery.

        Args:
          targets: int `[targets, A]`.
          hit_rule: one of HIT_RULES.
          gain: float64 `[A + 1, A + 1]`, by the numbers of attributes that count and that differ.
        """
        distinct, inverse = np.unique(targets, axis=0, return_inverse=True)
        first = num_considered(distinct, hit_rule) * gain.shape[1]
        counts, sums = self.counts.astype(np.float64), np.empty(len(distinct))
        size = max(1, _CHUNK_CELLS // len(self.combinations))
        for start in range(0, len(distinct), size):
            rows = slice(start, start + size)
            different = count_differences(distinct[rows, None], self.combinations[None], hit_rule)
            sums[rows] = gain.ravel()[first[rows, None] + different] @ counts
        return sums[inverse.reshape(-1)]


@dataclasses.dataclass(frozen=True)
class Manipulations:
    """Single changes of query images, sorted by attribute, then query, then value.

    Attributes:
      query: int32 `[M]`, position of the image in the query split.
      attribute: int32 `[M]`, the attribute that is changed.
      value: int32 `[M]`, the wanted value.
      targets: int32 `[M, A]`, the labels wanted: those of the query with one changed.
      num_available: for each attribute how many there are in all, before the draw.
      num_added: how many of the M give a value to an attribute that the query lacks.
    """

    query: np.ndarray
    attribute: np.ndarray
    value: np.ndarray
    targets: np.ndarray
    num_available: tuple[int, ...]
    num_added: int

    def __len__(self) -> int:
        return len(self.query)

    @property
    def num_attributes(self) -> int:
        """The number A of attributes."""
        return self.targets.shape[1]

    @property
    def encoded(self) -> np.ndarray:
        """The manipulations as int32 `[M, A]`: the wanted value, or -1 to keep."""
        return single_edits(self.attribute, self.value, self.num_attributes)


def single_edits(attribute: np.ndarray, value: np.ndarray, num_attributes: int) -> np.ndarray:
    """Returns manipulations int32 `[M, num_attributes]` of one attribute each."""
    encoded = np.full((len(attribute), num_attributes), KEEP, np.int32)
    encoded[np.arange(len(attribute)), attribute] = value
    return encoded


def count_differences(targets: np.ndarray, labels: np.ndarray, hit_rule: str) -> np.ndarray:
    """Returns int16 `[...]`: in how many attributes labels differ from targets; 0 is a hit.

    Args:
      targets: int `[..., A]`.
      labels: int `[..., A]`, broadcast against `targets` (but for the last axis).
      hit_rule: one of HIT_RULES.

    Raises:
      ValueError: for an unknown hit rule.
    """
    number = np.zeros(np.broadcast_shapes(targets.shape[:-1], labels.shape[:-1]), np.int16)
    for attribute in range(targets.shape[-1]):
        number += _differs(targets[..., attribute], labels[..., attribute], hit_rule)
    return number


def num_considered(targets: np.ndarray, hit_rule: str) -> np.ndarray:
    """Returns int `[...]`: how many attributes of targets `[..., A]` count."""
    if hit_rule == "labelled":
        return (targets != MISSING).sum(axis=-1)
    return np.full(targets.shape[:-1], targets.shape[-1])


def relevance(targets: np.ndarray, labels: np.ndarray, hit_rule: str) -> np.ndarray:
    """Returns float64 `[...]` in [0, 1]: the share of attributes that match the target.

    Of all attributes under 'identical' (lacking one on both sides is a match), of those that the
    target states under 'labelled'; it is 1 exactly for a hit. Shapes as in `count_differences`.
    """
    considered = np.maximum(num_considered(targets, hit_rule), 1)
    return 1.0 - count_differences(targets, labels, hit_rule) / considered


def enumerate_manipulations(
    query_labels: np.ndarray,
    gallery: Gallery,
    hit_rule: str = "identical",
    add_missing: bool = False,
    max_per_attribute: int | None = None,
    seed: int = 0,
) -> Manipulations:
    """Returns every change of one attribute whose target exists in the gallery.

    Args:
      query_labels: int32 `[queries, A]`, -1 for missing.
      gallery: where targets must exist.
      hit_rule: one of HIT_RULES; "exists" means that some item is a hit.
      add_missing: also give values to attributes that the query lacks. Else only values that the
        query has are replaced.
      max_per_attribute: draw so many of each attribute at random; None for all.
      seed: of the draw.

    Raises:
      ValueError: if there is none, or an argument is out of range.
    """
    check_choice("hit_rule", hit_rule, HIT_RULES)
    if max_per_attribute is not None:
        check_range("max_per_attribute", max_per_attribute, 1)
    found = _available_changes(query_labels, gallery.combinations, hit_rule, add_missing)
    kept = [_draw(pairs, max_per_attribute, (seed, a)) for a, pairs in enumerate(found)]
    attribute = np.repeat(np.arange(len(kept)), [len(pairs) for pairs in kept]).astype(np.int32)
    query, value = np.concatenate(kept).astype(np.int32).T
    if not len(query):
        raise ValueError(
            f"no change of one attribute of the {len(query_labels)} queries leads to a "
            f"combination that exists among the {len(gallery)} gallery images. Take a larger "
            "gallery or fewer attributes, or hit_rule 'labelled' if many labels are missing."
        )
    edits = single_edits(attribute, value, query_labels.shape[1])
    return Manipulations(
        query=query,
        attribute=attribute,
        value=value,
        targets=apply_manipulation(query_labels[query], edits).astype(np.int32),
        num_available=tuple(len(pairs) for pairs in found),
        num_added=int((query_labels[query, attribute] == MISSING).sum()),
    )


def chance(manipulations: Manipulations, gallery: Gallery, hit_rule: str, k: int) -> np.ndarray:
    """Returns float64 `[M]`: how likely a random order of the gallery has a hit in its first K."""
    number = gallery.num_relevant(manipulations.targets, hit_rule)
    return random_hit_rate(number, len(gallery), k)


def _differs(target: np.ndarray, label: np.ndarray, hit_rule: str) -> np.ndarray:
    """Returns bool `[...]`: whether one attribute keeps an image from being a hit."""
    check_choice("hit_rule", hit_rule, HIT_RULES)
    different = target != label
    if hit_rule == "labelled":
        different &= target != MISSING
    return different


def _available_changes(
    query_labels: np.ndarray, combinations: np.ndarray, hit_rule: str, add_missing: bool
) -> list[np.ndarray]:
    """Returns, for each attribute, int64 `[n, 2]`: query position and wanted value, sorted.

    A change of attribute a to value v is available if some combination has v there and agrees
    with the query everywhere else: if a is the only attribute at which they differ.
    """
    num_attributes = query_labels.shape[1]
    found: list[list[np.ndarray]] = [[] for _ in range(num_attributes)]
    size = max(1, _CHUNK_CELLS // len(combinations))
    for start in range(0, len(query_labels), size):
        labels = query_labels[start : start + size]
        differences = count_differences(labels[:, None], combinations[None], hit_rule)  # [B, U]
        for attribute in range(num_attributes):
            own, other = labels[:, None, attribute], combinations[None, :, attribute]
            available = differences == _differs(own, other, hit_rule)
            available &= (other != MISSING) & (other != own)
            if not add_missing:
                available &= own != MISSING
            row, column = np.nonzero(available)
            found[attribute].append(
                np.stack([row + start, combinations[column, attribute]], axis=1)
            )
    return [np.unique(np.concatenate(pairs), axis=0) for pairs in found]


def _draw(pairs: np.ndarray, number: int | None, seed: tuple[int, int]) -> np.ndarray:
    """Returns `number` of the rows, or all if there are not more, in their order."""
    if number is None or len(pairs) <= number:
        return pairs
    kept = np.random.default_rng(seed).choice(len(pairs), number, replace=False)
    return pairs[np.sort(kept)]
