"""The report of a reproduction in Markdown."""

from typing import Any

from fashionsearchnet.evaluation.reporting.tables import (
    boxes_table,
    change_text,
    figure_text,
    markdown_table,
    mean_change,
    with_interval,
)
from fashionsearchnet.reproduction.estimate import duration


def markdown(report: dict[str, Any]) -> str:
    """Returns the report of `report.make_report` in Markdown; what is missing is said first."""
    parts = [f"# Table 1 on {report['dataset']}", _state(report)]
    if report["baselines"]:
        parts += _table_1(report) + _per_attribute(report) + _gains(report)
        parts += _predicted(report) + _seeds(report) + _edits(report)
        parts += ["## Top-K over K (Figure 5)", "![Top-K accuracy over K](curve.png)"]
        parts += _sheets(report) + _localization(report)
    parts += _run_time(report) + _how(report)
    return "\n\n".join(parts) + "\n"


def _state(report: dict[str, Any]) -> str:
    """Returns what is still missing, and what has to be made again."""
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
            "made anew since, so that their figures do not belong beside the others."
        )
    return text


def _table_1(report: dict[str, Any]) -> list[str]:
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
    notes = [
        f"Top-{report['k']} accuracy. Baselines: of the network of "
        f"{report['baselines']['network']}. Mean: plain mean over attributes, the paper's Avg."
    ]
    if paper and is_same:
        notes.append(f"Paper: {paper['source']}. {paper['protocol']}. Other queries than ours.")
    elif paper:
        notes.append(
            f"This data set has no published figures. The last column is the paper's average on "
            f"**{paper['title']}**, for orientation only: other images, other attributes. "
            f"{paper['source']}."
        )
    return ["## Table 1", markdown_table(header, lines), " ".join(notes)]


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
    """Returns what each row adds here and in the paper, and whether the order holds."""
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
        line = [gain["lower"], gain["higher"], gain["what"], mean_change(gain["measured"])]
        if has_seeds:
            line.append(", ".join(map(mean_change, gain["other_seeds"].values())) or "-")
        lines.append([*line, change_text(gain["paper"]), gain["verdict"] or "-"])
    judged = [gain["verdict"] for gain in report["gains"] if gain["verdict"]]
    counts = [f"{word}: {judged.count(word)}" for word in dict.fromkeys(judged)]
    return [
        "## What each step adds, and whether the paper's order holds",
        markdown_table(header, lines, num_words=3),
        "The paper's order: AMNet and w/o Rank < Rank < Rank-L < Rank-LG <= Full. "
        + (f"Of its {len(judged)} steps here {'; '.join(counts)}. " if judged else "")
        + "Holds: the whole interval of the paired difference is above zero; does not hold: below; "
        "too close to call: zero lies in it, which the last step, <=, allows for. The intervals "
        "are bootstraps over query images and do not hold the spread of training.",
    ]


def _predicted(report: dict[str, Any]) -> list[str]:
    """Returns each row beside the softmax outputs of its own network."""
    lines = [
        [
            entry["title"],
            with_interval(entry["predicted_attributes"], "mean"),
            mean_change(entry["difference"]),
        ]
        for entry in report["beside_predicted_attributes"]
    ]
    if not lines:
        return []
    header = ["", "predicted attributes of its network", "the row is ahead by (95 %, paired)"]
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
    return [f"## Spread over seeds (mean Top-{report['k']})", markdown_table(header, lines), note]


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
        cells = [_mean_cell(found.get(row["title"])) for found in others]
        lines.append([row["title"], _mean_cell(row["measured"]), *cells])
    for row in report["rows"]:
        cells = [_mean_cell(entry["rows"].get(row["title"])) for entry in measured]
        lines.append([row["title"], _mean_cell(row["measured"]), *cells])
    tried = ", ".join(
        f"{entry['num_manipulations']:,} manipulations of {entry['num_changes']} attributes"
        for entry in measured
    )
    return [
        "## Several edits at once",
        markdown_table(header, lines),
        f"Top-{report['k']}, plain mean over the edited attributes or combinations of them, 95 % "
        f"intervals; {tried}. The paper edits one attribute at a time.",
    ]


def _sheets(report: dict[str, Any]) -> list[str]:
    """Returns the retrieval sheets."""
    pictures = [f"![Retrieval sheet]({name})" for name in report["sheets"]]
    return ["## Retrieval sheets (Figure 6), random edits", *pictures] if pictures else []


def _localization(report: dict[str, Any]) -> list[str]:
    """Returns how well the boxes fit."""
    found = report["localization"]
    if not found:
        return []
    return ["## Localization", markdown_table(*boxes_table(list(found.items())))]


def _run_time(report: dict[str, Any]) -> list[str]:
    """Returns section 4.7 of the paper with our figures."""
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
    note = "The paper's network and 12 attributes; the paper's GPU is a GeForce GTX TITAN X."
    return ["## Run time (section 4.7)", markdown_table(["", "here", "paper"], lines), note]


def _how(report: dict[str, Any]) -> list[str]:
    """Returns protocol, seed, machines, versions and times as a list."""
    lines = []
    how, tried = report["protocol"], report["manipulations"]
    if how:
        most = how["max_manipulations_per_attribute"]
        drawn = f", at most {most:,} drawn per attribute" if most else ""
        lines += [
            f"{how['num_queries']:,} queries (`{how['query_split']}`), {how['num_gallery']:,} "
            f"gallery images (`{how['gallery_split']}`), {tried['number']:,} manipulations{drawn}.",
            f"Hit rule `{how['hit_rule']}`: {how['hit_rule_in_words']}; distance: "
            f"{how['distance']}.",
            f"95 % intervals: {report['num_resamples']:,} bootstrap resamples of the query images, "
            "the same for all rows.",
        ]
    lines.append(f"Seed of training {report['seed']}.")
    lines += [f"Machine: {machine}." for machine in report["machines"]]
    if report["versions"]:
        lines.append(
            "Versions: " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()) + "."
        )
    lines += _time_lines(report)
    return ["## How it was measured", "\n".join(f"- {line}" for line in lines)]


def _time_lines(report: dict[str, Any]) -> list[str]:
    """Returns how long training took, run by run, and all steps together."""
    times = {name: seconds for name, seconds in report["times"].items() if seconds is not None}
    if not times:
        return []
    training = [f"{n} {duration(s)}" for n, s in times.items() if n in report["training_steps"]]
    return [f"Training: {', '.join(training)}. All steps: {duration(sum(times.values()))}."]


def _mean_cell(found: dict[str, Any] | None) -> str:
    return "-" if found is None else with_interval(found, "mean")
