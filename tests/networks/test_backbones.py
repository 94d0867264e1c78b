from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks.backbones import Backbone, Trunk, build_backbone, load_pretrained
from fashionsearchnet.networks.image_input import MapGeometry

WIDTH = 0.125  # 12, 32, 48 and 48 filters


@pytest.fixture
def published(rng):
    """A file like the published one, in small: conv2 and conv4 have two groups."""

    def layer(size, ins, outs):
        kernel = rng.normal(0.0, (2.0 / (size * size * ins)) ** 0.5, (size, size, ins, outs))
        return [kernel.astype(np.float32), rng.normal(0.0, 0.1, outs).astype(np.float32)]

    return {
        "conv1": layer(11, 3, 12),
        "conv2": layer(5, 6, 32),
        "conv3": layer(3, 32, 48),
        "conv4": layer(3, 24, 48),
        "conv5": layer(3, 24, 32),  # of no use here, as are fc6 to fc8
        "fc6": [np.zeros((4, 4), np.float32), np.zeros(4, np.float32)],
    }


def save(path, content):
    np.save(path, content, allow_pickle=True)
    return path


def by_hand(layers, images):
    """conv1 to conv4 of the published network, in two groups, on BGR images."""

    def convolve(x, name, groups, **kwargs):
        kernel, bias = layers[name]
        parts = [
            tf.nn.conv2d(part, weights, **{"strides": 1, "padding": "SAME", **kwargs})
            for part, weights in zip(
                tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True
            )
        ]
        return tf.nn.relu(tf.concat(parts, -1) + bias)

    def pool(x):
        x = tf.nn.local_response_normalization(x, 2, bias=1.0, alpha=2e-5, beta=0.75)
        return tf.nn.max_pool2d(x, 3, 2, "VALID")

    x = pool(convolve(images[..., ::-1], "conv1", 1, strides=4, padding="VALID"))
    x = pool(convolve(x, "conv2", 2))
    return convolve(convolve(x, "conv3", 1), "conv4", 2)


def test_published_weights_compute_what_two_groups_on_bgr_images_do(published, tmp_path, rng):
    backbone = build_backbone(Trunk(width=WIDTH), 67)
    path = save(tmp_path / "alexnet.npy", published)
    assert load_pretrained(backbone, path) == ["conv1", "conv2", "conv3", "conv4"]
    images = rng.uniform(-120, 120, (2, 67, 67, 3)).astype(np.float32)
    expected = by_hand(published, images)
    outputs = backbone.model(images)
    assert float(tf.reduce_max(expected)) > 1.0
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3)


def test_published_weights_that_do_not_fit(published, tmp_path):
    good = save(tmp_path / "good.npy", published)
    cases: list[tuple[dict[str, Any], Path, str]] = [
        ({"width": 0.25}, good, "conv1 has kernel .* pretrained weights need width=1"),
        ({"normalization": "batch"}, good, "pass normalization=none"),
    ]
    lacking = {k: v for k, v in published.items() if k != "conv3"}
    cases.append(({}, save(tmp_path / "lacking.npy", lacking), "no layer 'conv3'; it has conv1"))
    wrong = {**published, "conv2": [published["conv2"][0][:3, :3], published["conv2"][1]]}
    cases.append(({}, save(tmp_path / "wrong.npy", wrong), "conv2 has kernel"))
    wrong = {**published, "conv2": [published["conv2"][0], published["conv2"][1][:-1]]}
    cases.append(({}, save(tmp_path / "bias.npy", wrong), r"conv2 has kernel .* bias \(31,\)"))
    cases.append(({}, save(tmp_path / "array.npy", np.zeros((3, 4))), "not a pickled dict"))
    cut = tmp_path / "cut.npy"
    cut.write_bytes(good.read_bytes()[:1000])
    cases.append(({}, cut, "not a pickled dict"))
    (tmp_path / "empty.npy").touch()
    cases.append(({}, tmp_path / "empty.npy", "not a pickled dict"))
    other = tmp_path / "alexnet.ckpt"
    other.touch()
    cases.append(({}, other, r"must be \*\.weights\.h5, or \*\.npy for backbone alexnet"))
    for arguments, path, message in cases:
        backbone = build_backbone(Trunk(**({"width": WIDTH} | arguments)), 67)
        before = backbone.model.get_weights()[0]
        with pytest.raises(ValueError, match=message):
            load_pretrained(backbone, path)
        if path == good:
            np.testing.assert_array_equal(backbone.model.get_weights()[0], before)


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
        ("alexnet", {"image_size": 66}, "image_size must be at least 67; got 66"),
        ("alexnet", {"image_size": 227, "first_stride": 5}, "first_stride must be between"),
        ("alexnet", {"image_size": 227, "width": 0.0}, "width must be between"),
        ("alexnet", {"image_size": 227, "normalization": "x"}, "normalization must be one of"),
    ],
)
def test_backbones_that_cannot_be(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        image_size = arguments.pop("image_size")
        build_backbone(Trunk(name, **arguments), image_size)


def seen_by(backbone: Backbone, images, cell):
    """The first and last row and column of pixels that a cell depends on, over all images."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(backbone.model(images)[:, cell[0], cell[1]])
    touched = np.abs(tape.gradient(total, images).numpy()).max(axis=(0, 3)) > 0
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


@pytest.mark.parametrize(
    ("first_stride", "image_size", "cell"), [(1, 64, (3, 8)), (2, 99, (4, 6)), (4, 227, (6, 6))]
)
def test_cells_look_at_pixels_around_their_centre(rng, first_stride, image_size, cell):
    keras.utils.set_random_seed(0)
    backbone = build_backbone(Trunk(width=0.05, first_stride=first_stride), image_size)
    images = rng.normal(0.0, 60.0, (4, image_size, image_size, 3)).astype(np.float32)
    top, bottom, left, right = seen_by(backbone, images, cell)
    field = 11 + 30 * first_stride
    assert bottom - top + 1 == right - left + 1 == field  # not cut by the border
    for first, last, position in ((top, bottom, cell[0]), (left, right, cell[1])):
        centre = (first + last + 1) / 2  # the outer edges of the pixels
        assert centre == backbone.geometry.first_centre + position * backbone.geometry.cell_stride


def centre_taps_only(model):
    """Leaves of every kernel its middle, so that a cell sees the one pixel at its centre."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            share = 1.0
        elif isinstance(layer, keras.layers.Conv2D):
            share = 1.0 / layer.kernel.shape[2]
        else:
            continue
        kernel = np.zeros(layer.kernel.shape, np.float32)
        kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = share
        layer.kernel.assign(kernel)


@pytest.mark.parametrize(("image_size", "cells"), [(64, 2), (75, 3)])
def test_a_network_of_keras_applications(rng, image_size, cells):
    backbone = build_backbone(Trunk("mobilenet_v2"), image_size)
    assert backbone.model.output_shape == (None, cells, cells, 1280)
    assert backbone.geometry.cell_stride == 32.0
    centre_taps_only(backbone.model)
    # Small, so that the sums of the residual blocks stay below the limit of the activations.
    images = rng.uniform(1e-8, 2e-8, (1, image_size, image_size, 3)).astype(np.float32)
    top, bottom, left, right = seen_by(backbone, images, (0, 1))
    assert (top, left) == (bottom, right)
    assert top + 0.5 == backbone.geometry.first_centre
    assert left + 0.5 == backbone.geometry.first_centre + backbone.geometry.cell_stride


def test_published_weights_are_for_alexnet(tmp_path):
    backbone = Backbone(
        keras.Sequential([keras.Input((8, 8, 3))], name="other"), MapGeometry(0.5, 1.0, 8)
    )
    path = save(tmp_path / "alexnet.npy", {})
    with pytest.raises(ValueError, match="for backbone other"):
        load_pretrained(backbone, path)
