"""The folder of a source's images: finds the file of a name, and says why others are not found."""

import collections
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath

from fashionsearchnet.data.image_headers import ImageProblem

KNOWN_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".jfif", ".jpe")
_MAX_WALKED = 2_000_000  # files that are looked at to explain why others are missing
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class ImageFolder:
    """A folder of images, with its subfolders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str) -> Path:
        """Returns the path of an image by its name, a path in the folder.

        The suffix may be left out. Case and the Unicode form may differ from the file's, where
        that leaves one file. Backslashes, as Windows writes paths, count as slashes where no file
        has them in its name.

        Raises:
          ImageProblem: if it does not exist, is not a file, or lies outside the folder.
        """
        if _ADDRESS.match(name):
            raise ImageProblem("missing file", f"{name!r} is an address: fetch the images first")
        relative = self._relative(name)
        path = self.folder / relative
        try:
            if relative != os.curdir and path.is_file():
                return path
            found = self._similar(PurePath(relative)) if relative != os.curdir else None
        except OSError:  # such as a name longer than the file system takes
            found = None
        if found is None and "\\" in name:
            return self.find(name.replace("\\", "/"))
        if found is None:
            raise ImageProblem("missing file", f"{path} does not exist or is not a file")
        return found

    def explain_missing(self, names: Iterable[str]) -> list[str]:
        """Returns what missing names have in common, and how to mend it, one text per cause."""
        names = list(names)
        if not names:
            return []
        stems, places = self._walk()
        causes: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        for name in names:
            for cause, cure in _CAUSES.items():
                found = cure(name, stems, places)
                if found:
                    causes[cause].append((name, found))
                    break
        return [
            cause.format(number=len(pairs), name=pairs[0][0], file=pairs[0][1])
            for cause, pairs in causes.items()
        ]

    def _relative(self, name: str) -> str:
        """Returns a name as a path below the folder; raises an ImageProblem if it is outside."""
        plain = os.path.normpath(name)
        if os.path.isabs(plain):
            tops = (os.path.abspath(self.folder), os.path.realpath(self.folder))
            plain = next((os.path.relpath(plain, t) for t in tops if _is_below(plain, t)), plain)
        if os.path.isabs(plain) or plain.split(os.sep)[0] == os.pardir or "\0" in name:
            raise ImageProblem("outside the image folder", f"{name!r} must be a path inside it")
        return plain

    def _similar(self, relative: PurePath) -> Path | None:
        """Returns the file whose name differs in suffix, case or Unicode form only, or None."""
        folder = self.folder
        for part in relative.parts[:-1]:
            inner = folder / part
            if not inner.is_dir():
                found = self._choose(folder, part, lambda path: path.is_dir())
                if found is None:
                    return None
                inner = found
            folder = inner
        return self._choose(folder, relative.name, lambda path: path.is_file())

    def _choose(self, folder: Path, name: str, fits: Callable[[Path], bool]) -> Path | None:
        listing = self._listing(folder)
        wanted = unicodedata.normalize("NFC", name)
        for suffix in ("", *KNOWN_SUFFIXES):
            paths = [folder / n for n in listing.get(_key(name + suffix), [])]
            paths = [path for path in paths if fits(path)]
            same_case = [
                path
                for path in paths
                if unicodedata.normalize("NFC", path.name)[: len(wanted)] == wanted
            ]
            chosen = same_case or paths
            if chosen:
                return chosen[0] if len(chosen) == 1 else None
        return None

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Returns the names in a folder by their key."""
        if folder not in self._listings:
            names: dict[str, list[str]] = collections.defaultdict(list)
            for name in sorted(os.listdir(folder)) if folder.is_dir() else []:
                names[_key(name)].append(name)
            self._listings[folder] = names
        return self._listings[folder]

    def _walk(self) -> tuple[dict[str, str], dict[str, str]]:
        """Returns the files by their stem without leading zeros, and by their full name."""
        stems: dict[str, str] = {}
        places: dict[str, str] = {}
        for number, path in enumerate(self._files()):
            if number >= _MAX_WALKED:
                break
            relative = path.relative_to(self.folder).as_posix()
            stems.setdefault(path.stem.lstrip("0").casefold(), relative)
            places.setdefault(_key(path.name), relative)
            places.setdefault(_key(path.stem), relative)
        return stems, places

    def _files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.folder):
            yield from (Path(folder) / name for name in names)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_below(path: str, top: str) -> bool:
    return os.path.commonpath([path, top]) == top


def _as_number(name: str, stems: dict[str, str], places: dict[str, str]) -> str:
    """Returns the file of an id such as 10000.0, or ''."""
    whole = re.fullmatch(r"(\d+)\.0+", name)
    return stems.get(whole[1].lstrip("0"), "") if whole else ""


def _without_zeros(name: str, stems: dict[str, str], places: dict[str, str]) -> str:
    """Returns the file of an id that lacks the zeros at its start, or ''."""
    if re.search(r"[/\\]", name):  # a path, so it is no id
        return ""
    stem = PurePath(name).stem if PurePath(name).suffix else name
    return stems.get(stem.lstrip("0").casefold(), "") if stem.isdecimal() else ""


def _elsewhere(name: str, stems: dict[str, str], places: dict[str, str]) -> str:
    """Returns the file of this name in another folder, or ''."""
    found = places.get(_key(re.split(r"[/\\]", name)[-1]), "")
    return "" if found == os.path.normpath(name) else found  # such as a link to nothing


_CAUSES = {
    "{number:,} missing names are numbers with '.0', such as {name} for the file {file}: a program "
    "saved the ids as numbers. Save the column as text (in pandas: dtype=str)": _as_number,
    "{number:,} missing names lack zeros at their start, or have too many, such as {name} for the "
    "file {file}: a program saved the ids as numbers. Save the column as text (in pandas: "
    "dtype=str)": _without_zeros,
    "{number:,} missing names are those of files in another place, such as {name} for {file}. "
    "Choose --images_dir so that the names are paths in it": _elsewhere,
}
