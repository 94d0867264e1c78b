"""The two stages: classification of images, then manipulation with the memory."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import apply_manipulation
from fashionsearchnet.checks import check_range
from fashionsearchnet.networks.losses import euclidean_distance
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.edit_stage import EditStage
from fashionsearchnet.systems.image_stage import ImageStage, classification
from fashionsearchnet.systems.trunk_stage import trainable
from fashionsearchnet.training import EditTriplets, Update
from fashionsearchnet.training.distribution import replica_seed


@dataclasses.dataclass
class ClassificationStage(ImageStage):
    """Trains the network on images, with one softmax per attribute on the feature r."""

    model: AMNet
    name: str = "classification"

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of everything but memory and fusion."""
        model = self.model
        return [self.update_of(trainable(model.conv5, model.fc6, model.fc7, model.classifiers))]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the loss and of the accuracy; see `Update`."""
        convolved = self.model.convolved_of(self.outputs_of(batch), training=True)
        logits = self.model.represent(convolved, seed=replica_seed(seed))["logits"]
        loss, accuracy = self.classification(logits, batch["attributes"])
        return loss, {"accuracy": accuracy}


class ManipulationStage(EditStage):
    """Trains the edited feature r' by classification of the target and by ranking, jointly.

    Moves everything behind the convolutions: fc6, fc7, classifiers, memory and fusion. It works on
    stored outputs of the convolutions, which stay as the first stage left them.
    """

    name = "manipulation"

    def __init__(
        self,
        model: AMNet,
        convolved: np.ndarray,
        values: np.ndarray,
        *,
        global_batch_size: int = 64,
        seed: int = 0,
        negatives: str = "random",
        num_changes: int = 1,
        margin: float = 10.0,
        triplet_weight: float = 1.0,
    ):
        """Keeps the training images' convolutional features.

        Args:
          model: trained in place; its memory must be set.
          convolved: float32 `[num, model.convolved_dim]` of the training images; may be a memory
            map, since each step reads its own rows only.
          values: int32 `[num, attributes]`, -1 for missing.
          global_batch_size: triplets per step over all replicas.
          seed: of the triplets.
          negatives: a key of `choices.NEGATIVES`.
          num_changes: attributes changed at once, at most; see `training.EditSampler`.
          margin: by how much the positive must be nearer to r' than the negative, as a Euclidean
            distance. Images are about 15 apart after the first stage, so with a margin of 1 nearly
            all triplets have no loss.
          triplet_weight: of the ranking loss; that of the classification is 1.

        Raises:
          ValueError: if no image has an edit whose target another image shows, or an argument is
            out of its range.
        """
        check_range("margin", margin, 0.0)
        check_range("triplet_weight", triplet_weight, 0.0)
        super().__init__(
            values,
            global_batch_size=global_batch_size,
            seed=seed,
            negatives=negatives,
            num_changes=num_changes,
        )
        self.model = model
        self._convolved, self._values = convolved, values
        self._margin, self._triplet_weight = margin, triplet_weight

    def load(self, triplets: EditTriplets) -> dict[str, np.ndarray]:
        """Returns the stored features of the images, the edits, and the values after them."""
        return {
            "anchor": self._convolved[triplets.anchor],
            "positive": self._convolved[triplets.positive],
            "negative": self._convolved[triplets.negative],
            "manipulation": triplets.manipulation,
            "target": apply_manipulation(self._values[triplets.anchor], triplets.manipulation),
        }

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of everything behind the convolutions."""
        model = self.model
        parts = (model.fc6, model.fc7, model.classifiers, model.memory, model.fusion)
        return [Update(self.loss, trainable(*parts))]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the joint loss and of its parts; see `Update`."""
        images = tf.concat([batch[name] for name in ("anchor", "positive", "negative")], axis=0)
        embedding = self.model.represent(images)["embedding"]
        anchor, positive, negative = tf.split(embedding, 3)
        query = self.model.query_embedding({"embedding": anchor}, batch["manipulation"])
        classified, accuracy = classification(
            self.model.space, self.model.classifiers(query), batch["target"]
        )
        near, far = euclidean_distance(query, positive), euclidean_distance(query, negative)
        ranking = tf.reduce_sum(tf.nn.relu(self._margin + near - far))
        loss = (classified + self._triplet_weight * ranking) / self.global_batch_size
        return loss, {
            "accuracy": accuracy,
            "l_c": classified / self.global_batch_size,
            "l_t": ranking / self.global_batch_size,
            "triplet_accuracy": tf.reduce_sum(tf.cast(near < far, tf.float32))
            / self.global_batch_size,
            # To compare with the margin.
            "positive_distance": tf.reduce_sum(near) / self.global_batch_size,
            "negative_distance": tf.reduce_sum(far) / self.global_batch_size,
        }
