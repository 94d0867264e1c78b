import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks.backbones import (
    Trunk,
    build_backbone,
    load_pretrained,
    pretrained_input,
)

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
    wrong = {**published, "conv3": 7}
    cases.append(({}, save(tmp_path / "pair.npy", wrong), "conv3 is no pair of kernel and bias"))
    cases.append(({}, save(tmp_path / "array.npy", np.zeros((3, 4))), "not a pickled dict"))
    cut = tmp_path / "cut.npy"
    cut.write_bytes(good.read_bytes()[:1000])
    cases.append(({}, cut, "not a pickled dict"))
    (tmp_path / "empty.npy").touch()
    cases.append(({}, tmp_path / "empty.npy", "not a pickled dict"))
    other = tmp_path / "alexnet.ckpt"
    other.touch()
    cases.append(
        ({}, other, r"backbone alexnet must be \*\.weights\.h5 or \*\.npy; got .*alexnet\.ckpt")
    )
    for arguments, path, message in cases:
        backbone = build_backbone(Trunk(**({"width": WIDTH} | arguments)), 67)
        before = backbone.model.get_weights()
        with pytest.raises(ValueError, match=message):
            load_pretrained(backbone, path)
        for old, new in zip(before, backbone.model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


class Harm:
    """A pickle of this runs a command."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


def test_a_pickle_that_runs_a_command_is_refused_by_name(tmp_path):
    path = save(tmp_path / "bad.npy", {"conv1": Harm(tmp_path / "proof")})
    with pytest.raises(
        ValueError, match=r"bad\.npy is not .*asks for posix\.system.*nothing of it"
    ):
        load_pretrained(build_backbone(Trunk(width=WIDTH), 67), path)
    assert not (tmp_path / "proof").exists()


def test_published_weights_are_for_alexnet(published, tmp_path):
    path = save(tmp_path / "alexnet.npy", published)
    backbone = build_backbone(Trunk("mobilenet_v2"), 32)
    with pytest.raises(ValueError, match=r"backbone mobilenet_v2 must be \*\.weights\.h5; got"):
        load_pretrained(backbone, path)


def test_no_package_brings_its_weights():
    trunk = Trunk(width=WIDTH, pretrained="imagenet")
    with pytest.raises(FileNotFoundError, match=r"give the path of bvlc_alexnet\.npy"):
        load_pretrained(build_backbone(trunk, 67), "imagenet")


def test_the_input_of_the_published_weights():
    seen = pretrained_input(Trunk(pretrained="bvlc_alexnet.npy"), 227)
    # The kernels are turned into RGB, so the means of Caffe come in that order.
    assert (seen.size, seen.channels, seen.scale) == (227, "rgb", (1.0, 1.0, 1.0))
    assert seen.mean == (122.679, 116.669, 104.007)
