"""The only stage: classification."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from fashionsearchnet.systems.image_stage import ImageStage
from fashionsearchnet.training import Update
from sixth_system.model import Classifier


@dataclasses.dataclass
class ClassificationStage(ImageStage):
    """Trains everything with one softmax per attribute."""

    model: Classifier
    name: str = "classification"

    def updates(self) -> Sequence[Update]:
        return [Update(self.loss, self.model.trainable_variables)]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        del seed
        logits = self.model.image_features(batch["image"], training=True)["logits"]
        loss, accuracy = self.classification(logits, batch["attributes"])
        return loss, {"accuracy": accuracy}
