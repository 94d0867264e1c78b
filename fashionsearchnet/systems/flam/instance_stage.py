"""The first stage: a feature that tells items apart ([Shin19] Sec. 4.2, FIR performance)."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import check_instance_ids
from fashionsearchnet.systems.flam.losses import hardest_triplet_losses
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.trunk_stage import TrunkStage, trainable
from fashionsearchnet.training import PairSampler, Update
from fashionsearchnet.training.distribution import gather, num_replicas
from fashionsearchnet.training.sampler import Rows, Sampler


@dataclasses.dataclass(frozen=True)
class InstancePairs(Rows):
    """A batch of pairs that show the same item.

    Attributes:
      position: int32 `[batch, 2]`, of two images of an item.
      mirrored: bool `[batch, 2]`, which to mirror if images are flipped.
    """

    position: np.ndarray
    mirrored: np.ndarray


class InstanceSampler(Sampler[InstancePairs]):
    """Draws items uniformly, and two images of each; items with one image are left out.

    Attributes:
      left_out: items that one image shows.
    """

    def __init__(self, instance_ids: Sequence[str]):
        """Groups the images by item.

        Raises:
          ValueError: if an image has no id, or no item has two images.
        """
        self._pairs = PairSampler.of_instances(instance_ids, "leave_out")
        self.left_out = self._pairs.left_out

    def sample(self, rng: np.random.Generator, batch_size: int) -> InstancePairs:
        """Returns `batch_size` pairs."""
        pairs = self._pairs.sample(rng, batch_size)
        position = np.stack([pairs.first, pairs.second], axis=1)
        return InstancePairs(position, rng.random(position.shape) < 0.5)


@dataclasses.dataclass
class InstanceStage(TrunkStage):
    """Trains the feature by cross-entropy over frequent items and by triplets over all.

    The data set must know which images show the same item.

    Attributes:
      margin: of the triplets, as a difference of cosines.
      triplet_weight: of the triplets; the cross-entropy has 1.
    """

    model: FLAM
    margin: float = 0.2
    triplet_weight: float = 1.0
    name: str = "instances"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("margin", self.margin, 0.0, 2.0)
        check_range("triplet_weight", self.triplet_weight, 0.0)
        if not self.model.learns_feature:
            raise ValueError(
                "a feature without a learned projection is taken as it comes, so there is nothing "
                "to train; give projection_dim, or start with the next stage."
            )
        ids = self.dataset.instance_ids(self.split)
        if ids is None:
            raise ValueError(
                f"{self.dataset.name} does not say which images show the same item (it has no "
                "instance ids). Take a data set that does, such as garments/instances, or a "
                "feature as it comes (train_embedders.py without --init_from)."
            )
        check_instance_ids(ids, f"split {self.split!r} of {self.dataset.name}")
        _, self._items = np.unique(np.asarray(ids), return_inverse=True)
        self._check_pairs()
        self._sampler = InstanceSampler(ids)
        self._classes = frequent_items(self._items, self._num_classes)

    @property
    def left_out(self) -> Sequence[str]:
        """Items that one image shows: no pair of images is of them."""
        return self._sampler.left_out

    def _check_pairs(self) -> None:
        numbers = np.bincount(self._items)
        if (numbers == 1).all():
            number = len(numbers)
            raise ValueError(
                f"each of the {number:,} items of split {self.split!r} of {self.dataset.name} is "
                "in one image, so no pair of images shows the same item. Take a data set with "
                "several images of an item (a catalogue: --group_column of tools/prepare_data.py)."
            )

    @property
    def _num_classes(self) -> int:
        classifier = self.model.instance_classifier
        return 0 if classifier is None else classifier.units

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {image or outputs, items, classes}; see `Stage.examples`.

        image has 2 * pairs images: the first ones of all pairs, then the second ones. items and
        classes are `[pairs, 2]`.
        """
        return self.drawn_examples(self._sampler, self._describe, first_step, context)

    def _describe(self, pairs: InstancePairs) -> Mapping[str, np.ndarray]:
        return {
            "position": pairs.position.T.reshape(-1),
            "mirrored": pairs.mirrored.T.reshape(-1),
            "items": self._items[pairs.position].astype(np.int32),
            "classes": self._classes[pairs.position],
        }

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of trunk, projection and classifier of items."""
        return [self.update_of(trainable(self.model.projection, self.model.instance_classifier))]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of the loss and of its parts; see `Update`."""
        del seed
        features = self.model.feature(self.outputs_of(batch))  # [2 b, dim], firsts first
        pairs = gather(tf.stack(tf.split(features, 2), axis=1))  # [B, 2, dim], of all replicas
        items, replicas = gather(batch["items"]), num_replicas()
        losses, in_order = hardest_triplet_losses(
            tf.concat([pairs[:, 0], pairs[:, 1]], axis=0),
            tf.concat([items[:, 0], items[:, 1]], axis=0),
            self.margin,
        )
        triplets = tf.reduce_mean(losses) / replicas
        logged = {"triplets": triplets, "in_order": tf.reduce_mean(in_order) / replicas}
        loss = self.triplet_weight * triplets
        if self.model.instance_classifier is not None:
            logged |= self._classify(
                self.model.instance_classifier, pairs, gather(batch["classes"])
            )
            loss += logged["cross_entropy"]
        return loss, logged

    def _classify(
        self, classifier: keras.layers.Dense, pairs: tf.Tensor, classes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns this replica's shares of the cross-entropy and of the accuracy.

        Args:
          classifier: of the frequent items.
          pairs: float32 `[B, 2, dim]`, features.
          classes: int32 `[B, 2]`, -1 for items that are not classified.
        """
        dim = classifier.kernel.shape[0]
        # Of length one: logits of a Glorot kernel would differ by a few hundredths only.
        logits = classifier(tf.reshape(pairs, [-1, dim]) * dim**0.5)
        flat = tf.reshape(classes, [-1])
        known = tf.cast(flat >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(flat, 0), logits)
        correct = tf.cast(tf.argmax(logits, axis=-1, output_type=flat.dtype) == flat, tf.float32)
        number = tf.maximum(tf.reduce_sum(known), 1.0) * num_replicas()
        return {
            "cross_entropy": tf.reduce_sum(losses * known) / number,
            "accuracy": tf.reduce_sum(correct * known) / number,
        }


def frequent_items(items: np.ndarray, number: int) -> np.ndarray:
    """Returns the class of each image, int32 `[num]`: -1 unless its item is among the frequent.

    Args:
      items: int `[num]`, the item of each image.
      number: of classes; the items with the most images, the first of equal ones.
    """
    counts = np.bincount(items)
    order = np.argsort(-counts, kind="stable")[:number]
    classes = np.full(len(counts), -1, np.int32)
    classes[order] = np.arange(len(order))
    return classes[items]
