"""The files of a report."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import Settings, scores
from fashionsearchnet.evaluation.reporting import curve
from fashionsearchnet.evaluation.reporting.text import group_word, markdown


def report_name(query_split: str, num_changes: int) -> str:
    """Returns what the report of an evaluation is called, without suffix."""
    return query_split if num_changes == 1 else f"{query_split}_{num_changes}_changes"


def check_replaceable(
    folder: str | os.PathLike[str], name: str, dataset: str, settings: Settings
) -> None:
    """Raises a ValueError if a report of this name was made of other data or with other settings.

    One of the same may be replaced. The number of resamples does not count.
    """
    path = Path(folder) / f"{name}.json"
    if not path.exists():
        return
    report = files.read_json(path, "the report of an evaluation", "Move it away.")
    found = setting_differences(report, dataset, dataclasses.asdict(settings))
    found.pop("num_resamples", None)
    if found:
        raise ValueError(
            f"{path} is a report of another evaluation: {'; '.join(found.values())}. Nothing is "
            "overwritten: give this one another --name, or move that one away."
        )


def setting_differences(
    report: dict[str, Any], dataset: str, settings: Mapping[str, Any]
) -> dict[str, str]:
    """Returns a text for each setting by name that a report was made with otherwise.

    Both sides know more than they share; what an older report does not tell is unknown.

    Args:
      report: of `summarize`.
      dataset: the name of the data set; without its version, any version is the same.
      settings: the wanted ones, as values or as a command line gives them; None is not given.
    """
    parts = report["dataset"].split("/")[: 1 + dataset.count("/")]
    told = {**report["protocol"], "dataset": "/".join(parts)}
    wanted = {**settings, "dataset": dataset}
    sides = {
        name: (_as_flag(told[name]), _as_flag(wanted[name])) for name in told if name in wanted
    }
    return {
        name: f"--{name} is {there} there, {now} now"
        for name, (there, now) in sides.items()
        if there != now
    }


def _as_flag(value: Any) -> str:
    return "not given" if value is None else str(value)


def write_report(
    report: dict[str, Any],
    outcomes: scores.Outcomes,
    folder: str | os.PathLike[str],
    name: str,
) -> dict[str, Path]:
    """Writes `<name>.json`, `.md`, `.png` (curve) and `.npz` (outcomes) into `folder`.

    A kill in between leaves no `.json`, so that files of two evaluations are never taken for one.

    Args:
      report: of `summarize`.
      outcomes: of the same evaluation.
      folder: made if it is not there.
      name: of the files, without suffix.

    Returns:
      The paths by suffix: "json", "md", "png", "npz".
    """
    paths = {suffix: Path(folder) / f"{name}.{suffix}" for suffix in ("json", "md", "png", "npz")}
    paths["json"].unlink(missing_ok=True)  # its presence says that all are there
    outcomes.save(paths["npz"])
    over = group_word(report, plural=True)
    curve.draw_curves(_lines(report), report["headline_k"], report["dataset"], over, paths["png"])
    files.write_text(paths["md"], markdown(report, paths["png"].name))
    files.write_json(paths["json"], report)
    return paths


def _lines(report: dict[str, Any]) -> list[curve.Line]:
    """Returns the lines of the plot; that of the system stands out."""
    lines = []
    for row in report["rows"]:
        name, values = row["name"], row["curve"]
        if name in scores.BASELINES:
            lines.append(curve.baseline(name, values))
        elif name == report["system"]["name"]:
            lines.append(curve.Line(name, values, color="tab:red", width=2.4))
        else:
            lines.append(curve.Line(name, values))
    return lines
