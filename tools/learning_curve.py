"""Measures how accuracy grows with the number of training photos.

  python tools/learning_curve.py --dataset=catalogue/my_shop --sizes=250,500,1000,2000,5000
  python tools/learning_curve.py --dataset=catalogue/my_shop --sizes=500,5000 --row=ours \\
      --flags_dir=flags/catalogue --title="from scratch"

Each size trains all stages of a row on the first so many photos of the training split, and measures
it on a gallery that knows its labels; the report has the rows without labels too. Every step is a
command of tools/, printed first. To resume, give the same command again. Calls that differ in row
or sizes add to the same curve, <runs_dir>/learning_curve.{md,json,svg}.
"""

import shlex
import subprocess
import sys
from pathlib import Path

from absl import flags

from fashionsearchnet import command

ROOT = Path(__file__).parents[1]

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("dataset", None, "Data set below --data_dir.", required=True)
flags.DEFINE_list("sizes", ["250", "500", "1000", "2000", "5000"], "Numbers of training photos.")
flags.DEFINE_string("row", "ours_pooled", "Row of the recipe to train; see tools/reproduce.py.")
flags.DEFINE_string("title", "pretrained", "Of the curve.")
flags.DEFINE_string(
    "flags_dir",
    "",
    "Folder of the stages' flagfiles; by default flags/<first part of --dataset>/pretrained.",
)
flags.DEFINE_string("runs_dir", "", "Folder of all runs; by default runs/learning_curve/<dataset>.")
flags.DEFINE_integer("max_manipulations_per_attribute", 1000, "Measure so many of each, drawn.", 1)
flags.DEFINE_string(
    "generic_vectors", "", "Pretrained network whose own vectors get a row; see tools/evaluate.py."
)
flags.DEFINE_list(
    "label_blend",
    None,
    "Share of the label in each block; see tools/evaluate.py, whose default holds.",
)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.checks import whole_numbers
from fashionsearchnet.reproduction.learning_curve import Point, make_point, write_learning_curve
from fashionsearchnet.reproduction.plan import Experiment
from fashionsearchnet.systems.recipes import RECIPES


def points_of_flags() -> list[Point]:
    """Returns the points that the flags ask for."""
    folder = ROOT / "flags" / FLAGS.dataset.split("/")[0] / "pretrained"
    experiment = Experiment(
        recipe=RECIPES["fashionsearchnet_v2"],
        dataset=FLAGS.dataset,
        data_dir=Path(FLAGS.data_dir).expanduser(),
        runs_dir=runs_dir(),
        flags_dir=Path(FLAGS.flags_dir or folder).expanduser(),
    )
    evaluation = [f"--max_manipulations_per_attribute={FLAGS.max_manipulations_per_attribute}"]
    if FLAGS.generic_vectors:
        evaluation.append(f"--generic_vectors={FLAGS.generic_vectors}")
    if FLAGS.label_blend:
        evaluation.append(f"--label_blend={','.join(FLAGS.label_blend)}")
    sizes = sorted(set(whole_numbers("sizes", FLAGS.sizes, 2)))
    return [make_point(experiment, FLAGS.row, size, FLAGS.title, evaluation) for size in sizes]


def runs_dir() -> Path:
    """Returns the folder of all runs."""
    return Path(FLAGS.runs_dir or f"runs/learning_curve/{FLAGS.dataset}").expanduser()


def main() -> None:
    points = points_of_flags()
    for point in points:
        for step in point.steps:
            if step.is_finished:
                continue
            print(f"\n$ python tools/{step.script}.py {shlex.join(step.arguments)}", flush=True)
            script = ROOT / "tools" / f"{step.script}.py"
            if subprocess.run([sys.executable, str(script), *step.arguments]).returncode:
                raise ValueError(f"{step.name} failed; its message is above.")
    for path in write_learning_curve(points, runs_dir()):
        print(f"written: {path}")


if __name__ == "__main__":
    command.run(main)
