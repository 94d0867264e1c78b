"""AMNet: one feature of the whole image, a memory of prototypes, and a layer that fuses both."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.networks.backbones import PAPER_INPUT, PAPER_TRUNK, Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import ConvolutionBlock, dropout
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.memory import AttributeMemory
from fashionsearchnet.systems.system import Features

_CONV5_FILTERS = 384  # as FashionSearchNet-v2's, so that a comparison changes the method only


class AMNet(ConvolutionalSystem):
    """The memory-augmented attribute manipulation network of [Zhao17], as README.md reads it."""

    tasks = ("manipulation",)
    title = "AMNet"
    stages = ("classification", "manipulation")

    def __init__(
        self,
        space: AttributeSpace,
        *,
        image_input: ImageInput | Mapping[str, Any] = PAPER_INPUT,
        trunk: Trunk | Mapping[str, Any] = PAPER_TRUNK,
        feature_dim: int = 4096,
        dropout_rate: float = 0.5,
    ):
        """Builds the network with all its variables.

        Args:
          space: the attributes.
          image_input: what the network wants to see.
          trunk: see `networks.backbones`; its width also scales conv5.
          feature_dim: width of fc6 and of fc7, the image's feature r.
          dropout_rate: on fc6, and on fc7 on its way to the classifiers, while stage 1 trains.
        """
        check_range("feature_dim", feature_dim, 1)
        check_range("dropout_rate", dropout_rate, 0.0, 0.95)
        image_input, trunk = ImageInput.of(image_input), Trunk.of(trunk)
        arguments = {"feature_dim": feature_dim, "dropout_rate": dropout_rate}
        super().__init__("amnet", space, image_input, trunk, arguments)
        self.dropout_rate = dropout_rate
        filters, normalization = round(_CONV5_FILTERS * trunk.width), trunk.normalization
        self.conv5 = ConvolutionBlock(filters, 3, normalization=normalization, name="conv5")
        self.pool5 = keras.layers.MaxPool2D(3, 2, padding="same", name="pool5")
        self.fc6 = keras.layers.Dense(
            feature_dim, "relu", kernel_initializer="he_normal", name="fc6"
        )
        self.fc7 = keras.layers.Dense(feature_dim, name="fc7")
        self.classifiers = keras.layers.Dense(
            space.total_values,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",
            name="classifiers",
        )
        self.memory = AttributeMemory(space, feature_dim, name="attribute_memory")
        # [I; 0]: the edited feature starts as the unedited one, which is what it must stay near.
        self.fusion = keras.layers.Dense(
            feature_dim, kernel_initializer="identity", dtype="float32", name="fusion"
        )
        self._build_parts(feature_dim)

    def _build_parts(self, feature_dim: int) -> None:
        """Creates every variable now, so that weights load into any fresh instance."""
        self.conv5.build(self.trunk.output_shape)
        conv5_shape = self.conv5.compute_output_shape(self.trunk.output_shape)
        _, *pooled = self.pool5.compute_output_shape(conv5_shape)
        self.convolved_dim = int(np.prod(pooled))
        self.fc6.build((None, self.convolved_dim))
        self.fc7.build((None, feature_dim))
        self.classifiers.build((None, feature_dim))
        self.fusion.build((None, 2 * feature_dim))
        self.built = True

    def convolve(self, images: tf.Tensor) -> tf.Tensor:
        """Returns `convolved_of` images."""
        return self.convolved_of(self.trunk(images, training=False))

    def convolved_of(self, outputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns pool5, float32 `[batch, convolved_dim]`: what the second stage leaves alone.

        Args:
          outputs: of the trunk, float `[batch, h, w, channels]`.
          training: whether a stage trains on the result.
        """
        conv5 = self.conv5(outputs, training=training)
        pooled = tf.reshape(self.pool5(conv5), [-1, self.convolved_dim])  # [B, h, w, C] -> [B, hwC]
        return tf.cast(pooled, tf.float32)

    def represent(
        self, convolved: tf.Tensor, seed: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Runs the fully connected layers.

        Args:
          convolved: what `convolve` returned.
          seed: int32 `[2]` switches dropout on.

        Returns:
          embedding: float32 `[batch, feature_dim]`, fc7: the image's feature r.
          logits: float32 `[batch, total values]`, one block per attribute.
        """
        hidden = dropout(self.fc6(convolved), self.dropout_rate, seed, 0)
        embedding = tf.cast(self.fc7(hidden), tf.float32)
        logits = self.classifiers(dropout(embedding, self.dropout_rate, seed, 1))
        return {"embedding": embedding, "logits": logits}

    def features_of(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what any edit needs of the images; see `represent`."""
        return self.represent(self.convolved_of(outputs))

    def query_embedding(self, features: Features, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns r' = W [r, p M] + b, float32 `[batch, feature_dim]`; r where nothing is edited.

        Fusion is never trained without an edit, so an unedited image searches as it is.

        Args:
          features: what `image_features` returned.
          manipulation: int32 `[batch, A]`, the wanted value of each attribute, -1 to keep.
        """
        feature = features["embedding"]
        fused = self.fusion(tf.concat([feature, self.memory.sum_of_wanted(manipulation)], axis=-1))
        edited = tf.reduce_any(manipulation != KEEP, axis=1, keepdims=True)  # [B, 1]
        return tf.where(edited, fused, feature)

    def gallery_embedding(
        self, features: Features, manipulation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns r, float32 `[batch, feature_dim]`: the images' embeddings as they are."""
        return features["embedding"]

    def attribute_logits(self, features: Features) -> tf.Tensor:
        """Returns the softmax classifiers' logits on r, float32 `[batch, total values]`."""
        return features["logits"]

    def move_origin(self, origin: np.ndarray) -> None:
        """Makes `origin`, float32 `[feature_dim]`, the zero of r.

        The classifiers follow: no distance between images and no logit changes.
        """
        self.fc7.bias.assign(self.fc7.bias.value - origin)
        shift = tf.linalg.matvec(self.classifiers.kernel.value, origin, transpose_a=True)
        self.classifiers.bias.assign(self.classifiers.bias.value + shift)
