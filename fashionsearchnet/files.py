"""Writes files so that the old content survives a kill or a full disk."""

import contextlib
import fcntl
import hashlib
import importlib.resources
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHECKSUMS = "assets.extra/checksums.json"  # assets.extra: where SavedModels keep what others add
_SEAL = "sha256_of_the_rest"


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; moves it into place if the block succeeds.

    A ~ is the user's folder: shells leave it in --output=~/a.png as it is.
    The temporary file keeps the suffix of `path`, since some writers look at it. It is flushed to
    the disk before the move, and removed if the block raises. So `path` holds either all of its
    old content or all of the new one.

    Raises:
      OSError: naming `path`, if the disk is full or the folder cannot be written.
    """
    path = Path(path).expanduser()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = "".join(path.suffixes)
        stem = path.name.removesuffix(suffix)
        handle, name = tempfile.mkstemp(prefix=f".{stem}.", suffix=suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            f"cannot write {path} ({error.strerror or error}); the old content is unchanged. "
            "Free some space or choose another folder, then run the same command again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` (UTF-8) to `path` by `replace_file`."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes `content` as indented JSON to `path` by `replace_file`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_array(
    path: str | os.PathLike[str], shape: Sequence[int], dtype: Any, parts: Iterable[np.ndarray]
) -> None:
    """Writes an .npy file, whole or not at all; holds one part in memory at a time.

    Not through a memory map: on a full disk that ends the process without a word.

    Args:
      path: of the file.
      shape: of the whole array.
      dtype: of the file.
      parts: arrays `[any, ...]`, together the whole one.

    Raises:
      OSError: as `replace_file`.
    """
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    with replace_file(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)


def replace_folder(built: Path, target: Path, aside: Path) -> None:
    """Moves a finished folder to the place of `target`, which keeps its content if that fails.

    Meanwhile the former content lies in `aside`, on the same disk; see `restore_folder`.
    """
    shutil.rmtree(aside, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(aside)
    built.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def restore_folder(target: Path, aside: Path) -> None:
    """Moves the former content back if `replace_folder` was killed between its two renames."""
    if aside.exists() and not target.exists():
        aside.rename(target)


def read_json(path: str | os.PathLike[str], what: str, cure: str) -> Any:
    """Returns the content of a JSON file.

    Raises:
      FileNotFoundError: if it is missing; the message says `what` it is and the `cure`.
      ValueError: if it is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: it should hold {what}. {cure}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} should hold {what}, but is not JSON ({error}). {cure}") from error


def write_checksums(folder: Path) -> None:
    """Writes the SHA-256 of all files of a folder into its file CHECKSUMS, which is JSON."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {str(path.relative_to(folder)): file_digest(path) for path in paths}
    digests.pop(CHECKSUMS, None)
    write_json(folder / CHECKSUMS, {"sha256": digests, _SEAL: _seal(digests)})


def check_checksums(folder: Path, cure: str) -> bool:
    """Returns whether a folder has the file CHECKSUMS of `write_checksums`; compares its files.

    Raises:
      ValueError: naming the file that is missing or damaged, and the cure.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return False
    content = read_json(path, "checksums", cure)
    digests = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(digests, dict) or content.get(_SEAL) != _seal(digests):
        raise ValueError(f"{path} is damaged: its content has changed. {cure}")
    for file, digest in digests.items():
        if not (folder / file).is_file():
            raise ValueError(f"{folder / file} is missing. {cure}")
        if file_digest(folder / file) != digest:
            raise ValueError(f"{folder / file} is damaged: its content has changed. {cure}")
    return True


def _seal(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def hold_lock(path: str | os.PathLike[str], what: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock file while the block runs; a killed process releases its lock.

    Args:
      path: of the lock file, which is removed at the end.
      what: what another process that holds it does, such as 'prepares data/shop', for the message.
      wait: until no other process holds it.

    Raises:
      BlockingIOError: if another process holds it, unless this one waits.
      OSError: if the file cannot be made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            os.close(handle)
            raise BlockingIOError(
                f"another process {what} at this moment. Wait until it is done, then run the same "
                "command again."
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                break
        os.close(handle)  # the holder has removed the file since it was opened
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def file_digest(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_packaged_json(package: str, name: str) -> Any:
    """Returns the content of a JSON file that lies in a package of this library."""
    text = importlib.resources.files(package).joinpath(name).read_text("utf-8")
    return json.loads(text)
