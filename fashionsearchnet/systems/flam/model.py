"""FLAM on images: a trunk makes the feature, and an editor of vectors does the rest."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.networks.backbones import PAPER_INPUT, PAPER_TRUNK, Trunk, pooled_features
from fashionsearchnet.networks.image_input import ImageInput, VectorInput
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.flam.editor import VectorEditor
from fashionsearchnet.systems.flam.manipulator import Discriminator, Generator
from fashionsearchnet.systems.flam.readers import AttributeReader, unit
from fashionsearchnet.systems.flam.variants import POOLINGS, PROJECTIONS
from fashionsearchnet.systems.standardization import Standardization
from fashionsearchnet.systems.system import Features


class FLAM(ConvolutionalSystem):
    """The network of [Shin19] and its baselines, as README.md reads them.

    Attributes:
      standardization: of the pooled maps; the identity for pooling 'spoc'.
      learns_feature: whether a stage trains the feature.
      projection: to the feature; None for pooled maps as they come from the trunk.
      instance_classifier: of the items that the first stage classifies; None behind it.
      metric: how features are compared. 'euclidean' is for vectors that another model computed and
        that nothing changes before they are edited; all else has length one.
      editor: what edits features and reads attributes off them.
    """

    tasks = ("manipulation", "attribute", "instance")

    def __init__(
        self,
        space: AttributeSpace,
        *,
        variant: str = "m_os_adv",
        image_input: ImageInput | Mapping[str, Any] = PAPER_INPUT,
        trunk: Trunk | Mapping[str, Any] = PAPER_TRUNK,
        pooling: str = "spoc",
        projection: str = "learned",
        projection_dim: int = 1024,
        num_instances: int = 0,
        reader_dim: int = 256,
        generator_dim: int = 512,
        several_edits: str = "in_turn",
        dropout_rate: float = 0.5,
        input_dropout_rate: float = 0.0,
    ):
        """Builds the network with all its variables.

        Args:
          space: the attributes.
          variant: a key of `variants.VARIANTS`.
          image_input: what the network wants to see.
          trunk: see `networks.backbones`.
          pooling: how maps become a vector; a key of POOLINGS.
          projection: where the projection to the feature comes from; a key of PROJECTIONS.
          projection_dim: width of the feature; 0 for the pooled maps as they are.
          num_instances: items that the first stage classifies; 0 for none.
          reader_dim: of the hidden layer of an embedder, and of the discriminator.
          generator_dim: of both hidden layers of the generator.
          several_edits: how several attributes are edited; a key of `variants.SEVERAL_EDITS`.
          dropout_rate: on the hidden layers of what reads attributes, while it trains.
          input_dropout_rate: on their input, while it trains.

        Raises:
          ValueError: if an argument is out of its range.
        """
        check_choice("pooling", pooling, POOLINGS)
        check_choice("projection", projection, PROJECTIONS)
        check_range("projection_dim", projection_dim, 0)
        check_range("num_instances", num_instances, 0)
        image_input, trunk = ImageInput.of(image_input), Trunk.of(trunk)
        if pooling == "spoc":
            tap = trunk.tap or trunk.architecture.default_tap
            trunk = dataclasses.replace(trunk, pooled_taps=(tap,))
        editing: dict[str, Any] = {
            "variant": variant,
            "reader_dim": reader_dim,
            "generator_dim": generator_dim,
            "several_edits": several_edits,
            "dropout_rate": dropout_rate,
            "input_dropout_rate": input_dropout_rate,
        }
        arguments = {
            **editing,
            "pooling": pooling,
            "projection": projection,
            "projection_dim": projection_dim,
            "num_instances": num_instances,
        }
        super().__init__("flam", space, image_input, trunk, arguments, view=pooled_features)
        self.pooling = pooling
        self.learns_feature = projection == "learned" and projection_dim > 0
        self._pooled_dim = self.trunk.output_shape[-1]
        self.standardization = Standardization(name="standardization")
        self.standardization.build((None, self._pooled_dim))
        self.projection = _dense(self._pooled_dim, projection_dim, "projection")
        dim = projection_dim or self._pooled_dim
        self.instance_classifier = _dense(dim, num_instances, "instance_classifier")
        self.metric = "cosine"
        if isinstance(image_input, VectorInput) and pooling == "spoc" and not projection_dim:
            self.metric = image_input.metric
        self.editor = VectorEditor(space, dim, metric=self.metric, **editing, name="editor")
        self.editor.build((None, dim))
        self.built = True

    @property
    def title(self) -> str:
        """The variant's row in Table 3."""
        return self.editor.variant.title

    @property
    def stages(self) -> tuple[str, ...]:
        """The feature is learned unless it is taken as it comes; a baseline edits no feature."""
        stages: tuple[str, ...] = (self.editor.variant.reader,)
        if self.learns_feature:
            stages = ("instances", *stages)
        return (*stages, "manipulator") if self.editor.variant.manipulates else stages

    @property
    def feature_parts(self) -> tuple[str, ...]:
        """The names of the parts that make the feature, for `copy_parts`."""
        parts = ("trunk", "standardization")
        return parts if self.projection is None else (*parts, "projection")

    def shares_feature(self, other: "FLAM") -> bool:
        """Returns whether another model makes the same feature of every image."""
        kept = ("trunk", "pooling", "projection", "projection_dim", "image_input")
        if any(self.arguments[name] != other.arguments[name] for name in kept):
            return False
        pairs = zip(self._feature_variables, other._feature_variables, strict=True)
        return all(np.array_equal(mine, theirs) for mine, theirs in pairs)

    @property
    def _feature_variables(self) -> list[keras.Variable]:
        projection = [] if self.projection is None else self.projection.variables
        return [*self.trunk.variables, *self.standardization.variables, *projection]

    @property
    def vector_standardization(self) -> Standardization:
        """That of the editor."""
        return self.editor.standardization

    @property
    def reader(self) -> AttributeReader:
        """That of the editor."""
        return self.editor.reader

    @property
    def generator(self) -> Generator | None:
        """That of the editor."""
        return self.editor.generator

    @property
    def discriminator(self) -> Discriminator | None:
        """That of the editor."""
        return self.editor.discriminator

    def feature(self, pooled: tf.Tensor) -> tf.Tensor:
        """Returns the feature x of pooled maps, float32 `[B, dim]`, of length one for 'cosine'.

        The sum of a map and its mean have one direction, so both are SPoC with L2.

        Args:
          pooled: float32 `[B, numbers]`, what the trunk gives.
        """
        if self.metric == "euclidean":
            return pooled
        feature = unit(self.standardization(pooled))
        if self.projection is None:
            return feature
        # Of length one, a number is about 1 / sqrt(dim): too small for Glorot's kernel.
        return unit(self.projection(feature * self._pooled_dim**0.5))

    def fit_feature(self, outputs: np.ndarray, part: int = 1024) -> None:
        """Sets what makes the feature without training: statistics, and the main directions.

        Args:
          outputs: float `[num, numbers]`, what the trunk gives for the training images.
          part: rows that are computed at once.

        Raises:
          ValueError: for more main directions than images or numbers.
        """
        parts = [outputs[start : start + part] for start in range(0, len(outputs), part)]
        if self.pooling == "levels":
            self.standardization.adapt(parts)
        if self.projection is None or self.learns_feature:
            return
        scale = self._pooled_dim**0.5
        rows = (
            scale * unit(self.standardization(tf.constant(rows.astype(np.float32)))).numpy()
            for rows in parts
        )
        mean, directions = main_directions(rows, self.projection.units)
        self.projection.kernel.assign(directions)
        self.projection.bias.assign(-mean @ directions)

    def feature_rows(self, outputs: np.ndarray, size: int = 1024) -> np.ndarray:
        """Returns the features of stored trunk outputs, float32 `[num, dim]`, part by part."""
        compute = tf.function(self.feature, reduce_retracing=True, autograph=False)
        parts = (outputs[start : start + size] for start in range(0, len(outputs), size))
        return np.concatenate(
            [compute(tf.constant(part.astype(np.float32))).numpy() for part in parts]
        )

    def features_of(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the feature x as `embedding`, float32 `[B, dim]`."""
        return {"embedding": self.feature(outputs)}

    def query_embedding(self, features: Features, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the edited vectors; see `VectorEditor.query`."""
        return self.editor.query(features["embedding"], manipulation)

    def gallery_embedding(
        self, features: Features, manipulation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the vectors of images as they are; see `VectorEditor.gallery`."""
        del manipulation
        return self.editor.gallery(features["embedding"])

    def attribute_embedding(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns e_a, float32 `[B, width]`, of length one: Euclidean order is that of cosines."""
        return self.editor.blocks(features["embedding"])[:, attribute]

    def instance_embedding(self, features: Features) -> tf.Tensor:
        """Returns the vectors that a gallery stores for both tasks, float32 `[B, dim]`."""
        return self.editor.gallery(features["embedding"])

    def attribute_logits(self, features: Features) -> tf.Tensor:
        """Returns logits by the cosines to the dictionary, or of the classifiers, `[B, C]`."""
        return self.editor.logits(features["embedding"])


def main_directions(parts: Iterable[np.ndarray], number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the main directions of vectors, by PCA.

    Args:
      parts: float `[any, dim]`, together all vectors.
      number: of directions.

    Returns:
      mean: float32 `[dim]`.
      directions: float32 `[dim, number]`, orthonormal, that of the largest variance first.

    Raises:
      ValueError: for more directions than vectors or dimensions.
    """
    count, total, products = 0, np.zeros(1), np.zeros(1)
    for part in parts:
        exact = part.astype(np.float64)
        count += len(exact)
        total = total + exact.sum(axis=0)
        products = products + exact.T @ exact
    dim = len(total)
    check_range("number of main directions (projection_dim)", number, 1, min(count, dim))
    mean = total / count
    _, directions = np.linalg.eigh(products / count - np.outer(mean, mean))  # rising variances
    return mean.astype(np.float32), directions[:, : -number - 1 : -1].astype(np.float32)


def _dense(input_dim: int, units: int, name: str) -> keras.layers.Dense | None:
    """Returns a built layer; None without units."""
    if not units:
        return None
    layer = keras.layers.Dense(units, dtype="float32", name=name)
    layer.build((None, input_dim))
    return layer
