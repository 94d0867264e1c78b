import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks.backbones import (
    Trunk,
    build_backbone,
    load_pretrained,
    pooled_features,
    pretrained_input,
)
from fashionsearchnet.networks.layers import FusedBatchNormalization

WIDTH = 0.125  # 12, 32, 48 and 48 filters


def test_a_missing_file(tmp_path):
    backbone = build_backbone(Trunk(width=WIDTH), 67)
    with pytest.raises(FileNotFoundError, match=r"alexnet\.npy do not exist"):
        load_pretrained(backbone, tmp_path / "alexnet.npy")


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_keras_weights_survive_a_file(tmp_path, rng, normalization):
    first, second = (
        build_backbone(Trunk(width=0.05, first_stride=2, normalization=n), 39)
        for n in [normalization] * 2
    )
    path = tmp_path / "trunk.weights.h5"
    first.model.save_weights(path)
    assert load_pretrained(second, path) == ["conv1", "conv2", "conv3", "conv4"]
    images = rng.normal(0, 50, (2, 39, 39, 3)).astype(np.float32)
    np.testing.assert_array_equal(first.model(images), second.model(images))


def test_keras_weights_of_another_model(tmp_path):
    path = tmp_path / "trunk.weights.h5"
    build_backbone(Trunk(width=0.05, first_stride=2), 39).model.save_weights(path)
    wider = build_backbone(Trunk(width=WIDTH, first_stride=2), 39)
    with pytest.raises(ValueError, match=r"trunk\.weights\.h5 does not fit backbone alexnet"):
        load_pretrained(wider, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"trunk\.weights\.h5 does not fit backbone alexnet"):
        load_pretrained(wider, path)


@pytest.mark.parametrize(
    ("image_size", "first_stride", "cells"), [(227, 4, 13), (80, 2, 8), (67, 4, 3), (25, 1, 3)]
)
def test_map_sizes(image_size, first_stride, cells):
    backbone = build_backbone(Trunk(width=0.05, first_stride=first_stride), image_size)
    assert backbone.model.output_shape == (None, cells, cells, 19)


def test_the_paper_has_the_published_numbers_of_filters():
    model = build_backbone(Trunk(), 227).model
    filters = [model.get_layer(f"conv{i}").convolution.kernel.shape[-1] for i in range(1, 5)]
    assert filters == [96, 256, 384, 384]
    assert model.output_shape == (None, 13, 13, 384)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("alexnett", {"image_size": 227}, r"backbone must be one of .*did you mean alexnet\?"),
        (
            "alexnet",
            {"image_size": 66},
            "image_size must be at least 67 for backbone alexnet; got 66",
        ),
        ("alexnet", {"image_size": 227, "first_stride": 5}, "first_stride must be between"),
        ("alexnet", {"image_size": 227, "width": 0.0}, "width must be between"),
        ("alexnet", {"image_size": 227, "normalization": "x"}, "normalization must be one of"),
    ],
)
def test_backbones_that_cannot_be(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        image_size = arguments.pop("image_size")
        build_backbone(Trunk(name, **arguments), image_size)


def test_a_trunk_survives_json():
    trunk = Trunk("resnet50", pretrained="imagenet", tap="layer3", pooled_taps=("layer1", "layer4"))
    assert Trunk.of(json.loads(json.dumps(trunk.to_dict()))) == trunk


def test_a_trunk_of_an_old_model_json():
    old = {"backbone": "alexnet", "width": 0.5, "first_stride": 2, "normalization": "batch"}
    assert Trunk.of(old) == Trunk(width=0.5, first_stride=2, normalization="batch")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pretrained": ""}, "pretrained must be none, imagenet or the path of a file"),
        ({"tap": "layer3"}, "tap of alexnet must be one of conv2, conv4; got 'layer3'"),
        ({"backbone": "resnet50", "pooled_taps": ["layer9"]}, "tap of resnet50 .*layer9"),
        ({"training": "freeze"}, "training of the trunk must be .*did you mean frozen"),
    ],
)
def test_trunks_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        Trunk(**arguments)


@pytest.mark.parametrize(
    ("name", "least"),
    [("mobilenet_v2", 32), ("efficientnet_lite0", 32), ("inception_resnet_v2", 75)],
)
def test_images_below_the_least(name, least):
    message = f"image_size must be at least {least} for backbone {name}; got {least - 1}"
    trunk = Trunk(name, pretrained="imagenet")
    for function in (build_backbone, pretrained_input):
        with pytest.raises(ValueError, match=message):
            function(trunk, least - 1)


def test_no_weights_say_what_an_untrained_trunk_sees():
    with pytest.raises(ValueError, match="not pretrained"):
        pretrained_input(Trunk("mobilenet_v2"), 64)


def test_a_tap_is_the_network_up_to_there(rng):
    backbone = build_backbone(Trunk("mobilenet_v2", tap="stride8"), 64)
    whole = build_backbone(Trunk("mobilenet_v2"), 64)
    whole.network.set_weights(backbone.network.get_weights())
    images = rng.normal(size=(2, 64, 64, 3)).astype(np.float32)
    features = backbone.model(images)
    assert features.shape == (2, 8, 8, 32)
    assert backbone.geometry == whole.geometries["stride8"]
    assert len(backbone.model.variables) < len(whole.model.variables)
    joined = pooled_features(whole, ("stride8", "stride32"))(images)
    assert joined.shape == (2, 32 + 1280)
    np.testing.assert_allclose(joined[:, :32], tf.reduce_mean(features, (1, 2)), atol=1e-5)
    with pytest.raises(ValueError, match="tap of mobilenet_v2 must be one of stride2"):
        pooled_features(whole, ("stride7",))


def test_pooled_features_are_float32_under_any_policy(rng):
    images = rng.normal(size=(1, 32, 32, 3)).astype(np.float32)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        backbone = build_backbone(Trunk("efficientnet_lite0"), 32)
        assert backbone.model(images).dtype == tf.bfloat16
        assert pooled_features(backbone)(images).dtype == tf.float32
    finally:
        keras.mixed_precision.set_global_policy("float32")


def trained_once(trunk, images):
    """A backbone, its variables before, and its gradients of a call that trains."""
    keras.utils.set_random_seed(0)
    backbone = build_backbone(trunk, images.shape[1])
    before = backbone.network.get_weights()
    inferred = backbone.model(images).numpy()
    with tf.GradientTape() as tape:
        outputs = backbone.model(images, training=True)
        loss = tf.reduce_mean(tf.square(outputs))
    gradients = tape.gradient(loss, backbone.model.trainable_variables)
    moved = any(np.any(a != b) for a, b in zip(before, backbone.network.get_weights(), strict=True))
    return backbone, gradients, moved, np.abs(outputs.numpy() - inferred).max()


SMALL = {"width": 0.05, "first_stride": 2, "normalization": "batch"}


@pytest.mark.parametrize("trunk", [SMALL, {"backbone": "efficientnet_lite0"}])
def test_how_a_trunk_trains(rng, trunk):
    images = rng.normal(size=(2, 40, 40, 3)).astype(np.float32)
    names = {}
    for training in ("full", "fixed_statistics", "frozen"):
        backbone, gradients, moved, change = trained_once(Trunk(**trunk, training=training), images)
        names[training] = [variable.path for variable in backbone.model.variables]
        if training == "full":
            assert moved
            assert change > 1e-4
        else:  # no statistic moves, nothing is dropped, and training computes what inference does
            assert not moved
            assert change < 1e-5
        if training == "frozen":
            assert not gradients
            assert not pooled_features(backbone).trainable_variables
        else:
            assert gradients
            assert all(np.isfinite(gradient).all() for gradient in gradients)
    # A run that was trained one way opens the other way.
    assert names["full"] == names["fixed_statistics"] == names["frozen"]


def test_fixed_statistics_drop_no_block(rng):
    images = rng.normal(size=(4, 32, 32, 3)).astype(np.float32)
    model = build_backbone(Trunk("efficientnet_v2_b0", training="fixed_statistics"), 32).model
    np.testing.assert_array_equal(model(images, training=True), model(images))


def test_gradients_with_fixed_statistics_are_those_of_plain_operations(rng):
    layer = FusedBatchNormalization()
    layer.build((None, 4, 4, 3))
    layer.set_weights([rng.uniform(0.5, 2, 3) for _ in range(4)])
    inputs = tf.constant(rng.normal(size=(2, 4, 4, 3)).astype(np.float32))
    gamma, beta, mean, variance = (tf.constant(value) for value in layer.get_weights())
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([inputs, gamma, beta])
        fused = tf.reduce_sum(layer(inputs, training=False) ** 3)
        plain = tf.reduce_sum(((inputs - mean) / tf.sqrt(variance + 1e-3) * gamma + beta) ** 3)
    found = tape.gradient(fused, [inputs, layer.gamma.value, layer.beta.value])
    for one, other in zip(found, tape.gradient(plain, [inputs, gamma, beta]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
