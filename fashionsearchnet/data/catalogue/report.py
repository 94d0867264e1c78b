"""What was kept of a catalogue and what was dropped and why: as JSON, CSV and a table."""

import collections
import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import MISSING
from fashionsearchnet.data.catalogue import table as catalogue_table
from fashionsearchnet.data.catalogue.selection import CatalogueOptions, Selection
from fashionsearchnet.data.catalogue.table import Drop

REPORT_FILE = "preparation_report.json"
DROPPED_FILE = "dropped.csv"
_NUM_LISTED = 6  # values per attribute in the printed table


def write_report(
    folder: Path, options: CatalogueOptions, selection: Selection, indices: Mapping[str, np.ndarray]
) -> None:
    """Writes `preparation_report.json` and `dropped.csv` into a folder."""
    files.write_json(folder / REPORT_FILE, make_report(options, selection, indices))
    write_drops(folder, selection.drops)


def write_drops(folder: Path, drops: Sequence[Drop]) -> None:
    """Writes `dropped.csv`: the rows that are not used, with their reasons."""
    with (
        files.replace_file(folder / DROPPED_FILE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["line", "file", "kind", "reason"])
        writer.writerows([d.row.line, d.row.image, d.kind, d.reason] for d in drops)


def read_report(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the report in the folder of a prepared data set.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is no JSON.
    """
    cure = "Prepare the data set again with --overwrite."
    return files.read_json(Path(folder) / REPORT_FILE, "the report of a prepared data set", cure)


def make_report(
    options: CatalogueOptions, selection: Selection, indices: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Returns the numbers kept and dropped, by reason, attribute, value and split."""
    names = options.attributes
    counts = catalogue_table.count_values(selection.rows, names)
    rare_rows = [drop.row for drop in selection.drops if drop.kind == "rare value"]
    rare = catalogue_table.count_values(rare_rows, names)
    missing = (selection.labels == MISSING).sum(axis=0)
    return {
        "rows": len(selection.rows) + len(selection.drops),
        "kept": len(selection.rows),
        "dropped": _count([drop.kind for drop in selection.drops]),
        "splits": {split: len(i) for split, i in sorted(indices.items())},
        "attributes": {
            name: {
                "values": counts[name],
                "missing": int(missing[index]),
                "values dropped": sorted(set(rare[name]) - set(counts[name])),
                "values below min_count": [
                    v for v, count in counts[name].items() if count < options.min_count
                ],
                "spelt alike": _spelt_alike(list(counts[name])),
            }
            for index, name in enumerate(names)
        },
        "encoded anew": _count([image.change for image in selection.images if image.change]),
        "contradictions": [
            {
                "attribute": c.attribute,
                "values": list(c.values),
                "files": [row.image for row in c.rows],
                "lines": [row.line for row in c.rows],
            }
            for c in selection.contradictions
        ],
        "options": {"csv": options.csv} | options.to_dict(),
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Returns the report as text for the screen."""
    lines = [f"{'rows in the table':<28}{report['rows']:>9,}"]
    lines += [f"  {kind:<26}{-count:>9,}" for kind, count in report["dropped"].items()]
    lines += [f"{'kept':<28}{report['kept']:>9,}"]
    lines += [f"  {split:<26}{size:>9,}" for split, size in report["splits"].items()]
    lines += [
        f"images encoded anew: {reason} {count:,}"
        for reason, count in report["encoded anew"].items()
    ]
    for name, attribute in report["attributes"].items():
        lines += _format_attribute(name, attribute)
    if report["contradictions"]:
        lines.append(
            f"{len(report['contradictions']):,} contradictions between rows of one image: "
            "these cells are missing now"
        )
    if report["splits"]["train"] < report["kept"] / 2:
        lines.append("note: less than half of the images are left to train on")
    return "\n".join(lines)


def _format_attribute(name: str, attribute: Mapping[str, Any]) -> list[str]:
    counts = attribute["values"]
    top = sorted(counts, key=lambda value: -counts[value])[:_NUM_LISTED]
    listed = ", ".join(f"{value} {counts[value]:,}" for value in top)
    dots = ", ..." if len(counts) > len(top) else ""
    lines = [
        f"{name}: {len(counts)} values, {len(attribute['values dropped'])} rare ones dropped, "
        f"missing in {attribute['missing']:,} images",
        f"  {listed}{dots}",
    ]
    if attribute["values below min_count"]:
        below = [f"{value} {counts[value]}" for value in attribute["values below min_count"]]
        lines.append(f"  below the minimum, by rows lost to other attributes: {', '.join(below)}")
    lines += [f"  note: spelt alike: {', '.join(alike)}" for alike in attribute["spelt alike"]]
    return lines


def _count(texts: list[str]) -> dict[str, int]:
    """Returns how often each text occurs, most frequent first."""
    return dict(collections.Counter(texts).most_common())


def _spelt_alike(values: list[str]) -> list[list[str]]:
    """Returns the groups of values that differ in case and spaces only."""
    groups = collections.defaultdict(list)
    for value in values:
        groups["".join(value.lower().split())].append(value)
    return [group for group in groups.values() if len(group) > 1]
