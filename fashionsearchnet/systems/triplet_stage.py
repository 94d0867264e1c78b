"""The stage of ASENet and AG-MAN that learns the vectors of attributes from triplets of images."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.systems.attribute_network import AttributeNetwork
from fashionsearchnet.systems.trunk_stage import TrunkStage, trainable
from fashionsearchnet.training import (
    AttributeTriplets,
    ListedTripletSampler,
    TripletSampler,
    Update,
)

_ORDER = ("anchor", "positive", "negative")


@dataclasses.dataclass
class TripletStage(TrunkStage):
    """Trains trunk and head: an anchor and its positive agree in an attribute, the negative not.

    Where a data set lists triplets, they are drawn from its list.

    The loss is mean(max(0, a . n - a . p + margin)) of unit vectors, as in the code of [Ma20]. The
    three images of all triplets of a step go through the network as one batch.

    Attributes:
      margin: by how much the product with the positive should be larger.
      negatives_of: how a negative is drawn; a key of `choices.NEGATIVES_OF`.
      rare_values: what to do with values that one image shows; a key of `choices.RARE_VALUES`.
    """

    model: AttributeNetwork
    global_batch_size: int = 16
    margin: float = 0.2
    negatives_of: str = "images"
    rare_values: str = "leave_out"
    name: str = "embedding"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("margin", self.margin, 0.0)
        self._sampler = self._make_sampler()

    def _make_sampler(self) -> TripletSampler | ListedTripletSampler:
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

    @property
    def left_out(self) -> Sequence[str]:
        """Values and attributes that no triplet is about; see `Stage`."""
        return self._sampler.left_out

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {image or outputs, attribute}; see `Stage.examples`.

        image has 3 * batch images: all anchors, all positives, all negatives.
        """
        return self.drawn_examples(self._sampler, _in_a_row, first_step, context)

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of trunk and head, the trunk at a rate of its own."""
        return [self.update_of(self.own_variables())]

    def own_variables(self) -> list[keras.Variable]:
        """Returns the variables that learn at the common rate."""
        return trainable(self.model.head)

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss and of the share in order; see `Update`."""
        del seed
        vectors, _ = self.model.embed(
            self.outputs_of(batch), each_asked(batch["attribute"]), training=True
        )
        return self.triplet_loss(vectors)

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


def _in_a_row(drawn: AttributeTriplets) -> Mapping[str, np.ndarray]:
    """Returns the images of triplets, all anchors first, then all positives, then all negatives."""
    return {
        "position": np.concatenate([vars(drawn)[name] for name in _ORDER]),
        "mirrored": drawn.mirrored.T.reshape(-1),
        "attribute": drawn.attribute,
    }
