"""The report of an evaluation in words: tables on the screen and in Markdown."""

from typing import Any

from fashionsearchnet.evaluation.reporting.summary import NDCG_RULE
from fashionsearchnet.evaluation.reporting.tables import (
    Table,
    figure_text,
    markdown_table,
    mean_change,
    range_text,
    text_table,
    with_interval,
)

_MAX_COLUMNS = 12  # sets of attributes beside each other in a table


def columns(report: dict[str, Any]) -> list[str]:
    """Returns the groups that have a column of their own in the tables: all of them or none.

    Attributes always have, as in the paper; sets of attributes where they are not too many.
    """
    groups = report["groups"]
    return groups if is_single(report) or len(groups) <= _MAX_COLUMNS else []


def screen_text(report: dict[str, Any]) -> str:
    """Returns what is printed: the tables at the headline K, over K, NDCG and localisation."""
    parts = [_headline(report), text_table(*_group_table(report))]
    parts += [f"Top-K over K, {_mean_name(report)}:", text_table(*_top_k_table(report, "top_k"))]
    parts += [f"NDCG@K, {_mean_name(report)}:", text_table(*_top_k_table(report, "ndcg"))]
    parts += [_difference_title(report), *(_difference_lines(report))]
    if report["localization"]:
        parts += ["Localisation:", text_table(*_localization_table(report))]
    return "\n".join(parts)


def markdown(report: dict[str, Any], curve_file: str) -> str:
    """Returns the report in Markdown.

    Args:
      report: of `summarize`.
      curve_file: file name of the curve, relative to the report.
    """
    k, title = report["headline_k"], f"# {report['system']['name']} on {report['dataset']}"
    if not is_single(report):
        title += f", {report['protocol']['num_changes']} attributes changed at once"
    parts = [title, _headline(report), f"## Top-{k} accuracy per {group_word(report)}"]
    parts += [markdown_table(*_group_table(report)), _means(report)]
    if report["published"]:
        parts.append(
            f"Published rows: {report['published']['source']}. "
            f"{report['published']['protocol']}. Other images and queries than ours."
        )
    if columns(report):
        parts += [f"95 % intervals of Top-{k}:", markdown_table(*_interval_table(report))]
    parts += [
        f"## Top-K over K ({_mean_name(report)})",
        markdown_table(*_top_k_table(report, "top_k")),
        f"![Top-K accuracy over K]({curve_file})",
        f"## NDCG@K ({_mean_name(report)})",
        markdown_table(*_top_k_table(report, "ndcg")),
        NDCG_RULE,
        f"## {_difference_title(report)}",
        "\n".join(f"- {line}" for line in _difference_lines(report)),
    ]
    if report["localization"]:
        parts += ["## Localisation", markdown_table(*_localization_table(report))]
        parts.append(
            "Centre in box: how often the centre of the predicted box lies in the true one; area: "
            "share of the image; whole image: the same scores of a box that covers all of it."
        )
    parts += ["## How it was measured", _protocol_lines(report)]
    return "\n\n".join(parts) + "\n"


def _headline(report: dict[str, Any]) -> str:
    """Returns the lines above the tables: data, sizes, rule."""
    how, tried = report["protocol"], report["manipulations"]
    at_once = "" if is_single(report) else f"of {how['num_changes']} attributes at once "
    return (
        f"{report['dataset']}: {how['num_queries']:,} queries ({how['query_split']}), "
        f"{how['num_gallery']:,} gallery images ({how['gallery_split']}), {tried['number']:,} "
        f"manipulations {at_once}({tried['adding_a_missing_value']:,} give a value to an attribute "
        f"that the query lacks).\nTop-{report['headline_k']}, hit rule {how['hit_rule']}: "
        f"{how['hit_rule_in_words']}."
    )


def is_single(report: dict[str, Any]) -> bool:
    """Returns whether one attribute changes at a time, as in the paper."""
    return bool(report["protocol"]["num_changes"] == 1)


def group_word(report: dict[str, Any], plural: bool = False) -> str:
    """Returns what a group is called: 'attribute', 'set of 2 attributes'; or many of them."""
    s = "s" if plural else ""
    if is_single(report):
        return f"attribute{s}"
    return f"set{s} of {report['protocol']['num_changes']} attributes"


def _mean_name(report: dict[str, Any]) -> str:
    present = sum(number > 0 for number in report["manipulations"]["per_group"].values())
    return f"mean over {present:,} {group_word(report, plural=True)}"


def _means(report: dict[str, Any]) -> str:
    """Returns what the columns "mean" and "queries" are."""
    over = "attributes (the paper's Avg.)"
    if not is_single(report):
        over = "the sets of attributes that change together, each counting the same"
    text = (
        f"mean: plain mean over {over}; queries: mean over all manipulations; "
        "in brackets the 95 % bootstrap interval, query images resampled."
    )
    return text if columns(report) else f"{text} The .json file has each set."


def _group_table(report: dict[str, Any]) -> Table:
    """Returns the main table: Top-K at the headline K for each row and group."""
    k, shown = str(report["headline_k"]), columns(report)
    tried = report["manipulations"]["per_group"]
    header = ["", *shown, "mean", "queries"]
    number = [f"{tried[name]:,}" for name in shown]
    rows = [["manipulations", *number, "", f"{report['manipulations']['number']:,}"]]
    for row in (report["published"] or {"rows": []})["rows"]:
        figures = [figure_text(value) for value in row["per_group"]]
        rows.append([f"published: {row['name']}", *figures, figure_text(row["mean"]), ""])
    for row in report["rows"]:
        result = row["top_k"][k]
        figures = [figure_text(value) for value in result["per_group"][: len(shown)]]
        figures += [with_interval(result, key) for key in ("mean", "queries")]
        rows.append([row["name"], *figures])
    return header, rows


def _interval_table(report: dict[str, Any]) -> Table:
    """Returns the intervals per group at the headline K."""
    key = str(report["headline_k"])
    rows = []
    for row in report["rows"]:
        intervals = row["top_k"][key]["per_group_interval"]
        rows.append([row["name"], *(range_text(interval) for interval in intervals)])
    return ["", *columns(report)], rows


def _top_k_table(report: dict[str, Any], metric: str) -> Table:
    """Returns the mean over groups of `metric` ("top_k" or "ndcg") for each K."""
    keys = [str(k) for k in report["top_k"]]
    rows = [
        [row["name"], *(figure_text(row[metric][key]["mean"]) for key in keys)]
        for row in report["rows"]
    ]
    return ["K", *keys], rows


def _difference_title(report: dict[str, Any]) -> str:
    return f"Paired differences of Top-{report['headline_k']}, {_mean_name(report)}"


def _difference_lines(report: dict[str, Any]) -> list[str]:
    return [
        f"{entry['row']} - {entry['other']}: {mean_change(entry)}"
        for entry in report["differences"]
    ]


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


def _protocol_lines(report: dict[str, Any]) -> str:
    """Returns everything needed to measure the same again, as a Markdown list."""
    how = report["protocol"]
    relation = "none of them a query"
    if how["queries_in_gallery"]:
        relation = "the queries among them, each left out of its own ranking"
    lines = [
        f"Queries: {how['num_queries']:,} images of split `{how['query_split']}`; gallery: "
        f"{how['num_gallery']:,} images of split `{how['gallery_split']}`, {relation}.",
        _manipulation_line(report),
        f"Hit: one of the K nearest by Euclidean distance has the target's attributes; "
        f"`{how['hit_rule']}`: {how['hit_rule_in_words']}.",
        "chance: a random order of the gallery, by formula. unedited query: the gallery "
        "representation of the query image. predicted attributes: softmax outputs with the "
        f"edited {'block' if is_single(report) else 'blocks'} set to one-hot.",
        f"Seed {how['seed']}; {how['num_resamples']:,} bootstrap resamples.",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()) + ".",
        f"System: {report['system']['class']}, "
        + ", ".join(f"{k}={v}" for k, v in report["system"]["arguments"].items())
        + ".",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _manipulation_line(report: dict[str, Any]) -> str:
    """Returns which manipulations were tried, of how many."""
    how, available = report["protocol"], report["manipulations"]["available_per_group"]
    most = how["max_manipulations_per_attribute"]
    what = "one value of a query by another"
    if not is_single(report):
        what = f"exactly {how['num_changes']} values of a query by others"
    number = ", ".join(f"{k} {v:,}" for k, v in available.items())
    if not columns(report):
        present = sum(v > 0 for v in available.values())
        number = f"{sum(available.values()):,} in {present:,} of the {len(available):,} sets"
    text = (
        f"Every replacement of {what} whose target combination exists in the gallery is one "
        f"manipulation; available: {number}. "
        + (
            f"At most {most:,} of each {group_word(report)} were drawn."
            if most
            else "All were tried."
        )
    )
    if how["add_missing"]:
        text += " Values were also given to attributes that a query lacks."
    return text
