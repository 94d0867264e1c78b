"""Carries out a plan: prints each command, runs what is left, and keeps the report up to date."""

import shlex
import sys

from fashionsearchnet import files
from fashionsearchnet.reproduction.curve import draw_figure_5
from fashionsearchnet.reproduction.estimate import left_in_words, step_states
from fashionsearchnet.reproduction.plan import Plan
from fashionsearchnet.reproduction.progress import Progress, Runner
from fashionsearchnet.reproduction.provenance import stale_steps, stale_text
from fashionsearchnet.reproduction.report import make_report
from fashionsearchnet.reproduction.text import markdown


def run_plan(plan: Plan, progress: Progress, runner: Runner) -> list[str]:
    """Runs what is left of a plan and writes the report after every step that is no training.

    A step that fails keeps only those from being run that need it. Where a run that was made anew
    has other weights than before, what was made from the former ones counts as failed.

    Args:
      plan: to be carried out.
      progress: keeps account of the steps.
      runner: runs the command of a step and returns its exit status.

    Returns:
      The names of the steps that failed or could not be run.
    """
    failed: list[str] = []
    stale = stale_steps(plan.steps)
    for position, step in enumerate(plan.steps, start=1):
        if step in stale:
            failed.append(step.name)
            continue
        if step.is_finished:
            continue
        if set(step.needs) & set(failed):
            failed.append(step.name)
            continue
        left = left_in_words(step_states(plan, progress))
        print(f"\n[step {position} of {len(plan.steps)}; left: {left}]")
        print(f"$ python tools/{step.script}.py {shlex.join(step.arguments)}", flush=True)
        if not progress.run(step, runner):
            print(f"{step.name} failed; going on with what does not need it.", file=sys.stderr)
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
      ValueError: if evaluations were not all made on the same manipulations.
    """
    content = make_report(plan, progress, step_states(plan, progress))
    folder = plan.settings.report_dir
    if content["curve"]:
        draw_figure_5(content, folder / "curve.png")
    files.write_text(folder / "report.md", markdown(content))
    files.write_json(folder / "report.json", content)
