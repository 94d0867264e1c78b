"""The stage that ranks edited images by [Ak21] Eq. 8, on stored representations."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import RANKING_LOSSES, REDUCTIONS
from fashionsearchnet.networks.losses import (
    batch_ranking_loss,
    euclidean_distance,
    soft_triplet_loss,
)
from fashionsearchnet.systems.edit_stage import EditStage
from fashionsearchnet.systems.system import System
from fashionsearchnet.training import Update
from fashionsearchnet.training.distribution import gather, num_replicas, on_each_replica


class EditRankingStage(EditStage):
    """Trains what ranks edited images with L_G alone (Eq. 8).

    Works on stored representations, which stay fixed ([Ak21] Sec. 3.4). The features of the
    system need nothing but them.
    """

    name = "global"

    def __init__(
        self,
        model: System,
        representations: np.ndarray,
        values: np.ndarray,
        *,
        variables: Sequence[keras.Variable],
        memory: keras.Variable,
        global_batch_size: int = 64,
        seed: int = 0,
        memory_rate_multiplier: float = 1.0,
        negatives: str = "random",
        ranking_loss: str = "triplet",
        num_changes: int = 1,
        reduction: str = "mean",
    ):
        """Keeps the training images' representations.

        Args:
          model: trained in place; its memory must be set.
          representations: float32 `[num, attributes, dim]` of the training images.
          values: int32 `[num, attributes]`, -1 for missing.
          variables: of the model, to be trained.
          memory: of the model.
          global_batch_size: triplets per step over all replicas.
          seed: of the triplets.
          memory_rate_multiplier: on the learning rate of the memory. At 1, as in the paper, the
            rows hardly move in two epochs.
          negatives: 'random', as in the paper, or another key of `choices.NEGATIVES`.
          ranking_loss: a key of RANKING_LOSSES.
          num_changes: attributes edited at once, at most; 1 in the paper.
          reduction: 'mean' or 'sum' of the losses over the batch. Eq. 8 is a sum; with it, the
            learning rate acts `global_batch_size` times as strongly.

        Raises:
          ValueError: for images without any edit, or the loss 'softmax' where every query would
            need a gallery of its own.
        """
        check_choice("ranking_loss", ranking_loss, RANKING_LOSSES)
        if ranking_loss == "softmax" and model.gallery_depends_on_edit:
            raise ValueError(
                f"ranking_loss 'softmax' compares each query with all images of the batch, but in "
                f"variant {model.title!r} an image's vector depends on the query's edit; "
                "use 'triplet', or variant 'ours'."
            )
        check_choice("reduction", reduction, REDUCTIONS)
        super().__init__(
            values,
            global_batch_size=global_batch_size,
            seed=seed,
            negatives=negatives,
            num_changes=num_changes,
        )
        self.model = model
        self._ranking_loss, self._reduction = ranking_loss, reduction
        self._variables = list(variables)
        self._rates = {memory.path: memory_rate_multiplier}
        self.representations = np.asarray(representations, np.float32)

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of the variables that the stage trains."""
        self._stored = on_each_replica(self.representations)
        self._combinations = on_each_replica(self.edits.combination_of)
        return [Update(self.loss, self._variables, rate_multipliers=self._rates)]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's share of L_G and of the ranking accuracy; see `Update`."""
        edit = batch["manipulation"]

        def features(name: str) -> dict[str, tf.Tensor]:
            return {"embedding": tf.gather(self._stored, batch[name])}

        query = self.model.query_embedding(features("anchor"), edit)
        positive = self.model.gallery_embedding(features("positive"), edit)
        negative = self.model.gallery_embedding(features("negative"), edit)
        if self._ranking_loss == "softmax":
            losses, in_order = self._rank_in_batch(batch, query, positive, negative)
            repeats = num_replicas()  # every replica ranks the whole batch
        else:
            near, far = euclidean_distance(query, positive), euclidean_distance(query, negative)
            losses, in_order = soft_triplet_loss(near, far), near < far
            repeats = 1
        share = self.global_batch_size * repeats
        accuracy = tf.reduce_sum(tf.cast(in_order, tf.float32)) / share
        loss = tf.reduce_sum(losses) / (share if self._reduction == "mean" else repeats)
        return loss, {"ranking_accuracy": accuracy}

    def _rank_in_batch(
        self, batch, query: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Ranks all positives and negatives of the batch, of all replicas, for every query."""
        wanted = tf.gather(self._combinations, gather(batch["positive"]))
        others = tf.gather(self._combinations, gather(batch["negative"]))
        shown = tf.concat([wanted, others], axis=0)
        candidates = tf.concat([gather(positive), gather(negative)], axis=0)
        return batch_ranking_loss(gather(query), candidates, wanted[:, None] == shown)
