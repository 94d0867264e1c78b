"""Puts the reports of several runs into one table, as the paper's Table 1 does for its variants.

  python tools/compare.py --report=runs/garments/rank/evaluation/query.md \\
      --report=runs/garments/rank_l/evaluation/query.md

Prints Markdown: a row per report with the 95 % bootstrap interval of its mean, then what each report
adds to the one before it, paired over the same manipulations, and the mean scores of the boxes where
the data set knows the true ones. All must come from tools/evaluate.py with the same data and rules.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

from pathlib import Path

from absl import flags

from fashionsearchnet import files, scores

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "report", None, "Report (.md, .json or .npz) of a run; repeatable, in order.", required=True
)
flags.DEFINE_multi_string("label", [], "Names of the rows, in the order of --report.")
flags.DEFINE_integer("k", 20, "K of the Top-K accuracy.", 1)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over query images.", 1)
flags.DEFINE_integer("seed", 0, "Of the bootstrap.", 0)


def accuracy_line(name: str, summary: dict) -> str:
    """Returns a Markdown row of the table."""
    cells = ["-" if v is None else f"{v:.3f}" for v in summary["per_attribute"]]
    low, high = summary["mean_interval"]
    cells += [f"**{summary['mean']:.3f}** [{low:.3f}, {high:.3f}]", f"{summary['queries']:.3f}"]
    return f"| {' | '.join([name, *cells])} |"


def box_lines(names: list[str]) -> list[str]:
    """Returns a Markdown table of how well the boxes fit; nothing without true boxes."""
    lines: list[str] = []
    for name, path in zip(names, FLAGS.report, strict=True):
        report = files.read_json(
            Path(path).with_suffix(".json"), "a report", "Run tools/evaluate.py again."
        )
        found = report["localization"] or {}
        if found and not lines:
            whole = [
                f"{row['whole_image_center_in_box']:.3f} / {row['whole_image_iou']:.3f} / 1.000"
                for row in found.values()
            ]
            lines = [
                f"| centre in box / IoU / area | {' | '.join(found)} |",
                f"|---|{'---:|' * len(found)}",
                f"| whole image | {' | '.join(whole)} |",
            ]
        if found:
            cells = [
                f"{row['center_in_box']:.3f} / {row['iou']:.3f} / {row['area']:.3f}"
                for row in found.values()
            ]
            lines.append(f"| {' | '.join([name, *cells])} |")
    return lines


def main() -> None:
    outcomes = [scores.Outcomes.load(path) for path in FLAGS.report]
    for path, other in zip(FLAGS.report[1:], outcomes[1:], strict=True):
        outcomes[0].check_comparable(other, FLAGS.report[0], path)
    names = [*FLAGS.label, *(o.rows[0].name for o in outcomes[len(FLAGS.label) :])]
    grouping = outcomes[0].grouping(FLAGS.num_resamples, FLAGS.seed)
    header = ["", *outcomes[0].attribute_names, "mean", "queries"]
    print(f"| {' | '.join(header)} |\n|---|{'---:|' * (len(header) - 1)}")
    for row in outcomes[0].rows[1:]:
        print(accuracy_line(row.name, scores.summarize(row.success(FLAGS.k), grouping)))
    for name, outcome in zip(names, outcomes, strict=True):
        print(accuracy_line(name, scores.summarize(outcome.row().success(FLAGS.k), grouping)))
    print()
    for i in range(1, len(outcomes)):
        change = outcomes[i].row().success(FLAGS.k) - outcomes[i - 1].row().success(FLAGS.k)
        summary = scores.summarize(change, grouping)
        low, high = summary["mean_interval"]
        print(f"- {names[i]} - {names[i - 1]}: {summary['mean']:+.3f} [{low:+.3f}, {high:+.3f}]")
    print("\n" + "\n".join(box_lines(names)))


if __name__ == "__main__":
    command.run(main)
