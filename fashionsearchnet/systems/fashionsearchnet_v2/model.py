"""FashionSearchNet-v2: attention, local representations, memory, global representation."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.networks.backbones import PAPER_INPUT, PAPER_TRUNK, Trunk, pooled_features
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.networks.layers import ConvolutionBlock
from fashionsearchnet.systems import regions
from fashionsearchnet.systems.edit_ranking import EditRanking
from fashionsearchnet.systems.fashionsearchnet_v2.attention import AttributeActivationMap
from fashionsearchnet.systems.fashionsearchnet_v2.manipulation import (
    Concatenation,
    GlobalRepresentation,
)
from fashionsearchnet.systems.fashionsearchnet_v2.representations import (
    AttributeHeads,
    pool_regions,
    pool_whole,
)
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    MAX_MAP_THRESHOLD,
    VARIANTS,
    Variant,
    get_variant,
)
from fashionsearchnet.systems.memory import AttributeMemory
from fashionsearchnet.systems.representations import RepresentationSystem
from fashionsearchnet.systems.standardization import Standardization
from fashionsearchnet.systems.system import Features

_CONV5_FILTERS = 384  # [Ak21] Sec. 4.1
_CONV6_FILTERS = 512  # and conv7
_LARGEST_STRIDE = 16.0  # pixels between the cells of conv4


class FashionSearchNetV2(RepresentationSystem):
    """The network of [Ak21] (Figure 2) in any of the variants of its ablation."""

    tasks = ("manipulation", "attribute", "instance")
    has_blocks = True

    def __init__(
        self,
        space: AttributeSpace,
        *,
        variant: str = "full",
        image_input: ImageInput | Mapping[str, Any] = PAPER_INPUT,
        trunk: Trunk | Mapping[str, Any] = PAPER_TRUNK,
        map_threshold: float = 0.2,
        map_scaling: str = "max",
        region_size: int = 3,
        hidden_dims: Sequence[int] = (512, 512),
        representation_dim: int = 256,
        dropout_rate: float = 0.5,
        input_dropout_rate: float = 0.0,
        global_dim: int = 512,
        block_dim: int | None = None,
    ):
        """Builds the network with all its variables.

        Args:
          space: the attributes.
          variant: a key of `variants.VARIANTS`.
          image_input: what the network wants to see.
          trunk: see `networks.backbones`; its width also scales conv5-conv7. A trunk that names no
            tap gives the last map whose cells are at most 16 pixels apart, as those of conv4 are.
          map_threshold: share of an activation map's maximum that counts as attention.
          map_scaling: 'max' (the paper's) or 'min_max', see `regions.threshold_maps`.
          region_size: cells per side of a pooled region.
          hidden_dims: widths of fc8 and fc9.
          representation_dim: width D of fc10.
          dropout_rate: on the fully connected layers while they train.
          input_dropout_rate: on what fc8 reads, while it trains.
          global_dim: width r of the global representation.
          block_dim: numbers per attribute in a vector of a `blockwise` variant; None for
            representation_dim.

        Raises:
          ValueError: if an argument is out of its range, or the maps are too wide to find regions.
        """
        image_input, trunk = ImageInput.of(image_input), Trunk.of(trunk)
        arguments = {
            "variant": variant,
            "map_threshold": map_threshold,
            "map_scaling": map_scaling,
            "region_size": region_size,
            "hidden_dims": list(hidden_dims),
            "representation_dim": representation_dim,
            "dropout_rate": dropout_rate,
            "input_dropout_rate": input_dropout_rate,
            "global_dim": global_dim,
            "block_dim": block_dim,
        }
        _check_ranges(arguments)
        chosen = get_variant(variant)
        _check_block_dim(chosen, block_dim, representation_dim)
        super().__init__(
            "fashionsearchnet_v2",
            space,
            image_input,
            trunk,
            arguments,
            view=pooled_features if chosen.pooled else None,
            largest_stride=_LARGEST_STRIDE,
        )
        self.variant = chosen
        self.has_attention = not chosen.pooled
        self.map_threshold, self.map_scaling = map_threshold, map_scaling
        self.region_size = region_size
        self._build_input(trunk)
        self.heads = AttributeHeads(
            space.num_values,
            hidden_dims,
            representation_dim,
            dropout_rate,
            input_dropout_rate,
            name="heads",
        )
        self.memory = AttributeMemory(space, representation_dim, name="attribute_memory")
        # Built in every variant, so that its stages can take over each other's weights.
        merge = _merge_of(chosen, global_dim, block_dim)
        self.global_representation = merge
        self._merge = merge if chosen.global_ranking else Concatenation()
        self._build_parts(representation_dim)

    def _build_input(self, trunk: Trunk) -> None:
        """Makes what stands between the trunk and the heads."""
        if self.variant.pooled:
            self.standardization = Standardization(name="standardization")
            return
        self._check_maps(trunk.first_stride)
        width, normalization = trunk.width, trunk.normalization
        self.conv5 = ConvolutionBlock(
            round(_CONV5_FILTERS * width), 3, normalization=normalization, name="conv5"
        )
        self.attention_maps = AttributeActivationMap(
            self.space.num_values,
            round(_CONV6_FILTERS * width),
            normalization,
            name="attention_maps",
        )

    def _check_maps(self, first_stride: int) -> None:
        """Raises a ValueError if regions cannot be found on maps as wide as the trunk's."""
        cells = self.trunk.output_shape[2]
        if cells > regions.MAX_WIDTH:
            raise ValueError(
                f"--image_size={self.image_input.size} and --first_stride={first_stride} give maps "
                f"of {cells} cells a side; regions are found on at most {regions.MAX_WIDTH}. Use a "
                "smaller image, a larger stride or a later --trunk_tap."
            )

    def _build_parts(self, representation_dim: int) -> None:
        """Creates every variable now, so that weights load into any fresh instance."""
        num_attributes, trunk_shape = self.space.num_attributes, self.trunk.output_shape
        if self.variant.pooled:
            self.standardization.build(trunk_shape)
            input_dim = trunk_shape[-1]
        else:
            self.conv5.build(trunk_shape)
            conv5_shape = self.conv5.compute_output_shape(trunk_shape)
            self.attention_maps.build(conv5_shape)
            input_dim = self.region_size**2 * conv5_shape[-1] * len(self.variant.pooling)
        self.heads.build((None, num_attributes, input_dim))
        self.global_representation.build((None, num_attributes, representation_dim))
        self.built = True

    @property
    def title(self) -> str:
        """The variant's row in Table 1, or its name for ours."""
        return self.variant.title

    @property
    def stages(self) -> tuple[str, ...]:
        """Variants on pooled features have no localisation; not all have a global stage."""
        stages: tuple[str, ...] = ("representations",)
        if not self.variant.pooled:
            stages = ("localization", *stages)
        return (*stages, "global") if self.variant.global_ranking else stages

    @property
    def input_parts(self) -> tuple[str, ...]:
        """The names of the parts below the heads."""
        if self.variant.pooled:
            return ("trunk", "standardization")
        return ("trunk", "conv5", "attention_maps")

    @property
    def gallery_depends_on_edit(self) -> bool:
        """True where lambda depends on the edit and weighs the gallery too."""
        return self._merge.depends_on_edit

    def localize(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Runs the network up to the heads: the trunk and `locate`."""
        return self.locate(self.trunk(images, training=training), training=training)

    def locate(self, outputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Runs what stands between the trunk and the heads.

        Args:
          outputs: of the trunk: float `[batch, h, w, channels]`, or `[batch, numbers]` of a
            variant on pooled features.
          training: whether a stage trains on the result.

        Returns:
          conv5: float `[batch, h, w, channels]`.
          conv7: float `[batch, h, w, channels]`.
          logits: float32 `[batch, total values]`, Eq. 2's x_I w_a.
          pooled: float32 `[batch, numbers]`, standardised: all there is of a variant on pooled
            features, and of no other.
        """
        if self.variant.pooled:
            return {"pooled": self.standardization(outputs)}
        conv5 = self.conv5(outputs, training=training)
        logits, conv7 = self.attention_maps(conv5, training=training)
        return {"conv5": conv5, "conv7": conv7, "logits": logits}

    def attend(self, located: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns maps float32 `[batch, A, h, w]` (Eq. 3) and boxes int32 `[batch, A, 4]`.

        No gradient passes: a box is where to look, not a thing to learn (Sec. 3.2).
        """
        maps = tf.stop_gradient(self.attention_maps.maps(located["conv7"], located["logits"]))
        return maps, regions.attention_boxes(maps, self.map_threshold, self.map_scaling)

    def represent(
        self, located: Mapping[str, tf.Tensor], seed: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Runs the second stage's part: regions of conv5, or pooled features, to representations.

        Args:
          located: what `locate` returned.
          seed: int32 `[2]` switches dropout on.

        Returns:
          embedding: float32 `[batch, A, representation_dim]`, fc10.
          logits: float32 `[batch, total values]`, of the classifiers on fc10.
          boxes: int32 `[batch, A, 4]`, inclusive cells; only where the variant localises.
        """
        outputs: dict[str, tf.Tensor] = {}
        pooled, num_attributes = [], self.space.num_attributes
        if self.variant.pooled:
            pooled.append(tf.repeat(located["pooled"][:, None], num_attributes, axis=1))
        else:
            conv5 = located["conv5"]
            for by_region in self.variant.pooling:
                if by_region:
                    _, outputs["boxes"] = self.attend(located)
                    pooled.append(pool_regions(conv5, outputs["boxes"], self.region_size))
                else:
                    pooled.append(pool_whole(conv5, num_attributes, self.region_size))
        embedding, logits = self.heads(tf.concat(pooled, axis=-1), seed=seed)
        return {"embedding": embedding, "logits": logits, **outputs}

    def features_of(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what any edit needs of the images; see `represent`.

        `boxes` are float32 `[batch, A, 4]` here: ymin, xmin, ymax, xmax in 0..1 of the image.
        """
        return self._features(self.locate(outputs))

    def features_and_attention(
        self, images: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor] | None]:
        """Returns `image_features` and what explains the model, of one pass through the trunk.

        The logits of the attention are those of its own classifier, which chose the maps' values.
        """
        located = self.localize(images)
        return self._features(located), None if self.variant.pooled else self._attention(located)

    def query_embedding(self, features: Features, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns F_{I,t}, float32 `[batch, dim]`: the edited images' embeddings.

        Args:
          features: what `image_features` returned.
          manipulation: int32 `[batch, A]`, the wanted value of each attribute, -1 to keep.
        """
        return self._merge.query(
            self.memory.overwrite(features["embedding"], manipulation), manipulation
        )

    def gallery_embedding(
        self, features: Features, manipulation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns F_I, float32 `[batch, dim]`: the images' embeddings as they are.

        The manipulation, int32 `[batch, A]`, is needed only where `gallery_depends_on_edit`.
        """
        return self.merge_blocks(self.gallery_blocks(features), manipulation)

    def gallery_blocks(self, features: Features) -> tf.Tensor:
        """Returns the representations as they are merged, float32 `[batch, A, block_dim]`."""
        return self._merge.blocks(features["embedding"])

    def prototypes(self) -> tf.Tensor:
        """Returns the rows of the memory as they are merged, float32 `[C, block_dim]`."""
        return self.memory.rows_of(self._merge.blocks(self.memory.padded()))

    def merge_blocks(self, blocks: tf.Tensor, manipulation: tf.Tensor | None = None) -> tf.Tensor:
        """Returns F_I of blocks, float32 `[batch, dim]`; see `gallery_embedding`."""
        if manipulation is None:
            manipulation = tf.fill(tf.shape(blocks)[:2], KEEP)
        return self._merge.merge(blocks, manipulation)

    @property
    def ranks_by_agreement(self) -> bool:
        """Whether one attribute is ranked by the probability of the same value, else by fc10."""
        return self.variant.agreement

    def instance_embedding(self, features: Features) -> tf.Tensor:
        """Returns F_I, float32 `[batch, dim]`: the vectors that a gallery stores.

        The paper does not search for items; this says how well its vectors do.
        """
        return self.gallery_embedding(features)

    def attribute_logits(self, features: Features) -> tf.Tensor:
        """Returns the logits of the classifiers on fc10, float32 `[batch, total values]`."""
        return features["logits"]

    def _features(self, located: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = self.represent(located)
        if "boxes" in features:
            features["boxes"] = self._on_image(features["boxes"])
        return features

    def _attention(self, located: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        maps, boxes = self.attend(located)
        return {"maps": maps, "boxes": self._on_image(boxes), "logits": located["logits"]}

    def _on_image(self, boxes: tf.Tensor) -> tf.Tensor:
        return regions.image_boxes(boxes, self.backbone.geometry)


def _merge_of(
    variant: Variant, global_dim: int, block_dim: int | None
) -> EditRanking | GlobalRepresentation:
    """Returns what merges the representations of a variant into one vector."""
    name = "global_representation"
    if variant.blockwise:
        return EditRanking(block_dim, dtype="float32", name=name)
    return GlobalRepresentation(
        global_dim,
        edit_weights=variant.edit_weights,
        normalized=variant.normalized,
        name=name,
    )


def _check_ranges(arguments: Mapping[str, Any]) -> None:
    """Raises a ValueError for an argument of the model that is out of its range."""
    check_choice("map_scaling", arguments["map_scaling"], regions.MAP_SCALINGS)
    check_range("map_threshold", arguments["map_threshold"], 0.0, MAX_MAP_THRESHOLD)
    for name in ("region_size", "representation_dim", "global_dim"):
        check_range(name, arguments[name], 1)
    for width in arguments["hidden_dims"]:
        check_range("hidden_dims", width, 1)
    for name in ("dropout_rate", "input_dropout_rate"):
        check_range(name, arguments[name], 0.0, 0.95)


def _check_block_dim(variant: Variant, block_dim: int | None, representation_dim: int) -> None:
    """Raises a ValueError unless the variant has blocks, and a block fits its representation."""
    if block_dim is None:
        return
    if not variant.blockwise:
        blockwise = ", ".join(name for name, other in VARIANTS.items() if other.blockwise)
        raise ValueError(
            f"block_dim is for variants with a projection per attribute ({blockwise}); got "
            f"{block_dim} for {variant.title!r}, whose vectors have global_dim numbers. Leave it "
            "out."
        )
    check_range("block_dim", block_dim, 1, representation_dim)
