"""Every script answers `--help` and wrong flags before it imports what takes seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = sorted(
    str(path.relative_to(TOOLS))
    for path in TOOLS.rglob("*.py")
    if not path.stem.endswith(("_flags", "_setup"))
)
# Calls each script in a fork of one process, which has imported what all of them need. There is no
# TensorFlow for them. Prints the script's exit status, its output and a mark.
CALLER = """
import os, runpy, sys
import numpy
from absl import app
for heavy in ("tensorflow", "keras", "tensorflow_datasets", "matplotlib", "cv2", "fastapi"):
    sys.modules[heavy] = None
tools, flag, *scripts = sys.argv[1:]
for script in scripts:
    child = os.fork()
    if child == 0:
        os.dup2(1, 2)
        sys.argv = [os.path.join(tools, script), flag]
        sys.path.insert(0, os.path.dirname(sys.argv[0]))
        from fashionsearchnet import command
        command._find_shared_modules()
        runpy.run_path(sys.argv[0], run_name="__main__")
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "end of script", flush=True)
"""


def call(scripts: list[str], flag: str) -> dict[str, tuple[str, int]]:
    """What each script prints, and its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", CALLER, str(TOOLS), flag, *scripts],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(TOOLS.parent)},
    )
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split(" end of script\n")[:-1]
    found = (part.rpartition("\n") for part in parts)
    return {
        script: (text, int(status))
        for script, (text, _, status) in zip(scripts, found, strict=True)
    }


@pytest.fixture(scope="module")
def helped() -> dict[str, tuple[str, int]]:
    return call(SCRIPTS, "--help")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_no_tensorflow(helped, script):
    text, status = helped[script]
    assert status == 1 and "Traceback" not in text, text  # as all programs of absl
    summary = (TOOLS / script).read_text().split('"""')[1].splitlines()[0]
    assert summary in text and "\n  --" in text


def test_help_shows_the_choices_of_registries(helped):
    for script, choices in {
        "evaluate.py": "<manipulation|attribute|instance>",
        "build_index.py": "<flat|ivf|milvus",
        "reproduce.py": "<amnet|fashionsearchnet_v2|",
        "agman/train_embedding.py": "<agman|multi_level|classification|attention>",
        "fashionsearchnet_v2/train_localization.py": "<sgd|adam|adamw>",
    }.items():
        assert choices in helped[script][0].replace("\n    ", ""), script
    assert "efficientnet_lite0" in helped["amnet/train_classification.py"][0]


def test_a_wrong_flag_is_refused_before():
    for script, (text, status) in call(SCRIPTS[::7], "--no_such_flag=3").items():
        assert status == 1 and "Unknown command line flag 'no_such_flag'" in text, script
        assert "Traceback" not in text
