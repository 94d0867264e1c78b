"""Every flagfile says its command, and the script of that command takes it."""

import collections
import re
from pathlib import Path

import pytest
from absl import flags
from evaluation_fakes import script

from fashionsearchnet.training.flagfiles import parse_flags

ROOT = Path(__file__).parents[2]
FLAGFILES = sorted(ROOT.glob("flags/**/*.flags"))

# Required flags, for all scripts: those that do not know them let them pass.
REQUIRED = ["--workdir=w", "--init_from=i", "--undefok=workdir,init_from"]


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


@pytest.mark.parametrize("name", ["shopping100k", "darn", "imaterialist", "celeba"])
def test_every_stage_trains_on_the_same_images_as_the_paper(name):
    stages = [path for path in FLAGFILES if path.parent.name == name and path.stem != "prepare"]
    splits = {parse_flags([f"--flagfile={path}"]).get("train_split") for path in stages}
    assert len(stages) == 6 and splits == {"train+validation"}


@pytest.mark.parametrize("path", sorted(by_script()))
def test_the_script_takes_its_flagfiles(path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    with script(Path(path).stem) as tool:
        for flagfile in by_script()[path]:
            flags.FLAGS([path, *REQUIRED, f"--flagfile={flagfile}"])
            helped = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(tool.__name__)}
            assert parse_flags([f"--flagfile={flagfile}"]).keys() <= helped  # --help teaches them
