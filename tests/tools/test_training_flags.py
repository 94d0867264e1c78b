"""What the training scripts do before they train, on a fake data set."""

from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script
from fakes import FakeDataset

from fashionsearchnet import training
from fashionsearchnet.data import pipeline
from fashionsearchnet.systems.edit_stage import EditStage


@pytest.fixture
def start(monkeypatch):
    """Parses a command line of the first stage and starts it, unless it is finished."""
    monkeypatch.setattr(pipeline, "open_dataset", lambda folder, name, *_: FakeDataset())
    with script("fashionsearchnet_v2/train_localization") as tool:
        monkeypatch.setattr("sys.argv", [tool.__name__])

        def call(workdir, *arguments) -> bool:
            with flagsaver.flagsaver():
                flags.FLAGS([tool.__name__, f"--workdir={workdir}", *arguments])
                if tool.training_setup.is_finished():
                    return False
                tool.training_setup.start()
                return True

        yield call


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_finished_run_is_left_as_it_is(start, tmp_path):
    assert start(tmp_path, "--log_every=7")
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "versions.json").write_text('{"keras": "of then"}')
    before = contents(tmp_path)
    assert "--log_every=7" in before["flags.txt"]
    assert not start(tmp_path, "--log_every=9")
    assert contents(tmp_path) == before


def test_a_finished_run_is_not_taken_for_one_with_other_settings(start, tmp_path):
    assert start(tmp_path, "--width=0.5")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match=r"--width is 0.5 there, 0.25 now"):
        start(tmp_path, "--width=0.25")


def test_a_home_folder_is_found(start, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert start("~/runs/first")
    settings = (tmp_path / "runs" / "first" / "flags.txt").read_text()
    assert f"--workdir={tmp_path}/runs/first\n" in settings


@pytest.mark.parametrize(
    "name",
    [
        "fashionsearchnet_v2/train_representations",
        "fashionsearchnet_v2/train_global",
        "amnet/train_manipulation",
    ],
)
def test_the_run_to_start_from_may_be_in_the_home_folder(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    with script(name) as tool:
        flags.FLAGS([name, "--workdir=w", "--init_from=~/runs/first"])
        assert flags.FLAGS.init_from == "/home/someone/runs/first"
        # --help teaches it.
        assert "init_from" in {f.name for f in flags.FLAGS.get_key_flags_for_module(tool.__name__)}


def test_a_run_of_before_a_flag_existed_goes_on_while_it_has_its_default(start, tmp_path):
    assert start(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    path = tmp_path / "flags.txt"
    path.write_text(path.read_text().replace("--optimizer=sgd\n", ""))
    assert not start(tmp_path)
    with pytest.raises(ValueError, match="--optimizer is not given there, adam now"):
        start(tmp_path, "--optimizer=adam")


@pytest.mark.parametrize("arguments", [["--schedule=steps"], ["--step_epochs=2"]])
def test_a_schedule_in_steps_needs_their_length(arguments, tmp_path):
    with script("fashionsearchnet_v2/train_localization") as tool:
        flags.FLAGS([tool.__name__, f"--workdir={tmp_path}", *arguments])
        with pytest.raises(ValueError, match="--schedule=steps and --step_epochs"):
            tool.training_setup.optimizer_settings(10.0)


@pytest.mark.parametrize(
    ("arguments", "mean"),
    [
        ([], None),
        (["--pretrained_weights=bvlc_alexnet.npy"], (122.679, 116.669, 104.007)),
        (["--pretrained_weights=bvlc_alexnet.npy", "--image_input=dataset"], None),
    ],
)
def test_pretrained_weights_bring_their_input(arguments, mean, tmp_path):
    with script("fashionsearchnet_v2/train_localization") as tool:
        flags.FLAGS([tool.__name__, f"--workdir={tmp_path}", *arguments])
        dataset = FakeDataset()
        found = tool.training_setup.network_arguments(dataset)
        assert found["image_input"].mean == (mean or dataset.channel_means("train"))
        assert found["trunk"].pretrained == ("bvlc_alexnet.npy" if arguments else "none")


class Edits(EditStage):
    """A stage that trains on edits of images, each of which has two."""

    left_out = tuple(f"colour=v{v} (1 image)" for v in range(8))

    def __init__(self, **arguments):
        super().__init__(np.array([[0], [1], [2]] * 8, np.int32), **arguments)

    def updates(self):
        return []


@pytest.mark.parametrize(
    ("length", "num_steps"),
    [
        (("--epoch_of=images",), 30),
        (("--epoch_of=edits",), 60),
        (("--least_steps=40",), 40),
        (("--least_steps=20",), 30),
    ],
)
def test_the_length_of_a_stage_on_edits_and_what_it_leaves_out(
    length, num_steps, tmp_path, monkeypatch, capsys
):
    arguments = ("--num_epochs=10", "--batch_size=8", *length, "--init_from=i")
    lengths = []
    monkeypatch.setattr(training, "train", lambda stage, length, **_: lengths.append(length))
    with script("fashionsearchnet_v2/train_global") as tool:
        flags.FLAGS([tool.__name__, f"--workdir={tmp_path}", *arguments])
        stage = Edits(**tool.training_setup.edit_stage_arguments())
        tool.training_setup.train(stage, FakeDataset(sizes={"train": 24}), None)
    assert lengths[0].num_steps == num_steps
    printed = capsys.readouterr().out
    assert "not drawn on purpose: colour=v0 (1 image), " in printed
    assert printed.endswith("colour=v5 (1 image) and 2 more\n")
