"""What flagfiles and command lines say, so that two can be compared without starting one."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# What may differ between two commands of one run: it does not change what comes out.
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
    wanted: Mapping[str, str], there: Mapping[str, str], *, is_complete: bool = False
) -> list[str]:
    """Returns a text for each flag of `wanted` that `there` has otherwise or not at all.

    Flags that do not change the result are left out; so are the folders above a run that is
    started from, since all runs may be moved together.

    Args:
      wanted: flags that a command gives.
      there: flags that something was made with.
      is_complete: whether `there`, too, are flags that were given, and not all that there are: then
        those that `wanted` does not give are differences as well.
    """
    names = [*wanted, *(name for name in there if is_complete and name not in wanted)]
    return [
        f"--{name} is {there.get(name, 'not given')} there, {wanted.get(name, 'not given')} now"
        for name in names
        if name not in _FREE and _plain(name, wanted.get(name)) != _plain(name, there.get(name))
    ]


def _plain(name: str, value: str | None) -> str | float | None:
    """Returns a value such that equal meanings are equal."""
    if value is None:
        return None
    if name == "init_from":
        return Path(value).name
    try:
        return float(value)
    except ValueError:
        return value
