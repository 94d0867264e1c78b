"""The sections of a report: tables and sentences, for the screen and in Markdown."""

from collections.abc import Mapping
from typing import Any

from fashionsearchnet.evaluation.reporting.summary import (
    columns,
    counts,
    figures_of,
    headline,
    mean_names,
    task_of,
)
from fashionsearchnet.evaluation.reporting.tables import (
    Table,
    figure_text,
    markdown_table,
    mean_change,
    range_text,
    text_table,
    with_interval,
)
from fashionsearchnet.evaluation.scores import METRICS, Figure


def screen_text(report: dict[str, Any]) -> str:
    """Words a report for the screen: main table, other metrics, differences, localisation."""
    figure = headline(report)
    parts = [report["words"]["headline"], text_table(*_group_table(report, figure))]
    for metric in _others(report):
        parts += [f"{Figure(metric).short}, {_mean_words(report)}:"]
        parts += [text_table(*_metric_table(report, metric))]
    parts += [f"{_difference_title(report)}:", text_table(*_difference_table(report))]
    if report["localization"]:
        parts += ["Localisation:", text_table(*_localization_table(report))]
    return "\n".join(parts)


def markdown(report: dict[str, Any], curve_file: str) -> str:
    """Words a report of `summarize` in Markdown; `curve_file` is the name of the picture."""
    figure, words = headline(report), report["words"]
    title = f"# {report['system']['name']} on {report['dataset']}"
    per_group = f" per {words['per_group']}" if words["per_group"] else ""
    parts = [f"{title}, {words['title']}" if words["title"] else title, words["headline"]]
    parts += [f"## {figure.title}{per_group}"]
    parts += [markdown_table(*_group_table(report, figure)), _means(report)]
    parts += [
        f"Published rows: {table['source']}. {table['protocol']}. Images and queries may "
        "be others than ours."
        for table in report["published"]
    ]
    if columns(report):
        intervals = _interval_table(report)
        parts += [f"95 % intervals of {figure.short}:", markdown_table(*intervals)]
    for metric in _others(report):
        parts += [f"## {Figure(metric).title}, {_mean_words(report)}"]
        parts += [markdown_table(*_metric_table(report, metric))]
        if metric == report["curve_metric"]:
            parts += [f"![{Figure(metric).title} over K]({curve_file})"]
    parts += [METRICS[metric].rule for metric in report["metrics"] if METRICS[metric].rule]
    parts += [f"## {_difference_title(report)}", markdown_table(*_difference_table(report))]
    if report["localization"]:
        parts += ["## Localisation", markdown_table(*_localization_table(report))]
        parts += [
            "Centre in box: how often the centre of the predicted box lies in the true one; area: "
            "share of the image; whole image: the same scores of a box that covers all of it."
        ]
    parts += ["## How it was measured", "\n".join(f"- {line}" for line in _notes(report))]
    return "\n\n".join(parts) + "\n"


def _others(report: dict[str, Any]) -> list[str]:
    """Lists the metrics with a table of their own below the main table."""
    figure = headline(report)
    return [name for name in report["metrics"] if name != figure.metric or figure.k is not None]


def _is_one_group(report: dict[str, Any]) -> bool:
    return len(report["groups"]) == 1


def _mean_words(report: dict[str, Any]) -> str:
    """Says what a mean is over."""
    if _is_one_group(report):
        questions = "manipulations" if task_of(report) == "manipulation" else "queries"
        return f"mean over {counts(report)['number']:,} {questions}"
    present = sum(number > 0 for number in counts(report)["per_group"].values())
    return f"{' / '.join(mean_names(report).values())} over {present:,} {report['words']['groups']}"


def _means(report: dict[str, Any]) -> str:
    """Says what the columns of means are."""
    rest = "" if columns(report) or _is_one_group(report) else " The .json file has each set."
    return (
        f"The means: {report['words']['means']}; in brackets the 95 % bootstrap interval, query "
        f"images resampled.{rest}"
    )


def _group_table(report: dict[str, Any], figure: Figure) -> Table:
    """Returns a figure of each row: per group, and its means."""
    shown, means = columns(report), mean_names(report)
    number = counts(report)
    rows = [["number", *(f"{number['per_group'][name]:,}" for name in shown)]]
    rows[0] += [""] * (len(means) - 1) + [f"{number['number']:,}"]
    if figure == headline(report):
        for row in (row for table in report["published"] for row in table["rows"]):
            figures = [figure_text(value) for value in row["per_group"][: len(shown)]]
            rows.append([f"published: {row['name']}", *figures, *_published_means(row, means)])
    for row in report["rows"]:
        found = figures_of(row, figure)
        figures = [figure_text(value) for value in found["per_group"][: len(shown)]]
        rows.append([row["name"], *figures, *(with_interval(found, key) for key in means)])
    return ["", *shown, *means.values()], rows


def _published_means(row: dict[str, Any], means: Mapping[str, str]) -> list[str]:
    """Returns the cells of means of a published row: the paper's mean below what it is over.

    The plain mean of a row with a figure for each group is beside a mean over queries.
    """
    if len(means) == 1:
        return [figure_text(row["mean"])]
    if not row.get("over_queries"):
        return [figure_text(row["mean"]) if key == "mean" else "" for key in means]
    figures = row["per_group"]
    plain = "" if None in figures else figure_text(sum(figures) / len(figures))
    return [plain if key == "mean" else figure_text(row["mean"]) for key in means]


def _interval_table(report: dict[str, Any]) -> Table:
    """Returns the intervals of the headline per group."""
    rows = []
    for row in report["rows"]:
        intervals = figures_of(row, headline(report))["per_group_interval"]
        rows.append([row["name"], *(range_text(interval) for interval in intervals)])
    return ["", *columns(report)], rows


def _metric_table(report: dict[str, Any], metric: str) -> Table:
    """Returns the means of a metric over K, or its table per group if it has no K."""
    if "per_group" in report["rows"][0][metric]:
        return _group_table(report, Figure(metric))
    rows = []
    for row in report["rows"]:
        found = [figures_of(row, Figure(metric, k)) for k in report["top_k"]]
        cells = [" / ".join(figure_text(f[key]) for key in mean_names(report)) for f in found]
        rows.append([row["name"], *cells])
    return ["K", *map(str, report["top_k"])], rows


def _difference_title(report: dict[str, Any]) -> str:
    return f"Paired differences of {headline(report).short}"


def _difference_table(report: dict[str, Any]) -> Table:
    """Compares the system with each other row, in the mean."""
    means = mean_names(report)
    rows = [
        [f"{found['row']} - {found['other']}", *(mean_change(found, key) for key in means)]
        for found in report["differences"]
    ]
    return ["", *means.values()], rows


def _localization_table(report: dict[str, Any]) -> Table:
    """Returns the scores of the boxes per attribute."""
    scored = {
        "centre in box": "center_in_box",
        "IoU": "iou",
        "area": "area",
        "true area": "true_area",
        "whole image: centre": "whole_image_center_in_box",
        "whole image: IoU": "whole_image_iou",
    }
    rows = [
        [name, f"{entry['images']:,.0f}", *(figure_text(entry[key]) for key in scored.values())]
        for name, entry in report["localization"].items()
    ]
    return ["", "images", *scored], rows


def _notes(report: dict[str, Any]) -> list[str]:
    """Lists everything needed to measure the same again."""
    how, system = report["protocol"], report["system"]
    arguments = ", ".join(f"{name}={value}" for name, value in system["arguments"].items())
    return [
        *report["words"]["notes"],
        f"Seed {how['seed']}; {how['num_resamples']:,} bootstrap resamples.",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()) + ".",
        f"System: {system['class']}, {arguments}.",
    ]
