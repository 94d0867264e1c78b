"""The three stages of [Ak21] Sec. 3.4: localisation, representations, global ranking."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.networks.losses import region_triplet_loss
from fashionsearchnet.systems.edit_ranking import equal_length
from fashionsearchnet.systems.edit_ranking_stage import EditRankingStage
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.variants import TRIPLET_MEANS
from fashionsearchnet.systems.image_stage import ImageStage
from fashionsearchnet.systems.trunk_stage import trainable
from fashionsearchnet.training import Update
from fashionsearchnet.training.distribution import gather, num_replicas, replica_seed


@dataclasses.dataclass
class LocatingStage(ImageStage):
    """Trains on what the attention locates."""

    model: FashionSearchNetV2

    def locate(self, batch) -> dict[str, tf.Tensor]:
        """Returns `locate` of the model for a batch of images or of stored outputs."""
        return self.model.locate(self.outputs_of(batch), training=True)


@dataclasses.dataclass
class LocalizationStage(LocatingStage):
    """Trains the attention maps with the classification loss L_C alone (Eq. 2)."""

    name: str = "localization"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.variant.pooled:
            raise ValueError(
                f"variant {self.model.variant.title!r} pools whole maps, so it has no attention to "
                "train; start with the stage of representations, or use another variant."
            )

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of the network up to the attention maps."""
        return [self.update_of(trainable(self.model.conv5, self.model.attention_maps))]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of L_C and of the accuracy; see `Update`."""
        located = self.locate(batch)
        loss, accuracy = self.classification(located["logits"], batch["attributes"])
        return loss, {"accuracy": accuracy}


@dataclasses.dataclass
class RepresentationStage(LocatingStage):
    """Trains everything up to fc10 with the joint loss, Eq. 9 with lambda_G = 0.

    The weights are those of [Ak21] Sec. 3.4; a variant without ranking drops L_T, one on pooled
    features L_C.

    Attributes:
      classification_weight: lambda_C, of the attention's classifier.
      triplet_weight: lambda_T, of the triplets of regions.
      representation_classification_weight: lambda_TC, of the classifiers on fc10.
      triplet_mean: how the losses of the triplets become L_T; a key of TRIPLET_MEANS. Both are the
        same where every image has a triplet for every attribute. Where labels are sparse, few
        triplets exist: then L_T fades by 'batch', as [Ak21] Eq. 6 has it, and not by 'valid'.
    """

    classification_weight: float = 1.0
    triplet_weight: float = 1.5
    representation_classification_weight: float = 1.0
    triplet_mean: str = "batch"
    name: str = "representations"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("triplet_mean", self.triplet_mean, TRIPLET_MEANS)

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of the network up to fc10."""
        model = self.model
        maps = () if model.variant.pooled else (model.conv5, model.attention_maps)
        return [self.update_of(trainable(*maps, model.heads))]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of the joint loss and of its parts; see `Update`."""
        located = self.locate(batch)
        features = self.model.represent(located, seed=replica_seed(seed))
        labels = batch["attributes"]
        head_loss, accuracy = self.classification(features["logits"], labels)
        loss = self.representation_classification_weight * head_loss
        logged = {"accuracy": accuracy, "l_tc": head_loss}
        if "logits" in located:
            logged["l_c"], _ = self.classification(located["logits"], labels)
            loss = self.classification_weight * logged["l_c"] + loss
        if self.model.variant.ranking and self.triplet_weight:
            triplet_loss, numbers = self._triplet_loss(features["embedding"], labels, seed)
            logged |= numbers
            loss += self.triplet_weight * triplet_loss
        if "boxes" in features:
            logged["box_area"] = _mean_area(features["boxes"], located["conv5"]) / num_replicas()
        return loss, logged

    def _triplet_loss(
        self, compared: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of L_T and of what is logged of it.

        Triplets are drawn from the whole batch, whatever the number of replicas.

        Args:
          compared: float `[batch, A, dim]`, fc10 of this replica's images.
          labels: int32 `[batch, A]`, -1 for missing.
          seed: of the step, int32 `[2]`.
        """
        if self.model.variant.normalized_triplets:
            compared = equal_length(compared)
        losses, valid = region_triplet_loss(gather(compared), gather(labels), seed)
        total, replicas = tf.reduce_sum(losses), num_replicas()
        valid = tf.cast(valid, tf.float32)
        # Per valid triplet: 0.5 by chance, 0 at best.
        mean = total / tf.maximum(tf.reduce_sum(valid), 1.0) / replicas
        if self.triplet_mean == "batch":
            loss = total / (self.global_batch_size * replicas)
        else:
            loss = mean * labels.shape[1]
        share_valid = tf.reduce_mean(valid) / replicas
        return loss, {"l_t": loss, "triplet_loss_mean": mean, "valid_triplets": share_valid}


def _mean_area(boxes: tf.Tensor, conv5: tf.Tensor) -> tf.Tensor:
    """The mean share of the map that the boxes cover: at 1, nothing is localised."""
    boxes = tf.cast(boxes, tf.float32)
    sides = boxes[..., 2:] - boxes[..., :2] + 1.0
    cells = float(conv5.shape[1] * conv5.shape[2])
    return tf.reduce_mean(tf.reduce_prod(sides, axis=-1)) / cells


class GlobalStage(EditRankingStage):
    """Trains lambda and w_r, and the memory if the variant updates it; see `EditRankingStage`."""

    model: FashionSearchNetV2

    def __init__(
        self,
        model: FashionSearchNetV2,
        representations: np.ndarray,
        values: np.ndarray,
        **options: Any,
    ):
        """Keeps the training images' local representations.

        Args:
          model: trained in place; its memory must be set.
          representations: float32 `[num, attributes, dim]` of the training images.
          values: int32 `[num, attributes]`, -1 for missing.
          **options: of `EditRankingStage`.

        Raises:
          ValueError: for a variant without a global stage; see also `EditRankingStage`.
        """
        if not model.variant.global_ranking:
            raise ValueError(
                f"variant {model.variant.title} has no global stage; it is evaluated as the "
                "representation stage left it."
            )
        memory = model.memory.memory
        variables = list(model.global_representation.trainable_variables)
        if model.variant.updatable_memory:
            variables.append(memory)
        super().__init__(
            model, representations, values, variables=variables, memory=memory, **options
        )
