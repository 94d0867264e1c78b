"""Reads the files of published data sets, and says what is wrong with a folder or a line."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from fashionsearchnet.checks import listed

_LFS_POINTER = "version https://git-lfs"  # how a file begins whose content was not fetched
_NUM_LISTED = 8  # names of a folder's content in a message


def check_folder(folder: Path, expected: Sequence[str], what: str) -> None:
    """Raises an error unless `folder` holds the expected files and folders.

    Args:
      folder: the folder of the user.
      expected: names relative to it; a name that ends in '/' is a folder.
      what: whose folder it should be, such as 'CelebA', for the message.

    Raises:
      NotADirectoryError: if there is no such folder.
      FileNotFoundError: naming what was expected, what is missing and what is there instead.
    """
    if not folder.is_dir():
        raise NotADirectoryError(
            f"{folder} is not a folder; it should be the folder of {what}, with "
            f"{', '.join(expected)}. See docs/datasets.md."
        )
    missing = [
        name
        for name in expected
        if not ((folder / name).is_dir() if name.endswith("/") else (folder / name).is_file())
    ]
    if missing:
        raise FileNotFoundError(
            f"{folder} does not look like {what}: expected {', '.join(expected)}; missing "
            f"{', '.join(missing)}; found {list_folder(folder)}. See docs/datasets.md."
        )


def list_folder(folder: Path) -> str:
    """Returns the first names in a folder, folders with '/', as text for messages."""
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return listed(names, _NUM_LISTED) or "nothing"


def read_text(path: Path) -> str:
    """Returns the content of a text file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not UTF-8, or a git-lfs pointer instead of the content.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist or is not a file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8 ({error}).") from error
    if text.startswith(_LFS_POINTER):
        raise ValueError(
            f"{path} is a git-lfs pointer, not the content. Install git-lfs and run "
            f"'git lfs pull' in {path.parent}."
        )
    return text


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file, without blanks at their ends nor empty last lines.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: for an empty file, and for what `read_text` refuses.
    """
    lines = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if not lines:
        raise ValueError(f"{path} is empty.")
    return lines


def parse_integer(path: Path, line: int, text: str, low: int, high: int, what: str) -> int:
    """Returns the integer that `text` says.

    Args:
      path: the file, for messages.
      line: the line, from 1, for messages.
      text: the number.
      low: the smallest value allowed.
      high: the largest value allowed.
      what: what the number is, for messages.

    Raises:
      ValueError: naming file and line, if it is no integer or lies outside the bounds.
    """
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise ValueError(
            f"{path} line {line}: {what} must be an integer between {low} and {high}; got {text!r}."
        )
    return number


def check_unique(
    path: Path, names: Iterable[str], numbers: Iterable[int] | None = None, place: str = "line"
) -> None:
    """Raises a ValueError naming both places if an image occurs twice in a file.

    Args:
      path: the file, for the message.
      names: of the images.
      numbers: where each stands; None for 1, 2, 3 and so on.
      place: what is numbered, such as 'line'.
    """
    found: dict[str, int] = {}
    for number, name in zip(numbers or itertools.count(1), names, strict=False):
        if name in found:
            raise ValueError(
                f"{path} {place} {number} repeats {name!r} of {place} {found[name]}; each image "
                "must be there once: remove one of them."
            )
        found[name] = number


def check_same_images(
    path: Path, names: Iterable[str], other: Path, other_names: Iterable[str]
) -> None:
    """Raises a ValueError naming an image that only one of two files has."""
    mine, theirs = set(names), set(other_names)
    for extra, has, lacks in ((mine - theirs, path, other), (theirs - mine, other, path)):
        if extra:
            raise ValueError(
                f"{has} has {len(extra)} images that {lacks} has not, such as {min(extra)!r}. Both "
                "must list the same images; get the files again."
            )
