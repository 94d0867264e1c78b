"""The state of a plan: finished steps, their times, and whether they have the settings of today.

`<runs_dir>/steps.json` holds the flags, the seconds of work so far and the machine of each step
that was begun. The output of a step shows whether it is finished, with which settings and from
which weights: a run made by hand counts, and a run that was moved away is made again.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import reporting
from fashionsearchnet.flagfiles import differences, differing, read_flagfile
from fashionsearchnet.reproduction.hardware import describe_hardware
from fashionsearchnet.reproduction.plan import Plan, Step
from fashionsearchnet.systems import registry

Runner = Callable[[Step], int]
_CURE = "Move its folder away and run tools/reproduce.py again."


@dataclasses.dataclass
class Record:
    """The record of a step that was begun.

    Attributes:
      flags: of its command.
      seconds: of work on it, over all starts since its folder is there.
      machine: of the last start.
      is_finished: whether the command ended well; if not, `seconds` are not of the whole step.
    """

    flags: dict[str, str]
    seconds: float = 0.0
    machine: str = ""
    is_finished: bool = False


class Progress:
    """The records of all steps below a folder."""

    def __init__(self, runs_dir: str | os.PathLike[str]):
        """Reads the records, if there are any.

        Raises:
          ValueError: if the file is damaged.
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

    def check(self, plan: Plan) -> None:
        """Raises a ValueError if a step was begun with other settings than the plan has now.

        Also if it was made from weights that are no longer there.
        """
        for step in plan.steps:
            if step.has_begun:
                self._check_settings(step, plan)
        stale = stale_steps(plan.steps)
        if stale:
            raise ValueError(stale_text(stale))

    def _check_settings(self, step: Step, plan: Plan) -> None:
        """Raises a ValueError if a step was begun with other settings than are wanted now."""
        record = self.records.get(step.name)
        found = _setting_differences(step, plan, record.flags if record else {})
        if not found:
            return
        others = _dependents(step, plan.steps)
        together = f", with the steps that start from it ({_places(others)})," if others else ""
        what = "a run" if step.is_training else f"{', '.join(step.outputs)} of {_tool(step)}"
        raise ValueError(
            f"{step.folder} holds {what} with other settings: {'; '.join(found)}. Nothing is "
            "overwritten: choose another --runs_dir, give its settings, or "
            f"move it away{together} to make it again."
        )

    def run(self, step: Step, runner: Runner) -> bool:
        """Runs a step and records it; returns whether it went well.

        Its time is recorded however it ends, also by a KeyboardInterrupt.
        """
        before = self.records.get(step.name)
        resumes = before is not None and step.is_training and step.has_begun
        spent = before.seconds if before and resumes else 0.0
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
        """Returns the time of a finished step in seconds, or None if it was not measured."""
        record = self.records.get(step.name)
        return record.seconds if record and record.is_finished and step.is_finished else None

    def machines(self, steps: Iterable[Step]) -> list[str]:
        """Returns the machines that the steps ran on."""
        records = [self.records.get(step.name) for step in steps]
        return sorted({record.machine for record in records if record and record.machine})

    def _save(self) -> None:
        content = {name: dataclasses.asdict(record) for name, record in self.records.items()}
        files.write_json(self._path, content)


def _setting_differences(step: Step, plan: Plan, recorded: Mapping[str, str]) -> list[str]:
    """Returns a text for each setting that differs between the output of a step and the plan.

    The output names its own settings: a run in its flags.txt, the report of an evaluation in its
    `protocol`. Where it does not, `recorded` counts: the flags of the last command that
    tools/reproduce.py gave; empty if it gave none.
    """
    wanted = step.flags()
    if step.is_training:
        return _run_differences(wanted, recorded, step.folder / "flags.txt")
    if step.script == "evaluate":
        numbers = map(int, wanted.get("num_changes", "1").split(","))
        return [
            f"{name}: {text}"
            for number, name in zip(numbers, step.outputs, strict=True)
            if (step.folder / name).exists()
            for text in _report_differences(plan, wanted, number, step.folder / name)
        ]
    return differences(wanted, recorded, given=recorded) if recorded else []


def _run_differences(
    wanted: Mapping[str, str], recorded: Mapping[str, str], path: Path
) -> list[str]:
    """Returns the differences from a run with the flags of a flags.txt.

    flags.txt holds the defaults too. Only the record shows that a flag was given which the plan no
    longer gives. A record that flags.txt contradicts does not count: the run may have been made
    again by hand.
    """
    there = read_flagfile(path) if path.exists() else recorded
    given = [name for name in recorded if name not in differing(recorded, recorded, there)]
    return differences(wanted, there, given) if there else []


def _report_differences(
    plan: Plan, wanted: Mapping[str, str], num_changes: int, path: Path
) -> list[str]:
    """Returns the differences from the report of an evaluation with so many edits at once."""
    report = files.read_json(path, "the report of an evaluation", _CURE)
    protocol = dataclasses.asdict(plan.experiment.protocol(num_changes))
    settings = {**protocol, **wanted, "num_changes": num_changes}
    return list(reporting.setting_differences(report, wanted["dataset"], settings).values())


def stale_steps(steps: Iterable[Step]) -> list[Step]:
    """Returns the steps whose input weights have changed, and those that depend on them.

    A run names in `starts_from` of its model.json, and the report of an evaluation in `weights` of
    its `system`, the SHA-256 of the weights that it was made from. An output that names none is
    accepted. A run that is half trained is stale if the run that it started from is gone: it would
    go on from another start.

    Args:
      steps: of a plan, each after those that it needs.
    """
    passed: dict[str, Step] = {}
    stale: dict[str, Step] = {}
    for step in steps:
        needed = [passed[name] for name in step.needs]
        if step.has_begun and any(n.name in stale or _is_of_another(step, n) for n in needed):
            stale[step.name] = step
        passed[step.name] = step
    return list(stale.values())


def stale_text(stale: Sequence[Step]) -> str:
    """Names the stale steps and the cure."""
    return (
        "the weights that these were made from have changed, since the run that they start from "
        f"was moved away or trained again: {_places(stale)}. Nothing is overwritten: move them "
        "away to make them again, or put the former run back."
    )


def _is_of_another(step: Step, needed: Step) -> bool:
    """Tells whether a step was made from other weights than the needed run holds."""
    if not needed.is_training:
        return False
    if not needed.is_finished:
        return step.is_training and not step.is_finished
    try:
        present = registry.weights_digest(needed.folder)
    except FileNotFoundError:
        return False  # model.json alone shows that it is finished, not with which weights
    return any(digest != present for digest in _input_digests(step) if digest)


def _input_digests(step: Step) -> list[str | None]:
    """Returns for each output the digest of the weights that it was made from; None if unknown."""
    contents = [
        files.read_json(path, "the output of a step", _CURE)
        for path in step.written
        if path.suffix == ".json"
    ]
    if step.is_training:
        return [content.get("starts_from") for content in contents]
    return [content.get("system", {}).get("weights") for content in contents]


def _dependents(step: Step, steps: Iterable[Step]) -> list[Step]:
    """Returns the begun steps that were made, directly or not, from the output of a step."""
    names, found = {step.name}, []
    for other in steps:
        if other.has_begun and names & set(other.needs):
            names.add(other.name)
            found.append(other)
    return found


def _places(steps: Sequence[Step]) -> str:
    """Returns the paths to move away to make steps again; a run's folder holds its reports too."""
    folders = [step.folder for step in steps if step.is_training]
    paths = [*folders]
    for step in steps:
        if not step.is_training and not any(step.folder.is_relative_to(run) for run in folders):
            paths += step.written
    return ", ".join(map(str, paths))


def _tool(step: Step) -> str:
    return f"tools/{step.script}.py"
