"""A pretrained trunk as it comes, as a system that answers every task with one vector."""

import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.networks.backbones import (
    Trunk,
    load_pretrained,
    pooled_features,
    pretrained_input,
)
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.standardization import Standardization
from fashionsearchnet.systems.system import Features


class TrunkAlone(ConvolutionalSystem):
    """The pooled maps of a trunk with ImageNet weights, standardised, at length 1.

    Nothing is trained, and an edit changes nothing: the row that every system must beat.
    """

    tasks = ("manipulation", "attribute", "instance")
    stages = ("none",)

    def __init__(self, space: AttributeSpace, trunk: Trunk, image_size: int):
        """Builds the trunk without its weights; see `of_images`."""
        image_input = pretrained_input(trunk, image_size)
        super().__init__("trunk_alone", space, image_input, trunk, {}, view=pooled_features)
        self.standardization = Standardization(name="standardization")
        self.standardization.build(self.trunk.output_shape)
        self.built = True

    @classmethod
    def of_images(
        cls, dataset: Dataset, split: str, backbone: str, image_size: int
    ) -> "TrunkAlone":
        """Returns the trunk with ImageNet weights and the statistics of some images.

        Args:
          dataset: that has the images; no label is read.
          split: of the images.
          backbone: one of `choices.BACKBONES`.
          image_size: side of the network's input in pixels.
        """
        trunk = Trunk(backbone, pretrained="imagenet", training="frozen")
        system = cls(dataset.space, trunk, image_size)
        load_pretrained(system.backbone, trunk.pretrained)
        seen = system.image_input
        compiled = tf.function(
            lambda i: system.trunk(as_input(i, seen), training=False), autograph=False
        )
        images = dataset.images(split, system.image_input)
        system.standardization.adapt(compiled(batch).numpy() for batch in images)
        return system

    @property
    def title(self) -> str:
        """The trunk, as it is."""
        return f"{self.backbone.trunk.backbone} as it is"

    def features_of(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns embedding, float32 `[B, dim]`, of length 1."""
        return {"embedding": tf.math.l2_normalize(self.standardization(outputs), axis=-1)}

    def query_embedding(self, features: Features, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the embedding: the edit changes nothing."""
        return features["embedding"]

    def gallery_embedding(
        self, features: Features, manipulation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the embedding."""
        return features["embedding"]

    def attribute_embedding(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns the embedding, whatever the attribute."""
        return features["embedding"]

    def instance_embedding(self, features: Features) -> tf.Tensor:
        """Returns the embedding."""
        return features["embedding"]
