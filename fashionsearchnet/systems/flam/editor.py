"""Edits of vectors: all of FLAM that stands behind the feature, and needs no image."""

import keras
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.networks.image_input import METRICS
from fashionsearchnet.systems.flam.manipulator import Discriminator, Generator
from fashionsearchnet.systems.flam.readers import (
    AttributeEmbedders,
    AttributeReader,
    FeatureClassifiers,
    unit,
)
from fashionsearchnet.systems.flam.variants import SEVERAL_EDITS, get_variant
from fashionsearchnet.systems.standardization import Standardization


class VectorEditor(keras.layers.Layer):
    """Reads attributes off vectors and edits them; a variant says how.

    Attributes:
      standardization: of a vector, before any network sees it.
      reader: what reads attributes off it.
      generator: edits it; None for a baseline.
      discriminator: trains the generator; None for a baseline, and where a ranking trains it.
    """

    def __init__(
        self,
        space: AttributeSpace,
        dim: int,
        *,
        variant: str = "m_os_adv",
        metric: str = "cosine",
        reader_dim: int = 256,
        generator_dim: int = 512,
        several_edits: str = "in_turn",
        dropout_rate: float = 0.5,
        input_dropout_rate: float = 0.0,
        **kwargs,
    ):
        """Builds all networks.

        Args:
          space: A attributes of C values together.
          dim: of the vectors.
          variant: a key of `variants.VARIANTS`.
          metric: how vectors are compared; a key of METRICS.
          reader_dim: of the hidden layer of an embedder, and of the discriminator.
          generator_dim: of both hidden layers of the generator.
          several_edits: how it edits several attributes; a key of SEVERAL_EDITS.
          dropout_rate: on the hidden layers of what reads, while it trains.
          input_dropout_rate: on their input, while it trains.
          **kwargs: of the layer.
        """
        super().__init__(dtype="float32", **kwargs)
        check_range("dim", dim, 1)
        check_range("reader_dim", reader_dim, 1)
        check_range("generator_dim", generator_dim, 1)
        check_range("dropout_rate", dropout_rate, 0.0, 0.95)
        check_range("input_dropout_rate", input_dropout_rate, 0.0, 0.95)
        self.space, self.dim = space, dim
        self.variant = get_variant(variant)
        self.metric = check_choice("metric", metric, METRICS)
        self.several_edits = check_choice("several_edits", several_edits, SEVERAL_EDITS)
        self.standardization = Standardization(name="vector_standardization")
        self.standardization.build((None, dim))
        self.reader = self._build_reader(reader_dim, dropout_rate, input_dropout_rate)
        self.reader.build((None, dim))
        self.generator: Generator | None = None
        self.discriminator: Discriminator | None = None
        if self.variant.manipulates:
            sizes = (dim, space.num_attributes, self.variant.width)
            self.generator = Generator(*sizes, generator_dim, name="generator")
            if not self.variant.ranked:
                self.discriminator = Discriminator(*sizes, reader_dim, name="discriminator")

    def start_discriminator(self) -> None:
        """Makes the discriminator a copy of the embedders, with a new head for real or made."""
        _, discriminator = self.manipulator()
        assert isinstance(self.reader, AttributeEmbedders)
        discriminator.start_from(self.reader)

    def trained_generator(self) -> Generator:
        """Returns the network that edits.

        Raises:
          ValueError: for a baseline, which has none.
        """
        if self.generator is None:
            raise ValueError(
                f"variant {self.variant.title!r} edits no features, so it has no manipulator to "
                "train; it is evaluated as its only stage left it."
            )
        return self.generator

    def manipulator(self) -> tuple[Generator, Discriminator]:
        """Returns both networks that a variant of the paper edits and trains with.

        Raises:
          ValueError: for a variant without a discriminator.
        """
        generator = self.trained_generator()
        if self.discriminator is None:
            raise ValueError(
                f"variant {self.variant.title!r} trains its generator by a ranking, so it has no "
                "discriminator; train it with RankingStage."
            )
        return generator, self.discriminator

    def _build_reader(
        self, reader_dim: int, dropout_rate: float, input_dropout_rate: float
    ) -> AttributeReader:
        rates, width = (dropout_rate, input_dropout_rate), self.variant.width
        if self.variant.reader == "classifiers":
            return FeatureClassifiers(self.space, width, *rates, name="classifiers")
        return AttributeEmbedders(self.space, width, reader_dim, *rates, name="embedders")

    def build(self, input_shape) -> None:
        """The constructor has built all layers."""

    def read(self, vectors: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns what the reader reads, float32 `[B, A, width]`.

        Args:
          vectors: float32 `[B, dim]`.
          seed: int32 `[2]` switches dropout on.
        """
        return self.reader(self.standardization(vectors), seed=seed)

    def blocks(self, vectors: tf.Tensor) -> tf.Tensor:
        """Returns what vectors show of each attribute, float32 `[B, A, width]`, of length one."""
        return self.reader.blocks(self.read(vectors))

    def logits(self, vectors: tf.Tensor) -> tf.Tensor:
        """Returns logits of the values, float32 `[B, C]`, a block per attribute."""
        return self.reader.logits(self.read(vectors))

    def nearest_values(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Returns the value of the nearest dictionary vectors, int64 `[B, A]`.

        Args:
          embeddings: float32 `[B, A, width]`, what the reader reads.
        """
        blocks = tf.split(self.reader.logits(embeddings), list(self.space.num_values), axis=-1)
        return tf.stack([tf.argmax(block, -1) for block in blocks], axis=1)

    def edited_and_kept(
        self, standardized: tf.Tensor, values: tf.Tensor, edited: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the shares of edited and of other attributes that read as they should.

        Args:
          standardized: float32 `[B, dim]`, edited vectors.
          values: int `[B, A]`: the wanted value of edited attributes, what the others showed.
          edited: float32 `[B, A]`: 1 for the edited attributes.

        Returns:
          float32 `[B]` each; zero without such attributes.
        """
        found = self.nearest_values(self.reader(standardized))
        right = tf.cast(found == tf.cast(values, found.dtype), tf.float32)  # [B, A]
        return _share(right, edited), _share(right, 1.0 - edited)

    def distance(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Returns squared Euclidean distances over the variance of all vectors, float32 `[B]`.

        Two random vectors are 2 apart, whatever the unit of the vectors.

        Args:
          first: float32 `[B, dim]`, standardised vectors.
          second: likewise.
        """
        variance = tf.square(self.standardization.deviation)
        apart = tf.reduce_sum(tf.square(first - second) * variance, axis=-1)
        return apart / tf.reduce_sum(variance)

    def generate(self, standardized: tf.Tensor, wanted: tf.Tensor, edited: tf.Tensor) -> tf.Tensor:
        """Returns the generator's edits, standardised like its input; see `Generator`.

        An edited vector is brought onto the surface that all vectors lie on: of length one for
        the metric 'cosine'.
        """
        changed = self.trained_generator()(standardized, wanted, edited)
        if self.metric == "euclidean":
            return changed
        return self.standardization(unit(self.restore(changed)))

    def restore(self, standardized: tf.Tensor) -> tf.Tensor:
        """Returns the vectors whose standardised form is given, float32 `[B, dim]`."""
        return standardized * self.standardization.deviation + self.standardization.mean

    def gallery(self, vectors: tf.Tensor) -> tf.Tensor:
        """Returns what a search compares, float32 `[B, dim]`: the vectors, or a baseline's blocks.

        Args:
          vectors: float32 `[B, dim]`.
        """
        if self.variant.manipulates:
            return vectors
        return _join(self.blocks(vectors))

    def query(self, vectors: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns edited vectors, as `gallery` returns those that are not.

        A generator edits several attributes as `several_edits` says. What is not edited stays
        exactly as it is.

        Args:
          vectors: float32 `[B, dim]`.
          manipulation: int32 `[B, A]`, the wanted value of each attribute, -1 to keep.
        """
        wanted, edited = self.reader.wanted(manipulation), manipulation != KEEP
        if not self.variant.manipulates:
            return _join(tf.where(edited[..., None], wanted, self.blocks(vectors)))
        changed = self.standardization(vectors)
        if self.several_edits == "at_once":
            changed = self.generate(changed, wanted, tf.cast(edited, tf.float32))
        else:
            changed = self._edit_in_turn(changed, wanted, edited)
        is_edited = tf.reduce_any(edited, axis=1, keepdims=True)
        return tf.where(is_edited, self.restore(changed), vectors)

    def _edit_in_turn(self, changed: tf.Tensor, wanted: tf.Tensor, edited: tf.Tensor) -> tf.Tensor:
        """Returns what the generator makes of one attribute after the other, in their order."""
        for attribute in range(self.space.num_attributes):
            only = tf.one_hot(attribute, self.space.num_attributes)[None, :]  # [1, A]
            here = edited[:, attribute, None]  # [B, 1]
            once = self.generate(changed, wanted, tf.cast(here, tf.float32) * only)
            changed = tf.where(here, once, changed)
        return changed


def _join(blocks: tf.Tensor) -> tf.Tensor:
    """Returns blocks beside each other: `[B, A, width]` to `[B, A * width]`."""
    return tf.reshape(blocks, [-1, blocks.shape[1] * blocks.shape[2]])


def _share(right: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the counted entries of each row, float32 `[B]`; zero without any."""
    number = tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
    return tf.reduce_sum(right * counted, axis=1) / number
