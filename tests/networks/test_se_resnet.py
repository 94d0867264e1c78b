"""SE-ResNets: what they compute, how large they are, and which weights they take."""

import numpy as np
import numpy_se_resnet
import pytest
import torch_files

from fashionsearchnet.networks import se_resnet
from fashionsearchnet.networks.backbones import Trunk, build_backbone, load_pretrained
from fashionsearchnet.networks.se_resnet import SE_RESNETS, SEResNet

REPEATS, CHANNELS = (1, 2, 1, 1), (16, 32, 48, 64)


@pytest.fixture
def is_small(monkeypatch):
    """Fewer blocks and channels; the file of weights would have 100 MB."""
    monkeypatch.setattr(se_resnet, "_REPEATS", REPEATS)
    monkeypatch.setattr(se_resnet, "_CHANNELS", CHANNELS)


def write(folder, groups, **changes):
    rng = np.random.default_rng(0)
    tensors = numpy_se_resnet.random_tensors(rng, REPEATS, CHANNELS, 8, groups)
    return tensors, torch_files.write(folder / "weights.pth", tensors | changes)


@pytest.mark.parametrize("size", [40, 33])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_network_computes_what_numpy_does(is_small, tmp_path, rng, groups, size):
    network = SEResNet("small", "small", width=8, groups=groups)
    tensors, path = write(tmp_path, groups)
    model = network.build(size)
    # Three convolutions a block, one more in the first of a stage, the stem; two layers of SE.
    assert len(network.load_file(model, path)) == 2 * (3 * 5 + 4 + 1) + 2 * 5
    image = rng.normal(size=(size, size, 3)).astype(np.float32)
    expected = numpy_se_resnet.last_map(tensors, image, REPEATS).transpose(1, 2, 0)
    assert expected.std() > 0.1
    np.testing.assert_allclose(model(image[None])[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "number"), [("se_resnet50", 28_088_024), ("se_resnext50_32x4d", 27_559_896)]
)
def test_the_sizes_are_the_published_ones(name, number):
    backbone = build_backbone(Trunk(name), 64)
    found = sum(int(np.prod(v.shape)) for v in backbone.network.trainable_variables)
    assert found + 2048 * 1000 + 1000 == number  # with the classifier
    assert backbone.model.output_shape == (None, 2, 2, 2048)
    assert {k: g.cell_stride for k, g in backbone.geometries.items()} == {
        "layer1": 4.0, "layer2": 8.0, "layer3": 16.0, "layer4": 32.0,
    }  # fmt: skip


def test_weights_that_do_not_fit(is_small, tmp_path):
    network = SEResNet("small", "timms_name", width=8, groups=1)
    model = network.build(32)
    _, path = write(tmp_path, 1, **{"layer9.conv1.weight": np.zeros((1, 1), np.float32)})
    with pytest.raises(ValueError, match=r"weights.pth is not timm's timms_name: it has layer9"):
        network.load_file(model, path)
    _, path = write(tmp_path, 4)
    with pytest.raises(ValueError, match=r"expected layer1.0.conv2.weight as float32 \(8, 8, 3,"):
        network.load_file(model, path)


def test_nobody_publishes_imagenet_weights_for_keras():
    backbone = build_backbone(Trunk("se_resnet50"), 32)
    with pytest.raises(FileNotFoundError, match=r"Give a file to --pretrained_weights: the .pth"):
        load_pretrained(backbone, "imagenet")
    assert list(SE_RESNETS) == ["se_resnet50", "se_resnext50_32x4d"]
