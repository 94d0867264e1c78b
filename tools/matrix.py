"""Measures every system on every task that it answers, on the same data, and makes one table.

  python tools/matrix.py --data_dir=data --run=runs/my_shop/pretrained_ours \\
      --run=runs/my_shop/pretrained_agman --trunk=efficientnet_lite0 --output=runs/my_shop/matrix

Each --run is a finished run of any system on the same data set. A task that a run was measured on
with these splits and its present weights is not measured again; its report is in <run>/evaluation.
The table has for each run the mean of the main figure of each task with its interval, how many
numbers an image has for it, and how many images per second the network sees here. Beside each
system that reads the attributes stand its predicted attributes and, by one attribute, its predicted
agreement. --trunk adds the vectors of a pretrained network as they are; its reports are in
<output>_trunk, or in the folder of the first run. Write the table with --output (.md and .json).
"""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import BACKBONES

_TIMED_IMAGES, _TIMED_BATCH = 256, 64
_PREDICTED = ("predicted attributes", "predicted agreement")

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("run", None, "Folder of a finished run; repeatable.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the first run has."
)
flags.DEFINE_string("query_split", "query", "Split of the queries; slices work.")
flags.DEFINE_string("gallery_split", "gallery", "Split of the gallery; slices work.")
flags.DEFINE_string(
    "trunk",
    "",
    f"Add a row for a network with ImageNet weights as it is: {', '.join(BACKBONES)}.",
)
flags.DEFINE_integer("trunk_size", 128, "Side of that network's input in pixels.", 1)
flags.DEFINE_bool(
    "allow_trained_queries", False, "Measure even if a run was trained on some of the queries."
)
flags.DEFINE_string(
    "trunk_outputs",
    "",
    "Folder where the outputs of frozen trunks are stored, in float32: runs on one trunk pass the "
    "images once. By default each passes them. It can be deleted at any time.",
)
flags.DEFINE_string("output", "", "Path of the table; .md and .json are added.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np
import tensorflow as tf

from fashionsearchnet import evaluation, files
from fashionsearchnet.checks import check_choice
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.evaluation import reporting
from fashionsearchnet.evaluation.reporting import summary, tables
from fashionsearchnet.evaluation.trunk_alone import TrunkAlone
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.system import System
from fashionsearchnet.training import training_images


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
      name: of the system.
      figures: by task the mean of the main figure with its interval, as a report has it.
      numbers: by task how many numbers an image has.
      speed: images per second through the network; None for a row that needs no other pass.
    """

    name: str
    figures: dict[str, dict[str, Any]]
    numbers: dict[str, int]
    speed: float | None


def make_plans(dataset: Dataset, tasks: set[str]) -> dict[str, evaluation.Plan]:
    """Returns the questions of each task that some system answers and the data set can ask."""
    splits = {"query_split": FLAGS.query_split, "gallery_split": FLAGS.gallery_split}
    impossible = set()
    if dataset.instance_ids(FLAGS.query_split) is None:
        impossible.add("instance")
    if not evaluation.shows_what_edits_keep(dataset.labels(FLAGS.query_split)):
        impossible.add("manipulation")
    asked = [task for task in evaluation.PROTOCOLS if task in tasks - impossible]
    how = [evaluation.PROTOCOLS[task](**splits) for task in asked]
    return dict(zip(asked, evaluation.make_plans(dataset, how), strict=True))


def check_all(dataset: Dataset) -> set[str]:
    """Returns the tasks that some run answers.

    Whatever would end the table after hours of measuring is refused here.

    Raises:
      OSError: if a run is missing.
      ValueError: if a run has not finished, has other attributes or was trained on the queries, or
        there is no such trunk.
    """
    if FLAGS.trunk:
        check_choice("--trunk", FLAGS.trunk, BACKBONES)
    queries = dataset.image_ids(FLAGS.query_split)
    tasks: set[str] = set()
    for run in FLAGS.run:
        system = registry.load_complete_system(run)
        system.space.check_same(dataset.space, f"--run={run}", f"data set {dataset.name}")
        if not FLAGS.allow_trained_queries:
            training_images.check_unseen(run, queries, FLAGS.query_split, dataset.name)
        tasks |= {*system.tasks}
    return tasks | ({*TrunkAlone.tasks} if FLAGS.trunk else set())


def reports(
    system: System, dataset: Dataset, plans: list[evaluation.Plan], folder: Path, weights: str
) -> Iterator[dict[str, Any]]:
    """Yields the report of each plan, measured now unless it is in the folder.

    A report of other weights is of a run that was trained again, and is measured again.

    Raises:
      ValueError: if a report there is of other data or rules.
    """
    missing = []
    for plan in plans:
        name = file_name(plan.protocol)
        reporting.check_replaceable(folder, name, plan)
        path = folder / f"{name}.json"
        report = files.read_json(path, "a report", f"Delete {path}.") if path.is_file() else None
        if report and report["system"].get("weights", weights) == weights:
            yield report
        else:
            missing.append(plan)
    if not missing:
        return
    for measured in evaluation.evaluate_each(
        system, dataset, missing, weights=weights, trunk_outputs=FLAGS.trunk_outputs or None
    ):
        report = reporting.summarize(measured)
        name = file_name(measured.plan.protocol)
        reporting.write_report(report, measured.outcomes, folder, name)
        yield report


def file_name(protocol: evaluation.TaskProtocol) -> str:
    """Returns the name of a report without suffix, as tools/evaluate.py gives it."""
    name = protocol.report_name
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip("_.")


def rows_of(
    system: System,
    dataset: Dataset,
    plans: dict[str, evaluation.Plan],
    folder: Path,
    weights: str = "",
) -> list[Row]:
    """Returns the row of a system, and those of what it predicts.

    Args:
      system: to be measured.
      dataset: that the plans ask about.
      plans: by task.
      folder: of the reports.
      weights: SHA-256 of the system's weights; '' where they are always the same.
    """
    asked = [plan for task, plan in plans.items() if task in system.tasks]
    own: dict[str, dict[str, Any]] = {}
    predicted: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _PREDICTED}
    name = system.title
    for report in reports(system, dataset, asked, folder, weights):
        figure = summary.headline(report)
        found = {row["name"]: summary.figures_of(row, figure) for row in report["rows"]}
        name = report["rows"][-1]["name"]
        own[report["task"]] = found[name]
        for kind in predicted.keys() & found.keys():
            predicted[kind][report["task"]] = found[kind]
    images = next(iter(dataset.images(FLAGS.query_split, system.image_input)))
    images = as_input(images, system.image_input)
    rows = [Row(name, own, numbers(system, images), images_per_second(system, images))]
    # Agreement by one attribute is a product of vectors with two more numbers for each.
    more = {"attribute": 2 * system.space.num_attributes}
    for kind in _PREDICTED:
        if predicted[kind]:
            counts = dict.fromkeys(predicted[kind], system.space.total_values)
            if kind == "predicted agreement":
                counts = {task: number + more.get(task, 0) for task, number in counts.items()}
            rows.append(Row(f"{name}: {kind}", predicted[kind], counts, None))
    return rows


def numbers(system: System, images: tf.Tensor) -> dict[str, int]:
    """Returns how many numbers an image has for each task of a system."""
    features = system.image_features(images[:1])
    makers = {
        "manipulation": lambda: system.gallery_embedding(features),
        "attribute": lambda: features_of_attributes(system, features),
        "instance": lambda: system.instance_embedding(features),
    }
    return {task: int(makers[task]().shape[1]) for task in system.tasks}


def features_of_attributes(system: System, features: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns the vectors of all attributes side by side, those that are equal once."""
    found = [system.attribute_embedding(features, a) for a in range(system.space.num_attributes)]
    is_shared = all(np.array_equal(found[0], other) for other in found[1:])
    return found[0] if is_shared else tf.concat(found, axis=1)


def images_per_second(system: System, images: tf.Tensor) -> float:
    """Returns how many images the network sees in a second: batches of 64, best of ten rounds."""
    batch = tf.repeat(images[:1], _TIMED_BATCH, axis=0)
    compiled = tf.function(system.image_features, autograph=False)
    compiled(batch)
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(_TIMED_IMAGES // _TIMED_BATCH):
            compiled(batch)
        times.append(time.perf_counter() - begin)
    return _TIMED_IMAGES / min(times)


def table(rows: list[Row]) -> str:
    """Returns the table as Markdown."""
    tasks = [task for task in evaluation.PROTOCOLS if any(task in row.figures for row in rows)]
    titles = {"manipulation": "Top-20", "attribute": "MAP", "instance": "Recall@20"}
    header = ["", *(f"{task} {titles[task]}" for task in tasks), "numbers per image", "images/s"]

    def cells(row: Row) -> list[str]:
        figures = [
            tables.with_interval(row.figures[task], "mean") if task in row.figures else "-"
            for task in tasks
        ]
        counts = " / ".join(f"{row.numbers[t]:,}" if t in row.numbers else "-" for t in tasks)
        speed = "-" if row.speed is None else f"{row.speed:,.0f}"
        return [row.name, *figures, counts, speed]

    return tables.markdown_table(header, [cells(row) for row in rows])


def main() -> None:
    described = registry.describe_system(FLAGS.run[0])
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or described["dataset"])
    plans = make_plans(dataset, check_all(dataset))
    rows: list[Row] = []
    for run in FLAGS.run:
        system, folder = registry.load_complete_system(run), Path(run).expanduser() / "evaluation"
        rows += rows_of(system, dataset, plans, folder, registry.weights_digest(run))
        print(table(rows), flush=True)
    if FLAGS.trunk:
        trunk = TrunkAlone.of_images(dataset, FLAGS.gallery_split, FLAGS.trunk, FLAGS.trunk_size)
        folder = Path(f"{FLAGS.output}_trunk" if FLAGS.output else FLAGS.run[0]).expanduser()
        name = f"{FLAGS.trunk}_{FLAGS.trunk_size}px"
        rows += rows_of(trunk, dataset, plans, folder / "evaluation" / name)
        print(table(rows), flush=True)
    if FLAGS.output:
        paths = [Path(f"{FLAGS.output}{suffix}").expanduser() for suffix in (".md", ".json")]
        files.write_text(paths[0], table(rows) + "\n")
        files.write_json(paths[1], [dataclasses.asdict(row) for row in rows])
        print(f"written: {paths[0]}, {paths[1]}")


if __name__ == "__main__":
    command.run(main)
