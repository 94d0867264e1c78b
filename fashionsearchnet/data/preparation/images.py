"""The image files of a source: finds, reads and checks them."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fashionsearchnet.data.image_files import ImageLimits, normalize_image
from fashionsearchnet.data.image_headers import ImageProblem

KNOWN_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".JPG", ".JPEG", ".PNG")


@dataclasses.dataclass(frozen=True)
class CheckedImage:
    """The result of checking one file.

    Attributes:
      digest: SHA-256 of the file's bytes, or '' if it could not be read.
      kind: short name of the problem, '' for a usable image.
      problem: the problem in full, or ''.
      change: why the stored image differs from the file (such as 'CMYK'), or ''.
    """

    digest: str = ""
    kind: str = ""
    problem: str = ""
    change: str = ""


def find_file(folder: Path, name: str) -> Path:
    """Returns the path of the image called `name` in `folder`, with or without its suffix.

    Raises:
      ImageProblem: if it does not exist, is not a file, or lies outside the folder.
    """
    relative = os.path.normpath(name)
    if os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir or "\0" in name:
        raise ImageProblem("outside the image folder", f"{name!r} must be a path inside it")
    path = folder / relative
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in KNOWN_SUFFIXES)]
    for candidate in candidates if relative != os.curdir else []:
        try:
            if candidate.is_file():
                return candidate
        except OSError:  # such as a name longer than the file system takes
            break
    raise ImageProblem("missing file", f"{path} does not exist or is not a file")


def check_images(
    paths: Iterable[Path], limits: ImageLimits, num_threads: int | None = None
) -> Iterator[CheckedImage]:
    """Yields the result of reading, hashing and decoding each file, in order."""
    workers = num_threads or min(8, (os.cpu_count() or 1) + 1)

    def check(path: Path) -> CheckedImage:
        return check_image(path, limits)

    with ThreadPoolExecutor(workers) as executor:
        yield from executor.map(check, paths)


def check_image(path: Path, limits: ImageLimits) -> CheckedImage:
    """Returns the result of one file; never raises for its content."""
    digest = ""
    try:
        data = read_bytes(path)
        digest = hashlib.sha256(data).hexdigest()
        _, change = normalize_image(data, limits)
    except ImageProblem as problem:
        return CheckedImage(digest, problem.kind, str(problem))
    return CheckedImage(digest, change=change)


def read_bytes(path: Path) -> bytes:
    """Returns the bytes of a file, or raises an ImageProblem."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageProblem("unreadable file", f"{path} ({error.strerror})") from error
