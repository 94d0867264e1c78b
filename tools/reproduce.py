"""Sets our figures beside Table 1 of the FashionSearchNet-v2 paper: trains, evaluates, reports.

  python tools/reproduce.py --dataset=garments/large --data_dir=data --dry_run
  python tools/reproduce.py --dataset=garments/large --data_dir=data
  python tools/reproduce.py --dataset=catalogue/my_shop --variants=rank_l,full --num_changes=1,2

Every step is a command of tools/ that is printed first and could be run by hand; what two rows
need is done once. Stop it whenever you like: the same command goes on where it was, and the report
in <runs_dir>/report is written anew after every evaluation and says what is missing. --dry_run
shows what is done, what is left and how long that will take.

The flags of the stages are those in flags/<data set>/; a variant of ours may have a flagfile of its
own there, such as ours.flags. Runs with other settings in the same folder are refused, never
overwritten; so are runs whose start was made anew since.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from fashionsearchnet.checks import check_choice, whole_numbers
from fashionsearchnet.data import pipeline
from fashionsearchnet.reproduction.estimate import num_training_images, plan_table, step_states
from fashionsearchnet.reproduction.execution import run_plan, write_report
from fashionsearchnet.reproduction.plan import Plan, Settings, Step, make_plan
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.reproduction.rows import ROWS, Row, choose_rows

ROOT = Path(__file__).parents[1]

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "garments/large", "Data set below --data_dir; garments are rendered."
)
flags.DEFINE_string("runs_dir", "", "Folder of all runs; by default runs/reproduce/<dataset>.")
flags.DEFINE_string(
    "flags_dir", "", "Folder of the stages' flagfiles; by default flags/<first part of --dataset>."
)
flags.DEFINE_list("variants", [], f"Rows, with commas: {', '.join(ROWS)}; all by default.")
flags.DEFINE_list(
    "seeds",
    ["0"],
    "Seeds of training, with commas. The tables are of the first; each further one trains the rows "
    "once more, from their first stage on, for the spread over seeds.",
)
flags.DEFINE_list("seed_rows", [], "Rows that the further --seeds train; all by default.")
flags.DEFINE_list(
    "num_changes",
    ["1"],
    "How many attributes are edited at once, with commas, such as 1,2,3: every row is evaluated "
    "with each number. 1, which Table 1 is about, must be among them.",
)
flags.DEFINE_integer(
    "max_manipulations_per_attribute", None, "Evaluate so many of each, drawn; all by default.", 1
)
flags.DEFINE_list("sheet_rows", ["full", "ours"], "Rows to draw a retrieval sheet of.")
flags.DEFINE_multi_string(
    "training_flag",
    [],
    "A flag for every training script, such as --training_flag=--precision=mixed_float16.",
)
flags.DEFINE_float("epochs_scale", 1.0, "Multiplies every stage's epochs; small for a smoke test.")
flags.DEFINE_bool("benchmark", False, "Measure the run time of section 4.7 too.")
flags.DEFINE_bool("dry_run", False, "Only show what is done, what is left and how long it takes.")


def settings() -> Settings:
    """Returns what the flags say about all steps."""
    if FLAGS.epochs_scale <= 0:
        raise ValueError(f"--epochs_scale must be above 0; got {FLAGS.epochs_scale}.")
    changes = tuple(sorted(set(whole_numbers("num_changes", FLAGS.num_changes, 1))))
    if 1 not in changes:
        raise ValueError(f"--num_changes must contain 1, which Table 1 is about; got {changes}.")
    flags_dir = Path(FLAGS.flags_dir or ROOT / "flags" / FLAGS.dataset.split("/")[0])
    limit = FLAGS.max_manipulations_per_attribute
    return Settings(
        dataset=FLAGS.dataset,
        data_dir=Path(FLAGS.data_dir).expanduser(),
        runs_dir=Path(FLAGS.runs_dir or f"runs/reproduce/{FLAGS.dataset}").expanduser(),
        flags_dir=flags_dir.expanduser(),
        epochs_scale=FLAGS.epochs_scale,
        num_changes=changes,
        training=tuple(FLAGS.training_flag),
        evaluation=(f"--max_manipulations_per_attribute={limit}",) if limit else (),
    )


def some_of(rows: Sequence[Row], flag: str) -> list[Row]:
    """Returns the rows that a list flag names."""
    wanted: list[str] = FLAGS[flag].value or []
    for key in wanted:
        check_choice(f"--{flag}", key, [row.key for row in rows])
    return [row for row in rows if row.key in wanted]


def plan_of_flags() -> Plan:
    """Returns the plan that the flags ask for."""
    how = settings()
    rows = choose_rows(FLAGS.variants, how.flags_dir, "--variants")
    # The default names rows that are worth a look, whether they are among --variants or not.
    sheets = some_of(rows, "sheet_rows") if FLAGS["sheet_rows"].present else None
    return make_plan(
        how,
        rows,
        seeds=tuple(dict.fromkeys(whole_numbers("seeds", FLAGS.seeds, 0))),
        seed_rows=some_of(rows, "seed_rows") or None,
        sheet_rows=FLAGS.sheet_rows if sheets is None else [row.key for row in sheets],
        benchmark=FLAGS.benchmark,
    )


def run_command(step: Step) -> int:
    """Runs a step's script and returns its exit status."""
    line = [sys.executable, str(ROOT / "tools" / f"{step.script}.py"), *step.arguments]
    return subprocess.run(line).returncode


def stop(number: int, frame: object) -> None:
    """Answers a request to end as Ctrl-C, so that the step under way ends too."""
    del number, frame
    raise KeyboardInterrupt


def main() -> None:
    plan = plan_of_flags()
    is_there = num_training_images(plan.settings.data_dir / plan.settings.dataset) is not None
    if not is_there and plan.steps[0].script != "prepare_data":
        # Says what there is; else not called, to leave the GPU to the steps.
        pipeline.open_dataset(plan.settings.data_dir, plan.settings.dataset)
    progress = Progress(plan.settings.runs_dir)
    progress.check(plan.steps)
    print(plan_table(step_states(plan, progress)), flush=True)
    if FLAGS.dry_run:
        return
    signal.signal(signal.SIGTERM, stop)
    write_report(plan, progress)
    failed = run_plan(plan, progress, run_command)
    write_report(plan, progress)
    where = plan.settings.report_dir / "report.md"
    print(f"\n{where.read_text(encoding='utf-8')}\nwritten: {where}")
    if failed:
        raise ValueError(
            f"not made: {', '.join(failed)}. Their messages are above; mend the cause and run the "
            "same command again."
        )


if __name__ == "__main__":
    command.run(main)
