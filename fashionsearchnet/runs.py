"""The folder of a run (`workdir`): what made it, kept beside what it made."""

import importlib.metadata
import os
import platform
from pathlib import Path

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace

_PACKAGES = ("fashionsearchnet", "tensorflow", "keras", "tensorflow-datasets", "numpy")


def start_run(
    workdir: str | os.PathLike[str], *, space: AttributeSpace, flags: str, seed: int
) -> Path:
    """Makes or reopens a run's folder and returns its path.

    Writes `flags.txt` (itself a flagfile), `attribute_space.json` and `versions.json`.

    Raises:
      ValueError: if the folder belongs to a run on another attribute space.
      OSError: if it cannot be written.
    """
    workdir = Path(workdir).expanduser()
    known = workdir / "attribute_space.json"
    if known.exists():
        AttributeSpace.load(known).check_same(space, f"workdir {workdir}", "the data set")
    else:
        space.save(known)
    files.write_text(workdir / "flags.txt", flags)
    files.write_json(workdir / "versions.json", {"seed": seed, **versions()})
    return workdir


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
