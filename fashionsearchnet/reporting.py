"""Reports of an evaluation: tables on the screen and in Markdown, JSON, and the curve over K."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet import files, protocol, published, scores
from fashionsearchnet.evaluation import Evaluation

_NDCG_RULE = (
    "NDCG@K: relevance is the share of attributes that match the target, gain 2^relevance - 1, "
    "discount log2(rank + 1), the ideal is K images that match in all (the definition of ADDE)."
)
_MAX_COLUMNS = 12  # sets of attributes beside each other in a table
Table = tuple[list[str], list[list[str]]]  # header, rows


def write_report(
    evaluation: Evaluation, folder: str | os.PathLike[str], name: str
) -> dict[str, Path]:
    """Writes `<name>.json`, `.md`, `.png` (curve) and `.npz` (outcomes) into `folder`.

    Returns:
      The paths by suffix: "json", "md", "png", "npz".
    """
    paths = {suffix: Path(folder) / f"{name}.{suffix}" for suffix in ("json", "md", "png", "npz")}
    report = summarize(evaluation)
    evaluation.outcomes.save(paths["npz"])
    draw_curve(report, paths["png"])
    files.write_text(paths["md"], markdown(report, paths["png"].name))
    files.write_json(paths["json"], report)  # last: its presence says that all are there
    return paths


def summarize(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the whole report as what JSON can hold."""
    settings, manipulations = evaluation.settings, evaluation.manipulations
    grouping = evaluation.outcomes.grouping(settings.num_resamples, settings.seed)
    names = evaluation.outcomes.group_names
    curve_k = list(range(1, max(settings.top_k) + 1))
    tried = np.bincount(manipulations.group, minlength=len(names)).tolist()
    return {
        "dataset": evaluation.dataset,
        "system": evaluation.system,
        "versions": evaluation.versions,
        "attributes": list(evaluation.space.names),
        "groups": list(names),
        "protocol": {
            "query_split": settings.query_split,
            "gallery_split": settings.gallery_split,
            "num_queries": evaluation.num_queries,
            "num_gallery": evaluation.num_gallery,
            "hit_rule": settings.hit_rule,
            "hit_rule_in_words": protocol.HIT_RULES[settings.hit_rule],
            "distance": "Euclidean",
            "add_missing": settings.add_missing,
            "num_changes": settings.num_changes,
            "max_manipulations_per_attribute": settings.max_manipulations_per_attribute,
            "seed": settings.seed,
            "num_resamples": settings.num_resamples,
            "ndcg": _NDCG_RULE,
        },
        "manipulations": {
            "number": len(manipulations),
            "adding_a_missing_value": manipulations.num_added,
            "per_group": dict(zip(names, tried, strict=True)),
            "available_per_group": dict(zip(names, manipulations.num_available, strict=True)),
        },
        "top_k": list(settings.top_k),
        "headline_k": settings.headline_k,
        "rows": [_row(row, settings.top_k, curve_k, grouping) for row in evaluation.rows],
        "differences": _differences(evaluation, grouping),
        "published": _published(evaluation),
        "localization": evaluation.localization,
    }


def columns(report: dict[str, Any]) -> list[str]:
    """Returns the groups that have a column of their own in the tables: all of them or none.

    Attributes always have, as in the paper; sets of attributes where they are not too many.
    """
    groups = report["groups"]
    return groups if _is_single(report) or len(groups) <= _MAX_COLUMNS else []


def screen_text(report: dict[str, Any]) -> str:
    """Returns what is printed: the tables at the headline K, over K, NDCG and localisation."""
    parts = [_headline(report), _text_table(*_group_table(report))]
    parts += [f"Top-K over K, {_mean_name(report)}:", _text_table(*_top_k_table(report, "top_k"))]
    parts += [f"NDCG@K, {_mean_name(report)}:", _text_table(*_top_k_table(report, "ndcg"))]
    parts += [_difference_title(report), *(_difference_lines(report))]
    if report["localization"]:
        parts += ["Localisation:", _text_table(*_localization_table(report))]
    return "\n".join(parts)


def markdown(report: dict[str, Any], curve_file: str) -> str:
    """Returns the report in Markdown.

    Args:
      report: of `summarize`.
      curve_file: file name of the curve, relative to the report.
    """
    k, title = report["headline_k"], f"# {report['system']['name']} on {report['dataset']}"
    if not _is_single(report):
        title += f", {report['protocol']['num_changes']} attributes changed at once"
    parts = [title, _headline(report), f"## Top-{k} accuracy per {_group_word(report)}"]
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
        _NDCG_RULE,
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


def draw_curve(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws mean Top-K accuracy over K for all rows (as Figure 5 of [Ak21]) as a PNG file."""
    from matplotlib.figure import Figure  # slow to import, and needed here only

    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    # Best first, so that the legend reads in the order of the lines.
    rows = sorted(report["rows"], key=lambda row: -row["curve"][-1])
    styles = dict(zip(scores.BASELINES, (":", "-.", "--"), strict=True))
    greys = dict(zip(scores.BASELINES, ("0.65", "0.5", "0.3"), strict=True))
    for row in rows:
        name = row["name"]
        is_own = name == report["system"]["name"]
        axes.plot(
            range(1, len(row["curve"]) + 1),
            row["curve"],
            label=name,
            linestyle=styles.get(name, "-"),
            color="tab:red" if is_own else greys.get(name),
            linewidth=2.2 if is_own else 1.5,
        )
    axes.axvline(report["headline_k"], color="0.85", linewidth=1, zorder=0)
    mean = f"mean over {_group_word(report, plural=True)}"
    axes.set(xlabel="K", ylabel=f"Top-K accuracy ({mean})", title=report["dataset"])
    axes.set_xlim(1, max(2, len(rows[0]["curve"])))
    axes.set_ylim(0, min(1.0, 1.08 * rows[0]["curve"][-1] + 0.02))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
    with files.replace_file(path) as temporary:
        figure.savefig(temporary)


def _row(
    row: scores.Row, top_k: Sequence[int], curve_k: Sequence[int], grouping: scores.Grouping
) -> dict[str, Any]:
    """Returns all figures of one row."""
    ndcg = zip(top_k, row.ndcg.T, strict=True)
    return {
        "name": row.name,
        "top_k": {str(k): scores.summarize(row.success(k), grouping) for k in top_k},
        "ndcg": {str(k): scores.summarize(values, grouping) for k, values in ndcg},
        "curve": scores.curve(row, grouping, curve_k),
    }


def _differences(evaluation: Evaluation, grouping: scores.Grouping) -> list[dict[str, Any]]:
    """Returns the paired differences of the system, the last row, from all others."""
    k, own = evaluation.settings.headline_k, evaluation.rows[-1]
    return [
        {
            "row": own.name,
            "other": other.name,
            "k": k,
            **scores.summarize(own.success(k) - other.success(k), grouping),
        }
        for other in evaluation.rows[:-1]
    ]


def _published(evaluation: Evaluation) -> dict[str, Any] | None:
    """Returns the paper's rows on this data set in the order of our attributes, if there are."""
    table, settings = published.table_for(evaluation.dataset), evaluation.settings
    if table is None or table.k != settings.headline_k or settings.num_changes != 1:
        return None
    rows = [
        {"name": name, "per_group": table.aligned(name, evaluation.space.names), "mean": mean}
        for name, (_, mean) in table.rows.items()
    ]
    return {"source": table.source, "protocol": table.protocol, "k": table.k, "rows": rows}


def _headline(report: dict[str, Any]) -> str:
    """Returns the lines above the tables: data, sizes, rule."""
    how, tried = report["protocol"], report["manipulations"]
    at_once = "" if _is_single(report) else f"of {how['num_changes']} attributes at once "
    return (
        f"{report['dataset']}: {how['num_queries']:,} queries ({how['query_split']}), "
        f"{how['num_gallery']:,} gallery images ({how['gallery_split']}), {tried['number']:,} "
        f"manipulations {at_once}({tried['adding_a_missing_value']:,} give a value to an attribute "
        f"that the query lacks).\nTop-{report['headline_k']}, hit rule {how['hit_rule']}: "
        f"{how['hit_rule_in_words']}."
    )


def _is_single(report: dict[str, Any]) -> bool:
    """Returns whether one attribute changes at a time, as in the paper."""
    return bool(report["protocol"]["num_changes"] == 1)


def _group_word(report: dict[str, Any], plural: bool = False) -> str:
    """Returns what a group is called: 'attribute', 'set of 2 attributes'; or many of them."""
    s = "s" if plural else ""
    if _is_single(report):
        return f"attribute{s}"
    return f"set{s} of {report['protocol']['num_changes']} attributes"


def _mean_name(report: dict[str, Any]) -> str:
    present = sum(number > 0 for number in report["manipulations"]["per_group"].values())
    return f"mean over {present:,} {_group_word(report, plural=True)}"


def _means(report: dict[str, Any]) -> str:
    """Returns what the columns "mean" and "queries" are."""
    over = "attributes (the paper's Avg.)"
    if not _is_single(report):
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
        rows.append([row["name"], *(_range(interval) for interval in intervals)])
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
        f"{entry['row']} - {entry['other']}: {entry['mean']:+.3f} "
        f"[{entry['mean_interval'][0]:+.3f}, {entry['mean_interval'][1]:+.3f}]"
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
    lines = [
        f"Queries: {how['num_queries']:,} images of split `{how['query_split']}`; gallery: "
        f"{how['num_gallery']:,} images of split `{how['gallery_split']}`, none of them a query.",
        _manipulation_line(report),
        f"Hit: one of the K nearest by Euclidean distance has the target's attributes; "
        f"`{how['hit_rule']}`: {how['hit_rule_in_words']}.",
        "chance: a random order of the gallery, by formula. unedited query: the gallery "
        "representation of the query image. predicted attributes: softmax outputs with the "
        f"edited {'block' if _is_single(report) else 'blocks'} set to one-hot.",
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
    if not _is_single(report):
        what = f"exactly {how['num_changes']} values of a query by others"
    number = ", ".join(f"{k} {v:,}" for k, v in available.items())
    if not columns(report):
        present = sum(v > 0 for v in available.values())
        number = f"{sum(available.values()):,} in {present:,} of the {len(available):,} sets"
    text = (
        f"Every replacement of {what} whose target combination exists in the gallery is one "
        f"manipulation; available: {number}. "
        + (
            f"At most {most:,} of each {_group_word(report)} were drawn."
            if most
            else "All were tried."
        )
    )
    if how["add_missing"]:
        text += " Values were also given to attributes that a query lacks."
    return text


def report_name(query_split: str, num_changes: int) -> str:
    """Returns what the report of an evaluation is called, without suffix."""
    return query_split if num_changes == 1 else f"{query_split}_{num_changes}_changes"


def figure_text(value: float | None) -> str:
    """Returns a figure as the tables show it, '-' for none."""
    return "-" if value is None else f"{value:.3f}"


def _range(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"


def with_interval(result: dict[str, Any], key: str) -> str:
    """Returns one of the means of `scores.summarize` with its interval."""
    low, high = result[f"{key}_interval"]
    return f"{result[key]:.3f} [{low:.3f}, {high:.3f}]"


def _text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table for a screen: first column to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], ""])


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], num_words: int = 1) -> str:
    """Returns a table in Markdown: `num_words` columns of words, then figures to the right."""
    rule = ["---"] * num_words + ["---:"] * (len(header) - num_words)
    lines = [header, rule, *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)
