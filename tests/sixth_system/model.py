"""A classifier whose hidden layer tells what an image shows of each attribute."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import AttributeClassifiers
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.system import Features


class Classifier(ConvolutionalSystem):
    """The trunk, one dense layer for each attribute, and a linear classifier on each."""

    tasks = ("attribute",)
    title = "Classifier"
    stages = ("classification",)

    def __init__(
        self,
        space: AttributeSpace,
        *,
        image_input: ImageInput | Mapping[str, Any],
        trunk: Trunk | Mapping[str, Any],
        dim: int = 8,
    ):
        super().__init__(
            "classifier", space, ImageInput.of(image_input), Trunk.of(trunk), {"dim": dim}
        )
        _, height, width, channels = self.trunk.output_shape
        self.cells = height * width * channels
        self.hidden = keras.layers.Dense(space.num_attributes * dim, "relu", name="hidden")
        self.hidden.build((None, self.cells))
        self.classifiers = AttributeClassifiers(space.num_values, name="classifiers")
        self.classifiers.build((None, space.num_attributes, dim))
        self.dim, self.built = dim, True

    def image_features(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        cells = tf.reshape(self.trunk(images, training=training), [-1, self.cells])
        shape = [-1, self.space.num_attributes, self.dim]
        embedding = tf.cast(tf.reshape(self.hidden(cells), shape), tf.float32)  # [B, A, dim]
        return {"embedding": embedding, "logits": self.classifiers(embedding)}

    def attribute_embedding(self, features: Features, attribute: int) -> tf.Tensor:
        return features["embedding"][:, attribute]

    def attribute_logits(self, features: Features) -> tf.Tensor:
        return features["logits"]
