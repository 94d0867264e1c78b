"""ASENet V1 and V2, CSN and the triplet net: one trunk, four heads."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems.asenet.heads import build_head
from fashionsearchnet.systems.asenet.variants import get_variant
from fashionsearchnet.systems.attribute_network import (
    PUBLISHED_INPUT,
    PUBLISHED_TRUNK,
    AttributeNetwork,
)


class ASENet(AttributeNetwork):
    """The network of a variant; see README.md in this folder for the papers and the deviations."""

    def __init__(
        self,
        space: AttributeSpace,
        *,
        variant: str = "asenet_v2",
        image_input: ImageInput | Mapping[str, Any] = PUBLISHED_INPUT,
        trunk: Trunk | Mapping[str, Any] = PUBLISHED_TRUNK,
        hidden_dim: int = 512,
        embedding_dim: int = 1024,
        attention_normalization: str = "batch",
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
          hidden_dim: of ASENet: width of what cells and attributes are compared by.
          embedding_dim: of the last FC layer; ASENet_V2 has none, and its vectors have as many
            numbers as the trunk's map has channels.
          attention_normalization: of the keys of ASENet_V2: 'batch', or 'none' as in ASEN++.
          learns_from: see `AttributeNetwork`.
          edit_ranking: see `AttributeNetwork`.
          block_dim: see `AttributeNetwork`.

        Raises:
          ValueError: if an argument is out of its range.
        """
        chosen = get_variant(variant)
        check_range("hidden_dim", hidden_dim, 1)
        check_range("embedding_dim", embedding_dim, 1)
        super().__init__(
            "asenet",
            space,
            ImageInput.of(image_input),
            Trunk.of(trunk),
            {
                "variant": variant,
                "hidden_dim": hidden_dim,
                "embedding_dim": embedding_dim,
                "attention_normalization": attention_normalization,
            },
            learns_from=learns_from,
            edit_ranking=edit_ranking,
            block_dim=block_dim,
        )
        self.variant = chosen
        self.has_attention = chosen.has_attention
        self.head = build_head(
            chosen.head,
            space.num_attributes,
            self.trunk.output_shape[-1],
            hidden_dim=hidden_dim,
            embedding_dim=embedding_dim,
            normalization=attention_normalization,
        )
        self.build_memory(self.head.dim)

    @property
    def title(self) -> str:
        """The variant's name in tables, and what of ours it was trained with."""
        return self.variant.title + self.title_of_ours

    @property
    def describes_each_attribute(self) -> bool:
        """False of the triplet net, whose vector stands for all attributes."""
        return self.variant.describes_each_attribute

    def embed(
        self, outputs: tf.Tensor, attributes: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns unit vectors `[B, Q, dim]` and the attention; see `AttributeNetwork.embed`."""
        return self.head(outputs, attributes, training=training)
