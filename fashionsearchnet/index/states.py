"""Complete, numbered states of something on disk; one of them is the current one.

    FOLDER/CURRENT           the name of the current state
    FOLDER/states/000007/    its files, never changed, and state.json with their SHA-256
    FOLDER/.lock             held while a state is written

A commit replaces CURRENT in one step, so a kill leaves a complete state. The state before the
current one is kept.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fashionsearchnet import files

_DESCRIPTION = "state.json"
_SEAL = "sha256_of_the_rest"


class States:
    """The states in a folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._states = self.folder / "states"
        self._pointer = self.folder / "CURRENT"

    def exist(self) -> bool:
        """Returns whether there is a current state."""
        return self._pointer.is_file()

    def check_free(self, others: Collection[str]) -> None:
        """Raises a ValueError unless a new index can be made in the folder.

        Args:
          others: names that an index has in its folder beside its states; a killed process may
            have left them.
        """
        if self.exist():
            raise ValueError(
                f"{self.folder} already holds an index. Open it, or choose another folder."
            )
        if not self.folder.is_dir():
            if self.folder.exists():
                raise ValueError(
                    f"{self.folder} is a file, but an index is a folder. Choose another name."
                )
            return
        own = {self._states.name, *others}
        for path in sorted(self.folder.iterdir()):
            if path.name not in own and not path.name.startswith("."):
                raise ValueError(
                    f"{self.folder} holds other files, such as {path.name}: an index has a folder "
                    "of its own. Choose a new or empty folder."
                )

    def current(self) -> str:
        """Returns the name of the current state.

        Raises:
          FileNotFoundError: if there is none.
          ValueError: if CURRENT is damaged, with the names of the complete states.
        """
        try:
            name = self._pointer.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self._pointer} does not exist: {self.folder} holds no finished index. Make one "
                "with tools/build_index.py."
            ) from error
        if not name.isdigit() or not (self._states / name).is_dir():
            raise ValueError(
                f"{self._pointer} is damaged: it should hold the name of a folder in "
                f"{self._states}, but holds {name[:40]!r}. {self._cure('')}"
            )
        return name

    def path(self, name: str) -> Path:
        """Returns the folder of a state."""
        return self._states / name

    def read(self, name: str) -> dict[str, Any]:
        """Returns the description of a state, whose files it checks.

        Raises:
          ValueError: naming the file that is missing or damaged, and the cure.
        """
        problem, description = self._examine(name)
        if problem:
            raise ValueError(f"{problem}. {self._cure(name)}")
        return description

    def commit(self, base: str | None, write: Callable[[Path], dict[str, Any]]) -> str:
        """Writes a new state, makes it the current one, and deletes all others but its base.

        Args:
          base: the name of the state that was changed, None for the first.
          write: writes the files into an empty folder and returns a description for JSON.

        Returns:
          The name of the new state.

        Raises:
          OSError: if another process has changed the states since `base`, or a file cannot be
            written. The current state stays the same.
        """
        with files.hold_lock(self.folder / ".lock", f"changes {self.folder}", wait=True):
            there = self.current() if self.exist() else None
            if there != base:
                raise OSError(
                    f"another process has changed {self.folder}: its state is {there}, but these "
                    f"changes belong to state {base}. Run the same command again."
                )
            names = self._names()
            name = f"{int(names[-1]) + 1 if names else 1:06d}"
            try:
                self._write(self.path(name), write)
                files.write_text(self._pointer, name + "\n")
            except BaseException:
                # An interrupt may come when the new state is the current one already.
                if not self.exist() or self._pointer.read_text().strip() != name:
                    shutil.rmtree(self.path(name), ignore_errors=True)
                raise
            _flush_folder(self.folder)
            for other in names:
                if other != base:
                    shutil.rmtree(self.path(other), ignore_errors=True)
        return name

    def _write(self, folder: Path, write: Callable[[Path], dict[str, Any]]) -> None:
        folder.mkdir(parents=True)
        description = write(folder)
        description["files"] = {
            path.name: files.file_digest(path) for path in sorted(folder.iterdir())
        }
        files.write_json(folder / _DESCRIPTION, {**description, _SEAL: _seal(description)})
        _flush_folder(folder)
        _flush_folder(self._states)

    def _examine(self, name: str) -> tuple[str, dict[str, Any]]:
        """Returns the problem of a state, '' for none, and its description."""
        folder = self.path(name)
        try:
            description = files.read_json(folder / _DESCRIPTION, "the description of a state", "")
        except (OSError, ValueError) as error:
            return str(error).rstrip(". "), {}
        if not isinstance(description, dict) or description.pop(_SEAL, "") != _seal(description):
            return f"{folder / _DESCRIPTION} is damaged: its content has changed", {}
        for file, digest in description["files"].items():
            if not (folder / file).is_file():
                return f"{folder / file} is missing", {}
            if files.file_digest(folder / file) != digest:
                return f"{folder / file} is damaged: its content has changed", {}
        return "", description

    def _cure(self, damaged: str) -> str:
        """Returns how to go on; `damaged` is the damaged state, or ''."""
        rebuild = "build the index in another folder with tools/build_index.py"
        for name in reversed(self._names()):
            if name != damaged and not self._examine(name)[0]:
                return (
                    f"State {name} is complete: go back to it with "
                    f"'echo {name} > {self._pointer}', or {rebuild}."
                )
        return f"No other state is complete: {rebuild}."

    def _names(self) -> list[str]:
        """Returns the names of all states, also of unfinished ones, in ascending order."""
        if not self._states.is_dir():
            return []
        return sorted((p.name for p in self._states.iterdir() if p.name.isdigit()), key=int)


def _seal(description: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _flush_folder(folder: Path) -> None:
    """Makes sure that renamed files survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
