"""Every flagfile says its command, and the script of that command takes it."""

import collections
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted(ROOT.glob("flags/**/*.flags"))

# Runs in a process of its own, since every script defines its flags globally: loads the script
# without running it, then parses each flagfile. `undefok` lets required flags be given to all.
CHECK = """
import runpy, sys
sys.path.insert(0, "tools")
from absl import flags
from fashionsearchnet import command
command.run = lambda main: None
script, *flagfiles = sys.argv[1:]
sys.argv = [script]
runpy.run_path(script, run_name="__main__")
required = ["--workdir=w", "--init_from=i", "--undefok=workdir,init_from"]
for flagfile in flagfiles:
    flags.FLAGS([script, *required, "--flagfile=" + flagfile])
"""


def command_of(path: Path) -> tuple[str, str]:
    """Returns the script and the flagfile that the header of `path` names."""
    found = re.search(
        r"^#\s+python (tools/\w+\.py)[^\n]*--flagfile=(\S+)", path.read_text(), re.MULTILINE
    )
    assert found, f"{path} does not say which command it is for"
    return found[1], found[2]


def by_script() -> dict[str, list[str]]:
    groups = collections.defaultdict(list)
    for path in FLAGFILES:
        groups[command_of(path)[0]].append(str(path))
    return groups


def test_each_flagfile_names_itself():
    for path in FLAGFILES:
        assert command_of(path)[1] == str(path.relative_to(ROOT))


@pytest.mark.parametrize("script", sorted(by_script()))
def test_the_script_takes_its_flagfiles(script):
    done = subprocess.run(
        [sys.executable, "-c", CHECK, script, *by_script()[script]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1500:]
