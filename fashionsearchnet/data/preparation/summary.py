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
from fashionsearchnet.data.preparation.records import RARE_VALUE
from fashionsearchnet.data.preparation.selection import Selection
from fashionsearchnet.data.preparation.source import Source

SUMMARY_FILE = "preparation_report.json"
DROPPED_FILE = "dropped.csv"
COPIES_FILE = "near_copies.csv"
UNKNOWN_FILE = "unknown_values.json"  # of an update: values that the models do not know
NUM_LISTED = 6  # values per attribute in the printed table


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
    num_rows = len(selection.records) + len(selection.drops)
    if source.num_rows not in (None, num_rows):
        raise RuntimeError(
            f"{source.num_rows} rows became {num_rows}: a fault of the preparation. Report it."
        )
    return {
        "rows": num_rows,
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
        "near copies": _summarize_copies(selection, indices),
        "notes": [*source.notes, *selection.notes],
    }


def _summarize_copies(selection: Selection, indices: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Counts the pairs of near copies, and the images of each split that have one in `train`."""
    split_of = _split_of(indices)
    leaks: dict[str, set[int]] = {split: set() for split in indices if split != "train"}
    for pair in selection.near_copies:
        for one, other in (pair, pair[::-1]):
            if split_of[other] == "train" and split_of[one] != "train":
                leaks[split_of[one]].add(one)
    return {
        "pairs": len(selection.near_copies),
        "with a copy in train": {split: len(found) for split, found in leaks.items() if found},
        "products are known": any(record.group for record in selection.records),
    }


def _split_of(indices: Mapping[str, np.ndarray]) -> dict[int, str]:
    """Returns the split of each record."""
    return {int(row): split for split, rows in indices.items() for row in rows}


def _summarize_attributes(selection: Selection, min_count: int) -> dict[str, dict[str, Any]]:
    space = selection.space
    counts = records.count_values(selection.records, space.names)
    rare_records = [drop.record for drop in selection.drops if drop.kind == RARE_VALUE]
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


def write(
    folder: Path,
    content: Mapping[str, Any],
    selection: Selection,
    indices: Mapping[str, np.ndarray],
) -> None:
    """Writes the report, `dropped.csv` and `near_copies.csv` into the folder of a data set."""
    files.write_json(folder / SUMMARY_FILE, content)
    rows = ([d.record.line, d.record.image, d.kind, d.reason] for d in selection.drops)
    _write_table(folder / DROPPED_FILE, ["line", "file", "kind", "reason"], rows)
    split_of, kept = _split_of(indices), selection.records
    pairs = (
        [kept[i].image, split_of[i], kept[k].image, split_of[k]] for i, k in selection.near_copies
    )
    _write_table(folder / COPIES_FILE, ["file", "split", "copy", "split of the copy"], pairs)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (
        files.replace_file(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


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
    lines += [f"encoded again: {why}: {num:,}" for why, num in content["encoded again"].items()]
    for name, attribute in content["attributes"].items():
        lines += _attribute_lines(name, attribute)
    if content["contradictions"]:
        lines.append(
            "labels missing because records of one image contradict each other: "
            f"{len(content['contradictions']):,}"
        )
    if content["splits"]["train"] < content["kept"] / 2:
        lines.append("note: less than half of the images are left to train on")
    lines += _copies_lines(content.get("near copies", {"pairs": 0}))
    lines += [f"note: {note}" for note in content["notes"]]
    if "updated" in content:
        lines.append(", ".join(f"{what} {num:,}" for what, num in content["updated"].items()))
    return "\n".join(lines)


def _copies_lines(copies: Mapping[str, Any]) -> list[str]:
    """Returns the lines on pictures that are there twice in other bytes."""
    if not copies["pairs"]:
        return []
    leaks = copies["with a copy in train"]
    listed = ", ".join(f"{split} {num:,}" for split, num in leaks.items())
    where = f"; images with a copy among the training images: {listed}" if leaks else ""
    cure = "--group_column keeps the images of a product in one split"
    if copies.get("products are known"):
        cure = "The table names another product for each of a pair; correct it where that is wrong"
    return [
        f"note: {copies['pairs']:,} pairs of images seem to show the same picture in other bytes"
        f"{where} ({COPIES_FILE}). {cure}"
    ]


def _attribute_lines(name: str, attribute: Mapping[str, Any]) -> list[str]:
    counts = attribute["values"]
    rare = attribute["values dropped"]
    top = sorted(counts, key=lambda value: -counts[value])[:NUM_LISTED]
    listed = ", ".join(f"{value} {counts[value]:,}" for value in top)
    dots = ", ..." if len(counts) > len(top) else ""
    dropped = f", {len(rare)} rare {'one' if len(rare) == 1 else 'ones'} dropped" if rare else ""
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
