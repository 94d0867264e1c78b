"""The stages on vectors: readers, then the manipulator. None of them sees an image."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import check_range
from fashionsearchnet.networks.losses import attribute_cross_entropy, attribute_hits
from fashionsearchnet.systems.flam.editor import VectorEditor
from fashionsearchnet.systems.flam.losses import (
    dictionary_triplet_losses,
    matching_loss,
    partners,
    passes_as_real_loss,
    real_or_made_loss,
)
from fashionsearchnet.systems.flam.readers import unit
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.training import BalancedSampler, EpochSampler, Images, Stage, Update
from fashionsearchnet.training.distribution import gather, num_replicas
from fashionsearchnet.training.training_images import check_labelled


@dataclasses.dataclass(frozen=True)
class Vectors:
    """The vectors to train on, in stored order.

    Attributes:
      upright: float32 `[num, dim]`.
      mirrored: the same of mirrored images; None to train without.
      labels: int32 `[num, A]`, -1 for missing; None where no label is known.
    """

    upright: np.ndarray
    mirrored: np.ndarray | None = None
    labels: np.ndarray | None = None

    def load(self, drawn: Images) -> dict[str, np.ndarray]:
        """Returns `vectors` and, if they are known, `attributes` of drawn positions."""
        vectors = self.upright[drawn.position]
        if self.mirrored is not None:
            rows = np.flatnonzero(drawn.mirrored)
            vectors[rows] = self.mirrored[drawn.position[rows]]
        found = {"vectors": vectors.astype(np.float32, copy=False)}
        return found if self.labels is None else found | {"attributes": self.labels[drawn.position]}


@dataclasses.dataclass
class VectorStage(Stage):
    """Batches of vectors.

    Attributes:
      model: that holds the editor; the loop saves all of it.
      editor: trained in place.
      vectors: to train on.
      global_batch_size: vectors per step over all replicas.
      seed: of the order.
      balanced: draw batches by `training.BalancedSampler`, in place of all in random order.
    """

    model: keras.Model
    editor: VectorEditor
    vectors: Vectors
    global_batch_size: int = 256
    seed: int = 0
    balanced: bool = False

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches of {vectors, attributes}; see `Stage.examples`."""
        sampler = self._balanced if self.balanced else EpochSampler(len(self.vectors.upright))
        return sampler.examples(
            self.vectors.load,
            seed=self.seed,
            first_step=first_step,
            global_batch_size=self.global_batch_size,
            context=context,
        )

    @functools.cached_property
    def _balanced(self) -> BalancedSampler:
        return BalancedSampler(self.editor.space, self._labels())

    @property
    def left_out(self) -> Sequence[str]:
        """What balanced batches do not draw on purpose; see `Stage`."""
        return self._balanced.left_out if self.balanced else ()

    def _labels(self) -> np.ndarray:
        """Returns the labels, int32 `[num, A]`.

        Raises:
          ValueError: if there are none.
        """
        if self.vectors.labels is None:
            raise ValueError(
                f"stage {self.name!r} learns from labels, but these vectors have none; give a "
                "data set with labels."
            )
        check_labelled(self.vectors.labels, "the training split")
        return self.vectors.labels


@dataclasses.dataclass
class EmbedderStage(VectorStage):
    """Trains embedders and dictionary by both triplet losses ([Shin19] Eq. 1-2).

    Attributes:
      margin: mu of Eq. 1, as a difference of cosines.
    """

    margin: float = 0.2
    name: str = "embedders"

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0.0, 2.0)
        self._labels()

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of embedders and dictionary."""
        return [Update(self.loss, self.editor.reader.trainable_variables)]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of Eq. 2 and of the accuracy; see `Update`.

        Summed over the attributes, each the mean over the images that have such a triplet.
        """
        reader, space, replicas = self.editor.reader, self.editor.space, num_replicas()
        inputs = self.editor.standardization(gather(batch["vectors"]))
        labels = gather(batch["attributes"])
        read = reader(inputs, seed=seed)
        by_dictionary, by_image, valid = dictionary_triplet_losses(
            read, reader.dictionary(), labels, space.num_values, self.margin
        )
        number = tf.maximum(tf.reduce_sum(tf.cast(valid, tf.float32), axis=0), 1.0)  # [A]
        logged = {
            "by_dictionary": tf.reduce_sum(by_dictionary / number) / replicas,
            "by_image": tf.reduce_sum(by_image / number) / replicas,
        }
        correct, labelled = attribute_hits(reader.logits(read), labels, space.num_values)
        accuracy = correct / tf.maximum(labelled, 1.0) / replicas
        return logged["by_dictionary"] + logged["by_image"], logged | {"accuracy": accuracy}


@dataclasses.dataclass
class ClassifierStage(VectorStage):
    """Trains the classifiers of Cls-Concat by cross-entropy ([Shin19] Sec. 4.2)."""

    name: str = "classifiers"

    def __post_init__(self) -> None:
        self._labels()

    def updates(self) -> Sequence[Update]:
        """Returns the only update: of the classifiers."""
        return [Update(self.loss, self.editor.reader.trainable_variables)]

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of the loss and of the accuracy; see `Update`."""
        reader, sizes = self.editor.reader, self.editor.space.num_values
        labels = gather(batch["attributes"])
        inputs = self.editor.standardization(gather(batch["vectors"]))
        logits = reader.logits(reader(inputs, seed=seed), seed=seed)
        losses = attribute_cross_entropy(logits, labels, sizes)
        share = self.global_batch_size * num_replicas()
        correct, labelled = attribute_hits(logits, labels, sizes)
        accuracy = correct / tf.maximum(labelled, 1.0) / num_replicas()
        return tf.reduce_sum(losses) / share, {"accuracy": accuracy}

    def fill_memory(self) -> None:
        """Sets the dictionary to the mean direction of the images of each value.

        The paper does not say how an edit changes Cls-Concat's vector; this is what an edit puts
        into a block.
        """
        editor, labels = self.editor, self._labels()
        reader = editor.reader
        read = np.concatenate(list(self._in_parts(editor.read)))
        reader.origin.assign(read.mean(axis=0, dtype=np.float64))
        means, _ = class_means(editor.space, self._in_parts(editor.blocks), labels)
        reader.means.assign(means)

    def _in_parts(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Iterator[np.ndarray]:
        """Yields a function of all vectors, part by part."""
        compute, upright = (
            tf.function(function, reduce_retracing=True, autograph=False),
            self.vectors.upright,
        )
        for part in np.array_split(upright, -(-len(upright) // 1024)):
            yield compute(tf.constant(part)).numpy()


@dataclasses.dataclass
class ManipulatorStage(VectorStage):
    """Trains the discriminator, then the generator against it ([Shin19] Sec. 3.2).

    It reads no labels: the embedders are the teachers, and stay as they are.

    Attributes:
      adversarial_weight: of Eq. 3, where the variant is adversarial.
      matching_weight: of Eq. 4.
      cycle_weight: of Eq. 5.
      matches_made: train f on edited features too, as Eq. 4 is printed. Then the discriminator
        learns to find the wanted value in whatever the generator makes of it.
    """

    adversarial_weight: float = 1.0
    matching_weight: float = 1.0
    cycle_weight: float = 1.0
    matches_made: bool = False
    name: str = "manipulator"

    def __post_init__(self) -> None:
        for name in ("adversarial_weight", "matching_weight", "cycle_weight"):
            check_range(name, getattr(self, name), 0.0)
        self._generator, self._discriminator = self.editor.manipulator()

    def updates(self) -> Sequence[Update]:
        """Returns both updates, the discriminator's first."""
        discriminator = self._discriminator
        variables = list(discriminator.trainable_variables)
        if not self.editor.variant.adversarial:
            heads = (discriminator.realness_hidden, discriminator.realness)
            unused = {v.path for head in heads for v in head.variables}
            variables = [v for v in variables if v.path not in unused]
        return [
            Update(self.discriminator_loss, variables, name="discriminator"),
            Update(self.generator_loss, self._generator.trainable_variables, name="generator"),
        ]

    def discriminator_loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of Eq. 3 and of both terms of Eq. 4; see `Update`."""
        edit = self._edit(batch, seed)
        variant, everything = self.editor.variant, tf.ones_like(edit.edited)
        real_score, real_found = self._discriminator(edit.inputs)
        made_score, made_found = self._discriminator(tf.stop_gradient(edit.made))
        counted = everything if variant.matches_remaining else edit.edited
        matching = edit.mean(matching_loss(real_found, edit.embeddings, counted))
        logged = {"matching_real": matching}
        if self.matches_made:
            logged["matching_made"] = edit.mean(matching_loss(made_found, edit.wanted, counted))
            matching += logged["matching_made"]
        loss = self.matching_weight * matching
        if variant.adversarial:
            logged["adversarial"] = edit.mean(real_or_made_loss(real_score, made_score))
            loss += self.adversarial_weight * logged["adversarial"]
        return loss, logged

    def generator_loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns this replica's shares of what the generator minimises, and of measures.

        `recovered_cosine` is that of x and the recovered x, the paper's measure of convergence.
        `edited` is the share of edits whose result reads as the wanted value, and `kept` that of
        the other attributes that read as before, both by the embedders.
        """
        edit = self._edit(batch, seed)
        variant = self.editor.variant
        score, found = self._discriminator(edit.made)
        counted = tf.ones_like(edit.edited) if variant.matches_remaining else edit.edited
        logged = {"matching": edit.mean(matching_loss(found, edit.wanted, counted))}
        loss = self.matching_weight * logged["matching"]
        recovered = self.editor.generate(edit.made, edit.embeddings, edit.edited)
        logged["cycle"] = edit.mean(self.editor.distance(edit.inputs, recovered))
        loss += self.cycle_weight * logged["cycle"]
        if variant.adversarial:
            logged["adversarial"] = edit.mean(passes_as_real_loss(score))
            loss += self.adversarial_weight * logged["adversarial"]
        return loss, logged | self._measures(edit, recovered)

    def _edit(self, batch, seed: tf.Tensor) -> "_Edit":
        """Returns single edits of this step's vectors, and the generator's answer to them."""
        editor = self.editor
        inputs = editor.standardization(gather(batch["vectors"]))
        embeddings = editor.reader(inputs)
        values = editor.nearest_values(embeddings)
        seeds = tf.random.experimental.stateless_split(seed, 2)
        attribute = tf.random.stateless_uniform(
            [tf.shape(inputs)[0]], seeds[0], 0, editor.space.num_attributes, tf.int32
        )
        partner, exists = partners(
            embeddings,
            values,
            attribute,
            seeds[1],
            online_sampling=editor.variant.online_sampling,
        )
        edited = tf.one_hot(attribute, editor.space.num_attributes)  # [B, A]
        wanted = tf.where(edited[..., None] > 0, tf.gather(embeddings, partner), embeddings)
        made = editor.generate(inputs, wanted, edited)
        return _Edit(inputs, embeddings, edited, wanted, made, exists)

    def _measures(self, edit: "_Edit", recovered: tf.Tensor) -> dict[str, tf.Tensor]:
        restore = self.editor.restore
        cosine = tf.reduce_sum(unit(restore(edit.inputs)) * unit(restore(recovered)), axis=-1)
        wanted = self.editor.nearest_values(edit.wanted)
        was_edited, was_kept = self.editor.edited_and_kept(edit.made, wanted, edit.edited)
        return {
            "recovered_cosine": edit.mean(cosine),
            "edited": edit.mean(was_edited),
            "kept": edit.mean(was_kept),
        }


@dataclasses.dataclass(frozen=True)
class _Edit:
    """Single edits of a batch; all replicas have the same.

    Attributes:
      inputs: float32 `[B, dim]`, standardised x.
      embeddings: float32 `[B, A, k]`, phi(x).
      edited: float32 `[B, A]`, one-hot.
      wanted: float32 `[B, A, k]`: phi_a(x-) for the edited attribute, phi(x) for the others.
      made: float32 `[B, dim]`, G(x, e-), standardised.
      exists: bool `[B]`, whether the batch has an x-.
    """

    inputs: tf.Tensor
    embeddings: tf.Tensor
    edited: tf.Tensor
    wanted: tf.Tensor
    made: tf.Tensor
    exists: tf.Tensor

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """Returns this replica's share of the mean over the edits that exist."""
        exists = tf.cast(self.exists, tf.float32)
        number = tf.maximum(tf.reduce_sum(exists), 1.0)
        return tf.reduce_sum(values * exists) / number / num_replicas()
