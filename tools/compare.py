"""Puts the reports of several runs into one table, as the paper's Table 1 does for its variants.

  python tools/compare.py --report=runs/garments/rank/evaluation/query.md \\
      --report=runs/garments/rank_l/evaluation/query.md

Prints Markdown: a row per report with the 95 % bootstrap intervals of its means; what each report
adds to the one before it, paired over the same questions; and how well the boxes fit, where the
data set knows the true ones. All must come from tools/evaluate.py with the same task, data and
rules, also the same --num_changes.
"""

import itertools
from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "report", None, "Report (.md, .json or .npz) of a run; repeatable, in order.", required=True
)
flags.DEFINE_multi_string("label", [], "Names of the rows, in the order of --report.")
flags.DEFINE_integer(
    "k",
    None,
    "K of the figure; among the --top_k of each report. By default that of the first report's main "
    "table.",
    1,
)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over query images.", 1)
flags.DEFINE_integer("seed", 0, "Of the bootstrap of the differences.", 0)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet import files
from fashionsearchnet.evaluation import scores
from fashionsearchnet.evaluation.reporting import summary, tables


def read_report(path: str) -> dict[str, Any]:
    """Returns the content of a report."""
    return files.read_json(
        Path(path).with_suffix(".json"), "a report", "Point to one that tools/evaluate.py wrote."
    )


def chosen_figure(reports: list[dict[str, Any]]) -> scores.Figure:
    """Returns what is compared: the figure of the main table, at --k where it has a K."""
    figure = summary.headline(reports[0])
    if figure.k is None:
        if FLAGS.k:
            raise ValueError(f"--k is for figures at a K; the reports are of {figure.title}.")
        return figure
    figure = scores.Figure(figure.metric, FLAGS.k or figure.k)
    for report in reports:
        if figure.k not in report["top_k"]:
            raise ValueError(
                f"--k must be among the --top_k of each report; that of "
                f"{report['system']['name']!r} has {', '.join(map(str, report['top_k']))}, not "
                f"{figure.k}."
            )
    return figure


def figures_table(
    names: list[str], reports: list[dict[str, Any]], own: list[str], figure: scores.Figure
) -> str:
    """Returns a Markdown table of the baselines of the first report and the row of each.

    `own` is what each report calls its system's row, `names` what the table calls it.
    """
    columns, means = summary.columns(reports[0]), summary.mean_names(reports[0])
    found = [{row["name"]: row for row in report["rows"]} for report in reports]
    named = [(name, found[0][name]) for name in scores.BASELINES if name in found[0]]
    named += [(name, rows[key]) for name, key, rows in zip(names, own, found, strict=True)]
    lines = []
    for name, row in named:
        values = summary.figures_of(row, figure)
        shown = [tables.figure_text(value) for value in values["per_group"][: len(columns)]]
        lines.append([name, *shown, *(tables.with_interval(values, key) for key in means)])
    return tables.markdown_table([figure.short, *columns, *means.values()], lines)


def difference_table(
    names: list[str],
    outcomes: list[scores.Outcomes],
    report: dict[str, Any],
    figure: scores.Figure,
) -> str:
    """Returns a Markdown table of what each run adds to the one before it.

    `report` is that of the first run.
    """
    columns, means = summary.columns(report), summary.mean_names(report)
    grouping = outcomes[0].grouping(FLAGS.num_resamples, FLAGS.seed)
    lines = []
    for (lower, before), (higher, after) in itertools.pairwise(zip(names, outcomes, strict=True)):
        found = scores.difference(after.row(), before.row(), figure, grouping)
        pairs = zip(found["per_group"], found["per_group_interval"], strict=True)
        cells = [tables.change_with_interval(*pair) for pair in pairs][: len(columns)]
        cells += [tables.mean_change(found, key) for key in means]
        lines.append([f"{higher} - {lower}", *cells])
    return tables.markdown_table(["paired difference", *columns, *means.values()], lines)


def main() -> None:
    if len(FLAGS.label) > len(FLAGS.report):
        raise ValueError(
            f"--label names the rows of --report in order, but there are {len(FLAGS.label)} labels "
            f"for {len(FLAGS.report)} reports. Remove a --label or add its --report."
        )
    reports = [read_report(path) for path in FLAGS.report]
    outcomes = [scores.Outcomes.load(path) for path in FLAGS.report]
    for path, other in zip(FLAGS.report[1:], outcomes[1:], strict=True):
        outcomes[0].check_comparable(other, FLAGS.report[0], path)
    own = [outcome.row().name for outcome in outcomes]
    names = [*FLAGS.label, *own[len(FLAGS.label) :]]
    figure = chosen_figure(reports)
    parts = [figures_table(names, reports, own, figure)]
    if len(reports) > 1:
        parts.append(difference_table(names, outcomes, reports[0], figure))
    found = zip(names, (report["localization"] for report in reports), strict=True)
    boxes = [(name, localization) for name, localization in found if localization]
    if boxes:
        parts.append(tables.markdown_table(*tables.boxes_table(boxes)))
    print("\n\n".join(parts))


if __name__ == "__main__":
    command.run(main)
