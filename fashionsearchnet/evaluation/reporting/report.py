"""The files of a report."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import scores
from fashionsearchnet.evaluation.reporting import curve
from fashionsearchnet.evaluation.reporting.sections import markdown
from fashionsearchnet.evaluation.reporting.summary import headline, task_of
from fashionsearchnet.evaluation.tasks.task import Plan


def check_replaceable(folder: str | os.PathLike[str], name: str, plan: Plan) -> None:
    """Raises a ValueError if a report of this name is of other data or of another protocol.

    The number of resamples does not count.
    """
    path = Path(folder) / f"{name}.json"
    if not path.exists():
        return
    report = files.read_json(path, "the report of an evaluation", "Move it away.")
    settings = {"task": plan.protocol.task, **dataclasses.asdict(plan.protocol)}
    del settings["num_resamples"]
    found = setting_differences(report, plan.dataset, settings)
    if found:
        raise ValueError(
            f"{path} is a report of another evaluation: {'; '.join(found.values())}. Nothing is "
            "overwritten: give this one another --name, or move that one away."
        )


def setting_differences(
    report: dict[str, Any], dataset: str, settings: Mapping[str, Any]
) -> dict[str, str]:
    """Words each setting, by name, in which a report differs from the wanted one.

    Both sides know more than they share; what an older report does not say is unknown. A wanted
    "auto" leaves the choice to the data set.

    Args:
      report: of `summarize`.
      dataset: a name without a version stands for any version.
      settings: the wanted ones, as values or as a command line gives them; None is not given.
    """
    parts = report["dataset"].split("/")[: 1 + dataset.count("/")]
    recorded = {**report["protocol"], "task": task_of(report), "dataset": "/".join(parts)}
    wanted = {**settings, "dataset": dataset}
    sides = {
        name: (_as_flag(recorded[name]), _as_flag(wanted[name]))
        for name in recorded
        if name in wanted and wanted[name] != "auto"
    }
    return {
        name: f"--{name} is {there} there, {now} now"
        for name, (there, now) in sides.items()
        if there != now
    }


def _as_flag(value: Any) -> str:
    if isinstance(value, list | tuple):  # a tuple is a list after JSON
        return ",".join(map(str, value))
    return "not given" if value is None else str(value)


def write_report(
    report: dict[str, Any],
    outcomes: scores.Outcomes,
    folder: str | os.PathLike[str],
    name: str,
) -> dict[str, Path]:
    """Writes `<name>.json`, `.md`, `.png` (curve), `.npz` (outcomes); returns the paths by suffix.

    A kill in between leaves no `.json`, so that files of two evaluations are never taken for one.

    Args:
      report: of `summarize`.
      outcomes: of the same evaluation.
      folder: created if it does not exist.
      name: of the files, without suffix.
    """
    paths = {suffix: Path(folder) / f"{name}.{suffix}" for suffix in ("json", "md", "png", "npz")}
    paths["json"].unlink(missing_ok=True)  # its presence says that all are there
    outcomes.save(paths["npz"])
    _draw_curve(report, paths["png"])
    files.write_text(paths["md"], markdown(report, paths["png"].name))
    files.write_json(paths["json"], report)
    return paths


def _draw_curve(report: dict[str, Any], path: Path) -> None:
    """Draws the curve over K; the line of the system stands out."""
    lines = []
    for row in report["rows"]:
        name, values = row["name"], row["curve"]
        if name in scores.BASELINES:
            lines.append(curve.baseline(name, values))
        elif name == report["system"]["name"]:
            lines.append(curve.Line(name, values, color="tab:red", width=2.4))
        else:
            lines.append(curve.Line(name, values))
    title = scores.Figure(report["curve_metric"]).title
    label = f"{title} (mean over {report['words']['groups']})"
    k, dataset = headline(report).k, report["dataset"]
    curve.draw_curves(lines, k, dataset, label, path, report["curve_k"])
