"""What ASENet and AG-MAN share: a unit vector of each attribute, and edits by class means.

The papers answer one task, "one with a neckline like this". The task "this one, but with a v-neck"
and the logits are ours: the attribute memory of [Ak21] holds the mean vector of each value. An edit
puts a mean in place of the image's own vector, and the nearest mean is what the image shows.

A network learns from triplets, as published, or from the values that images show, ours. Then it has
rows of values that it learns with the vectors (`value_memory`), reads images by them, and ranks by
the probability of the same value (`agreement.py`).

On a data set that lists triplets in place of values there are no means, and the first task alone is
answered.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.choices import LEARNS_FROM
from fashionsearchnet.networks.backbones import Backbone, Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems import regions
from fashionsearchnet.systems.edit_ranking import EditRanking, flatten
from fashionsearchnet.systems.memory import AttributeMemory
from fashionsearchnet.systems.representations import RepresentationSystem
from fashionsearchnet.systems.system import Features

PUBLISHED_TRUNK = Trunk("resnet50", tap="layer3")
PUBLISHED_INPUT = ImageInput(
    224,
    fit="crop",
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
)
LARGEST_STRIDE = 16.0  # pixels between the cells of layer3
_LOGIT_SCALE = 20.0  # at the margin of training, 0.2, a value is e^4 times as likely
_MAP_THRESHOLD = 0.2  # share of an attention's maximum that counts, as in [Ak21]


class AttributeNetwork(RepresentationSystem):
    """A trunk and a head that makes a unit vector of an image for each attribute asked for."""

    tasks: tuple[str, ...] = ("attribute", "manipulation")
    has_blocks = True
    needs_values = False

    def __init__(
        self,
        name: str,
        space: AttributeSpace,
        image_input: ImageInput,
        trunk: Trunk,
        arguments: Mapping[str, Any],
        *,
        learns_from: str,
        edit_ranking: bool,
        block_dim: int | None,
        view: Callable[[Backbone], keras.Model] | None = None,
    ):
        """Builds the trunk; a subclass builds its head and then calls `build_memory`.

        Args:
          name: the key of the system.
          space: the attributes.
          image_input: what the network wants to see.
          trunk: which network the system stands on.
          arguments: the other arguments of the subclass, as JSON can hold them.
          learns_from: a key of `choices.LEARNS_FROM`.
          edit_ranking: whether a second stage trains how edited images are ranked. Without it,
            blocks of equal length stand side by side.
          block_dim: numbers per attribute in a vector of that ranking; None for those of the head.
          view: see `convolutional.ConvolutionalSystem`.

        Raises:
          ValueError: for an argument out of its range, or one that needs values where the data set
            lists triplets.
        """
        check_choice("learns_from", learns_from, LEARNS_FROM)
        if learns_from == "values" and not space.has_values:
            raise ValueError(
                "learns_from 'values' is for attributes with values; the data set lists triplets "
                "only. Use 'triplets'."
            )
        if block_dim is not None and not edit_ranking:
            raise ValueError(
                f"block_dim is for a system with edit_ranking; got {block_dim} without it. Leave "
                "it out."
            )
        if edit_ranking and not space.has_values:
            raise ValueError(
                "edit_ranking is for attributes with values, which edits set; the data set lists "
                "triplets only. Leave it out."
            )
        editing = {"edit_ranking": edit_ranking, "block_dim": block_dim}
        super().__init__(
            name,
            space,
            image_input,
            trunk,
            {**arguments, "learns_from": learns_from, **editing},
            view=view,
            largest_stride=LARGEST_STRIDE,
        )
        self.learns_from = learns_from
        self._edits = editing
        if not space.has_values:
            self.tasks, self.has_blocks = ("attribute",), False

    def build_memory(self, dim: int) -> None:
        """Creates the memories, and what ranks edits, for vectors of `dim` numbers."""
        self.value_memory: AttributeMemory | None = None
        if self.learns_from == "values":
            start = keras.initializers.RandomNormal(stddev=1.0)
            self.value_memory = AttributeMemory(self.space, dim, start, name="value_memory")
        if not self.space.has_values:
            self.built = True
            return
        self.memory = AttributeMemory(self.space, dim, name="attribute_memory")
        self.edit_ranking: EditRanking | None = None
        if self._edits["edit_ranking"]:
            block_dim = self._edits["block_dim"]
            check_range("block_dim", block_dim or dim, 1, dim)
            self.edit_ranking = EditRanking(block_dim, dtype="float32", name="edit_ranking")
            self.edit_ranking.build((None, self.space.num_attributes, dim))
            # Its rows learn to be edits; those of `memory` stay what the system reads by.
            self.edit_memory = AttributeMemory(self.space, dim, name="edit_memory")
        self.built = True

    @abc.abstractmethod
    def embed(
        self, outputs: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the vectors of images for some attributes, and where the head looked.

        Args:
          outputs: of the trunk, float `[B, h, w, channels]`.
          attributes: int32 `[B, Q]`, those asked for of each image.
          training: whether a stage trains on the result.

        Returns:
          vectors: float32 `[B, Q, dim]`, of length 1.
          attention: float32 `[B, Q, h * w]`, of sum 1; None unless `has_attention`.
        """

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """The names of the parts that the first stage trains, for `copy_parts`."""
        return ("trunk", "head", *(["value_memory"] if self.value_memory else []))

    @property
    def title_of_ours(self) -> str:
        """What a title adds for a network that learned from values or ranks edits, ours."""
        learned = ", from values" if self.value_memory else ""
        return learned + (", edits of ours" if self._edits["edit_ranking"] else "")

    @property
    def ranks_by_agreement(self) -> bool:
        """Whether one attribute is ranked by the probability of the same value; ours."""
        return self.value_memory is not None or bool(self._edits["edit_ranking"])

    @property
    def ranking_variables(self) -> list[keras.Variable]:
        """The variables that the stage on edits trains: its weights and the memory.

        Raises:
          ValueError: for a system without that stage.
        """
        if self.edit_ranking is None:
            raise ValueError(
                f"{self.title} was built without edit_ranking, so it has no stage on edits; build "
                "it with edit_ranking=True."
            )
        return [*self.edit_ranking.trainable_variables, self.edits_by.memory]

    @property
    def stages(self) -> tuple[str, ...]:
        """The ranking of edits is a stage of its own, where it is trained."""
        return ("embedding", "global") if self._edits["edit_ranking"] else ("embedding",)

    @property
    def edits_by(self) -> AttributeMemory:
        """The memory whose rows an edit puts in: a copy of its own where edits are trained."""
        return self.edit_memory if self._edits["edit_ranking"] else self.memory

    def start_ranking(self, representations: np.ndarray) -> None:
        """Sets the projections to the main directions of vectors, and the rows to class means.

        Args:
          representations: float32 `[number, A, dim]`, of the training images.
        """
        assert self.edit_ranking is not None
        self.edit_ranking.start_from(representations)
        self.edit_memory.memory.assign(self.memory.memory)

    def features_of(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what any question needs of images.

        Returns:
          embedding: float32 `[B, A, dim]`, of length 1; `[B, 1, dim]` of a system with one vector
            for all attributes.
          boxes: float32 `[B, A, 4]`, around the attention; only where there is some.
        """
        vectors, attention = self.embed_all(outputs)
        features = {"embedding": vectors}
        if attention is not None:
            features["boxes"] = self._boxes(self._as_maps(attention))
        return features

    def features_and_attention(
        self, images: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor] | None]:
        """Returns `image_features` and `attention` of one pass through the network.

        A map is where the head looks for an attribute, whatever its value.
        """
        vectors, attention = self.embed_all(self.trunk(images))
        features = {"embedding": vectors}
        if attention is None:
            return features, None
        maps = self._as_maps(attention)
        features["boxes"] = self._boxes(maps)
        logits = self.attribute_logits(features)
        if logits is None:
            logits = tf.zeros([tf.shape(maps)[0], 0])
        return features, {"maps": maps, "boxes": features["boxes"], "logits": logits}

    def attribute_logits(self, features: Features) -> tf.Tensor | None:
        """Returns 20 times the cosine to each value, float32 `[B, C]`; ours.

        A value stands at the mean vector of its images, or at the row that the network learned for
        it. None where attributes have no values.
        """
        if not self.space.has_values:
            return None
        memory = self.value_memory or self.memory
        rows = tf.math.l2_normalize(memory.padded(), axis=-1)  # [V, A, dim]
        cosines = tf.einsum("bad,vad->vab", self._of_each(features), rows)  # [V, A, B]
        return _LOGIT_SCALE * tf.transpose(memory.rows_of(cosines))

    def query_embedding(self, features: Features, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of edited images, float32 `[B, A * block_dim]`; ours.

        Edited attributes get the mean vector of the wanted value.
        """
        self.check_answers("manipulation")
        edited = self.edits_by.overwrite(self._of_each(features), manipulation)
        if self.edit_ranking is None:
            return flatten(self._blocks(edited))
        return self.edit_ranking.query(edited, manipulation)

    def gallery_embedding(
        self, features: Features, manipulation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the vectors of images as they are, float32 `[B, A * block_dim]`; ours."""
        self.check_answers("manipulation")
        return self.merge_blocks(self.gallery_blocks(features), manipulation)

    def gallery_blocks(self, features: Features) -> tf.Tensor:
        """Returns the vectors of all attributes as they are compared, `[B, A, block_dim]`."""
        self._check_has_blocks()
        return self._blocks(self._of_each(features))

    def prototypes(self) -> tf.Tensor:
        """Returns the rows of `edits_by` as they are compared, float32 `[C, block_dim]`."""
        self._check_has_blocks()
        return self.edits_by.rows_of(self._blocks(self.edits_by.padded()))

    def merge_blocks(self, blocks: tf.Tensor, manipulation: tf.Tensor | None = None) -> tf.Tensor:
        """Returns blocks side by side, whatever the edit."""
        self._check_has_blocks()
        return flatten(blocks)

    def _check_has_blocks(self) -> None:
        if not self.has_blocks:
            raise self._without_blocks()

    def _blocks(self, vectors: tf.Tensor) -> tf.Tensor:
        if self.edit_ranking is None:
            return tf.math.l2_normalize(vectors, axis=-1)
        return self.edit_ranking.blocks(vectors)

    def embed_all(
        self, outputs: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns `embed` for all attributes, or for one where they share their vector."""
        number = self.space.num_attributes if self.describes_each_attribute else 1
        attributes = tf.tile(tf.range(number)[None], [tf.shape(outputs)[0], 1])
        return self.embed(outputs, attributes, training)

    def _of_each(self, features: Features) -> tf.Tensor:
        """Returns the vectors of all attributes, float32 `[B, A, dim]`."""
        vectors = features["embedding"]
        if self.describes_each_attribute:
            return vectors
        return tf.repeat(vectors, self.space.num_attributes, axis=1)

    def _as_maps(self, attention: tf.Tensor) -> tf.Tensor:
        """`[B, A, h * w]` -> `[B, A, h, w]`."""
        _, height, width, _ = self.trunk.output_shape
        return tf.reshape(attention, [-1, self.space.num_attributes, height, width])

    def _boxes(self, maps: tf.Tensor) -> tf.Tensor:
        """Returns the boxes of the largest regions above the threshold, in 0..1 of the input."""
        boxes = regions.attention_boxes(maps, _MAP_THRESHOLD)
        return regions.image_boxes(boxes, self.backbone.geometry)
