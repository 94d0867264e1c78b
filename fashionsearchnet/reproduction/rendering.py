"""A comparison in Markdown, and its curves as a picture."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from fashionsearchnet.evaluation.reporting import curve
from fashionsearchnet.evaluation.reporting.tables import (
    boxes_table,
    change_text,
    figure_text,
    markdown_table,
    mean_change,
    with_interval,
)
from fashionsearchnet.reproduction.estimate import duration
from fashionsearchnet.systems.recipe import Row

_DASHED = (0, (5, 1.5))


def draw_curves(
    report: Mapping[str, Any], rows: Iterable[Row], path: str | os.PathLike[str]
) -> None:
    """Draws the curves of all measured rows as a PNG file; rows that the paper lacks are dashed.

    Args:
      report: of `comparison.make_comparison`, with at least one measured row.
      rows: of the table.
      path: of the file.
    """
    baselines = report["baselines"]
    lines = [curve.baseline(row["title"], row["curve"]) for row in baselines["rows"]]
    lines += [
        curve.Line(
            row.title, report["curve"][row.title], row.color, "-" if row.is_published else _DASHED
        )
        for row in rows
        if row.title in report["curve"]
    ]
    title = f"{report['dataset']} (baselines: network of {baselines['network']})"
    label = f"{report['curve_label']} (mean over attributes)"
    curve.draw_curves(lines, report["k"], title, label, path, report["curve_k"])


def markdown(report: dict[str, Any]) -> str:
    """Returns the report of `comparison.make_comparison` in Markdown, missing steps first."""
    parts = [f"# {report['recipe']['title']} on {report['dataset']}", _state(report)]
    if report["baselines"]:
        parts += _table(report) + _per_attribute(report) + _gains(report)
        parts += _predicted(report) + _seeds(report) + _edits(report)
        label, figure = report["curve_label"], _in_brackets(report["recipe"]["curve_title"])
        parts += [f"## {label} over K{figure}", f"![{label} over K](curve.png)"]
        parts += _sheets(report) + _localization(report)
    parts += _run_time(report) + _how(report)
    return "\n\n".join(parts) + "\n"


def _state(report: dict[str, Any]) -> str:
    """Lists the steps that are missing or stale."""
    missing, stale = (
        ", ".join(f"`{name}`" for name in report[key]) for key in ("missing", "stale")
    )
    scaled = report["epochs_scale"]
    text = ""
    if scaled != 1.0:
        text = f"**A smoke test: all epochs times {scaled:g}. The figures say nothing.**\n\n"
    if not missing and not stale:
        return f"{text}Complete: every planned step is done."
    text += "**Not complete.**"
    if missing:
        text += f" {len(report['missing'])} steps are missing: {missing}."
    if stale:
        text += (
            f" {len(report['stale'])} steps are stale: {stale}. The run that they start from was "
            "trained again since, so their figures do not belong beside the others."
        )
    return text


def _table(report: dict[str, Any]) -> list[str]:
    """Returns the table with measured beside published means, and its note."""
    paper = report["published"]
    is_same = paper and paper["is_same_dataset"]
    header = ["", *report["attributes"], "mean (95 %)", "all queries (95 %)"]
    if paper:
        header.append(f"{paper['title']}, paper")
    if is_same:
        header.append("difference")
    lines = []
    for row in (*report["baselines"]["rows"], *report["rows"]):
        cells = [row["title"], *_measured_cells(row["measured"], len(report["attributes"]))]
        if paper:
            figures = row.get("published")
            cells.append(figure_text(figures["mean"] if figures else None))
        if is_same:
            cells.append(change_text(row.get("difference")))
        lines.append(cells)
    words = report["recipe"]
    notes = [
        f"{words['figure']}. Baselines: of the network of {report['baselines']['network']}. Mean: "
        f"{words['mean_note'].removesuffix('.')}."
    ]
    if paper and is_same:
        notes.append(f"Paper: {paper['source']}. {paper['protocol']}. Its queries may be others.")
    elif paper:
        notes.append(
            f"This data set has no published figures. The last column is the paper's average on "
            f"**{paper['title']}**, for orientation only: other images, other attributes. "
            f"{paper['source']}."
        )
    return [f"## {words['title']}", markdown_table(header, lines), " ".join(notes)]


def _measured_cells(found: dict[str, Any] | None, size: int) -> list[str]:
    if found is None:
        return ["-"] * size + ["not measured", "-"]
    figures = [figure_text(value) for value in found["per_group"]]
    return [*figures, with_interval(found, "mean"), with_interval(found, "queries")]


def _per_attribute(report: dict[str, Any]) -> list[str]:
    """Returns measured - published for each attribute, where the paper has them."""
    lines = []
    for row in report["rows"]:
        figures = (row["published"] or {}).get("per_attribute")
        if not figures or not row["measured"]:
            continue
        ours = row["measured"]["per_group"]
        lines.append([f"{row['title']}, paper", *map(figure_text, figures)])
        pairs = zip(ours, figures, strict=True)
        changes = [None if None in pair else pair[0] - pair[1] for pair in pairs]
        lines.append([f"{row['title']}, difference", *map(change_text, changes)])
    if not lines:
        return []
    return [
        "### Beside the paper, per attribute",
        markdown_table(["", *report["attributes"]], lines),
    ]


def _gains(report: dict[str, Any]) -> list[str]:
    """Returns the gain of each row here and in the paper, and the verdict on the order."""
    if not report["gains"]:
        return []
    paper = report["published"]
    on = f" ({paper['title']})" if paper else ""
    header = ["from", "to", "adds", "here (95 %, paired)", f"paper's average{on}", "the step here"]
    has_seeds = any(gain["other_seeds"] for gain in report["gains"])
    if has_seeds:
        header.insert(4, "with other seeds")
    lines = []
    for gain in report["gains"]:
        changes = [_change(report, found) for found in gain["other_seeds"].values()]
        line = [gain["lower"], gain["higher"], gain["what"], _change(report, gain["measured"])]
        if has_seeds:
            line.append(", ".join(changes) or "-")
        lines.append([*line, change_text(gain["paper"]), gain["verdict"] or "-"])
    return [
        "## What each step adds, and whether the paper's order holds",
        markdown_table(header, lines, num_words=3),
        _order(report),
    ]


def _order(report: dict[str, Any]) -> str:
    """Returns the note on the order of the rows."""
    order = report["recipe"]["order"]
    judged = [gain["verdict"] for gain in report["gains"] if gain["verdict"]]
    counts = [f"{word}: {judged.count(word)}" for word in dict.fromkeys(judged)]
    allowed = ", which a step <= allows for" if "<=" in order else ""
    return (
        (f"The paper's order: {order}. " if order else "")
        + (f"Of its {len(judged)} steps here {'; '.join(counts)}. " if judged else "")
        + "Holds: the whole interval of the paired difference is above zero. Does not hold: it is "
        f"below zero. Too close to call: zero lies in it{allowed}. The intervals are bootstraps "
        "over query images; they do not contain the spread of training."
    )


def _predicted(report: dict[str, Any]) -> list[str]:
    """Returns each row beside what its own network reads off the images."""
    lines = [
        [
            entry["title"],
            entry["baseline"],
            _mean(report, entry["predicted"]),
            _change(report, entry["difference"]),
        ]
        for entry in report["beside_predictions"]
    ]
    if not lines:
        return []
    header = ["", "of its network", "mean", "the row is ahead by (95 %, paired)"]
    return ["## Beside the simplest method", markdown_table(header, lines)]


def _seeds(report: dict[str, Any]) -> list[str]:
    """Returns the spread over seeds."""
    if not report["seeds"]:
        return []
    names = list(dict.fromkeys(name for entry in report["seeds"] for name in entry["means"]))
    header = ["", *(f"seed {name}" for name in names), "mean", "standard deviation", "range"]
    lines = [
        [
            entry["title"],
            *(figure_text(entry["means"].get(name)) for name in names),
            *(figure_text(entry[key]) for key in ("mean", "standard_deviation", "range")),
        ]
        for entry in report["seeds"]
    ]
    note = (
        "Every stage was trained again with each seed. A step that is smaller than these ranges "
        "may come from the seed."
    )
    title = f"## Spread over seeds (mean {report['recipe']['short_figure']})"
    return [title, markdown_table(header, lines), note]


def _edits(report: dict[str, Any]) -> list[str]:
    """Returns the means with several edits at once beside those with one."""
    measured = [entry for entry in report["edits"] if entry["rows"]]
    if not measured:
        return []
    header = ["", "1 change", *(f"{entry['num_changes']} changes" for entry in measured)]
    lines = []
    for row in report["baselines"]["rows"]:
        others = [
            {found["title"]: found["measured"] for found in entry["baselines"]["rows"]}
            for entry in measured
        ]
        cells = [_mean(report, found.get(row["title"])) for found in others]
        lines.append([row["title"], _mean(report, row["measured"]), *cells])
    for row in report["rows"]:
        cells = [_mean(report, entry["rows"].get(row["title"])) for entry in measured]
        lines.append([row["title"], _mean(report, row["measured"]), *cells])
    tried = ", ".join(
        f"{entry['num_manipulations']:,} manipulations of {entry['num_changes']} attributes"
        for entry in measured
    )
    return [
        "## Several edits at once",
        markdown_table(header, lines),
        f"{report['recipe']['short_figure']}, mean over the edited attributes or combinations of "
        f"them, 95 % intervals; {tried}. The paper edits one attribute at a time.",
    ]


def _sheets(report: dict[str, Any]) -> list[str]:
    """Returns the retrieval sheets."""
    pictures = [f"![Retrieval sheet]({name})" for name in report["sheets"]]
    title = f"## Retrieval sheets{_in_brackets(report['recipe']['sheets_title'])}, random edits"
    return [title, *pictures] if pictures else []


def _localization(report: dict[str, Any]) -> list[str]:
    """Returns the scores of the boxes."""
    found = report["localization"]
    if not found:
        return []
    return ["## Localization", markdown_table(*boxes_table(list(found.items())))]


def _run_time(report: dict[str, Any]) -> list[str]:
    """Returns the paper's run time with our figures."""
    found = report["run_time"]
    if not found:
        return []
    lines = [
        [
            "features of 10,000 images",
            f"{found['extraction_seconds_per_10000']:.0f} s "
            f"({found['extraction_images_per_second']:.0f} images/s)",
            f"{found['paper_extraction_seconds_per_10000']:.0f} s",
        ],
        [
            "regions of all attributes, per image",
            f"{found['regions_ms_per_image']:.2f} ms",
            f"{found['paper_regions_ms_per_image']:.0f} ms",
        ],
    ]
    title = f"## Run time ({found['source']})"
    return [title, markdown_table(["", "here", "paper"], lines), found["note"]]


def _how(report: dict[str, Any]) -> list[str]:
    """Returns protocol, seed, machines, versions and times as a list."""
    lines = list(report["notes"])
    if report["num_resamples"]:
        lines.append(
            f"95 % intervals: {report['num_resamples']:,} bootstrap resamples of the query images, "
            "the same for all rows."
        )
    lines.append(f"Seed of training {report['seed']}.")
    lines += [f"Machine: {machine}." for machine in report["machines"]]
    if report["versions"]:
        lines.append(
            "Versions: " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()) + "."
        )
    lines += _time_lines(report)
    return ["## How it was measured", "\n".join(f"- {line}" for line in lines)]


def _time_lines(report: dict[str, Any]) -> list[str]:
    """Returns the times of training, run by run, and of all steps together."""
    times = {name: seconds for name, seconds in report["times"].items() if seconds is not None}
    if not times:
        return []
    training = [f"{n} {duration(s)}" for n, s in times.items() if n in report["training_steps"]]
    return [f"Training: {', '.join(training)}. All steps: {duration(sum(times.values()))}."]


def _mean(report: dict[str, Any], found: Mapping[str, Any] | None) -> str:
    """Returns the mean that the table compares, with its interval."""
    return "-" if found is None else with_interval(found, report["recipe"]["mean"])


def _change(report: dict[str, Any], found: Mapping[str, Any] | None) -> str:
    """Returns the difference of the means that the table compares, with its interval."""
    return mean_change(found, report["recipe"]["mean"])


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
