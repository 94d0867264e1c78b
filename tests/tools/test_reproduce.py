"""tools/reproduce.py as a user calls it; training itself is replaced."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from absl import flags
from evaluation_fakes import script

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reproduction"))

from reproduction_fakes import FakeRunner, make_experiment  # noqa: E402


def reproduce(folder, *arguments):
    """Calls the script with these flags, a runner that makes up results, and no data set."""
    places = (f"--data_dir={folder / 'data'}", f"--runs_dir={folder / 'runs'}")
    with script("reproduce") as tool:
        tool.run_command = FakeRunner({"Full": 0.6})
        if "--dataset=garments/large" in arguments:  # it is only a number
            tool.check_dataset = print
        flags.FLAGS(["reproduce.py", *places, *arguments])
        tool.main()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("reproduce")
    make_experiment(found)
    return found


def test_a_training_flag_that_a_stage_does_not_know_is_refused_first(folder):
    arguments = ("--dataset=garments/large", "--variants=full", "--training_flag=--global_dim=8")
    refused = (
        r"train_localization\.py refuses its flags \(.* Unknown command line flag 'global_dim'"
    )
    with pytest.raises(ValueError, match=refused):
        reproduce(folder, *arguments)
    assert not (folder / "runs").exists()


def test_every_script_is_asked_whether_it_knows_a_training_flag(folder, monkeypatch):
    asked = []

    def answer(line, **_):
        asked.append(Path(line[1]).name)
        refuses = asked[-1] == "train_global.py"
        said = "FATAL\nunknown flag\nPass --helpshort" if refuses else ""
        return subprocess.CompletedProcess(line, refuses, "", said)

    monkeypatch.setattr(subprocess, "run", answer)
    arguments = ("--dataset=garments/large", "--variants=full", "--training_flag=--flip")
    with pytest.raises(ValueError, match=r"2/train_global.py refuses its flags \(unknown flag\)"):
        reproduce(folder, *arguments)
    assert asked == ["train_localization.py", "train_representations.py", "train_global.py"]


def test_from_flags_to_report(folder, capsys):
    rows = ("--variants=rank_l,full", "--num_changes=1,2", "--epochs_scale=0.5")
    reproduce(folder, "--dataset=garments/large", *rows)
    told, errors = capsys.readouterr()
    assert errors == ""
    script_name = "fashionsearchnet_v2/train_localization"
    assert f"$ python tools/{script_name}.py --flagfile=" in told
    assert "| Full | 0." in told and "0.483" in told
    assert (folder / "runs/report/curve.png").stat().st_size > 1000


def test_a_data_set_that_is_not_there_is_named(folder, monkeypatch):
    hidden = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *devices: hidden.append(devices))
    with pytest.raises(FileNotFoundError, match="These exist: garments/large"):
        reproduce(folder, "--dry_run", "--dataset=darn/paper")
    assert hidden == [([], "GPU")]  # their memory is for the steps
