"""Puts the reports of several runs into one table, as the paper's Table 1 does for its variants.

  python tools/compare.py --report=runs/garments/rank/evaluation/query.md \\
      --report=runs/garments/rank_l/evaluation/query.md

Prints Markdown: a row per report with the 95 % bootstrap interval of its mean; what each report
adds to the one before it, paired over the same manipulations; and how well the boxes fit, where
the data set knows the true ones. All must come from tools/evaluate.py with the same data and rules,
also the same --num_changes.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import files, reporting, scores

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "report", None, "Report (.md, .json or .npz) of a run; repeatable, in order.", required=True
)
flags.DEFINE_multi_string("label", [], "Names of the rows, in the order of --report.")
flags.DEFINE_integer("k", 20, "K of the Top-K accuracy; one of the reports' --top_k.", 1)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over query images.", 1)
flags.DEFINE_integer("seed", 0, "Of the bootstrap of the differences.", 0)


def read_report(path: str) -> dict[str, Any]:
    """Returns the content of a report."""
    return files.read_json(
        Path(path).with_suffix(".json"), "a report", "Point to one that tools/evaluate.py wrote."
    )


def accuracy_line(name: str, row: dict[str, Any], num_columns: int) -> str:
    """Returns a Markdown row of the table of accuracies: so many groups, mean and queries."""
    if str(FLAGS.k) not in row["top_k"]:
        raise ValueError(f"--k must be one of {', '.join(row['top_k'])}; got {FLAGS.k}.")
    found = row["top_k"][str(FLAGS.k)]
    shown = found["per_group"][:num_columns]
    cells = ["-" if value is None else f"{value:.3f}" for value in shown]
    low, high = found["mean_interval"]
    cells += [f"**{found['mean']:.3f}** [{low:.3f}, {high:.3f}]", f"{found['queries']:.3f}"]
    return f"| {' | '.join([name, *cells])} |"


def box_lines(names: list[str], reports: list[dict[str, Any]]) -> list[str]:
    """Returns a Markdown table of how well the boxes fit; nothing without true boxes."""
    lines: list[str] = []
    for name, report in zip(names, reports, strict=True):
        found = report["localization"] or {}
        if found and not lines:
            lines = [
                f"| centre in box / IoU / area | {' | '.join(found)} |",
                f"|---|{'---:|' * len(found)}",
                _box_line("whole image", found, "whole_image_"),
            ]
        if found:
            lines.append(_box_line(name, found, ""))
    return lines


def _box_line(name: str, found: dict[str, dict[str, float]], prefix: str) -> str:
    cells = [
        f"{row[prefix + 'center_in_box']:.3f} / {row[prefix + 'iou']:.3f} / "
        f"{1.0 if prefix else row['area']:.3f}"
        for row in found.values()
    ]
    return f"| {' | '.join([name, *cells])} |"


def difference_lines(
    names: list[str], outcomes: list[scores.Outcomes], columns: list[str]
) -> list[str]:
    """Returns a Markdown table of what each run adds to the one before it.

    Args:
      names: of the runs.
      outcomes: of the runs.
      columns: the groups that have a column; all or none.
    """
    if len(outcomes) < 2:
        return []
    grouping = outcomes[0].grouping(FLAGS.num_resamples, FLAGS.seed)
    header = ["paired difference", *columns, "mean"]
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    for i in range(1, len(outcomes)):
        change = outcomes[i].row().success(FLAGS.k) - outcomes[i - 1].row().success(FLAGS.k)
        found = scores.summarize(change, grouping)
        shown = slice(len(columns))
        values = [*found["per_group"][shown], found["mean"]]
        intervals = [*found["per_group_interval"][shown], found["mean_interval"]]
        cells = [
            "-" if value is None else f"{value:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}]"
            for value, interval in zip(values, intervals, strict=True)
        ]
        lines.append(f"| {' | '.join([f'{names[i]} - {names[i - 1]}', *cells])} |")
    return lines


def main() -> None:
    reports = [read_report(path) for path in FLAGS.report]
    outcomes = [scores.Outcomes.load(path) for path in FLAGS.report]
    for path, other in zip(FLAGS.report[1:], outcomes[1:], strict=True):
        outcomes[0].check_comparable(other, FLAGS.report[0], path)
    own = [outcome.row().name for outcome in outcomes]
    names = [*FLAGS.label, *own[len(FLAGS.label) :]]
    rows = [{row["name"]: row for row in report["rows"]} for report in reports]
    columns = reporting.columns(reports[0])
    header = ["", *columns, "mean", "queries"]
    print(f"| {' | '.join(header)} |\n|---|{'---:|' * (len(header) - 1)}")
    for name in scores.BASELINES:
        print(accuracy_line(name, rows[0][name], len(columns)))
    for name, key, found in zip(names, own, rows, strict=True):
        print(accuracy_line(name, found[key], len(columns)))
    print("\n" + "\n".join(difference_lines(names, outcomes, columns)))
    print("\n" + "\n".join(box_lines(names, reports)))


if __name__ == "__main__":
    command.run(main)
