"""What is done of a plan: begun and finished steps, with what settings and in what time.

`<runs_dir>/steps.json` holds for each step that was begun its flags, its seconds of work so far
and the machine. Whether it is finished, with what settings and from which weights says its output,
so that a run made by hand counts, and one that was moved away is made again.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.reproduction.hardware import describe_hardware
from fashionsearchnet.reproduction.made_with import setting_differences
from fashionsearchnet.reproduction.plan import Step
from fashionsearchnet.reproduction.provenance import dependents, places, stale_steps, stale_text

Runner = Callable[[Step], int]


@dataclasses.dataclass
class Record:
    """What is known of a step that was begun.

    Attributes:
      flags: of its command.
      seconds: of work on it, over all starts since its folder is there.
      machine: on which the last start was.
      is_finished: whether the command ended well; without that, `seconds` are not of all of it.
    """

    flags: dict[str, str]
    seconds: float = 0.0
    machine: str = ""
    is_finished: bool = False


class Progress:
    """The record of all steps below a folder."""

    def __init__(self, runs_dir: str | os.PathLike[str]):
        """Reads the record, if there is one.

        Raises:
          ValueError: if it is damaged.
        """
        self._path = Path(runs_dir) / "steps.json"
        self.records: dict[str, Record] = {}
        if self._path.exists():
            cure = "Remove it: finished steps are found by their output; only the times are lost."
            stored: dict[str, Any] = files.read_json(self._path, "the record of the steps", cure)
            try:
                self.records = {name: Record(**entry) for name, entry in stored.items()}
            except (TypeError, AttributeError) as error:
                raise ValueError(f"{self._path} is damaged ({error}). {cure}") from error

    def check(self, steps: Sequence[Step]) -> None:
        """Raises a ValueError if what was begun is not what would be made now.

        It may have been made with other settings, or from weights that are no longer there.

        Args:
          steps: all of a plan.
        """
        for step in steps:
            if step.has_begun:
                self._check_settings(step, steps)
        stale = stale_steps(steps)
        if stale:
            raise ValueError(stale_text(stale))

    def _check_settings(self, step: Step, steps: Sequence[Step]) -> None:
        """Raises a ValueError if a step was begun with other settings than are wanted now."""
        record = self.records.get(step.name)
        found = setting_differences(step, record.flags if record else {})
        if not found:
            return
        others = dependents(step, steps)
        together = f", together with what was made from it ({places(others)})," if others else ""
        raise ValueError(
            f"{step.folder} holds {_what(step)} with other settings: {'; '.join(found)}. Nothing "
            "is overwritten: take another --runs_dir, give the settings that it was made with, or "
            f"move it away{together} to have it made again."
        )

    def run(self, step: Step, runner: Runner) -> bool:
        """Runs a step and keeps account of it; returns whether it went well.

        However it ends, by a KeyboardInterrupt as well, the time it took is recorded.
        """
        before = self.records.get(step.name)
        goes_on = before is not None and step.is_training and step.has_begun
        spent = before.seconds if before and goes_on else 0.0
        record = Record(step.flags(), spent, describe_hardware())
        self.records[step.name] = record
        self._save()
        start = time.monotonic()
        try:
            status = runner(step)
            record.is_finished = status == 0 and step.is_finished
        finally:
            record.seconds = round(spent + time.monotonic() - start, 1)
            self._save()
        return record.is_finished

    def seconds(self, step: Step) -> float | None:
        """Returns how long a finished step took, or None if that was not measured."""
        record = self.records.get(step.name)
        return record.seconds if record and record.is_finished and step.is_finished else None

    def _save(self) -> None:
        content = {name: dataclasses.asdict(record) for name, record in self.records.items()}
        files.write_json(self._path, content)


def _what(step: Step) -> str:
    return "a run" if step.is_training else f"{', '.join(step.outputs)} of tools/{step.script}.py"
