"""Measures a trained system on a data set, beside chance and simple baselines.

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --dataset=garments/large

Three tasks can be measured, if the system answers them: manipulation ("this one, but with a
v-neck"), attribute ("one with a neckline like this"), instance ("this very item"):

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --task=attribute

Choices are made on a validation cut, never on the queries:

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --dataset=garments/large \\
      --query_split='validation[:30%]' --gallery_split='validation[30%:]' --name=validation

Several changes at once, beyond the paper ("red, and with long sleeves"), in one pass over the
images:

  python tools/evaluate.py --workdir=runs/garments/full --data_dir=data --num_changes=1,2,3

A gallery that knows its labels, beyond the papers, in reports of their own:

  python tools/evaluate.py --workdir=runs/garments/ours --data_dir=data \\
      --gallery_labels=0,0.25,0.5,0.75,1 --generic_vectors=efficientnet_lite0

Writes <name>.json, .md, .png (curve over K) and .npz (the outcome of every question) into
<workdir>/evaluation; a report of other data or of another protocol is not overwritten. With
--beside=<report of another run> that run's system gets a row of its own and a paired difference;
both must have been asked the same questions, and that one with these --top_k or more.
"""

import dataclasses
from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.attributes import HIT_RULES
from fashionsearchnet.choices import DRAW_OF_SEVERAL, PLANS, TASKS

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_enum(
    "task",
    None,
    list(TASKS),
    f"{command.choices(TASKS)} By default the first that the system answers.",
)
flags.DEFINE_string("query_split", "query", "Split of the queries; slices work.")
flags.DEFINE_bool(
    "allow_trained_queries",
    False,
    "Measure queries that the run was trained on too; by default they are refused.",
)
flags.DEFINE_string("gallery_split", "gallery", "Split of the gallery; slices work.")
flags.DEFINE_list(
    "top_k",
    None,
    "Ks to report, each at least 1; by default 1, 5, 10, 20 and further ones of the task.",
)
flags.DEFINE_integer(
    "headline_k", 20, "K of the main table; one of --top_k. Retrieval by attribute has none.", 1
)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over query images.", 1)
flags.DEFINE_integer("seed", 0, "Of the draw of manipulations and of the bootstrap.", 0)
flags.DEFINE_enum(
    "plan",
    "auto",
    list(PLANS),
    f"Manipulations: {command.choices(PLANS)}",
)
flags.DEFINE_bool(
    "keep_query_image",
    False,
    "Manipulations: where the queries are gallery images too, rank each query's own image, as ADDE "
    "does. By default it is left out of its own ranking.",
)
flags.DEFINE_enum(
    "hit_rule",
    "identical",
    list(HIT_RULES),
    f"Manipulations: {command.choices(HIT_RULES)}",
)
flags.DEFINE_bool(
    "add_missing", False, "Manipulations: also give values to attributes that a query lacks."
)
flags.DEFINE_list(
    "num_changes",
    ["1"],
    "Manipulations: how many attributes of a query change at once, from 1 to all; each number "
    "makes a report. Every set of so many attributes is measured.",
)
flags.DEFINE_integer(
    "max_manipulations_per_attribute",
    None,
    "Manipulations: draw so many of each attribute, or of each set of attributes changed together. "
    f"By default all for one change, and {DRAW_OF_SEVERAL:,} of each set for more, "
    "since there may be millions.",
    1,
)
flags.DEFINE_integer(
    "rerank",
    0,
    "Manipulations: add a row with so many of the nearest images in the order of predicted "
    "agreement, the probability that they show all wanted values. 100 is a good number; it must "
    "not be below --headline_k.",
    0,
)
flags.DEFINE_list(
    "gallery_labels",
    None,
    "Manipulations: the share of its labels that the gallery knows, from 0 to 1; each number makes "
    "a report. Only for systems whose vectors are made of blocks; the others are filtered.",
)
flags.DEFINE_list(
    "wrong_labels",
    ["0"],
    "With --gallery_labels: the share of the known labels that are wrong; each number makes a "
    "report.",
)
flags.DEFINE_list(
    "label_blend",
    None,
    "With --gallery_labels: the share of the label in each block, one number or one for each "
    "attribute; by default the run's, see tools/choose_blend.py.",
)
flags.DEFINE_string(
    "generic_vectors",
    "",
    "With --gallery_labels: a pretrained network, such as efficientnet_lite0, whose own vectors "
    "get a row: what a shop has that trains nothing and filters by facets.",
)
flags.DEFINE_integer("generic_size", 128, "Side of that network's input in pixels.", 1)
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)
flags.DEFINE_string(
    "trunk_outputs",
    "",
    "Folder where the outputs of a frozen trunk are stored, in float32, for the evaluations of all "
    "runs on that trunk; by default each passes all images. It can be deleted at any time.",
)
flags.DEFINE_string(
    "name",
    "",
    "Name of the report; by default the query split's, followed by _2_changes for two changes, or "
    "by the task if it is not manipulation.",
)
flags.DEFINE_string("row_name", "", "Name of the system's row; by default its title.")
flags.DEFINE_multi_string(
    "beside", [], "Report (.json, .md or .npz) of another run to show beside; repeatable."
)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np

from fashionsearchnet import evaluation
from fashionsearchnet.checks import whole_numbers
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import reporting, scores
from fashionsearchnet.evaluation.generic import generic_vectors
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.gallery_labels import ChosenBlend, check_blend
from fashionsearchnet.systems.system import System
from fashionsearchnet.training import training_images

_SEVERAL_REPORTS = ("num_changes", "gallery_labels", "wrong_labels")  # a report for each number
_LABEL_FLAGS = ("wrong_labels", "label_blend", "generic_vectors")
_MANIPULATION_FLAGS = (
    *("plan", "keep_query_image", "hit_rule", "add_missing", "num_changes"),
    *("max_manipulations_per_attribute", "rerank", "gallery_labels", *_LABEL_FLAGS),
)
_TASKS_OF_FLAGS = {  # the other flags are for all tasks
    "headline_k": ("manipulation", "instance"),
    **dict.fromkeys(_MANIPULATION_FLAGS, ("manipulation",)),
}


def protocols(system: System) -> list[evaluation.TaskProtocol]:
    """Returns how the flags ask to measure a system."""
    task = FLAGS.task or system.tasks[0]
    system.check_answers(task)
    for name, tasks in _TASKS_OF_FLAGS.items():
        if FLAGS[name].present and task not in tasks:
            raise ValueError(
                f"--{name} is for task {' or '.join(tasks)}; got task {task}. Leave it out, or "
                f"add --task={tasks[0]}."
            )
    fields = {
        "query_split": FLAGS.query_split,
        "gallery_split": FLAGS.gallery_split,
        "num_resamples": FLAGS.num_resamples,
        "seed": FLAGS.seed,
    }
    if FLAGS.top_k:
        fields["top_k"] = tuple(sorted(set(whole_numbers("top_k", FLAGS.top_k, 1))))
    if task in _TASKS_OF_FLAGS["headline_k"]:
        fields["headline_k"] = FLAGS.headline_k
    if task != "manipulation":
        return [evaluation.PROTOCOLS[task](**fields)]
    for name in ("plan", "keep_query_image", "hit_rule", "add_missing", "rerank"):
        fields[name] = FLAGS[name].value
    return [
        protocol
        for number in sorted(set(whole_numbers("num_changes", FLAGS.num_changes, 1)))
        for protocol in manipulation_protocols(
            **fields,
            num_changes=number,
            max_manipulations_per_attribute=FLAGS.max_manipulations_per_attribute
            or evaluation.default_draw(number),
        )
    ]


def manipulation_protocols(**fields: Any) -> list[evaluation.ManipulationProtocol]:
    """Returns the protocol with these fields, or with --gallery_labels one for each share."""
    if FLAGS.gallery_labels is None:
        alien = [f"--{name}" for name in _LABEL_FLAGS if FLAGS[name].present]
        if alien:
            raise ValueError(f"{', '.join(alien)} is for --gallery_labels; give that flag too.")
        return [evaluation.ManipulationProtocol(**fields)]
    return [
        evaluation.LabelledGalleryProtocol(**fields, known_labels=known, wrong_labels=wrong)
        for known in shares("gallery_labels")
        for wrong in shares("wrong_labels")
    ]


def shares(flag: str) -> list[float]:
    """Returns the numbers of a flag."""
    texts: list[str] = FLAGS[flag].value or []
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        given = ",".join(texts)
        raise ValueError(f"--{flag} must be numbers from 0 to 1; got {given!r}.") from error


def with_blend(
    protocol: evaluation.TaskProtocol, system: System, weights: str
) -> evaluation.TaskProtocol:
    """Returns the protocol with the blend of the flags or of the run."""
    if not isinstance(protocol, evaluation.LabelledGalleryProtocol) or not system.has_blocks:
        return protocol
    chosen = ChosenBlend.load(FLAGS.workdir, system.space, weights).blend
    blend = shares("label_blend") if FLAGS.label_blend else chosen
    return dataclasses.replace(protocol, label_blend=check_blend(system.space, blend))


def row_name(system: System) -> str:
    """Returns the name of the system's row."""
    used = "labels used" if system.has_blocks else "filtered by label"
    by_default = f"{system.title}, {used}" if FLAGS.gallery_labels is not None else system.title
    return str(FLAGS.row_name or by_default)


def generic(dataset: Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the vectors of --generic_vectors."""
    if not FLAGS.generic_vectors:
        return None
    splits = (FLAGS.query_split, FLAGS.gallery_split)
    return generic_vectors(
        dataset, splits, FLAGS.generic_vectors, FLAGS.generic_size, FLAGS.batch_size
    )


def report_name(protocol: evaluation.TaskProtocol) -> str:
    """Returns the report's file name without suffix."""
    name = FLAGS.name or protocol.report_name
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip("_.")


def main() -> None:
    several = [len(set(FLAGS[name].value or [0])) > 1 for name in _SEVERAL_REPORTS]
    if any(several) and (FLAGS.name or FLAGS.beside):
        flags_of_several = ", ".join(f"--{name}" for name in _SEVERAL_REPORTS)
        raise ValueError(
            f"--name and --beside are for one report; give {flags_of_several} one number each."
        )
    beside = [(path, scores.Outcomes.load(path)) for path in FLAGS.beside]
    trained = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system = registry.load_complete_system(FLAGS.workdir)
    weights = registry.weights_digest(FLAGS.workdir)
    how = [with_blend(protocol, system, weights) for protocol in protocols(system)]
    plans = evaluation.make_plans(dataset, how)
    if not FLAGS.allow_trained_queries:
        queries = dataset.image_ids(FLAGS.query_split)
        training_images.check_unseen(FLAGS.workdir, queries, FLAGS.query_split, dataset.name)
    folder = Path(FLAGS.workdir).expanduser() / "evaluation"
    for plan in plans:
        reporting.check_replaceable(folder, report_name(plan.protocol), plan)
    for measured in evaluation.evaluate_each(
        system,
        dataset,
        plans,
        beside,
        name=row_name(system),
        batch_size=FLAGS.batch_size,
        weights=weights,
        generic=generic(dataset),
        trunk_outputs=FLAGS.trunk_outputs or None,
    ):
        report = reporting.summarize(measured)
        name = report_name(measured.plan.protocol)
        paths = reporting.write_report(report, measured.outcomes, folder, name)
        print(reporting.screen_text(report))
        print("written: " + ", ".join(str(path) for path in paths.values()), flush=True)


if __name__ == "__main__":
    command.run(main)
