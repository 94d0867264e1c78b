"""The summary of a preparation: kept and dropped records with reasons, as JSON, CSV and text."""

import collections
import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import MISSING
from fashionsearchnet.data.preparation import records
from fashionsearchnet.data.preparation.records import Drop
from fashionsearchnet.data.preparation.selection import Selection, Source

SUMMARY_FILE = "preparation_report.json"
DROPPED_FILE = "dropped.csv"
_NUM_LISTED = 6  # values per attribute in the printed table


def summarize(
    selection: Selection,
    indices: Mapping[str, np.ndarray],
    source: Source,
    paper: Mapping[str, int],
) -> dict[str, Any]:
    """Returns the numbers kept and dropped, by reason, attribute, value and split, for JSON.

    Args:
      selection: the images to use.
      indices: the records of each split.
      source: of the records.
      paper: the numbers that the paper states, see Reader; empty for a catalogue.
    """
    here = {
        "images": len(selection.records),
        "attributes": selection.space.num_attributes,
        "values": selection.space.total_values,
    } | {split: len(rows) for split, rows in indices.items()}
    return {
        "rows": len(selection.records) + len(selection.drops),
        "kept": len(selection.records),
        "beside the paper": {k: {"here": here[k], "paper": paper[k]} for k in paper},
        "dropped": _count(drop.kind for drop in selection.drops),
        "splits": {split: len(rows) for split, rows in sorted(indices.items())},
        "attributes": _summarize_attributes(selection, source.min_count),
        "encoded again": _count(image.change for image in selection.images if image.change),
        "contradictions": [
            {
                "attribute": c.attribute,
                "values": list(c.values),
                "files": [record.image for record in c.records],
                "lines": [record.line for record in c.records],
            }
            for c in selection.contradictions
        ],
        "notes": list(source.notes),
    }


def _summarize_attributes(selection: Selection, min_count: int) -> dict[str, dict[str, Any]]:
    space = selection.space
    counts = records.count_values(selection.records, space.names)
    rare_records = [drop.record for drop in selection.drops if drop.kind == "rare value"]
    rare = records.count_values(rare_records, space.names)
    missing = (selection.labels == MISSING).sum(axis=0)
    return {
        name: {
            "values": {value: counts[name].get(value, 0) for value in values},
            "missing": int(num_missing),
            "values dropped": sorted(set(rare[name]) - set(values)),
            "values below min_count": [
                value for value in values if 0 < counts[name].get(value, 0) < min_count
            ],
            "spelt alike": _spelt_alike(values),
        }
        for name, values, num_missing in zip(space.names, space.values, missing, strict=True)
    }


def write(folder: Path, content: Mapping[str, Any], drops: Sequence[Drop]) -> None:
    """Writes `preparation_report.json` and `dropped.csv` into the folder of a data set."""
    files.write_json(folder / SUMMARY_FILE, content)
    with (
        files.replace_file(folder / DROPPED_FILE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["line", "file", "kind", "reason"])
        writer.writerows([d.record.line, d.record.image, d.kind, d.reason] for d in drops)


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the summary in the folder of a prepared data set.

    Raises:
      FileNotFoundError: if it is missing.
      ValueError: if it is not JSON.
    """
    cure = "Prepare the data set again with --overwrite."
    return files.read_json(Path(folder) / SUMMARY_FILE, "the report of a prepared data set", cure)


def to_text(content: Mapping[str, Any]) -> str:
    """Returns a summary as text for the screen."""
    lines = [f"{'rows of the source':<28}{content['rows']:>9,}"]
    lines += [f"  {kind:<26}{-count:>9,}" for kind, count in content["dropped"].items()]
    lines += [f"{'kept':<28}{content['kept']:>9,}"]
    lines += [f"  {split:<26}{size:>9,}" for split, size in content["splits"].items()]
    if content["beside the paper"]:
        lines.append(f"{'':<28}{'here':>9}{'paper':>10}")
    for name, count in content["beside the paper"].items():
        differs = "" if count["here"] == count["paper"] else "  differs"
        lines.append(f"{name:<28}{count['here']:>9,}{count['paper']:>10,}{differs}")
    lines += [
        f"encoded again: {why} {num:,} images" for why, num in content["encoded again"].items()
    ]
    for name, attribute in content["attributes"].items():
        lines += _attribute_lines(name, attribute)
    if content["contradictions"]:
        lines.append(
            "labels missing because records of one image contradict each other: "
            f"{len(content['contradictions']):,}"
        )
    if content["splits"]["train"] < content["kept"] / 2:
        lines.append("note: less than half of the images are left to train on")
    lines += [f"note: {note}" for note in content["notes"]]
    return "\n".join(lines)


def _attribute_lines(name: str, attribute: Mapping[str, Any]) -> list[str]:
    counts = attribute["values"]
    rare = attribute["values dropped"]
    top = sorted(counts, key=lambda value: -counts[value])[:_NUM_LISTED]
    listed = ", ".join(f"{value} {counts[value]:,}" for value in top)
    dots = ", ..." if len(counts) > len(top) else ""
    dropped = f", {len(rare)} rare ones dropped" if rare else ""
    lines = [
        f"{name}: {len(counts)} values{dropped}, missing in {attribute['missing']:,} images",
        f"  {listed}{dots}",
    ]
    unused = [value for value, count in counts.items() if not count]
    if unused:
        lines.append(f"  without an image: {', '.join(unused)}")
    if attribute["values below min_count"]:
        below = [f"{value} {counts[value]}" for value in attribute["values below min_count"]]
        lines.append(f"  below the minimum, by rows lost to other attributes: {', '.join(below)}")
    lines += [f"  note: spelt alike: {', '.join(alike)}" for alike in attribute["spelt alike"]]
    return lines


def _count(texts: Iterable[str]) -> dict[str, int]:
    """Returns how often each text occurs, most frequent first."""
    return dict(collections.Counter(texts).most_common())


def _spelt_alike(values: Sequence[str]) -> list[list[str]]:
    """Returns the groups of values that differ in case and spaces only."""
    groups = collections.defaultdict(list)
    for value in values:
        groups["".join(value.lower().split())].append(value)
    return [group for group in groups.values() if len(group) > 1]
