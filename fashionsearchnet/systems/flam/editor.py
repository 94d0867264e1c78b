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
from fashionsearchnet.systems.flam.variants import get_variant
from fashionsearchnet.systems.standardization import Standardization


class VectorEditor(keras.layers.Layer):
    """Reads attributes off vectors and edits them; a variant says how.

    Attributes:
      standardization: of a vector, before any network sees it.
      reader: what reads attributes off it.
      generator: edits it; None for a baseline.
      discriminator: trains the generator; None for a baseline.
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
        self.standardization = Standardization(name="vector_standardization")
        self.standardization.build((None, dim))
        self.reader = self._build_reader(reader_dim, dropout_rate, input_dropout_rate)
        self.reader.build((None, dim))
        self.generator: Generator | None = None
        self.discriminator: Discriminator | None = None
        if self.variant.manipulates:
            sizes = (dim, space.num_attributes, self.variant.width)
            self.generator = Generator(*sizes, generator_dim, name="generator")
            self.discriminator = Discriminator(*sizes, reader_dim, name="discriminator")

    def start_discriminator(self) -> None:
        """Makes the discriminator a copy of the embedders, with a new head for real or made."""
        _, discriminator = self.manipulator()
        assert isinstance(self.reader, AttributeEmbedders)
        discriminator.start_from(self.reader)

    def manipulator(self) -> tuple[Generator, Discriminator]:
        """Returns both networks that a variant of FLAM edits and trains with.

        Raises:
          ValueError: for a baseline, which has none.
        """
        if self.generator is None or self.discriminator is None:
            raise ValueError(
                f"variant {self.variant.title!r} edits no features, so it has no manipulator to "
                "train; it is evaluated as its only stage left it."
            )
        return self.generator, self.discriminator

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

    def generate(self, standardized: tf.Tensor, wanted: tf.Tensor, edited: tf.Tensor) -> tf.Tensor:
        """Returns the generator's edits, standardised like its input; see `Generator`.

        An edited vector is brought onto the surface that all vectors lie on: of length one for
        the metric 'cosine'.
        """
        generator, _ = self.manipulator()
        changed = generator(standardized, wanted, edited)
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

        A generator edits one attribute after the other, since it learns single edits. What is not
        edited stays exactly as it is.

        Args:
          vectors: float32 `[B, dim]`.
          manipulation: int32 `[B, A]`, the wanted value of each attribute, -1 to keep.
        """
        wanted, edited = self.reader.wanted(manipulation), manipulation != KEEP
        if not self.variant.manipulates:
            return _join(tf.where(edited[..., None], wanted, self.blocks(vectors)))
        changed = self.standardization(vectors)
        for attribute in range(self.space.num_attributes):
            only = tf.one_hot(attribute, self.space.num_attributes)[None, :]  # [1, A]
            here = edited[:, attribute, None]  # [B, 1]
            once = self.generate(changed, wanted, tf.cast(here, tf.float32) * only)
            changed = tf.where(here, once, changed)
        is_edited = tf.reduce_any(edited, axis=1, keepdims=True)
        return tf.where(is_edited, self.restore(changed), vectors)


def _join(blocks: tf.Tensor) -> tf.Tensor:
    """Returns blocks beside each other: `[B, A, width]` to `[B, A * width]`."""
    return tf.reshape(blocks, [-1, blocks.shape[1] * blocks.shape[2]])
