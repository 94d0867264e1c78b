"""Flagfiles: what they include, how two command lines compare, and that each one fits its script.

Those below flags/<data set>/ say in their header for which command they are. Those that no header
names a command for are included by others.
"""

import collections
import re
from pathlib import Path

import pytest
from absl import flags
from evaluation_fakes import script

from fashionsearchnet.flagfiles import differences, expand_flagfiles, parse_flags, read_flagfile

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted(ROOT.glob("flags/**/*.flags"))
COMMANDS = {
    path: re.search(
        r"^#\s+python tools/(\S+)\.py[\s\\#]*--flagfile=(\S+)", path.read_text(), re.MULTILINE
    )
    for path in FLAGFILES
}

# Required flags, for all scripts: those that do not know them let them pass.
REQUIRED = ["--workdir=w", "--init_from=i", "--undefok=workdir,init_from"]


def write(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        path = folder / f"{name.replace('__', '/')}.flags"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_flags_are_read_as_absl_reads_them(tmp_path):
    write(tmp_path, a="# text\n--batch_size=64\n--flip\n--schedule=cosine\n")
    lines = [f"--flagfile={tmp_path / 'a.flags'}", "--noflip", "--batch_size=32"]
    assert parse_flags(lines) == {"batch_size": "32", "flip": "false", "schedule": "cosine"}


def test_an_include_stands_in_its_place_and_counts_from_its_file(tmp_path, monkeypatch):
    write(
        tmp_path,
        data__stage="--a=1\n--flagfile=../shared/stage.flags\n--c=1\n",
        shared__stage="// text\n--a=2\n--b=2\n--c=2\n-flagfile=other.flags",
        shared__other="--d=3",
    )
    (tmp_path / "other.flags").write_text("--d=of the current folder")
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "data/stage.flags")
    expected = ["x.py", "--a=1", "--a=2", "--b=2", "--c=2", "--d=3", "--c=1", "word"]
    assert expand_flagfiles(["x.py", f"--flagfile={path}", "word"]) == expected
    assert expand_flagfiles(["x.py", "--flagfile", path, "word"]) == expected
    assert read_flagfile(path) == {"a": "2", "b": "2", "c": "1", "d": "3"}


def test_an_include_may_count_from_the_current_folder(tmp_path, monkeypatch):
    write(tmp_path, data__stage="--flagfile=shared/stage.flags", shared__stage="--a=1")
    monkeypatch.chdir(tmp_path)
    assert read_flagfile("data/stage.flags") == {"a": "1"}


def test_a_missing_include_is_named_with_the_file_that_includes_it(tmp_path):
    write(tmp_path, stage="--flagfile=shared.flags")
    with pytest.raises(FileNotFoundError, match=r"/stage\.flags includes --flagfile=shared\.flags"):
        read_flagfile(tmp_path / "stage.flags")
    with pytest.raises(FileNotFoundError, match=r"the flagfile \S+/none\.flags does not exist"):
        read_flagfile(tmp_path / "none.flags")


def test_a_circular_include_is_named_with_both_files(tmp_path):
    write(tmp_path, a="--flagfile=b.flags", b="--flagfile=a.flags")
    with pytest.raises(ValueError, match=r"/b\.flags includes --flagfile=a\.flags, which includes"):
        read_flagfile(tmp_path / "a.flags")


def test_differences_are_of_meaning():
    there = {"num_epochs": "2.0", "init_from": "/a/rank_l", "workdir": "/a/full", "flip": "true"}
    same = {"num_epochs": "2", "init_from": "b/rank_l", "workdir": "b/full", "flip": "true"}
    assert differences(same, there) == []
    other = {"num_epochs": "3", "init_from": "b/rank", "workdir": "b/full", "momentum": "0"}
    assert differences(other, there) == [
        "--num_epochs is 2.0 there, 3 now",
        "--init_from is /a/rank_l there, b/rank now",
        "--momentum is not given there, 0 now",
    ]
    assert differences({}, there, given=["flip"]) == ["--flip is true there, not given now"]


def test_a_start_is_known_by_its_place_beside_the_run():
    there = {"init_from": "/a/rank_l", "workdir": "/a/full"}
    assert differences({"init_from": "/a/rank_l", "workdir": "/b/full"}, there) == []
    elsewhere = {"init_from": "/b/others/rank_l", "workdir": "/b/full"}
    assert differences(elsewhere, there) == ["--init_from is /a/rank_l there, /b/others/rank_l now"]


def test_each_flagfile_names_its_command_or_is_included():
    included = set()
    for path in FLAGFILES:
        for name in re.findall(r"^--flagfile=(\S+)", path.read_text(), re.MULTILINE):
            included.add((path.parent / name).resolve())
    for path, command in COMMANDS.items():
        if command:
            assert ROOT / command[2] == path
        assert (path in included) != bool(command), path


@pytest.mark.parametrize(
    ("name", "number"), [("shopping100k", 11), ("darn", 11), ("imaterialist", 6), ("celeba", 6)]
)
def test_every_stage_trains_on_the_same_images_as_the_paper(name, number):
    stages = [path for path in FLAGFILES if path.parent.parent.name == name and COMMANDS[path]]
    splits = {read_flagfile(path).get("train_split") for path in stages}
    assert len(stages) == number and splits == {"train+validation"}


def by_script() -> dict[str, list[Path]]:
    groups = collections.defaultdict(list)
    for path, command in COMMANDS.items():
        if command:
            groups[command[1]].append(path)
    return groups


@pytest.mark.parametrize("name", sorted(by_script()))
def test_the_script_takes_its_flagfiles(name):
    with script(name) as tool:
        for flagfile in by_script()[name]:
            flags.FLAGS([name, *REQUIRED, *expand_flagfiles([f"--flagfile={flagfile}"])])
            helped = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(tool.__name__)}
            assert read_flagfile(flagfile).keys() <= helped  # --help teaches them
