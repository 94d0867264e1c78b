"""The stage of ASENet and AG-MAN, ours, that learns the vectors of attributes from labels."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from fashionsearchnet.systems.attribute_network import AttributeNetwork
from fashionsearchnet.systems.image_stage import ImageStage
from fashionsearchnet.systems.trunk_stage import trainable
from fashionsearchnet.training import Update


@dataclasses.dataclass
class ValueStage(ImageStage):
    """Trains trunk, head and the rows of all values: each image is near the rows of its values.

    The loss is the cross-entropy of `attribute_logits`, 20 times the cosines to the rows, summed
    over the attributes that an image is labelled with. A triplet compares three images by one
    attribute; here each image counts for all of its attributes, against all of their values.
    """

    model: AttributeNetwork
    name: str = "embedding"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.value_memory is None:
            raise ValueError(
                f"{self.model.title} has no rows of values to train; build it with "
                "learns_from='values'."
            )

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of trunk, head and rows, the trunk at a rate of its own."""
        heads = [name for name in self.model.trained_parts if name != "trunk"]
        return [self.update_of(trainable(*(getattr(self.model, name) for name in heads)))]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss and of the accuracy; see `Update`."""
        del seed
        vectors, _ = self.model.embed_all(self.outputs_of(batch), training=True)
        logits = self.model.attribute_logits({"embedding": vectors})
        loss, accuracy = self.classification(logits, batch["attributes"])
        return loss, {"accuracy": accuracy}
