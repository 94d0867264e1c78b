"""The stage of ASENet and AG-MAN that learns the vectors of attributes from triplets of images."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.systems.attribute_network import AttributeNetwork
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs, check_frozen
from fashionsearchnet.training import (
    AttributeTriplets,
    ListedTripletSampler,
    Stage,
    TripletSampler,
    Update,
)

_ORDER = ("anchor", "positive", "negative")


@dataclasses.dataclass
class TripletStage(Stage):
    """Trains trunk and head: an anchor and its positive agree in an attribute, the negative not.

    Where a data set lists triplets, they are drawn from its list.

    The loss is mean(max(0, a . n - a . p + margin)) of unit vectors, as in the code of [Ma20]. The
    three images of all triplets of a step go through the network as one batch.

    Attributes:
      model: trained in place.
      dataset: with the model's attribute space.
      global_batch_size: triplets per step over all replicas.
      split: to train on.
      seed: of the triplets and the flips.
      flip: mirror half of the images.
      margin: by how much the product with the positive should be larger.
      negatives_of: how a negative is drawn; a key of `choices.NEGATIVES_OF`.
      rare_values: what to do with values that one image shows; a key of `choices.RARE_VALUES`.
      outputs: of a frozen trunk, stored; the stage trains on them in place of images. Whether it
        mirrors half of them depends on what was stored, not on `flip`.
      trunk_rate_multiplier: on the learning rate of the trunk.
    """

    model: AttributeNetwork
    dataset: Dataset
    global_batch_size: int = 16
    split: str = "train"
    seed: int = 0
    flip: bool = False
    margin: float = 0.2
    negatives_of: str = "images"
    rare_values: str = "leave_out"
    outputs: TrunkOutputs | None = None
    trunk_rate_multiplier: float = 1.0
    name: str = "embedding"

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0.0)
        check_range("trunk_rate_multiplier", self.trunk_rate_multiplier, 0.0)
        if self.outputs is not None:
            check_frozen(self.model)
        self.sampler = self._sampler()

    def _sampler(self) -> TripletSampler | ListedTripletSampler:
        """Returns what draws triplets: of those that the data set lists, if it lists some.

        Raises:
          ValueError: for a rule of the draw where the data set lists the triplets.
        """
        listed = self.dataset.listed_triplets(self.split)
        if listed is not None:
            for name, by_default in (("negatives_of", "images"), ("rare_values", "leave_out")):
                if getattr(self, name) != by_default:
                    raise ValueError(
                        f"{name} {getattr(self, name)!r} is for triplets that are drawn by value, "
                        f"but {self.dataset.name} lists its triplets. Leave it out."
                    )
            return ListedTripletSampler(listed)
        return TripletSampler(
            self.model.space,
            self.dataset.labels(self.split),
            self.rare_values,
            self.negatives_of,
        )

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {image or outputs, attribute}; see `Stage.examples`.

        image has 3 * batch images: all anchors, all positives, all negatives.
        """
        settings: dict[str, Any] = {
            "seed": self.seed,
            "first_step": first_step,
            "global_batch_size": self.global_batch_size,
            "context": context,
        }
        if self.outputs is not None:
            return self.sampler.examples(self._stored, **settings)
        load = self.dataset.image_loader(self.split, self.model.image_input)

        @tf.autograph.experimental.do_not_convert
        def see(drawn: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            mirrored = drawn["mirrored"] & self.flip
            return {
                "image": load(drawn["position"], mirrored),
                "attribute": drawn["attribute"],
            }

        drawn = self.sampler.examples(_in_a_row, **settings)
        return drawn.map(see, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _stored(self, drawn: AttributeTriplets) -> Mapping[str, np.ndarray]:
        """Returns the stored outputs of drawn triplets."""
        assert self.outputs is not None
        row = _in_a_row(drawn)
        outputs = self.outputs.of(row["position"], row["mirrored"])
        return {"outputs": outputs, "attribute": drawn.attribute}

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of trunk and head, the trunk at a rate of its own."""
        trunk = self.trunk_variables()
        rates = {variable.path: self.trunk_rate_multiplier for variable in trunk}
        return [Update(self.loss, [*trunk, *self.own_variables()], rate_multipliers=rates)]

    def trunk_variables(self) -> list[keras.Variable]:
        """Returns the variables that learn at the rate of the trunk."""
        return list(self.model.trunk.trainable_variables)

    def own_variables(self) -> list[keras.Variable]:
        """Returns the variables that learn at the common rate."""
        return list(self.model.head.trainable_variables)

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss and of the share in order; see `Update`."""
        del seed
        vectors, _ = self.model.embed(
            self.trunk_outputs(batch), each_asked(batch["attribute"]), training=True
        )
        return self.triplet_loss(vectors)

    def trunk_outputs(self, batch) -> tf.Tensor:
        """Returns what the trunk gives for a batch, `[3 * batch, h, w, channels]`."""
        if self.outputs is not None:
            return batch["outputs"]
        return self.model.trunk(as_input(batch["image"], self.model.image_input), training=True)

    def triplet_loss(self, vectors: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of the loss and of `in_order`, the triplets in order.

        Args:
          vectors: unit vectors float32 `[3 * batch, 1, dim]`, of all anchors, all positives, all
            negatives, each of the attribute of its triplet.
        """
        anchor, positive, negative = tf.split(vectors[:, 0], 3)
        near, far = (tf.reduce_sum(anchor * other, axis=-1) for other in (positive, negative))
        losses = tf.nn.relu(far - near + self.margin)
        in_order = tf.reduce_sum(tf.cast(near > far, tf.float32))
        share = self.global_batch_size
        return tf.reduce_sum(losses) / share, {"in_order": in_order / share}


def each_asked(attribute: tf.Tensor) -> tf.Tensor:
    """Returns the attribute that each image of triplets is asked about, int `[3 * batch, 1]`.

    Args:
      attribute: int `[batch]`, of each triplet.
    """
    return tf.tile(attribute, [3])[:, None]


def _in_a_row(drawn: AttributeTriplets) -> dict[str, np.ndarray]:
    """Returns the images of triplets, all anchors first, then all positives, then all negatives."""
    return {
        "position": np.concatenate([vars(drawn)[name] for name in _ORDER]),
        "mirrored": drawn.mirrored.T.reshape(-1),
        "attribute": drawn.attribute,
    }
