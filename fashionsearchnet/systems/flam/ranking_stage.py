"""Beyond [Shin19]: a generator that learns by ranking, without a discriminator.

The paper's generator learns to make a feature that passes as real and reads as wanted. A search
asks for less and for more: the edited feature must lie nearer to the images that show the target
than to all others. This stage trains just that, as `Ours` of FashionSearchNet-v2 does, on a gallery
that stays as it is.
"""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, MISSING
from fashionsearchnet.checks import check_range
from fashionsearchnet.networks.losses import batch_ranking_loss
from fashionsearchnet.systems.edit_stage import EditStage
from fashionsearchnet.systems.flam.editor import VectorEditor
from fashionsearchnet.systems.flam.vector_stages import Vectors
from fashionsearchnet.training import EditTriplets, Update
from fashionsearchnet.training.distribution import gather, num_replicas


class RankingStage(EditStage):
    """Trains the generator by a softmax over distances to all images of the batch.

    The wanted value is given by its dictionary vector, as in a search ([Shin19] Sec. 3.3). Where an
    image has no label of an attribute, the reading of the embedders stands in.
    """

    name = "manipulator"

    def __init__(
        self,
        model: keras.Model,
        editor: VectorEditor,
        vectors: Vectors,
        global_batch_size: int = 256,
        *,
        seed: int = 0,
        negatives: str = "random",
        num_changes: int = 1,
        sharpness: float = 20.0,
        cycle_weight: float = 1.0,
    ):
        """Enumerates the edits.

        Args:
          model: that holds the editor; the loop saves all of it.
          editor: whose generator is trained in place; its embedders stay as they are.
          vectors: to train on, without mirrored ones.
          global_batch_size: edits per step over all replicas.
          seed: of the edits.
          negatives: see `EditStage`; images of the batch beside all other positives.
          num_changes: attributes edited at once, at most.
          sharpness: of the softmax: what multiplies distances that are 1 between random vectors.
          cycle_weight: of [Shin19] Eq. 5 beside the ranking.

        Raises:
          ValueError: for an argument out of its range, or if no image has an edit whose target
            another image shows.
        """
        check_range("cycle_weight", cycle_weight, 0.0)
        check_range("sharpness", sharpness, 1e-3)
        self.model, self.editor, self.vectors = model, editor, vectors
        self._generator = editor.trained_generator()
        self._sharpness, self._cycle_weight = sharpness, cycle_weight
        self._values = known_or_read(editor, vectors)
        super().__init__(
            self._values,
            global_batch_size=global_batch_size,
            seed=seed,
            negatives=negatives,
            num_changes=num_changes,
        )

    def load(self, triplets: EditTriplets) -> Mapping[str, np.ndarray]:
        """Returns the vectors of a step's images, their combinations, the edits and the values."""
        upright, combination = self.vectors.upright, self.edits.combination_of
        found = {"manipulation": triplets.manipulation, "values": self._values[triplets.anchor]}
        positions = {"anchor": triplets.anchor, "positive": triplets.positive}
        for name, rows in (positions | {"negative": triplets.negative}).items():
            found[name] = upright[rows].astype(np.float32, copy=False)
            found[f"{name}_combination"] = combination[rows].astype(np.int32)
        return found

    def updates(self) -> list[Update]:
        """Returns the only update: of the generator."""
        return [Update(self.loss, self._generator.trainable_variables)]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of the loss, and of measures; see `Update`.

        `ranking_accuracy` is the share of edits whose positive is the nearest of the batch;
        `edited` and `kept` are those of the paper's stage.
        """
        del seed
        editor, manipulation = self.editor, batch["manipulation"]
        anchor = editor.standardization(batch["anchor"])
        edited = tf.cast(manipulation != KEEP, tf.float32)
        made = editor.generate(anchor, editor.reader.wanted(manipulation), edited)
        losses, first = self._rank(batch, made)
        recovered = editor.generate(made, editor.reader(anchor), edited)
        cycle = editor.distance(anchor, recovered)
        wanted = tf.where(manipulation == KEEP, batch["values"], manipulation)
        was_edited, was_kept = editor.edited_and_kept(made, wanted, edited)
        logged = {
            "ranking": self._share(losses, num_replicas()),
            "ranking_accuracy": self._share(tf.cast(first, tf.float32), num_replicas()),
            "cycle": self._share(cycle),
            "edited": self._share(was_edited),
            "kept": self._share(was_kept),
        }
        return logged["ranking"] + self._cycle_weight * logged["cycle"], logged

    def _rank(self, batch, made: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ranks all positives and negatives of the batch, of all replicas, for every edit."""
        editor = self.editor
        variance = tf.reduce_sum(tf.square(editor.standardization.deviation))
        scale = tf.sqrt(self._sharpness / (2.0 * variance))
        wanted = gather(batch["positive_combination"])
        shown = tf.concat([wanted, gather(batch["negative_combination"])], axis=0)
        found = [scale * gather(batch[name]) for name in ("positive", "negative")]
        queries = scale * gather(editor.restore(made))
        return batch_ranking_loss(queries, tf.concat(found, axis=0), wanted[:, None] == shown)

    def _share(self, values: tf.Tensor, repeats: int = 1) -> tf.Tensor:
        """Returns this replica's share of the mean over the batch.

        Args:
          values: float32, of this replica's edits or, with `repeats`, of all.
          repeats: how many replicas have the same values.
        """
        return tf.reduce_sum(values) / (self.global_batch_size * repeats)


def known_or_read(editor: VectorEditor, vectors: Vectors) -> np.ndarray:
    """Returns the label of each image and, where it is missing, the embedders' reading.

    Args:
      editor: with trained embedders.
      vectors: with or without labels.

    Returns:
      int32 `[num, A]`.
    """
    compute = tf.function(lambda part: editor.nearest_values(editor.read(part)), autograph=False)
    parts = np.array_split(vectors.upright, -(-len(vectors.upright) // 1024))
    read = np.concatenate([compute(tf.constant(part, tf.float32)).numpy() for part in parts])
    if vectors.labels is None:
        return read.astype(np.int32)
    return np.where(vectors.labels == MISSING, read, vectors.labels).astype(np.int32)
