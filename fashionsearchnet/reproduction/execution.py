"""Executes a plan: prints each command, runs what is left, and keeps the report up to date."""

import shlex
import sys
from collections.abc import Callable

from fashionsearchnet import files
from fashionsearchnet.reproduction.comparison import make_comparison
from fashionsearchnet.reproduction.estimate import left_in_words, step_states
from fashionsearchnet.reproduction.plan import Plan
from fashionsearchnet.reproduction.progress import Progress, Runner, stale_steps, stale_text
from fashionsearchnet.reproduction.rendering import draw_curves, markdown


def run_plan(
    plan: Plan, progress: Progress, runner: Runner, check: Callable[[], None]
) -> list[str]:
    """Runs the rest of a plan, and writes the report after every step that does not train.

    When a step fails, only the steps that need it are left out. If a run is made again and has
    other weights than before, the steps that were made from its former weights count as failed.

    Args:
      plan: to be executed.
      progress: records the steps.
      runner: runs the command of a step and returns its exit status.
      check: raises a ValueError if the data set cannot be evaluated; called before the first
        training step, when the data set is prepared.

    Returns:
      The names of the steps that failed or could not be run.
    """
    failed: list[str] = []
    stale = stale_steps(plan.steps)
    is_checked = False
    for position, step in enumerate(plan.steps, start=1):
        if step in stale:
            failed.append(step.name)
            continue
        if step.is_finished:
            continue
        if set(step.needs) & set(failed):
            failed.append(step.name)
            continue
        if step.is_training and not is_checked:
            check()
            is_checked = True
        left = left_in_words(step_states(plan, progress))
        print(f"\n[step {position} of {len(plan.steps)}; left: {left}]")
        print(f"$ python tools/{step.script}.py {shlex.join(step.arguments)}", flush=True)
        if not progress.run(step, runner):
            print(f"{step.name} failed; steps that do not need it go on.", file=sys.stderr)
            failed.append(step.name)
        if not step.is_training:
            write_report(plan, progress)
        stale = stale_steps(plan.steps)
    if stale:
        print(stale_text(stale), file=sys.stderr)
    return failed


def write_report(plan: Plan, progress: Progress) -> None:
    """Writes `report.md`, `report.json` and `curve.png` of what is measured so far.

    Raises:
      ValueError: if evaluations did not ask the same questions.
    """
    content = make_comparison(plan, progress, step_states(plan, progress))
    folder = plan.experiment.report_dir
    if content["curve"]:
        draw_curves(content, plan.experiment.table.values(), folder / "curve.png")
    files.write_text(folder / "report.md", markdown(content))
    files.write_json(folder / "report.json", content)
