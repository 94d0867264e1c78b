"""The first stage of AG-MAN: triplets, and the branch that names the attribute."""

import dataclasses

import keras
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.triplet_stage import TripletStage, each_asked
from fashionsearchnet.systems.trunk_stage import trainable


@dataclasses.dataclass
class EmbeddingStage(TripletStage):
    """Trains the vectors by triplets and the branch by the attribute that a triplet is about.

    The loss of the branch is the binary cross-entropy of its logits against the one-hot attribute,
    the mean over attributes and over the three images. `loss_weighting` of the model says how both
    losses are added. By 'uncertainty' the sum is of exp(-s) L / 2 + s / 2 over both, with a learned
    s that starts at 0 [Kendall18]; the published form cannot be trained (README.md).

    Attributes:
      classification_weight: of the branch's loss; 0 trains on triplets only.
    """

    model: AGMAN
    classification_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("classification_weight", self.classification_weight, 0.0)
        weighs = self.model.has_branch and self.model.loss_weights is not None
        if weighs and not self.classifies:
            raise ValueError(
                "classification_weight 0 leaves one loss, which loss_weighting 'uncertainty' "
                "cannot weigh. Use 'equal', or a weight above 0."
            )

    @property
    def classifies(self) -> bool:
        """Whether the branch learns."""
        return self.model.has_branch and self.classification_weight > 0.0

    def trunk_variables(self) -> list[keras.Variable]:
        """Returns the variables that learn at the rate of the trunk, those of layer4 among them."""
        upper = self.model.upper_part if self.classifies else None
        return super().trunk_variables() + trainable(upper)

    def own_variables(self) -> list[keras.Variable]:
        """Returns the variables that learn at the common rate."""
        variables = super().own_variables()
        if self.model.variant.multi_level:
            variables += self.model.skip.trainable_variables
        if self.classifies:
            variables += self.model.branch.trainable_variables
            if self.model.loss_weights is not None:
                variables.append(self.model.loss_weights)
        return variables

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss and of its parts; see `Update`."""
        del seed
        attribute = batch["attribute"]
        # Both branches see the same levels, so that backpropagation goes through them once.
        levels = self.model.levels(self.outputs_of(batch))
        vectors, _ = self.model.embed_levels(levels, each_asked(attribute), training=True)
        triplets, logged = self.triplet_loss(vectors)
        if not self.classifies:
            return triplets, logged
        logits = self.model.name_attribute(levels, training=True)
        wanted = tf.one_hot(tf.tile(attribute, [3]), self.model.space.num_attributes)
        errors = tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
        number = 3 * self.global_batch_size
        branch = tf.reduce_sum(tf.reduce_mean(errors, axis=-1)) / number
        named = tf.argmax(logits, axis=-1) == tf.argmax(wanted, axis=-1)
        logged["named"] = tf.reduce_sum(tf.cast(named, tf.float32)) / number
        logged |= {"triplet_loss": triplets, "branch_loss": branch}
        return self._weigh(triplets, self.classification_weight * branch), logged

    def _weigh(self, triplets: tf.Tensor, branch: tf.Tensor) -> tf.Tensor:
        """Returns the sum of both losses, by the weighting of the model."""
        if self.model.loss_weights is None:
            return triplets + branch
        s = self.model.loss_weights
        replicas = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        losses = tf.stack([triplets, branch])
        return tf.reduce_sum(0.5 * (tf.exp(-s) * losses + s / replicas))
