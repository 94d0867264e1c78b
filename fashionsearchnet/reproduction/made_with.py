"""With which settings the output of a step was made.

The output says so itself: a run in its flags.txt, the report of an evaluation in its `protocol`.
What reproduce.py once called the step with is asked where the output does not say it.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from fashionsearchnet import evaluation, files
from fashionsearchnet.evaluation import reporting
from fashionsearchnet.reproduction.plan import Step
from fashionsearchnet.training.flagfiles import differences, differing, read_flagfile

_CURE = "Move it away and run tools/reproduce.py again."


def setting_differences(step: Step, recorded: Mapping[str, str]) -> list[str]:
    """Returns a text for each setting in which what a step has made is not what it would make now.

    Args:
      step: that has begun.
      recorded: the flags that reproduce.py called it with; empty if it did not.
    """
    wanted = step.flags()
    if step.is_training:
        return _of_run(wanted, recorded, step.folder / "flags.txt")
    if step.script == "evaluate":
        numbers = map(int, wanted.get("num_changes", "1").split(","))
        return [
            f"{name}: {text}"
            for number, name in zip(numbers, step.outputs, strict=True)
            if (step.folder / name).exists()
            for text in _of_report(wanted, number, step.folder / name)
        ]
    return differences(wanted, recorded, given=recorded) if recorded else []


def _of_run(wanted: Mapping[str, str], recorded: Mapping[str, str], path: Path) -> list[str]:
    """Returns the differences from a run with the flags of a flags.txt.

    It holds the defaults too, so that only the record knows of a flag that was given and is no
    longer wanted. The record counts as far as flags.txt bears it out, since the run may have been
    made again by hand.
    """
    there = read_flagfile(path) if path.exists() else recorded
    given = [name for name in recorded if name not in differing(recorded, recorded, there)]
    return differences(wanted, there, given) if there else []


def _of_report(wanted: Mapping[str, str], num_changes: int, path: Path) -> list[str]:
    """Returns the differences from the report of an evaluation with so many edits at once."""
    report = files.read_json(path, "the report of an evaluation", _CURE)
    defaults = evaluation.Settings(
        num_changes=num_changes,
        max_manipulations_per_attribute=evaluation.default_draw(num_changes),
    )
    settings = {**dataclasses.asdict(defaults), **wanted, "num_changes": num_changes}
    return list(reporting.setting_differences(report, wanted["dataset"], settings).values())
