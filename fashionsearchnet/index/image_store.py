"""Encoded images in files that are named by their content."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from fashionsearchnet import files


class ImageStore:
    """A folder `ab/abcd...` of files whose name is the SHA-256 of their bytes."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def put(self, data: bytes) -> str:
        """Stores the bytes unless the store has them; returns their SHA-256, 64 hex digits."""
        digest = digest_of(data)
        if not self.has(data, digest):
            with files.replace_file(self._path(digest)) as temporary:
                temporary.write_bytes(data)
        return digest

    def has(self, data: bytes, digest: str) -> bool:
        """Returns whether there is a file of this SHA-256 and this length."""
        path = self._path(digest)
        return path.is_file() and path.stat().st_size == len(data)

    def get(self, digest: str) -> bytes:
        """Returns the bytes of a SHA-256.

        Raises:
          OSError: if the file is missing or damaged, naming it and the cure.
        """
        path = self._path(digest)
        cure = "Delete the file, and run tools/build_index.py with the same images again."
        try:
            data = path.read_bytes()
        except OSError as error:
            raise OSError(f"cannot read the image {path} ({error.strerror}). {cure}") from error
        if digest_of(data) != digest:
            raise OSError(f"the image {path} is damaged: its content has changed. {cure}")
        return data

    def delete(self, digests: Iterable[str]) -> None:
        """Deletes the files of these SHA-256, if they exist."""
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest


def digest_of(data: bytes) -> str:
    """Returns the SHA-256 of the bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
