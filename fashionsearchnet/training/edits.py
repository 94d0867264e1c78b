"""Triplets for the global stage: an image, an edit of it, and who has the edited combination."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.training.distribution import replica_rows

NEGATIVES = {
    "random": "any image that lacks the target, as in [Ak21]",
    "unedited": "an image with the anchor's values from before the edit",
    "one_edit": "an image one edit away from the target",
}
_ATTEMPTS = 8  # draws of several changes at once before an anchor makes do with one


@dataclasses.dataclass(frozen=True)
class EditTriplets:
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

    def __getitem__(self, rows: slice) -> "EditTriplets":
        """Returns some rows of the batch."""
        return EditTriplets(**{name: array[rows] for name, array in vars(self).items()})


class EditSampler:
    """Draws edits whose target combination exists among the given images.

    An anchor is drawn uniformly among the images that have such an edit, then one of the
    attributes that can be edited, then one of its values: no attribute is favoured for having
    many values. A missing value (-1) is never edited and must be missing in the positive too.
    """

    def __init__(self, values: np.ndarray, negatives: str = "random", num_changes: int = 1):
        """Enumerates all edits between the combinations in `values`.

        Args:
          values: int32 `[num, attributes]`, -1 for missing.
          negatives: a key of NEGATIVES.
          num_changes: attributes changed at once, at most: of each anchor a random number from
            one to this. An edit of several is made of single ones, each of which leads to a
            combination that exists.

        Raises:
          ValueError: if no image has an edit whose target another image shows, or `num_changes`
            is not between 1 and the number of attributes.
        """
        self._negatives = check_choice("negatives", negatives, NEGATIVES)
        check_range("num_changes", num_changes, 1, values.shape[1])
        self._num_changes = num_changes
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
    def combination_of(self) -> np.ndarray:
        """Which combination of values each image shows, int64 `[num]`."""
        return self._combination_of

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
        return EditTriplets(
            anchor.astype(np.int32),
            manipulation.astype(np.int32),
            positive.astype(np.int32),
            negative.astype(np.int32),
        )

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
        walk comes back on itself it is tried again, and at last the single edit stands.
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
        while (same := self._combination_of[negative] == target).any():
            negative[same] = rng.integers(self._num, size=same.sum())
        return negative

    def batches(self, seed: int, first_step: int, batch_size: int) -> Iterator[EditTriplets]:
        """Yields endless batches; that of a step depends on the seed and the step only."""
        step = first_step
        while True:
            yield self.sample(np.random.default_rng((seed, step)), batch_size)
            step += 1

    def examples(
        self,
        load: Callable[[EditTriplets], dict[str, np.ndarray]],
        *,
        seed: int,
        first_step: int,
        global_batch_size: int,
        context: tf.distribute.InputContext | None,
    ) -> tf.data.Dataset:
        """Returns endless batches of what `load` makes of triplets, for a stage of training.

        Args:
          load: is given the triplets of one replica's share of a step; its arrays must have the
            same shapes and dtypes at each call.
          seed: see `batches`, as is `first_step`.
          first_step: the step to start at.
          global_batch_size: triplets per step, over all replicas.
          context: of the input pipeline among several; batches are per replica then.
        """
        shares = replica_rows(global_batch_size, context)

        def loaded() -> Iterator[dict[str, np.ndarray]]:
            for triplets in self.batches(seed, first_step, global_batch_size):
                for rows in shares:
                    yield load(triplets[rows])

        signature = {
            name: tf.TensorSpec(array.shape, array.dtype) for name, array in next(loaded()).items()
        }
        examples = tf.data.Dataset.from_generator(loaded, output_signature=signature)
        return examples.prefetch(tf.data.AUTOTUNE)
