"""Makes the table of a paper with our figures beside its own: trains, evaluates, compares.

  python tools/reproduce.py --dataset=garments/large --data_dir=data --dry_run
  python tools/reproduce.py --dataset=garments/large --data_dir=data
  python tools/reproduce.py --dataset=catalogue/my_shop --variants=rank_l,full --num_changes=1,2

A system's recipe names the rows of the table. Every step is a command of tools/. It is printed
first, and you could run it by hand; a step that two rows need runs once. You can stop at any time:
the same command resumes. The report in <runs_dir>/report is updated after every evaluation and
names the steps that are missing. --dry_run shows which steps are done, which are left and how long
they take.

The flags of the stages are those in flags/<data set>/<system>/; a variant may have a flagfile of
its own there, such as ours.flags. Runs with other settings in the same folder are refused, never
overwritten; so are runs whose start was trained again since.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.recipes import RECIPES

ROOT = Path(__file__).parents[1]

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "recipe",
    "fashionsearchnet_v2",
    list(RECIPES),
    command.choices({name: recipe.title for name, recipe in RECIPES.items()}),
)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "garments/large", "Data set below --data_dir; garments are rendered."
)
flags.DEFINE_string("runs_dir", "", "Folder of all runs; by default runs/reproduce/<dataset>.")
flags.DEFINE_string(
    "flags_dir", "", "Folder of the stages' flagfiles; by default flags/<first part of --dataset>."
)
flags.DEFINE_list(
    "variants",
    [],
    "Rows, with commas; all by default. "
    + " ".join(f"{name}: {', '.join(r.table(RECIPES))}." for name, r in RECIPES.items()),
)
flags.DEFINE_list(
    "seeds",
    ["0"],
    "Seeds of training, with commas. The tables show the first; each further one trains the rows "
    "once more, from their first stage on, for the spread over seeds.",
)
flags.DEFINE_list("seed_rows", [], "Rows that the further --seeds train; all by default.")
flags.DEFINE_list(
    "num_changes",
    ["1"],
    "How many attributes are edited at once, with commas, such as 1,2,3: every row is evaluated "
    "with each number. 1, which the table is about, must be among them. Only for tables about "
    "manipulation.",
)
flags.DEFINE_integer(
    "max_manipulations_per_attribute", None, "Evaluate so many of each, drawn; all by default.", 1
)
flags.DEFINE_bool(
    "keep_query_image", False, "Rank the query's own image too, as ADDE does; see evaluate.py."
)
flags.DEFINE_list("sheet_rows", [], "Rows to draw a retrieval sheet of; by default the recipe's.")
flags.DEFINE_multi_string(
    "training_flag",
    [],
    "A flag for every training script, such as --training_flag=--precision=mixed_float16. Every "
    "script must know it.",
)
flags.DEFINE_multi_string(
    "first_stage_flag",
    [],
    "A flag for every training script that starts from no other run, such as "
    "--first_stage_flag=--image_size=160. The later stages take the network over.",
)
flags.DEFINE_float("epochs_scale", 1.0, "Multiplies every stage's epochs; small for a smoke test.")
flags.DEFINE_bool("benchmark", False, "Measure the run time too.")
flags.DEFINE_bool("dry_run", False, "Only show the steps, and how long they take.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import tensorflow as tf

from fashionsearchnet.checks import check_choice, whole_numbers
from fashionsearchnet.data import pipeline
from fashionsearchnet.reproduction.estimate import plan_table, step_states
from fashionsearchnet.reproduction.execution import run_plan, write_report
from fashionsearchnet.reproduction.plan import Experiment, Plan, Step, choose_rows, make_plan
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.systems.recipe import Row


def experiment_of_flags() -> Experiment:
    """Returns what the flags say about all steps."""
    if FLAGS.epochs_scale <= 0:
        raise ValueError(f"--epochs_scale must be above 0; got {FLAGS.epochs_scale}.")
    changes = tuple(sorted(set(whole_numbers("num_changes", FLAGS.num_changes, 1))))
    if 1 not in changes:
        raise ValueError(f"--num_changes must contain 1, which the table is about; got {changes}.")
    flags_dir = Path(FLAGS.flags_dir or ROOT / "flags" / FLAGS.dataset.split("/")[0])
    limit, task = FLAGS.max_manipulations_per_attribute, RECIPES[FLAGS.recipe].task
    if task != "manipulation":
        for name in ("max_manipulations_per_attribute", "keep_query_image"):
            if FLAGS[name].value:
                raise ValueError(
                    f"--{name} is for tables about manipulation, but recipe {FLAGS.recipe} is "
                    f"about {task}. Leave it out."
                )
    evaluation = [f"--max_manipulations_per_attribute={limit}"] if limit else []
    evaluation += ["--keep_query_image=True"] if FLAGS.keep_query_image else []
    runs_dir = Path(FLAGS.runs_dir or f"runs/reproduce/{FLAGS.dataset}").expanduser()
    evaluation.append(f"--trunk_outputs={runs_dir / 'trunk_outputs'}")
    is_default = FLAGS.recipe == FLAGS["recipe"].default
    return Experiment(
        recipe=RECIPES[FLAGS.recipe],
        dataset=FLAGS.dataset,
        data_dir=Path(FLAGS.data_dir).expanduser(),
        runs_dir=runs_dir,
        flags_dir=flags_dir.expanduser(),
        epochs_scale=FLAGS.epochs_scale,
        num_changes=changes,
        training=tuple(FLAGS.training_flag),
        first_stage=tuple(FLAGS.first_stage_flag),
        evaluation=tuple(evaluation),
        # Tables of several recipes share their runs.
        report_name="report" if is_default else f"report_{FLAGS.recipe}",
    )


def some_of(rows: Sequence[Row], flag: str) -> list[Row]:
    """Returns the rows that a list flag names."""
    wanted: list[str] = FLAGS[flag].value or []
    for key in wanted:
        check_choice(f"--{flag}", key, [row.key for row in rows])
    return [row for row in rows if row.key in wanted]


def plan_of_flags() -> Plan:
    """Returns the plan that the flags ask for."""
    experiment = experiment_of_flags()
    rows = choose_rows(FLAGS.variants, experiment, "--variants")
    sheets = [row.key for row in some_of(rows, "sheet_rows")]
    return make_plan(
        experiment,
        rows,
        seeds=tuple(dict.fromkeys(whole_numbers("seeds", FLAGS.seeds, 0))),
        seed_rows=some_of(rows, "seed_rows") or None,
        sheet_rows=sheets if FLAGS["sheet_rows"].present else experiment.recipe.sheet_rows,
        benchmark=FLAGS.benchmark,
    )


def check_dataset(plan: Plan) -> None:
    """Raises a ValueError unless the data set is there and has what the steps need."""
    tf.config.set_visible_devices([], "GPU")  # its memory is for the steps
    plan.check_dataset(pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset))


def check_training_flags(plan: Plan) -> None:
    """Raises a ValueError if a script does not know a --training_flag or --first_stage_flag."""
    training = [step for step in plan.steps if step.is_training]
    kinds = {(step.script, step.stage and step.stage.start is None): step for step in training}
    for step in kinds.values():
        done = subprocess.run(
            [*command_of(step), "--only_check_args"], capture_output=True, text=True
        )
        if done.returncode:
            said = [text for text in done.stderr.splitlines() if not text.startswith("Pass --help")]
            reason = "".join(said[-1:]).strip() or "no reason"
            added = " ".join([*FLAGS.training_flag, *FLAGS.first_stage_flag])
            raise ValueError(
                f"tools/{step.script}.py refuses its flags ({reason}). --training_flag and "
                f"--first_stage_flag add {added} to them. Put a flag of one stage into a flagfile, "
                "and name its folder by --flags_dir."
            )


def command_of(step: Step) -> list[str]:
    """Returns the command line of a step."""
    return [sys.executable, str(ROOT / "tools" / f"{step.script}.py"), *step.arguments]


def run_command(step: Step) -> int:
    """Runs a step's script and returns its exit status."""
    return subprocess.run(command_of(step)).returncode


def stop(number: int, frame: object) -> None:
    """Answers a request to end like Ctrl-C, so that the running step ends too."""
    del number, frame
    raise KeyboardInterrupt


def main() -> None:
    plan = plan_of_flags()
    if plan.steps[0].script != "prepare_data":
        check_dataset(plan)
    progress = Progress(plan.experiment.runs_dir)
    progress.check(plan)
    print(plan_table(step_states(plan, progress)), flush=True)
    if FLAGS.dry_run:
        return
    if FLAGS.training_flag or FLAGS.first_stage_flag:
        check_training_flags(plan)
    signal.signal(signal.SIGTERM, stop)
    write_report(plan, progress)
    failed = run_plan(plan, progress, run_command, lambda: check_dataset(plan))
    write_report(plan, progress)
    where = plan.experiment.report_dir / "report.md"
    print(f"\n{where.read_text(encoding='utf-8')}\nwritten: {where}")
    if failed:
        raise ValueError(
            f"not made: {', '.join(failed)}. Their messages are above; fix the cause and run the "
            "same command again."
        )


if __name__ == "__main__":
    command.run(main)
