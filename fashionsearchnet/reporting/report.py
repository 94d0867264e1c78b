"""The files of a report."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from fashionsearchnet import files, scores
from fashionsearchnet.evaluation import Settings
from fashionsearchnet.reporting import curve
from fashionsearchnet.reporting.text import group_word, markdown


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
    there = {"dataset": report["dataset"], **report["protocol"]}
    wanted = {"dataset": dataset, **dataclasses.asdict(settings)}
    shared = wanted.keys() & there.keys() - {"num_resamples"}
    other = sorted(key for key in shared if wanted[key] != there[key])
    if other:
        found = "; ".join(f"{key} is {there[key]} there, {wanted[key]} now" for key in other)
        raise ValueError(
            f"{path} is a report of another evaluation: {found}. Nothing is overwritten: give this "
            "one another --name, or move that one away."
        )


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
