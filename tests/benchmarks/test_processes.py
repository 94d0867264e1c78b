"""A process of its own runs a function of a script with the flags of the command."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, sys
from concurrent.futures import BrokenExecutor
from fashionsearchnet.benchmarks.processes import apart

def told(number):
    return __name__, os.getpid(), sys.argv[1], number

def die():
    os._exit(1)

if __name__ == "__main__":
    name, process, flag, number = apart(told, 3)
    assert (name, flag, number) == ("__mp_main__", "--width=2", 3) and process != os.getpid()
    try:
        apart(die)
    except BrokenExecutor:
        print("it died")
"""


def test_a_function_runs_in_a_process_of_its_own(tmp_path: Path):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = [sys.executable, str(tmp_path / "script.py"), "--width=2"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("it died\n", 0), done.stderr
