"""Reads flagfiles and command lines, and compares the flags of two commands."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

# Flags that may differ between two commands of one run, because its weights do not depend on them:
# paths, how images and outputs of trunks are kept, how often the run writes, how many steps a call
# takes, its devices. The number of devices does change the result, since each has its own batch
# statistics and dropout. But a run may resume on another machine, and no flag says how many GPUs a
# machine has.
_FREE = (
    *("cache", "cache_dir", "checkpoint_every", "data_dir", "distribution", "log_every"),
    *("output", "steps_per_call", "trunk_outputs", "workdir"),
)

_FLAGFILE = re.compile(r"--?flagfile(?:=(.*))?", re.DOTALL)


def read_flagfile(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the flags of a flagfile by name, as text.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if a flagfile includes itself.
    """
    return parse_flags([f"--flagfile={path}"])


def parse_flags(lines: Iterable[str]) -> dict[str, str]:
    """Returns the flags of lines such as `--batch_size=64`, `--flip` or `--noflip`; later ones win.

    Lines that do not start with a dash (comments) are left out. The flags of a flagfile stand in
    its place.
    """
    found: dict[str, str] = {}
    for line in expand_flagfiles(lines):
        name, equals, value = line.lstrip("-").partition("=")
        if not line.startswith("-"):
            continue
        if equals:
            found[name] = value
        elif name.startswith("no"):
            found[name.removeprefix("no")] = "false"
        else:
            found[name] = "true"
    return found


def expand_flagfiles(arguments: Iterable[str]) -> list[str]:
    """Returns a command line with the lines of each flagfile in place of `--flagfile=<path>`.

    A flagfile may include others. The path of an include counts from the folder of the file that
    includes it, or else from the current folder.

    Raises:
      FileNotFoundError: naming the file and, for an include, the file that includes it.
      ValueError: naming both files, if a flagfile includes itself, directly or not.
    """
    return list(_expanded(arguments, ()))


def _expanded(lines: Iterable[str], within: tuple[Path, ...]) -> Iterator[str]:
    """Yields the lines of a command line or, below the files `within`, of a flagfile."""
    remaining = iter(lines)
    for line in remaining:
        match = _FLAGFILE.fullmatch(line)
        if not match:
            yield line
            continue
        # absl takes the path as an argument of its own, too.
        name = match[1] if match[1] is not None else next(remaining, "")
        path = _find_flagfile(name, within)
        text = path.read_text(encoding="utf-8")
        inner = [found for found in map(str.strip, text.splitlines()) if found.startswith("-")]
        yield from _expanded(inner, (*within, path))


def _find_flagfile(name: str, within: tuple[Path, ...]) -> Path:
    """Returns the path of a flagfile that the last of the files `within` includes."""
    path = Path(name).expanduser()
    if within and (beside := within[-1].parent / path).is_file():
        path = beside
    if not path.is_file():
        if within:
            raise FileNotFoundError(
                f"{within[-1]} includes --flagfile={name}, which does not exist: neither "
                f"{within[-1].parent / name} nor {path} is a file."
            )
        raise FileNotFoundError(
            f"the flagfile {path} does not exist: it should hold the flags of one command. Write "
            "one like those in flags/garments, or correct the path."
        )
    if path.resolve() in [file.resolve() for file in within]:
        raise ValueError(
            f"{within[-1]} includes --flagfile={name}, which includes {within[-1]} in turn "
            f"({' -> '.join(map(str, (*within, path)))}). Remove one of the two lines."
        )
    return path


def differences(
    wanted: Mapping[str, str], there: Mapping[str, str], given: Collection[str] = ()
) -> list[str]:
    """Returns a text for each flag of `wanted` that `there` lacks or that has another value there.

    Args:
      wanted: the flags of a command.
      there: the flags of an earlier command; it may hold more of them, such as the defaults.
      given: names of the flags that the earlier command gave: if `wanted` lacks one of them, that
        is a difference too.
    """
    return [
        f"--{name} is {there.get(name, 'not given')} there, {wanted.get(name, 'not given')} now"
        for name in differing(dict.fromkeys((*wanted, *given)), wanted, there)
    ]


def differing(
    names: Iterable[str], wanted: Mapping[str, str], there: Mapping[str, str]
) -> list[str]:
    """Returns the flags among `names` that differ in meaning or stand on one side only.

    Flags that may differ between two commands of one run are left out. The run to start from
    (`init_from`) is compared by its place beside the run, since all runs may be moved together.
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
