"""FashionSearchNet-v2 on other trunks than AlexNet, and on pooled features."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE
from small_networks import network

from fashionsearchnet.networks.backbones import Trunk, pretrained_input
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.representations import AttributeHeads
from fashionsearchnet.systems.fashionsearchnet_v2.variants import VARIANTS
from fashionsearchnet.systems.standardization import Standardization

HEADS: dict[str, Any] = {"hidden_dims": (6,), "representation_dim": 4, "global_dim": 5}
LITE = Trunk("efficientnet_lite0", width=0.05, normalization="batch", training="frozen")


def build_lite(variant="full", size=64, **trunk) -> FashionSearchNetV2:
    keras.utils.set_random_seed(0)
    wanted = Trunk(**{**LITE.to_dict(), "pretrained": "imagenet", **trunk})
    return FashionSearchNetV2(
        SPACE,
        variant=variant,
        **HEADS,
        image_input=pretrained_input(wanted, size),
        trunk=wanted,
    )


@pytest.mark.parametrize(
    ("size", "tap", "shape", "stride"),
    [
        (64, "", (4, 4, 112), 16),
        (128, "", (8, 8, 112), 16),
        (64, "stage3", (8, 8, 40), 8),
        (64, "head", (2, 2, 1280), 32),
    ],
)
def test_a_trunk_without_a_tap_has_cells_of_16_pixels(size, tap, shape, stride):
    model = build_lite(size=size, tap=tap)
    assert model.trunk.output_shape == (None, *shape)
    assert model.map_geometry and model.map_geometry.cell_stride == stride


def test_maps_and_boxes_lie_on_the_image(rng):
    model = build_lite()
    kernel = model.attention_maps.classifier.kernel
    kernel.assign(rng.normal(size=kernel.shape))
    attention = model.attention(rng.normal(size=(3, 64, 64, 3)).astype(np.float32))
    assert attention and attention["maps"].shape == (3, 3, 4, 4)
    boxes = attention["boxes"].numpy()
    assert (boxes >= 0).all() and (boxes <= 1).all() and (boxes[..., :2] < boxes[..., 2:]).all()
    sides = (boxes[..., 2:] - boxes[..., :2]) * 64
    assert sides.min() >= 8  # half a cell is the least that the border leaves


def test_a_frozen_trunk_does_not_learn_but_its_place_is_kept():
    model = build_lite()
    assert not model.trunk.trainable_variables and model.conv5.trainable_variables


def test_pooled_features_have_no_attention(rng):
    model = build_lite("ours_pooled")
    assert model.stages == ("representations", "global") and not model.has_attention
    assert model.map_geometry is None
    images = rng.normal(size=(2, 64, 64, 3)).astype(np.float32)
    assert model.attention(images) is None
    assert set(model.image_features(images)) == {"embedding", "logits"}
    assert model.trunk.output_shape == (None, 24 + 112 + 1280)
    assert model.input_parts == ("trunk", "standardization")


@pytest.mark.parametrize("variant", [name for name, v in VARIANTS.items() if v.pooled])
def test_heads_read_standardised_features(variant, rng):
    keras.utils.set_random_seed(0)
    model = FashionSearchNetV2(SPACE, variant=variant, **HEADS, **network())
    images = rng.normal(0.0, 60.0, (5, 40, 40, 3)).astype(np.float32)
    features = model.trunk(images).numpy()
    assert features.shape == (5, features.shape[1])
    model.standardization.adapt([features[:2], features[2:]])
    scaled = (features - features.mean(0)) / np.where(features.std(0) > 1e-4, features.std(0), 1)
    expected, _ = model.heads(tf.repeat(scaled[:, None], 3, axis=1))
    found = model.image_features(images)["embedding"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_number_that_never_changes_is_not_divided(rng):
    layer = Standardization()
    layer.build((None, 3))
    features = rng.normal(5.0, 2.0, (50, 3)).astype(np.float32)
    features[:, 1] = 1000.0
    layer.adapt(np.array_split(features, 4))
    found = layer(features).numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), [1.0, 0.0, 1.0], atol=1e-4)
    assert not layer.trainable_variables and len(layer.variables) == 2


def test_what_the_heads_read_is_thinned_while_they_train(rng):
    """Its dropout draws other units than that of the layers, which it leaves as they were."""
    inputs = rng.normal(size=(4, 3, 20)).astype(np.float32)
    seed = tf.constant([1, 2])
    heads = AttributeHeads(SPACE.num_values, (6,), 4, 0.0, 0.5)
    heads.build(inputs.shape)
    whole, thinned = heads(inputs)[0], heads(inputs, seed=seed)[0]
    assert (np.abs(whole - thinned) > 1e-6).any()
    heads.input_dropout_rate = 0.0
    np.testing.assert_array_equal(heads(inputs, seed=seed)[0], whole)


def test_an_image_below_the_least_of_the_trunk():
    with pytest.raises(ValueError, match=r"image_size must be at least 32 for backbone effic.*28"):
        build_lite(size=28)
