"""The image files of a source: reads and checks them."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fashionsearchnet.data.image_files import ImageLimits, read_picture
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation.near_copies import Miniature, miniature


@dataclasses.dataclass(frozen=True)
class CheckedImage:
    """The result of checking one file.

    Attributes:
      digest: SHA-256 of the file's bytes, or '' if it could not be read.
      kind: short name of the problem, '' for a usable image.
      problem: the problem in full, or ''.
      change: why the stored image differs from the file (such as 'CMYK'), or ''.
      stamp: size and time of change of the file, by which another check knows it again.
      miniature: of a usable image, by which copies are found.
    """

    digest: str = ""
    kind: str = ""
    problem: str = ""
    change: str = ""
    stamp: tuple[int, int] = (0, 0)
    miniature: Miniature | None = None


def check_images(
    paths: Iterable[Path],
    limits: ImageLimits,
    known: Mapping[Path, CheckedImage] | None = None,
    num_threads: int | None = None,
) -> Iterator[CheckedImage]:
    """Yields the result of reading, hashing and decoding each file, in order.

    A file of `known` whose size and time of change are the same is not read again.
    """
    workers = num_threads or min(8, (os.cpu_count() or 1) + 1)

    def check(path: Path) -> CheckedImage:
        before = known.get(path) if known else None
        if before is not None and before.stamp == _stamp(path):
            return before
        return check_image(path, limits)

    with ThreadPoolExecutor(workers) as executor:
        yield from executor.map(check, paths)


def check_image(path: Path, limits: ImageLimits) -> CheckedImage:
    """Returns the result of one file; never raises for its content."""
    digest = ""
    try:
        stamp = _stamp(path)
        data = read_bytes(path)
        digest = hashlib.sha256(data).hexdigest()
        picture = read_picture(data, limits)
    except ImageProblem as problem:
        return CheckedImage(digest, problem.kind, str(problem))
    return CheckedImage(
        digest, change=picture.change, stamp=stamp, miniature=miniature(picture.pixels)
    )


def _stamp(path: Path) -> tuple[int, int]:
    """Returns the size of a file and its time of change in nanoseconds; zeros without a file."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def read_bytes(path: Path) -> bytes:
    """Returns the bytes of a file, or raises an ImageProblem."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageProblem("unreadable file", f"{path} ({error.strerror})") from error
