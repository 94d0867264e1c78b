import sys

import numpy as np
import pytest

from fashionsearchnet.networks.backbones import (
    Trunk,
    build_backbone,
    load_pretrained,
    pooled_features,
    pretrained_input,
)
from fashionsearchnet.networks.image_input import MapGeometry


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Folders of a tiny residual network and a tiny vision transformer, at random."""
    keras_hub = pytest.importorskip("keras_hub")
    folder = tmp_path_factory.mktemp("presets")
    backbones = {
        "resnet": keras_hub.models.ResNetBackbone(
            [64], [7], [64, 12], [1, 1], [1, 2], "basic_block", image_shape=(None, None, 3)
        ),
        "vit": keras_hub.models.ViTBackbone((32, 32, 3), 8, 1, 2, 16, 16),
        "dinov2": keras_hub.models.DINOV2Backbone(
            8,
            1,
            16,
            2,
            16,
            num_register_tokens=4,
            image_shape=(32, 32, 3),
            position_embedding_shape=(32, 32, 3),
        ),
    }
    converters = {
        "resnet": keras_hub.layers.ResNetImageConverter,
        "vit": keras_hub.layers.ViTImageConverter,
        "dinov2": keras_hub.layers.DINOV2ImageConverter,
    }
    for name, backbone in backbones.items():
        backbone.save_to_preset(folder / name)
        converter = converters[name](scale=[0.1, 0.2, 0.4], offset=[-1.0, 0.0, 2.0])
        converter.save_to_preset(folder / name)
    return folder, backbones


def test_a_network_with_a_pyramid(presets, rng):
    folder, published = presets
    trunk = Trunk(f"hub:{folder}/resnet", pretrained="imagenet")
    backbone = build_backbone(trunk, 48)
    load_pretrained(backbone, "imagenet")
    images = rng.normal(size=(2, 48, 48, 3)).astype(np.float32)
    np.testing.assert_allclose(backbone.model(images), published["resnet"](images), atol=1e-5)
    assert backbone.maps.keys() == {"P2", "P3", "output"}
    assert backbone.geometries["P2"] == MapGeometry(2.0, 4.0, 48)
    assert pooled_features(backbone, ("P2", "P3"))(images).shape == (2, 64 + 12)


@pytest.mark.parametrize(("name", "prefix"), [("vit", 1), ("dinov2", 5)])
def test_patches_of_a_transformer_become_a_map(presets, rng, name, prefix):
    folder, published = presets
    backbone = build_backbone(Trunk(f"hub:{folder}/{name}", training="frozen"), 32)
    load_pretrained(backbone, "imagenet")
    images = rng.normal(size=(2, 32, 32, 3)).astype(np.float32)
    given = {"images": images} if name == "dinov2" else images
    tokens = np.asarray(published[name](given))
    assert tokens.shape == (2, prefix + 16, 16)
    np.testing.assert_allclose(
        backbone.model(images), tokens[:, prefix:].reshape(2, 4, 4, 16), atol=1e-5
    )
    assert backbone.geometry == MapGeometry(4.0, 8.0, 32)
    assert not backbone.model.trainable_variables


def test_the_input_is_the_presets_own(presets):
    folder, _ = presets
    seen = pretrained_input(Trunk(f"hub:{folder}/resnet", pretrained="imagenet"), 64)
    np.testing.assert_allclose(seen.mean, (10.0, 0.0, -5.0))
    np.testing.assert_allclose(seen.scale, (10.0, 5.0, 2.5))


def test_presets_that_cannot_be_read(presets):
    folder, _ = presets
    with pytest.raises(FileNotFoundError, match=r"preset .*/none cannot be read .*hub:/path/to"):
        build_backbone(Trunk(f"hub:{folder}/none"), 64)
    with pytest.raises(ValueError, match=r"tap of hub:.* must be one of P2, P3, output; got 'P9'"):
        build_backbone(Trunk(f"hub:{folder}/resnet", tap="P9"), 64)


def test_without_keras_hub_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'fashionsearchnet\[hub\]'"):
        build_backbone(Trunk("hub:resnet_50_imagenet"), 64)
