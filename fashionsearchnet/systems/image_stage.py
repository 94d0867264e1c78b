"""What the stages that train on labelled images share, whatever the system."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.networks.losses import attribute_cross_entropy, attribute_hits
from fashionsearchnet.systems.trunk_stage import TrunkStage
from fashionsearchnet.training import BalancedSampler, EpochSampler, Images
from fashionsearchnet.training.distribution import num_replicas
from fashionsearchnet.training.training_images import check_labelled


@dataclasses.dataclass
class ImageStage(TrunkStage):
    """Batches of images with their labels, and the loss of classifying them.

    Attributes:
      balanced: draw batches in which every attribute has a pair of images that agree and one that
        differs, by `training.BalancedSampler`, in place of all images in random order.
    """

    balanced: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_labelled(self._labels, f"split {self.split!r} of {self.dataset.name}")

    @functools.cached_property
    def _labels(self) -> np.ndarray:
        return self.dataset.labels(self.split)

    @functools.cached_property
    def _balanced(self) -> BalancedSampler:
        return BalancedSampler(self.dataset.space, self._labels)

    @property
    def left_out(self) -> Sequence[str]:
        """What balanced batches do not draw on purpose; see `Stage`."""
        return self._balanced.left_out if self.balanced else ()

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {image or outputs, attributes}; see `Stage.examples`."""
        if self.balanced:
            return self.drawn_examples(self._balanced, self._describe, first_step, context)
        if self.outputs is not None:
            sampler = EpochSampler(len(self._labels))
            return self.drawn_examples(sampler, self._describe, first_step, context)
        return self.dataset.training_examples(
            self.split,
            self.model.image_input,
            global_batch_size=self.global_batch_size,
            seed=self.seed,
            first_step=first_step,
            flip=self.flip,
            context=context,
        )

    def _describe(self, drawn: Images) -> Mapping[str, np.ndarray]:
        return {**vars(drawn), "attributes": self._labels[drawn.position]}

    def classification(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns this replica's share of the loss and of the accuracy.

        The loss is summed over the attributes, as [Ak21] Eq. 2 prints it, and averaged over the
        batch.
        """
        loss, accuracy = classification(self.model.space, logits, labels)
        return loss / self.global_batch_size, accuracy


def classification(
    space: AttributeSpace, logits: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the summed cross-entropy of this replica's images, and its share of the accuracy.

    Args:
      space: A attributes of C values together.
      logits: float `[batch, C]`, one block per attribute.
      labels: int32 `[batch, A]`, -1 for missing.
    """
    loss = tf.reduce_sum(attribute_cross_entropy(logits, labels, space.num_values))
    correct, labelled = attribute_hits(logits, labels, space.num_values)
    return loss, correct / tf.maximum(labelled, 1.0) / num_replicas()
