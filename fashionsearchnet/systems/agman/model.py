"""AG-MAN: two levels of a trunk, guided attention, and a branch that names the attribute."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.networks.attribute_attention import TableAttention
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.levels import above_tap, two_levels
from fashionsearchnet.systems.agman.attention import GuidedAttention
from fashionsearchnet.systems.agman.variants import LOSS_WEIGHTINGS, get_variant
from fashionsearchnet.systems.attribute_network import (
    PUBLISHED_INPUT,
    PUBLISHED_TRUNK,
    AttributeNetwork,
)


class AGMAN(AttributeNetwork):
    """The network of a variant; see README.md in this folder for the paper and the deviations."""

    def __init__(
        self,
        space: AttributeSpace,
        *,
        variant: str = "agman",
        image_input: ImageInput | Mapping[str, Any] = PUBLISHED_INPUT,
        trunk: Trunk | Mapping[str, Any] = PUBLISHED_TRUNK,
        hidden_dim: int = 512,
        attention_normalization: str = "batch",
        loss_weighting: str = "equal",
        learns_from: str = "triplets",
        edit_ranking: bool = False,
        block_dim: int | None = None,
    ):
        """Builds the network with all its variables.

        Args:
          space: the attributes.
          variant: a key of `variants.VARIANTS`.
          image_input: what the network wants to see.
          trunk: see `networks.backbones`. One that names no tap gives the last map whose cells are
            at most 16 pixels apart, as those of ResNet-50's layer3 are.
          hidden_dim: width of what cells and attributes are compared by, and of the vectors where
            the variant has AG-MAN's attention.
          attention_normalization: of what the spatial attention compares: 'batch' or 'none'.
          loss_weighting: how the losses of two branches are weighed; a key of LOSS_WEIGHTINGS.
          learns_from: see `AttributeNetwork`.
          edit_ranking: see `AttributeNetwork`.
          block_dim: see `AttributeNetwork`.

        Raises:
          ValueError: if an argument is out of its range or does not go with another, or the trunk
            has no two levels.
        """
        chosen = get_variant(variant)
        check_range("hidden_dim", hidden_dim, 1)
        check_choice("loss_weighting", loss_weighting, LOSS_WEIGHTINGS)
        has_branch = chosen.classification and learns_from == "triplets"
        if loss_weighting != "equal" and not has_branch:
            raise ValueError(
                f"loss_weighting {loss_weighting!r} weighs the losses of two branches, but variant "
                f"{variant!r} with learns_from {learns_from!r} has no second branch. Use 'equal'."
            )
        super().__init__(
            "agman",
            space,
            ImageInput.of(image_input),
            Trunk.of(trunk),
            {
                "variant": variant,
                "hidden_dim": hidden_dim,
                "attention_normalization": attention_normalization,
                "loss_weighting": loss_weighting,
            },
            learns_from=learns_from,
            edit_ranking=edit_ranking,
            block_dim=block_dim,
            view=two_levels if chosen.multi_level else None,
        )
        self.variant = chosen
        self.has_attention = True
        upper = self.backbone.model.output_shape[-1]
        channels = self._build_skip(upper)
        kind = GuidedAttention if chosen.attention else TableAttention
        self.head = kind(
            space.num_attributes, channels, hidden_dim, attention_normalization, name="head"
        )
        self.has_branch = has_branch
        if self.has_branch:
            self._build_branch(upper, loss_weighting)
        self.build_memory(self.head.dim)

    def _build_skip(self, upper: int) -> int:
        """Builds what brings the lower level to `upper` channels; returns those of the head."""
        if not self.variant.multi_level:
            return upper
        lower = self.trunk.output_shape[-1] - upper
        self.skip = keras.layers.Dense(
            upper,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
            dtype="float32",
            name="skip",
        )
        self.skip.build((None, None, None, lower))
        return 2 * upper

    def _build_branch(self, upper: int, loss_weighting: str) -> None:
        """Builds the branch that names the attribute that an image is asked about."""
        self.upper_part = above_tap(self.backbone)
        if self.upper_part is not None:
            upper = self.upper_part.output_shape[-1]
        self.branch = keras.layers.Dense(self.space.num_attributes, dtype="float32", name="branch")
        self.branch.build((None, upper))
        self.loss_weights: keras.Variable | None = None
        if loss_weighting == "uncertainty":
            self.loss_weights = self.add_weight(
                shape=(2,), initializer="zeros", dtype="float32", name="loss_weights"
            )

    @property
    def title(self) -> str:
        """The variant's name in tables, and what of ours it was trained with."""
        return self.variant.title + self.title_of_ours

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """The names of the parts that the first stage trains, for `copy_parts`."""
        parts = [*super().trained_parts]
        if self.variant.multi_level:
            parts.append("skip")
        if self.has_branch:
            parts.append("branch")
            if self.upper_part is not None:
                parts.append("upper_part")
        return tuple(parts)

    def levels(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the trunk's map, and it plus the lower level, each `[B, h, w, channels]`.

        Args:
          outputs: of the trunk. A variant without the lower level has its map twice.
        """
        if not self.variant.multi_level:
            return outputs, outputs
        channels = self.backbone.model.output_shape[-1]
        lower, upper = tf.split(outputs, [outputs.shape[-1] - channels, channels], axis=-1)
        return upper, upper + tf.cast(self.skip(lower), upper.dtype)

    def embed(
        self, outputs: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns unit vectors `[B, Q, dim]` and the attention; see `AttributeNetwork.embed`."""
        return self.embed_levels(self.levels(outputs), attributes, training)

    def embed_levels(
        self, levels: tuple[tf.Tensor, tf.Tensor], attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what `embed` does, from both `levels` of an image."""
        maps = tf.concat(levels, axis=-1) if self.variant.multi_level else levels[0]
        return self.head(maps, attributes, training=training)

    def name_attribute(
        self, levels: tuple[tf.Tensor, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Returns which attribute an image is asked about, as logits float32 `[B, A]` (branch 1).

        Only of a variant with the branch.

        Args:
          levels: see `levels`.
          training: whether a stage trains on the result.
        """
        _, both = levels
        if self.upper_part is not None:
            both = self.upper_part(both, training=training)
        return self.branch(tf.reduce_mean(tf.cast(both, tf.float32), axis=[1, 2]))
