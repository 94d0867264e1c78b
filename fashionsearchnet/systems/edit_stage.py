"""What the stages that train on edits share, whatever the system."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from fashionsearchnet.training import EditSampler, EditTriplets, Stage


class EditStage(Stage):
    """Batches of edits of the training images, each with an image that shows its target."""

    def __init__(
        self,
        values: np.ndarray,
        *,
        global_batch_size: int,
        seed: int,
        negatives: str,
        num_changes: int,
    ):
        """Enumerates the edits.

        Args:
          values: int32 `[num, attributes]` of the training images, -1 for missing.
          global_batch_size: triplets per step over all replicas.
          seed: of the triplets.
          negatives: a key of `choices.NEGATIVES`.
          num_changes: attributes edited at once, at most; see `training.EditSampler`.

        Raises:
          ValueError: if no image has an edit whose target another image shows, or an argument is
            out of its range.
        """
        self.global_batch_size = global_batch_size
        self.edits = EditSampler(values, negatives, num_changes)
        self._seed = seed

    def epoch_size(self, epoch_of: str) -> int:
        """Returns the number of triplets in an epoch; see `training.EditSampler.epoch_size`."""
        return self.edits.epoch_size(epoch_of)

    def load(self, triplets: EditTriplets) -> Mapping[str, np.ndarray]:
        """Returns what a step needs of triplets; by default, the positions and the edits."""
        return vars(triplets)

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of what `load` returns, from a step on; see `Stage.examples`."""
        return self.edits.examples(
            self.load,
            seed=self._seed,
            first_step=first_step,
            global_batch_size=self.global_batch_size,
            context=context,
        )
