import urllib.error

import keras
import numpy as np
import pytest

from fashionsearchnet.networks.applications import APPLICATIONS
from fashionsearchnet.networks.backbones import (
    Trunk,
    build_backbone,
    load_pretrained,
    pretrained_input,
)

MODULES = {
    "resnet50": keras.applications.resnet50,
    "densenet121": keras.applications.densenet,
    "inception_resnet_v2": keras.applications.inception_resnet_v2,
    "mobilenet_v2": keras.applications.mobilenet_v2,
}


def as_network_sees(image_input, images):
    values = (images - np.array(image_input.mean)) / np.array(image_input.scale)
    return values[..., ::-1] if image_input.channels == "bgr" else values


@pytest.mark.parametrize("name", MODULES)
def test_the_input_is_what_keras_prepares_for_the_weights(rng, name):
    images = rng.integers(0, 256, (2, 4, 4, 3)).astype(np.float32)
    expected = MODULES[name].preprocess_input(images.copy())
    seen = pretrained_input(Trunk(name, pretrained="imagenet"), 96)
    np.testing.assert_allclose(as_network_sees(seen, images), expected, atol=1e-4)
    assert seen.size == 96


def test_the_input_takes_the_place_of_what_efficientnet_does_itself(rng):
    images = rng.integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    whole = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    backbone = build_backbone(Trunk("efficientnet_v2_b0"), 32)
    # The first three are the means, variances and count of its own Normalization layer.
    backbone.model.set_weights(whole.get_weights()[-len(backbone.model.weights) :])
    seen = pretrained_input(Trunk("efficientnet_v2_b0", pretrained="imagenet"), 32)
    np.testing.assert_allclose(
        backbone.model(as_network_sees(seen, images).astype(np.float32)), whole(images), atol=1e-4
    )


def fail(*_):
    raise urllib.error.URLError("no route to host")


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2", "efficientnet_v2_b1"])
def test_without_a_network_the_message_says_which_file_goes_where(monkeypatch, tmp_path, name):
    asked = []

    def record(url, *_):
        asked.append(url)
        fail()

    # Keras looks for the file in its own folder first.
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", record)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    architecture = APPLICATIONS[name]
    model = keras.Sequential([keras.Input((64, 64, 3))])  # is not reached
    with pytest.raises(FileNotFoundError, match=r"no route to host.*put the file .* into") as error:
        architecture.load_imagenet(model)
    assert asked[0].rsplit("/", 1)[1] in str(error.value)


def test_imagenet_weights_that_keras_has(monkeypatch, tmp_path, rng):
    keras.utils.set_random_seed(1)
    trained = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    path = tmp_path / "mobilenet.weights.h5"
    trained.save_weights(path)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(path))
    backbone = build_backbone(Trunk("mobilenet_v2", tap="stride8"), 64)
    assert "Conv_1" in load_pretrained(backbone, "imagenet")  # above the tap, for other taps
    for mine, published in zip(backbone.network.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(mine, published)
