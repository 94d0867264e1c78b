"""The folder of a run (`workdir`): its flags, attributes and versions, beside its weights."""

import atexit
import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Collection
from pathlib import Path

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.flagfiles import differences, parse_flags, read_flagfile

_VERSIONS = "versions.json"
_held: dict[Path, contextlib.ExitStack] = {}  # the folders that this process trains in
_PACKAGES = ("fashionsearchnet", "tensorflow", "keras", "tensorflow-datasets", "numpy")


def start_run(
    workdir: str | os.PathLike[str],
    *,
    space: AttributeSpace,
    flags: str,
    seed: int,
    at_default: Collection[str] = (),
    starts_from: str = "",
) -> Path:
    """Makes or reopens a run's folder and returns its path; `~` is the user's home.

    Writes `flags.txt` (itself a flagfile), `attribute_space.json` and `versions.json`. No other
    process can start a run there until this one ends.

    Args:
      workdir: the folder.
      space: the attributes of the data set.
      flags: of the command, as a flagfile.
      seed: of the run.
      at_default: see `check_same_flags`.
      starts_from: the SHA-256 of the weights that the run starts from; '' for none.

    Raises:
      BlockingIOError: if another process trains there.
      ValueError: if the folder belongs to a run on another attribute space, with other flags (see
        `check_same_flags`) or from other weights.
      OSError: if it cannot be written.
    """
    workdir = Path(workdir).expanduser()
    _hold(workdir)
    known = workdir / "attribute_space.json"
    if has_begun(workdir):
        AttributeSpace.load(known).check_same(space, f"workdir {workdir}", "the data set")
        check_same_flags(workdir, flags, at_default)
        _check_same_start(workdir, starts_from)
    space.save(known)
    files.write_text(workdir / "flags.txt", flags)
    facts = {"seed": seed, "starts_from": starts_from, **versions()}
    files.write_json(workdir / _VERSIONS, facts)
    return workdir


def _check_same_start(workdir: Path, starts_from: str) -> None:
    """Raises a ValueError if a run began with other weights; older runs do not know theirs."""
    path = workdir / _VERSIONS
    cure = "Use another --workdir."
    known = files.read_json(path, "what a run began with", cure) if path.is_file() else {}
    if known.get("starts_from", starts_from) != starts_from:
        raise ValueError(
            f"workdir {workdir} began with other weights than --init_from has now, "
            f"which was trained again: the weights of both would be mixed. {cure}"
        )


def _hold(workdir: Path) -> None:
    """Holds the lock of a run's folder until this process ends."""
    folder = workdir.resolve()
    if folder not in _held:
        stack = contextlib.ExitStack()
        stack.enter_context(files.hold_lock(folder / ".lock", f"trains in {workdir}"))
        atexit.register(stack.close)
        _held[folder] = stack


def has_begun(workdir: Path) -> bool:
    """Tells whether a folder holds anything that a run made, not only its flags."""
    return any(workdir.glob("checkpoints/*.index")) or (workdir / "model.json").exists()


def check_same_flags(workdir: Path, now: str, at_default: Collection[str] = ()) -> None:
    """Raises a ValueError that names the flags in which a run's flagfile differs from `now`.

    An older run may lack flags that have their default value in `now` (`at_default`).
    """
    there = read_flagfile(workdir / "flags.txt")
    wanted = {
        name: value
        for name, value in parse_flags(now.splitlines()).items()
        if name in there or name not in at_default
    }
    found = differences(wanted, there, given=there)
    if found:
        raise ValueError(
            f"workdir {workdir} holds a run with other settings: {'; '.join(found)}. Use its flags "
            f"(--flagfile={workdir / 'flags.txt'}) to go on with it, or another --workdir."
        )


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
