"""Puts the reports of several runs into one table, as the paper's Table 1 does for its variants.

  python tools/compare.py --report=runs/garments/rank/evaluation/query.md \\
      --report=runs/garments/rank_l/evaluation/query.md

Prints Markdown: a row per report with the 95 % bootstrap interval of its mean; what each report
adds to the one before it, paired over the same manipulations; and how well the boxes fit, where
the data set knows the true ones. All must come from tools/evaluate.py with the same data and rules,
also the same --num_changes.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

import itertools
from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import files
from fashionsearchnet.evaluation import reporting, scores
from fashionsearchnet.evaluation.reporting import tables

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "report", None, "Report (.md, .json or .npz) of a run; repeatable, in order.", required=True
)
flags.DEFINE_multi_string("label", [], "Names of the rows, in the order of --report.")
flags.DEFINE_integer("k", 20, "K of the Top-K accuracy; among the --top_k of each report.", 1)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over query images.", 1)
flags.DEFINE_integer("seed", 0, "Of the bootstrap of the differences.", 0)


def read_report(path: str) -> dict[str, Any]:
    """Returns the content of a report."""
    return files.read_json(
        Path(path).with_suffix(".json"), "a report", "Point to one that tools/evaluate.py wrote."
    )


def accuracy_row(name: str, row: dict[str, Any], num_columns: int) -> list[str]:
    """Returns a row of the table of accuracies: so many groups, mean and queries."""
    if str(FLAGS.k) not in row["top_k"]:
        raise ValueError(
            f"--k must be among the --top_k of each report; row {name!r} has "
            f"{', '.join(row['top_k'])}, not {FLAGS.k}."
        )
    found = row["top_k"][str(FLAGS.k)]
    shown = [tables.figure_text(value) for value in found["per_group"][:num_columns]]
    return [name, *shown, tables.with_interval(found, "mean"), tables.figure_text(found["queries"])]


def accuracy_table(
    names: list[str], reports: list[dict[str, Any]], own: list[str], columns: list[str]
) -> str:
    """Returns a Markdown table of the baselines of the first report and the row of each.

    Args:
      names: of the rows.
      reports: of the runs.
      own: what each report calls its system's row.
      columns: the groups that have a column; all or none.
    """
    found = [{row["name"]: row for row in report["rows"]} for report in reports]
    named = [(name, found[0][name]) for name in scores.BASELINES]
    named += [(name, rows[key]) for name, key, rows in zip(names, own, found, strict=True)]
    lines = [accuracy_row(name, row, len(columns)) for name, row in named]
    return tables.markdown_table(["", *columns, "mean", "queries"], lines)


def difference_table(names: list[str], outcomes: list[scores.Outcomes], columns: list[str]) -> str:
    """Returns a Markdown table of what each run adds to the one before it.

    Args:
      names: of the runs, two or more.
      outcomes: of the runs.
      columns: the groups that have a column; all or none.
    """
    grouping = outcomes[0].grouping(FLAGS.num_resamples, FLAGS.seed)
    lines = []
    for (lower, before), (higher, after) in itertools.pairwise(zip(names, outcomes, strict=True)):
        found = scores.top_k_difference(after.row(), before.row(), FLAGS.k, grouping)
        pairs = zip(found["per_group"], found["per_group_interval"], strict=True)
        cells = [tables.change_with_interval(*pair) for pair in pairs][: len(columns)]
        lines.append([f"{higher} - {lower}", *cells, tables.mean_change(found)])
    return tables.markdown_table(["paired difference", *columns, "mean"], lines)


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
    columns = reporting.columns(reports[0])
    parts = [accuracy_table(names, reports, own, columns)]
    if len(reports) > 1:
        parts.append(difference_table(names, outcomes, columns))
    found = zip(names, (report["localization"] for report in reports), strict=True)
    boxes = [(name, localization) for name, localization in found if localization]
    if boxes:
        parts.append(tables.markdown_table(*tables.boxes_table(boxes)))
    print("\n\n".join(parts))


if __name__ == "__main__":
    command.run(main)
