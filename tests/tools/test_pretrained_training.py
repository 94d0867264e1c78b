"""The training scripts on a pretrained trunk, from images to what `load_system` opens."""

import json

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script
from fakes import FakeDataset

from fashionsearchnet.data import pipeline
from fashionsearchnet.networks.backbones import Trunk, build_backbone
from fashionsearchnet.systems import registry

SMALL = ("--image_size=40", "--width=0.05", "--first_stride=2", "--normalization=batch")
SHORT = ("--num_epochs=1", "--batch_size=16")
HEADS = ("--hidden_dims=8", "--representation_dim=8")
STAGE_1, STAGE_2, STAGE_3 = (
    f"fashionsearchnet_v2/train_{name}" for name in ("localization", "representations", "global")
)


@pytest.fixture(autouse=True)
def data_set(monkeypatch):
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: FakeDataset())


@pytest.fixture
def weights_file(tmp_path):
    keras.utils.set_random_seed(5)
    trunk = Trunk(width=0.05, first_stride=2, normalization="batch")
    path = tmp_path / "alexnet.weights.h5"
    build_backbone(trunk, 40).network.save_weights(path)
    return path


def call(name: str, workdir, *arguments: str) -> None:
    with script(name) as tool, flagsaver.flagsaver():
        flags.FLAGS([tool.__name__, f"--workdir={workdir}", *SHORT, *arguments])
        tool.main()


def frozen(weights_file) -> tuple[str, ...]:
    return (*SMALL, f"--pretrained_weights={weights_file}", "--trunk_training=frozen")


def test_pooled_features_need_no_stage_1(tmp_path, weights_file):
    second, third = tmp_path / "runs/second", tmp_path / "runs/third"
    call(STAGE_2, second, *frozen(weights_file), *HEADS, "--variant=full_pooled", "--flip")
    call(STAGE_3, third, f"--init_from={second}", "--variant=ours_pooled")
    model = registry.load_complete_system(third)
    assert model.title == "Ours, pooled features" and not model.has_attention
    assert model.image_input.mean == (122.679, 116.669, 104.007)
    # The trunk is that of the file, and the statistics are those of the training images.
    fresh = build_backbone(Trunk(width=0.05, first_stride=2, normalization="batch"), 40)
    fresh.network.load_weights(weights_file)
    images = np.concatenate(list(FakeDataset().images("train", model.image_input)))
    features = fresh.model(images).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(model.trunk(images), features, rtol=1e-3, atol=1e-3)
    mean = model.standardization.mean.numpy()
    np.testing.assert_allclose(mean, features.mean(axis=0), rtol=1e-2, atol=1e-2)
    assert len(list((tmp_path / "runs/trunk_outputs").glob("*.npy"))) == 2
    assert "starts_from" not in json.loads((second / "model.json").read_text())


def test_short_blocks_make_short_vectors(tmp_path, weights_file):
    second, third = tmp_path / "second", tmp_path / "third"
    call(STAGE_2, second, *frozen(weights_file), *HEADS, "--variant=full_pooled")
    start = (f"--init_from={second}", "--variant=ours_pooled")
    call(STAGE_3, third, *start, "--block_dim=2", "--negatives=unedited")
    model = registry.load_complete_system(third)
    images = np.concatenate(list(FakeDataset().images("query", model.image_input)))
    assert model.encode_gallery(images).shape[1] == 3 * 2
    assert model.prototypes().shape[1] == 2
    with pytest.raises(ValueError, match=r"block_dim must be between 1 and 8"):
        call(STAGE_3, tmp_path / "wide", *start, "--block_dim=9")


def test_both_image_stages_share_the_outputs_of_a_frozen_trunk(tmp_path, weights_file):
    first, second = tmp_path / "first", tmp_path / "second"
    kept = f"--trunk_outputs={tmp_path / 'kept'}"
    call(STAGE_1, first, *frozen(weights_file), kept)
    (stored,) = (tmp_path / "kept").glob("*.npy")
    written = stored.stat().st_mtime_ns
    call(STAGE_2, second, f"--init_from={first}", *HEADS, "--variant=rank_l", kept)
    assert [path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*.npy")] == [written]
    before, after = registry.load_system(first), registry.load_system(second)
    for old, new in zip(before.trunk.variables, after.trunk.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_second_stage_may_train_the_trunk_that_the_first_one_froze(tmp_path, weights_file):
    first, second = tmp_path / "first", tmp_path / "second"
    call(STAGE_1, first, *frozen(weights_file))
    learns = ("--trunk_training=fixed_statistics", "--trunk_rate_multiplier=0.1")
    adamw = ("--optimizer=adamw", "--learning_rate=0.001")
    call(STAGE_2, second, f"--init_from={first}", *HEADS, "--variant=rank", *learns, *adamw)
    before, after = registry.load_system(first), registry.load_system(second)
    assert after.arguments["trunk"]["training"] == "fixed_statistics"
    for old, new in zip(before.trunk.variables, after.trunk.variables, strict=True):
        assert (old.numpy() != new.numpy()).any() == ("moving_" not in old.path), old.path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant=full"], "--init_from must name a finished stage 1 for --variant=full"),
        (["--variant=ours_pooled", "--init_from=i"], "has no stage 1 to start from, since it pool"),
        (
            ["--variant=ours_pooled", *SMALL[1:], "--image_size=38"],
            "image_size must be at least 39 for backbone alexnet; got 38",
        ),
        (
            ["--variant=ours_pooled", "--pretrained_weights=none.npy", *SMALL],
            "pretrained weights none.npy do not exist",
        ),
    ],
)
def test_starts_that_cannot_be(arguments, message, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(STAGE_2, tmp_path / "run", *HEADS, *arguments)


def test_a_weights_file_of_another_network(tmp_path, weights_file):
    wider = ("--width=0.1", "--variant=ours_pooled")
    with pytest.raises(ValueError, match=r"alexnet\.weights\.h5 does not fit backbone alexnet"):
        call(STAGE_2, tmp_path / "run", *frozen(weights_file), *HEADS, *wider)


def test_a_later_stage_takes_the_network_of_its_start(tmp_path):
    first = tmp_path / "first"
    call(STAGE_1, first, *SMALL)
    with pytest.raises(ValueError, match=r"--image_size=64 cannot be changed by a stage that st"):
        call(STAGE_2, tmp_path / "second", f"--init_from={first}", *HEADS, "--image_size=64")
