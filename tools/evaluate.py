"""Measures a trained system on a data set, beside chance and two simple baselines.

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --dataset=garments/large

Choices are made on a validation cut, never on the queries:

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --dataset=garments/large \\
      --query_split='validation[:30%]' --gallery_split='validation[30%:]' --name=validation

Several changes at once, beyond the paper ("red, and with long sleeves"), in one pass over the
images:

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --num_changes=1,2,3

Writes <name>.json, .md, .png (curve over K) and .npz (the rank of every manipulation) into
<workdir>/evaluation; a report of other data or settings is not overwritten. With --beside=<report
of another run> that run's system gets a row of its own and a paired difference; both must have been
measured on the same manipulations, and that one with these --top_k or more.
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

from pathlib import Path

from absl import flags

from fashionsearchnet import evaluation, systems
from fashionsearchnet.checks import whole_numbers
from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import protocol, reporting, scores

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_string("query_split", "query", "Split of the queries; slices work.")
flags.DEFINE_string("gallery_split", "gallery", "Split of the gallery; slices work.")
flags.DEFINE_bool(
    "queries_in_gallery",
    False,
    "For splits whose queries are gallery images too, such as those of shopping100k/adde: each "
    "query is left out of its own ranking.",
)
flags.DEFINE_enum(
    "hit_rule",
    "identical",
    list(protocol.HIT_RULES),
    "; ".join(f"{name}: {words}" for name, words in protocol.HIT_RULES.items()) + ".",
)
flags.DEFINE_bool("add_missing", False, "Also give values to attributes that a query lacks.")
flags.DEFINE_list(
    "num_changes",
    ["1"],
    "How many attributes of a query change at once, from 1 to all of them; each number makes a "
    "report. Every set of so many attributes is measured, and 'mean' is the plain mean over the "
    "sets.",
)
flags.DEFINE_integer(
    "max_manipulations_per_attribute",
    None,
    "Draw so many of each attribute, or of each set of attributes changed together. By default "
    f"all for one change, and {evaluation.default_draw(2):,} of each set for more, since there may "
    "be millions.",
    1,
)
flags.DEFINE_list(
    "top_k", ["1", "5", "10", "20", "30", "40", "50"], "Ks to report, each at least 1."
)
flags.DEFINE_integer("headline_k", 20, "K of the main table; one of --top_k.", 1)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over query images.", 1)
flags.DEFINE_integer("seed", 0, "Of the draw of manipulations and of the bootstrap.", 0)
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)
flags.DEFINE_string(
    "name",
    "",
    "Name of the report; by default the query split's, and <split>_2_changes for two changes.",
)
flags.DEFINE_string("row_name", "", "Name of the system's row; by default its variant's.")
flags.DEFINE_multi_string(
    "beside", [], "Report (.json, .md or .npz) of another run to show beside; repeatable."
)


def settings(num_changes: int) -> evaluation.Settings:
    """Returns what the flags say."""
    most = FLAGS.max_manipulations_per_attribute
    if most is None:
        most = evaluation.default_draw(num_changes)
    return evaluation.Settings(
        query_split=FLAGS.query_split,
        gallery_split=FLAGS.gallery_split,
        queries_in_gallery=FLAGS.queries_in_gallery,
        hit_rule=FLAGS.hit_rule,
        add_missing=FLAGS.add_missing,
        num_changes=num_changes,
        max_manipulations_per_attribute=most,
        top_k=tuple(sorted(set(whole_numbers("top_k", FLAGS.top_k, 1)))),
        headline_k=FLAGS.headline_k,
        num_resamples=FLAGS.num_resamples,
        seed=FLAGS.seed,
    )


def report_name(num_changes: int) -> str:
    """Returns the report's file name without suffix."""
    name = FLAGS.name or reporting.report_name(FLAGS.query_split, num_changes)
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip("_.")


def main() -> None:
    numbers = sorted(set(whole_numbers("num_changes", FLAGS.num_changes, 1)))
    if len(numbers) > 1 and (FLAGS.name or FLAGS.beside):
        raise ValueError("--name and --beside are for one report; give --num_changes one number.")
    how = [settings(number) for number in numbers]
    beside = [(path, scores.Outcomes.load(path)) for path in FLAGS.beside]
    trained = systems.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    folder = Path(FLAGS.workdir).expanduser() / "evaluation"
    for each in how:
        reporting.check_replaceable(folder, report_name(each.num_changes), dataset.name, each)
    system = systems.load_complete_system(FLAGS.workdir)
    for measured in evaluation.evaluate_each(
        system,
        dataset,
        how,
        beside,
        name=FLAGS.row_name,
        batch_size=FLAGS.batch_size,
        weights=systems.weights_digest(FLAGS.workdir),
    ):
        report = reporting.summarize(measured)
        name = report_name(measured.settings.num_changes)
        paths = reporting.write_report(report, measured.outcomes, folder, name)
        print(reporting.screen_text(report))
        print("written: " + ", ".join(str(path) for path in paths.values()), flush=True)


if __name__ == "__main__":
    command.run(main)
