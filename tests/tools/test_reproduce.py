"""tools/reproduce.py as a user calls it; training itself is replaced."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reproduction"))

from reproduction_fakes import make_experiment  # noqa: E402

# Runs the script with a runner that makes up results, and keeps the real printing and reporting.
STUB = """
import runpy, sys
sys.path[:0] = ["tools", "tests/reproduction"]
sys.argv[0] = "tools/reproduce.py"
from fashionsearchnet import command
command.prepare_tensorflow()
from reproduction_fakes import FakeRunner
start, main = command.run, []
command.run = main.append
runpy.run_path("tools/reproduce.py", run_name="__main__")
(main,) = main
main.__globals__["run_command"] = FakeRunner({"Full": 0.6})
if "--dataset=garments/large" in sys.argv:  # it is only a number
    main.__globals__["check_dataset"] = print
start(main)
"""


def reproduce(folder, *arguments):
    """The finished process of a command with these flags."""
    places = (f"--data_dir={folder / 'data'}", f"--runs_dir={folder / 'runs'}")
    return subprocess.run(
        [sys.executable, "-c", STUB, *places, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("reproduce")
    make_experiment(found)
    return found


def test_a_training_flag_that_a_stage_does_not_know_is_refused_first(folder):
    arguments = ("--dataset=garments/large", "--variants=full", "--training_flag=--flip")
    done = reproduce(folder, *arguments)
    assert done.returncode == 1
    assert "fashionsearchnet_v2/train_global.py refuses its flags" in done.stderr
    assert "flip" in done.stderr and not (folder / "runs").exists()


def test_from_flags_to_report(folder):
    rows = ("--variants=rank_l,full", "--num_changes=1,2", "--epochs_scale=0.5")
    done = reproduce(folder, "--dataset=garments/large", *rows)
    assert (done.returncode, done.stderr) == (0, "")
    script = "fashionsearchnet_v2/train_localization"
    assert f"$ python tools/{script}.py --flagfile=" in done.stdout
    assert "| Full | 0." in done.stdout and "0.483" in done.stdout
    assert (folder / "runs/report/curve.png").stat().st_size > 1000


def test_a_data_set_that_is_not_there_is_named_in_a_line(folder):
    done = reproduce(folder, "--dataset=darn/paper", "--dry_run")
    assert done.returncode == 1
    assert "holds no prepared data set. These exist: garments/large" in done.stderr
    assert "Traceback" not in done.stderr
