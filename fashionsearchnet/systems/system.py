"""The contract: all that evaluation, search, export, explanation and serving ask of a system.

A caller asks for nothing that is not declared here. `tests/systems/test_conformance.py` runs every
member over every system and variant.

Everywhere, B is the number of images, A the number of attributes and C that of all their values;
`manipulation` is int32 `[B, A]`, the wanted value of each attribute, -1 to keep.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import keras
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.choices import TASKS
from fashionsearchnet.networks.image_input import ImageInput, MapGeometry
from fashionsearchnet.systems.gallery_labels import blend_blocks

Features = Mapping[str, tf.Tensor]


class System(keras.Model):
    """A published system, or ours. Vectors of one task are compared by Euclidean distance.

    Attributes:
      name: its key in `systems.registry.SYSTEMS`.
      tasks: which of TASKS it answers.
      has_attention: whether it says where it looks.
      has_blocks: whether its gallery vectors are made of one block per attribute, so that a gallery
        can use labels.
      needs_values: whether it learns what images show of attributes, so that it cannot stand on a
        data set that lists triplets in place of values.
      space: the attributes.
      image_input: what the network wants to see.
      arguments: with `space`, all that rebuilds the system; JSON can hold it.
    """

    tasks: tuple[str, ...]
    has_attention: bool = False
    has_blocks: bool = False
    needs_values: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        space: AttributeSpace,
        image_input: ImageInput,
        arguments: Mapping[str, Any],
    ):
        """Keeps what every system has; a subclass builds its network.

        Args:
          name: the key of the system.
          space: the attributes.
          image_input: what the network wants to see.
          arguments: the other arguments of the subclass, as JSON can hold them.

        Raises:
          ValueError: for attributes without values, if the system needs some.
        """
        if self.needs_values and not space.has_values:
            raise ValueError(
                f"the attributes {', '.join(space.names)} have no values: their data set lists "
                f"triplets only. {name} learns from values; use asenet or agman."
            )
        super().__init__(name=name)
        self.space = space
        self.image_input = image_input
        self.arguments: dict[str, Any] = {"image_input": image_input.to_dict(), **arguments}

    @property
    def title(self) -> str:
        """The system's row in tables, as its paper prints it."""
        raise NotImplementedError

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages in order; the last one completes the system."""
        raise NotImplementedError

    @property
    def gallery_depends_on_edit(self) -> bool:
        """Whether an image has another gallery vector for each set of edited attributes.

        Such a system cannot be exported, and an index of it serves one set of attributes only.
        """
        return False

    @property
    def map_geometry(self) -> MapGeometry | None:
        """Where the cells of the maps of `attention` lie; None where that is not known."""
        return None

    def image_features(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what any question needs of images; each goes through the network once.

        Args:
          images: float32 `[B, *image_input.shape]`, as `image_input` describes them.

        Returns:
          tensors `[B, ...]` by name. Feature maps are not among them: they would be too large to
          store.
        """
        raise NotImplementedError

    def query_embedding(self, features: Features, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of edited images, float32 `[B, dim]`. Task: manipulation."""
        raise self._unanswered("manipulation")

    def gallery_embedding(
        self, features: Features, manipulation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the vectors of images as they are, float32 `[B, dim]`. Task: manipulation.

        The manipulation matters only where `gallery_depends_on_edit`.
        """
        raise self._unanswered("manipulation")

    def gallery_blocks(self, features: Features) -> tf.Tensor:
        """Returns what images show of each attribute, float32 `[B, A, block_dim]`.

        All that `gallery_embedding` needs of an image, and the part that labels can change. Only
        where `has_blocks`.
        """
        raise self._without_blocks()

    def prototypes(self) -> tf.Tensor:
        """Returns the block of each attribute value, float32 `[C, block_dim]`.

        The block that an edit to that value puts into a query, before the weights of the edit. Only
        where `has_blocks`.
        """
        raise self._without_blocks()

    def merge_blocks(self, blocks: tf.Tensor, manipulation: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the gallery vectors of blocks, float32 `[B, dim]`. Only where `has_blocks`.

        `gallery_embedding` is this of `gallery_blocks`.
        """
        raise self._without_blocks()

    def labelled_embedding(
        self,
        blocks: tf.Tensor,
        beliefs: tf.Tensor,
        blend: tf.Tensor,
        manipulation: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns gallery vectors that use labels, float32 `[B, dim]`; see `gallery_labels`.

        Args:
          blocks: of `gallery_blocks`.
          beliefs: float32 `[B, C]`, of `beliefs_of`. An image whose row is zero counts alone.
          blend: float32 `[A]` in 0..1, the share of the label's prototype.
          manipulation: see `gallery_embedding`.

        Raises:
          ValueError: unless `has_blocks`.
        """
        share = tf.convert_to_tensor(blend, tf.float32)
        blended = blend_blocks(self.space, blocks, self.prototypes(), beliefs, share)
        return self.merge_blocks(blended, manipulation)

    def attribute_embedding(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns what images show of one attribute, float32 `[B, dim]`. Task: attribute.

        These are the vectors of a gallery; those of queries are `attribute_query`.
        """
        raise self._unanswered("attribute")

    def attribute_query(self, features: Features, attribute: int) -> tf.Tensor:
        """Returns the vectors of queries for one attribute, float32 `[B, dim]`. Task: attribute.

        By default `attribute_embedding`.
        """
        return self.attribute_embedding(features, attribute)

    def alike_query(self, features: Features, weights: tf.Tensor) -> tf.Tensor:
        """Returns queries for "alike in some attributes", float32 `[B, dim]`. Task: attribute.

        The vectors of all attributes side by side, each of length 1 times its weight. Those nearest
        to it among `alike_embedding` have the largest weighted sum of cosines, so one index serves
        all weights.

        Args:
          features: of `image_features`.
          weights: float32 `[A]`, how much each attribute counts, 0 for not at all.
        """
        blocks = self._of_each_attribute(self.attribute_query, features)
        weighted = zip(blocks, tf.unstack(weights, self.space.num_attributes), strict=True)
        return tf.concat([block * weight for block, weight in weighted], axis=1)

    def alike_embedding(self, features: Features) -> tf.Tensor:
        """Returns the vectors of a gallery for `alike_query`, float32 `[B, dim]`. Task: attribute.

        The vectors of all attributes side by side, each of length 1.
        """
        return tf.concat(self._of_each_attribute(self.attribute_embedding, features), axis=1)

    def instance_embedding(self, features: Features) -> tf.Tensor:
        """Returns what tells items apart, float32 `[B, dim]`. Task: instance."""
        raise self._unanswered("instance")

    def attribute_logits(self, features: Features) -> tf.Tensor | None:
        """Returns what the system reads off images, float32 `[B, C]`, a block per attribute.

        None for a system that reads nothing. A system returns None for all images or for none.
        """
        del features
        return None

    def attention(self, images: tf.Tensor) -> dict[str, tf.Tensor] | None:
        """Returns where the system looks; None unless `has_attention`.

        Returns:
          maps: float32 `[B, A, h, w]`.
          boxes: float32 `[B, A, 4]`: ymin, xmin, ymax, xmax in 0..1 of the network's input.
          logits: float32 `[B, C]`: the maps speak for the likeliest value of each block.
        """
        return self.features_and_attention(images)[1]

    def features_and_attention(
        self, images: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor] | None]:
        """Returns `image_features` and `attention` of one pass through the network."""
        return self.image_features(images), None

    def encode_query(self, images: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns `query_embedding` of images."""
        return self.query_embedding(self.image_features(images), manipulation)

    def encode_gallery(self, images: tf.Tensor, manipulation: tf.Tensor | None = None) -> tf.Tensor:
        """Returns `gallery_embedding` of images."""
        return self.gallery_embedding(self.image_features(images), manipulation)

    def encode_attribute(self, images: tf.Tensor, attribute: int) -> tf.Tensor:
        """Returns `attribute_embedding` of images."""
        return self.attribute_embedding(self.image_features(images), attribute)

    def encode_instance(self, images: tf.Tensor) -> tf.Tensor:
        """Returns `instance_embedding` of images."""
        return self.instance_embedding(self.image_features(images))

    def call(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.image_features(images)

    def check_answers(self, task: str) -> None:
        """Raises a ValueError that names the tasks of the system, unless `task` is one."""
        if task not in self.tasks:
            raise self._unanswered(task)

    def in_float32(self) -> Self:
        """Returns the system itself, or a copy that computes in float32 if it does not.

        What is stored for later stages comes from it: evaluation computes in float32, too.
        """
        policy = keras.mixed_precision.dtype_policy()
        if policy.compute_dtype == "float32":
            return self
        keras.mixed_precision.set_dtype_policy("float32")
        try:
            build: Any = type(self)
            copy: Self = build(self.space, **self.arguments)
        finally:
            keras.mixed_precision.set_dtype_policy(policy)
        copy.set_weights(self.get_weights())
        return copy

    def _of_each_attribute(
        self, embed: Callable[[Features, int], tf.Tensor], features: Features
    ) -> list[tf.Tensor]:
        """Returns the vectors of each attribute, float32 `[B, any]`, of length 1."""
        self.check_answers("attribute")
        found = [embed(features, attribute) for attribute in range(self.space.num_attributes)]
        return [tf.math.l2_normalize(block, axis=-1) for block in found]

    def _without_blocks(self) -> ValueError:
        return ValueError(
            f"{self.title} cannot use the labels of a gallery: its vectors are not made of one "
            "block per attribute. Use a system such as fashionsearchnet_v2, or filter by label."
        )

    def _unanswered(self, task: str) -> ValueError:
        return ValueError(
            f"{self.title} does not answer the task {task!r} ({TASKS[task]}); it answers "
            f"{', '.join(self.tasks)}."
        )
