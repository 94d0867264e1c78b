"""What the evaluations of a plan have found so far."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import scores
from fashionsearchnet.reproduction.plan import Plan, Run

_CURE = "Move the folder away and run tools/reproduce.py again."


@dataclasses.dataclass(frozen=True)
class Measured:
    """One evaluated run.

    Attributes:
      run: of the plan.
      report: content of tools/evaluate.py's JSON file.
      outcomes: the rank of every manipulation.
    """

    run: Run
    report: dict[str, Any]
    outcomes: scores.Outcomes


def load_measured(plan: Plan, num_changes: int) -> list[Measured]:
    """Returns the runs that are evaluated with so many edits at once, in the order of the plan.

    Raises:
      ValueError: if they were not all measured on the same manipulations, or one is damaged.
    """
    found: list[Measured] = []
    for run in plan.runs:
        path = run.report(num_changes)
        if not path.exists():
            continue
        report = files.read_json(path, "the report of an evaluation", _CURE)
        one = Measured(run, report, scores.Outcomes.load(path))
        if found:
            first = found[0]
            this = str(first.run.report(num_changes))
            first.outcomes.check_comparable(one.outcomes, this, str(path))
        found.append(one)
    return found


def of_seed(measured: Sequence[Measured], seed: int) -> dict[str, Measured]:
    """Returns the measured runs of one seed by the key of their row."""
    return {one.run.row.key: one for one in measured if one.run.seed == seed}
