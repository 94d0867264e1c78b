"""How the scripts of tools/ answer mistakes: one line, exit code 1, no stack trace."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from fashionsearchnet import command

def main():
    raise {error}

command.run(main)
"""


def run_script(error: str, *arguments: str) -> subprocess.CompletedProcess:
    code = [sys.executable, "-c", SCRIPT.format(error=error), *arguments]
    return subprocess.run(code, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("kind", ["ValueError", "OSError", "FloatingPointError"])
def test_a_users_mistake_is_one_line(kind):
    done = run_script(f"{kind}('row 7 of labels.csv: no such image')")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("row 7 of labels.csv: no such image")
    assert "Traceback" not in done.stderr


def test_a_bug_keeps_its_trace():
    done = run_script("KeyError('bug')")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_word_that_is_no_flag_is_refused():
    done = run_script("SystemExit(0)", "garments")
    assert done.returncode == 1
    assert "unexpected argument 'garments'" in done.stderr


def test_an_interrupt_says_how_to_go_on():
    done = run_script("KeyboardInterrupt")
    assert done.returncode == 130
    assert "run the same command again" in done.stderr
