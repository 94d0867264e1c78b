"""Triplets for manipulation: an image, an edit of it, and images with and without the target."""

import dataclasses

import numpy as np

from fashionsearchnet.attributes import KEEP, MISSING
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.choices import EPOCHS, NEGATIVES
from fashionsearchnet.training.sampler import Rows, Sampler

_ATTEMPTS = 8  # to reach the wanted number of changes; then the last target stands


@dataclasses.dataclass(frozen=True)
class EditTriplets(Rows):
    """A batch of triplets for Eq. 8 of [Ak21].

    Attributes:
      anchor: int32 `[batch]`, indices of images.
      manipulation: int32 `[batch, attributes]`, the wanted values, -1 to keep.
      positive: int32 `[batch]`, images with exactly the anchor's values after the edit.
      negative: int32 `[batch]`, images that do not have them.
    """

    anchor: np.ndarray
    manipulation: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


class EditSampler(Sampler[EditTriplets]):
    """Draws edits whose target combination exists among the given images.

    An anchor is drawn uniformly among the images that have such an edit, then one of the
    attributes that can be edited, then one of its values: no attribute is favoured for having
    many values. A missing value (-1) is never edited and must be missing in the positive too.

    Attributes:
      combination_of: the combination of values that each image shows, int64 `[num]`.
    """

    def __init__(self, values: np.ndarray, negatives: str = "random", num_changes: int = 1):
        """Enumerates all edits between the combinations in `values`.

        Args:
          values: int32 `[num, attributes]`, -1 for missing.
          negatives: a key of NEGATIVES.
          num_changes: attributes changed at once, at most: of each anchor a random number from
            one to this. An edit of several is a chain of single ones. Each leads to a
            combination that exists.

        Raises:
          ValueError: if no image has an edit whose target another image shows, or `num_changes`
            is not between 1 and the number of attributes.
        """
        self._negatives = check_choice("negatives", negatives, NEGATIVES)
        check_range("num_changes", num_changes, 1, values.shape[1])
        self._num_changes = num_changes
        self._num, self._num_attributes = values.shape
        _, first, self.combination_of = np.unique(
            _row_codes(values), return_index=True, return_inverse=True
        )
        self._combinations = values[first]
        self._members = np.argsort(self.combination_of, kind="stable")
        self._member_count = np.bincount(self.combination_of)
        self._member_start = np.cumsum(self._member_count) - self._member_count
        self._enumerate_edits()
        can_edit = np.any(self._edit_count > 0, axis=1)
        self._anchors = np.flatnonzero(can_edit[self.combination_of])
        if not len(self._anchors):
            raise ValueError(
                "no two training images differ in exactly one attribute, so there is no edit to "
                "train on; use fewer attributes, coarser values or more images."
            )

    def epoch_size(self, epoch_of: str) -> int:
        """Returns the number of triplets in an epoch; `epoch_of` is a key of EPOCHS.

        [Ak21] Sec. 3.3 trains on "all possible attribute manipulation options". Which edits are
        possible is our reading: those whose target another training image shows. Triplets are
        drawn at random either way, so an epoch repeats some edits and leaves others out.
        """
        if check_choice("epoch_of", epoch_of, EPOCHS) == "images":
            return self._num
        return int(self._edit_count.sum(axis=1)[self.combination_of].sum())

    def _enumerate_edits(self) -> None:
        """Fills `_edit_target`, the combinations reached, grouped by (combination, attribute)."""
        sources, attributes, targets = [], [], []
        for a in range(self._num_attributes):
            labelled = np.flatnonzero(self._combinations[:, a] >= 0)
            source, target = _ordered_pairs(np.delete(self._combinations[labelled], a, axis=1))
            sources.append(labelled[source])
            targets.append(labelled[target])
            attributes.append(np.full(len(source), a))
        slot = np.concatenate(sources) * self._num_attributes + np.concatenate(attributes)
        order = np.argsort(slot, kind="stable")
        self._edit_target = np.concatenate(targets)[order]
        shape = (len(self._combinations), self._num_attributes)
        count = np.bincount(slot, minlength=shape[0] * shape[1])
        self._edit_count = count.reshape(shape)
        self._edit_start = (np.cumsum(count) - count).reshape(shape)

    def sample(self, rng: np.random.Generator, batch_size: int) -> EditTriplets:
        """Returns `batch_size` triplets."""
        anchor = rng.choice(self._anchors, batch_size)
        combination = self.combination_of[anchor]
        target = self._draw_target(rng, combination)
        before, after = self._combinations[combination], self._combinations[target]
        manipulation = np.where(before == after, KEEP, after)
        positive = self._sample_members(rng, target)
        if self._negatives == "random":
            negative = self._sample_others(rng, target)
        elif self._negatives == "unedited":
            negative = self._sample_members(rng, combination)
        else:
            negative = self._sample_members(rng, self._draw_edit(rng, target))
        drawn = (anchor, manipulation, positive, negative)
        return EditTriplets(*(array.astype(np.int32) for array in drawn))

    def _draw_edit(self, rng: np.random.Generator, combination: np.ndarray) -> np.ndarray:
        """A random combination one edit away from each; every one must have an edit."""
        # The largest of independent uniform numbers picks one editable attribute at random.
        scores = rng.random((len(combination), self._num_attributes))
        attribute = np.where(self._edit_count[combination] > 0, scores, -1.0).argmax(axis=1)
        start = self._edit_start[combination, attribute]
        number = self._edit_count[combination, attribute]
        return self._edit_target[start + rng.integers(number)]

    def _draw_target(self, rng: np.random.Generator, combination: np.ndarray) -> np.ndarray:
        """The combination wanted of each: after one edit, or a walk of several.

        The wanted number of changes is reached by steps to neighbouring combinations; where a
        walk comes back on itself it is tried again; after the last try the target reached stands.
        """
        target = self._draw_edit(rng, combination)
        if self._num_changes == 1:
            return target
        wanted = rng.integers(1, self._num_changes + 1, len(combination))
        for _ in range(_ATTEMPTS):
            short = np.flatnonzero(self._num_changed(combination, target) < wanted)
            if not len(short):
                break
            further = self._draw_edit(rng, target[short])
            changed = self._num_changed(combination[short], further)
            better = changed > self._num_changed(combination[short], target[short])
            target[short[better]] = further[better]
        return target

    def _num_changed(self, combination: np.ndarray, target: np.ndarray) -> np.ndarray:
        """In how many attributes two combinations differ, int `[batch]`."""
        return (self._combinations[combination] != self._combinations[target]).sum(axis=1)

    def _sample_members(self, rng: np.random.Generator, combination: np.ndarray) -> np.ndarray:
        """A random image of each combination."""
        count = self._member_count[combination]
        return self._members[self._member_start[combination] + rng.integers(count)]

    def _sample_others(self, rng: np.random.Generator, target: np.ndarray) -> np.ndarray:
        """Random images other than those of the target combination ([Ak21] leaves that open)."""
        negative = rng.integers(self._num, size=len(target))
        while (same := self.combination_of[negative] == target).any():
            negative[same] = rng.integers(self._num, size=same.sum())
        return negative


def _ordered_pairs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns all (i, j), i != j, of equal rows: int64 arrays, the js of an i in rising order."""
    codes = _row_codes(rows)
    by_group = np.argsort(codes, kind="stable")
    _, first, size = np.unique(codes[by_group], return_index=True, return_counts=True)
    first, size = np.repeat(first, size), np.repeat(size, size)  # of each row's group
    source = np.repeat(np.arange(len(rows)), size - 1)
    # Each row meets the 0th, 1st, ... other of its group; from its own place on, the next one.
    other = np.arange(len(source)) - np.repeat(np.cumsum(size - 1) - (size - 1), size - 1)
    target = first[source] + other
    target += target >= source
    return by_group[source], by_group[target]


def _row_codes(rows: np.ndarray) -> np.ndarray:
    """Returns one int64 per row of values from -1 on: in the rows' order, equal for equal rows."""
    codes, bound = np.zeros(len(rows), np.int64), 1
    for column in rows.T:
        size = int(column.max(initial=MISSING)) + 2
        if bound * size >= 2**62:  # the codes would overflow: number those that occur
            present, codes = np.unique(codes, return_inverse=True)
            bound = len(present)
        codes = codes * size + (column.astype(np.int64) + 1)
        bound *= size
    return codes
