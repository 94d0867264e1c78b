"""The first stage: a feature that tells items apart ([Shin19] Sec. 4.2, FIR performance)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset, check_instance_ids
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.systems.flam.losses import hardest_triplet_losses
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs, check_frozen
from fashionsearchnet.training import PairSampler, Stage, Update
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
class InstanceStage(Stage):
    """Trains the feature by cross-entropy over frequent items and by triplets over all.

    Attributes:
      model: trained in place.
      dataset: that knows which images show the same item.
      outputs: of a frozen trunk, stored; None to train the trunk on images.
      global_batch_size: pairs per step over all replicas.
      split: to train on.
      seed: of the pairs.
      flip: mirror half of the images; stored outputs must have mirrored ones then.
      margin: of the triplets, as a difference of cosines.
      triplet_weight: of the triplets; the cross-entropy has 1.
      trunk_rate_multiplier: on the learning rate of the trunk.
    """

    model: FLAM
    dataset: Dataset
    outputs: TrunkOutputs | None = None
    global_batch_size: int = 64
    split: str = "train"
    seed: int = 0
    flip: bool = False
    margin: float = 0.2
    triplet_weight: float = 1.0
    trunk_rate_multiplier: float = 1.0
    name: str = "instances"

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0.0, 2.0)
        check_range("triplet_weight", self.triplet_weight, 0.0)
        if not self.model.learns_feature:
            raise ValueError(
                "a feature without a learned projection is taken as it comes, so there is nothing "
                "to train; give projection_dim, or start with the next stage."
            )
        if self.outputs is not None:
            check_frozen(self.model)
        ids = self.dataset.instance_ids(self.split)
        if ids is None:
            raise ValueError(
                f"{self.dataset.name} does not say which images show the same item (it has no "
                "instance ids). Take a data set that does, such as garments/instances, or a "
                "feature as it comes (train_embedders.py without --init_from)."
            )
        check_instance_ids(ids, f"split {self.split!r} of {self.dataset.name}")
        self._ids = ids
        _, self._items = np.unique(np.asarray(ids), return_inverse=True)
        self._check_pairs()
        self._classes = frequent_items(self._items, self._num_classes)

    @property
    def num_alone(self) -> int:
        """The number of items that one image shows: no pair of images is of them."""
        return int((np.bincount(self._items) == 1).sum())

    def _check_pairs(self) -> None:
        number = int(self._items.max()) + 1
        if self.num_alone == number:
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
        """Returns endless batches of {images or outputs, items, classes}; see `Stage.examples`.

        Each is `[pairs, 2, ...]`.
        """
        drawn = InstanceSampler(self._ids).examples(
            self._load,
            seed=self.seed,
            first_step=first_step,
            global_batch_size=self.global_batch_size,
            context=context,
        )
        if self.outputs is not None:
            return drawn
        load_images = self.dataset.image_loader(self.split, self.model.image_input)

        def in_pairs(array: tf.Tensor) -> tf.Tensor:
            return tf.reshape(array, [-1, 2, *array.shape[1:]])

        @tf.autograph.experimental.do_not_convert
        def load(pairs: dict[str, tf.Tensor]) -> dict[str, Any]:
            mirrored = tf.reshape(pairs["mirrored"] & self.flip, [-1])
            images = load_images(tf.reshape(pairs["position"], [-1]), mirrored)
            return pairs | {"seen": tf.nest.map_structure(in_pairs, images)}

        return drawn.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _load(self, pairs: InstancePairs) -> dict[str, np.ndarray]:
        found = {
            "items": self._items[pairs.position].astype(np.int32),
            "classes": self._classes[pairs.position],
        }
        if self.outputs is None:
            return found | vars(pairs)
        outputs, mirrored = self.outputs.upright[pairs.position], self.outputs.mirrored
        if self.flip and mirrored is not None:
            outputs[pairs.mirrored] = mirrored[pairs.position[pairs.mirrored]]
        return found | {"seen": outputs.astype(np.float32)}

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of trunk, projection and classifier of items."""
        trunk = list(self.model.trunk.trainable_variables)
        parts = [self.model.projection, self.model.instance_classifier]
        variables = trunk + [v for part in parts if part for v in part.trainable_variables]
        rates = {variable.path: self.trunk_rate_multiplier for variable in trunk}
        return [Update(self.loss, variables, rate_multipliers=rates)]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of the loss and of its parts; see `Update`."""
        del seed
        seen = as_input(batch["seen"], self.model.image_input)  # [b, 2, ...]
        seen = tf.concat(tf.unstack(seen, axis=1), axis=0)  # [2 b, ...], firsts first
        if self.outputs is None:
            seen = self.model.trunk(seen, training=True)
        features = self.model.feature(seen)
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
