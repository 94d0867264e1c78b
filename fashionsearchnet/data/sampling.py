"""Triplets for the global stage: an image, an edit of it, and who has the edited combination."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.checks import check_choice

NEGATIVES = ("random", "unedited")


@dataclasses.dataclass(frozen=True)
class EditTriplets:
    """A batch of triplets for Eq. 8 of [Ak21].

    Attributes:
      anchor: int32 `[batch]`, indices of images.
      manipulation: int32 `[batch, attributes]`, one wanted value each, else -1.
      positive: int32 `[batch]`, images with exactly the anchor's values after the edit.
      negative: int32 `[batch]`, images that do not have them.
    """

    anchor: np.ndarray
    manipulation: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


class EditSampler:
    """Draws edits whose target combination exists among the given images.

    An anchor is drawn uniformly among the images that have such an edit, then one of the
    attributes that can be edited, then one of its values: no attribute is favoured for having
    many values. A missing value (-1) is never edited and must be missing in the positive too.
    """

    def __init__(self, values: np.ndarray, negatives: str = "random"):
        """Enumerates all edits between the combinations in `values`.

        Args:
          values: int32 `[num, attributes]`, -1 for missing.
          negatives: 'random' images, as in [Ak21], or 'unedited' ones, which have the values that
            the anchor had before the edit: they differ from the positive in the edit alone.

        Raises:
          ValueError: if no image has an edit whose target another image shows.
        """
        self._negatives = check_choice("negatives", negatives, NEGATIVES)
        self._num, self._num_attributes = values.shape
        self._combinations, self._combination_of = np.unique(values, axis=0, return_inverse=True)
        self._combination_of = self._combination_of.reshape(-1)
        order = np.argsort(self._combination_of, kind="stable")
        self._members = order
        self._member_count = np.bincount(self._combination_of)
        self._member_start = np.cumsum(self._member_count) - self._member_count
        self._enumerate_edits()
        can_edit = np.any(self._edit_count > 0, axis=1)
        self._anchors = np.flatnonzero(can_edit[self._combination_of])
        if not len(self._anchors):
            raise ValueError(
                "no two training images differ in exactly one attribute, so there is no edit to "
                "train on; use fewer attributes, coarser values or more images."
            )

    @property
    def num_edits(self) -> int:
        """The number of (combination, edit) pairs whose target exists."""
        return len(self._edit_target)

    def _enumerate_edits(self) -> None:
        """Fills `edit_target`, the combinations reached, grouped by (combination, attribute)."""
        num_combinations = len(self._combinations)
        sources, attributes, targets = [], [], []
        for a in range(self._num_attributes):
            labelled = np.flatnonzero(self._combinations[:, a] >= 0)
            rest = np.delete(self._combinations[labelled], a, axis=1)
            _, group = np.unique(rest, axis=0, return_inverse=True)
            group = group.reshape(-1)
            by_group = np.argsort(group, kind="stable")
            for members in np.split(
                labelled[by_group], np.flatnonzero(np.diff(group[by_group])) + 1
            ):
                source, target = np.meshgrid(members, members, indexing="ij")
                apart = source != target
                sources.append(source[apart])
                targets.append(target[apart])
                attributes.append(np.full(apart.sum(), a))
        slot = np.concatenate(sources) * self._num_attributes + np.concatenate(attributes)
        order = np.argsort(slot, kind="stable")
        self._edit_target = np.concatenate(targets)[order]
        count = np.bincount(slot, minlength=num_combinations * self._num_attributes)
        shape = (num_combinations, self._num_attributes)
        self._edit_count = count.reshape(shape)
        self._edit_start = (np.cumsum(count) - count).reshape(shape)

    def sample(self, rng: np.random.Generator, batch_size: int) -> EditTriplets:
        """Returns `batch_size` triplets."""
        anchor = rng.choice(self._anchors, batch_size)
        combination = self._combination_of[anchor]
        # The largest of independent uniform numbers picks one editable attribute at random.
        scores = rng.random((batch_size, self._num_attributes))
        attribute = np.where(self._edit_count[combination] > 0, scores, -1.0).argmax(axis=1)
        start = self._edit_start[combination, attribute]
        target = self._edit_target[start + rng.integers(self._edit_count[combination, attribute])]
        positive = self._sample_members(rng, target)
        manipulation = np.full((batch_size, self._num_attributes), KEEP, np.int32)
        rows = np.arange(batch_size)
        manipulation[rows, attribute] = self._combinations[target, attribute]
        if self._negatives == "unedited":
            negative = self._sample_members(rng, combination)
        else:
            negative = self._sample_others(rng, target)
        return EditTriplets(
            anchor.astype(np.int32),
            manipulation,
            positive.astype(np.int32),
            negative.astype(np.int32),
        )

    def _sample_members(self, rng: np.random.Generator, combination: np.ndarray) -> np.ndarray:
        """A random image of each combination."""
        count = self._member_count[combination]
        return self._members[self._member_start[combination] + rng.integers(count)]

    def _sample_others(self, rng: np.random.Generator, target: np.ndarray) -> np.ndarray:
        """Random images other than those of the target combination ([Ak21] leaves that open)."""
        negative = rng.integers(self._num, size=len(target))
        while (same := self._combination_of[negative] == target).any():
            negative[same] = rng.integers(self._num, size=same.sum())
        return negative

    def batches(self, seed: int, first_step: int, batch_size: int) -> Iterator[EditTriplets]:
        """Yields endless batches; that of a step depends on the seed and the step only."""
        step = first_step
        while True:
            yield self.sample(np.random.default_rng((seed, step)), batch_size)
            step += 1
