"""What became of a published data set, its counts beside the paper's: as JSON, CSV and text."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.attributes import MISSING
from fashionsearchnet.data.catalogue import table
from fashionsearchnet.data.catalogue.report import REPORT_FILE, write_drops
from fashionsearchnet.data.catalogue.selection import Selection

_NUM_LISTED = 5  # values per attribute in the printed table


def write_report(
    folder: Path,
    published: Mapping[str, int],
    selection: Selection,
    indices: Mapping[str, np.ndarray],
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> None:
    """Writes `preparation_report.json` and `dropped.csv` into a folder.

    Args:
      folder: of the data set.
      published: the numbers of images, attributes, values, queries and gallery images that the
        paper states.
      selection: what is used.
      indices: the rows of each split.
      notes: what a user should know about this preparation.
      options: what the data set was made with.
    """
    content = make_report(published, selection, indices) | {
        "notes": list(notes),
        "options": dict(options),
    }
    files.write_json(folder / REPORT_FILE, content)
    write_drops(folder, selection.drops)


def make_report(
    published: Mapping[str, int], selection: Selection, indices: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Returns the numbers kept and dropped, by reason, attribute, value and split."""
    space = selection.space
    counts = table.count_values(selection.rows, space.names)
    here = {
        "images": len(selection.rows),
        "attributes": space.num_attributes,
        "values": space.total_values,
        "query": len(indices["query"]),
        "gallery": len(indices["gallery"]),
    }
    return {
        "beside the paper": {what: {"here": here[what], "paper": published[what]} for what in here},
        "dropped": dict(collections.Counter(d.kind for d in selection.drops).most_common()),
        "splits": {split: len(rows) for split, rows in sorted(indices.items())},
        "attributes": {
            name: {
                "values": {value: counts[name].get(value, 0) for value in space.values[index]},
                "missing": int((selection.labels[:, index] == MISSING).sum()),
            }
            for index, name in enumerate(space.names)
        },
        "encoded anew": dict(
            collections.Counter(i.change for i in selection.images if i.change).most_common()
        ),
        "contradictions": len(selection.contradictions),
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Returns the report as text for the screen."""
    lines = [f"{'':<28}{'here':>9}{'paper':>10}"]
    for what, count in report["beside the paper"].items():
        differs = "" if count["here"] == count["paper"] else "  differs"
        lines.append(f"{what:<28}{count['here']:>9,}{count['paper']:>10,}{differs}")
    lines += [
        f"{split:<28}{size:>9,}"
        for split, size in report["splits"].items()
        if split not in report["beside the paper"]
    ]
    lines += [f"dropped: {kind:<19}{count:>9,}" for kind, count in report["dropped"].items()]
    lines += [
        f"encoded anew: {why:<14}{count:>9,}" for why, count in report["encoded anew"].items()
    ]
    for name, attribute in report["attributes"].items():
        lines += _format_attribute(name, attribute)
    if report["contradictions"]:
        lines.append(
            f"{report['contradictions']:,} labels in which identical files contradict each other "
            "are missing now"
        )
    lines += [f"note: {note}" for note in report["notes"]]
    return "\n".join(lines)


def _format_attribute(name: str, attribute: Mapping[str, Any]) -> list[str]:
    counts = attribute["values"]
    unused = [value for value, count in counts.items() if not count]
    top = sorted(counts, key=lambda value: -counts[value])[:_NUM_LISTED]
    listed = ", ".join(f"{value} {counts[value]:,}" for value in top)
    dots = ", ..." if len(counts) > len(top) else ""
    lines = [
        f"{name}: {len(counts)} values, missing in {attribute['missing']:,} images",
        f"  {listed}{dots}",
    ]
    if unused:
        lines.append(f"  without an image: {', '.join(unused)}")
    return lines
