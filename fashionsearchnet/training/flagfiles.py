"""What flagfiles and command lines say, so that two can be compared without starting one."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

# What may differ between two commands of one run: where things lie, how often it writes, and on
# which devices. Several devices do change what comes out, since each has batch statistics and
# dropout of its own; but a run may go on on another machine, whose number of GPUs no flag tells.
_FREE = ("checkpoint_every", "data_dir", "distribution", "log_every", "output", "workdir")


def read_flagfile(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the flags of a flagfile by name, as text.

    Raises:
      FileNotFoundError: if there is none, with what would be in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: it should hold the flags of one training stage. Write one as "
            "those below flags/garments, or name a folder that has them by --flags_dir."
        )
    return parse_flags(path.read_text(encoding="utf-8").splitlines())


def parse_flags(lines: Iterable[str]) -> dict[str, str]:
    """Returns the flags of lines such as `--batch_size=64`, `--flip` or `--noflip`; later ones win.

    Lines that do not start with a dash (comments) are left out; a flagfile that a line names is
    read in its place.
    """
    found: dict[str, str] = {}
    for line in map(str.strip, lines):
        if not line.startswith("-"):
            continue
        name, equals, value = line.lstrip("-").partition("=")
        if name == "flagfile":
            found |= read_flagfile(value)
        elif equals:
            found[name] = value
        elif name.startswith("no"):
            found[name.removeprefix("no")] = "false"
        else:
            found[name] = "true"
    return found


def differences(
    wanted: Mapping[str, str], there: Mapping[str, str], given: Collection[str] = ()
) -> list[str]:
    """Returns a text for each flag of `wanted` that `there` has otherwise or not at all.

    Args:
      wanted: flags that a command gives.
      there: flags that something was made with; it may have others too, such as the defaults.
      given: names of the flags that were given there: that `wanted` leaves one of them out is a
        difference as well.
    """
    return [
        f"--{name} is {there.get(name, 'not given')} there, {wanted.get(name, 'not given')} now"
        for name in differing(dict.fromkeys((*wanted, *given)), wanted, there)
    ]


def differing(
    names: Iterable[str], wanted: Mapping[str, str], there: Mapping[str, str]
) -> list[str]:
    """Returns which of these flags do not mean the same, or are given on one side only.

    Flags that may differ between two commands of one run are left out. What a run starts from is
    compared by its place beside the run, since all runs may be moved together.
    """
    return [name for name in names if name not in _FREE and not _agree(name, wanted, there)]


def _agree(name: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> bool:
    """Returns whether a flag means the same on both sides."""
    if wanted.get(name) == there.get(name):
        return True
    if name not in wanted or name not in there:
        return False
    if name == "init_from":
        return _start_beside_run(wanted) == _start_beside_run(there)
    return _plain(wanted[name]) == _plain(there[name])


def _start_beside_run(values: Mapping[str, str]) -> str:
    return os.path.relpath(values["init_from"], values.get("workdir", "."))


def _plain(value: str) -> str | float:
    """Returns a value such that equal numbers are equal."""
    try:
        return float(value)
    except ValueError:
        return value
