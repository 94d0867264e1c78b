"""tools/save_trunk.py: the trunk of a run as the start of another."""

from typing import Any

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script
from fakes import SPACE
from small_networks import network

from fashionsearchnet.networks.backbones import Trunk, build_backbone, load_pretrained
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2

HEADS: dict[str, Any] = {"hidden_dims": (8,), "representation_dim": 6}
OF_IMAGENET = (122.679, 116.669, 104.007)  # what AlexNet's published weights saw


def save_trunk(workdir, output) -> None:
    with script("save_trunk") as tool, flagsaver.flagsaver():
        flags.FLAGS(["save_trunk.py", f"--workdir={workdir}", f"--output={output}"])
        tool.main()


@pytest.fixture
def run(tmp_path):
    """A function that saves a run on a trunk and returns its folder and its system."""

    def made(mean=OF_IMAGENET, **trunk):
        keras.utils.set_random_seed(3)
        given = network(mean=mean, **trunk)
        system = FashionSearchNetV2(SPACE, variant="ours_pooled", **HEADS, **given)
        registry.save_system(tmp_path / "run", system, "local_representations", "fake")
        return tmp_path / "run", system

    return made


def test_another_system_starts_from_the_trunk_of_a_run(run, tmp_path, capsys):
    workdir, system = run()
    path = tmp_path / "new/trunk.weights.h5"
    save_trunk(workdir, path)
    told = capsys.readouterr().out
    assert f"--backbone=alexnet --pretrained_weights={path}" in told
    # Without its stride another run would load these weights, and see something else by them.
    assert "--image_size=40 --width=0.05 --first_stride=2 --normalization=none" in told
    assert "--image_fit=pad --image_pixels=exact" in told
    trunk = system.backbone.trunk
    start = build_backbone(Trunk(width=trunk.width, first_stride=trunk.first_stride), 40)
    load_pretrained(start, path)
    for mine, saved in zip(start.network.variables, system.backbone.network.variables, strict=True):
        np.testing.assert_array_equal(mine, saved)


def test_an_input_that_no_flag_gives_to_another_run_is_refused(run, tmp_path):
    workdir, _ = run(mean=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="sees images less the means of its own data set"):
        save_trunk(workdir, tmp_path / "trunk.weights.h5")


def test_a_trunk_that_ends_at_a_lower_map_is_refused(tmp_path):
    trunk = Trunk("efficientnet_lite0", tap="stage2")
    seen = trunk.architecture.image_input(40)
    lower = FashionSearchNetV2(SPACE, variant="rank", image_input=seen, trunk=trunk, **HEADS)
    registry.save_system(tmp_path / "run", lower, "local_representations", "fake")
    with pytest.raises(ValueError, match="up to a lower map, and stores no weights above it"):
        save_trunk(tmp_path / "run", tmp_path / "trunk.weights.h5")


def test_another_ending_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"--output must end in \.weights\.h5; got .*trunk\.npy"):
        save_trunk(tmp_path / "run", tmp_path / "trunk.npy")
