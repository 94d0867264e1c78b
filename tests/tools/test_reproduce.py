"""tools/reproduce.py as a user calls it; training itself is replaced."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reproduction"))

from reproduction_fakes import make_settings  # noqa: E402

# Runs the script with a runner that makes up results, and keeps the real printing and reporting.
STUB = """
import runpy, subprocess, sys
sys.path[:0] = ["tools", "tests/reproduction"]
from fashionsearchnet import command
from reproduction_fakes import FakeRunner
main = []
command.run = main.append
script = runpy.run_path("tools/reproduce.py", run_name="__main__")
script["main"].__globals__["run_command"] = FakeRunner({"Full": 0.6})
"""


def reproduce(folder, *arguments):
    """The finished process of a command with these flags."""
    code = STUB + "import importlib; importlib.reload(command).run(*main)"
    return subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            f"--data_dir={folder / 'data'}",
            f"--runs_dir={folder / 'runs'}",
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("reproduce")
    make_settings(found)
    return found


def test_from_flags_to_report(folder):
    done = reproduce(folder, "--variants=rank_l,full", "--num_changes=1,2", "--epochs_scale=0.5")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "$ python tools/train_localization.py --flagfile=" in done.stdout
    assert "| Full | 0." in done.stdout and "0.483" in done.stdout
    assert (folder / "runs/report/curve.png").stat().st_size > 1000


def test_a_data_set_that_is_not_there_is_told_in_a_line(folder):
    done = reproduce(folder, "--dataset=darn/paper", "--dry_run")
    assert done.returncode == 1
    assert "holds no prepared data set. These exist: garments/large" in done.stderr
    assert "Traceback" not in done.stderr
