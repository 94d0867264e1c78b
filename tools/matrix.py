"""Measures every system on every task that it answers, on the same data, and makes one table.

  python tools/matrix.py --data_dir=data --run=runs/my_shop/pretrained_ours \\
      --run=runs/my_shop/pretrained_agman --trunk=efficientnet_lite0 --output=runs/my_shop/matrix

Each --run is a finished run of any system on the same data set. A task that a run was measured on
with these splits is not measured again; its report is in <run>/evaluation. The table has for each
run the mean of the main figure of each task with its interval, how many numbers an image has for
it, and how many images per second the network sees here. Beside each system that reads the
attributes stand its predicted attributes and, by one attribute, its predicted agreement; --trunk
adds the vectors of a pretrained network as they are. Write the table with --output (.md and .json).
"""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags

from fashionsearchnet import command

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
    "trunk", "", "Add a row for the vectors of a network with ImageNet weights as they are."
)
flags.DEFINE_integer("trunk_size", 128, "Side of that network's input in pixels.", 1)
flags.DEFINE_string("output", "", "Path of the table without suffix.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np
import tensorflow as tf

from fashionsearchnet import evaluation, files
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.preprocess import as_input
from fashionsearchnet.evaluation import reporting
from fashionsearchnet.evaluation.reporting import summary, tables
from fashionsearchnet.evaluation.trunk_alone import TrunkAlone
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.system import System


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


def protocols(system: System, dataset: Dataset) -> list[evaluation.TaskProtocol]:
    """Returns how to measure a system on each task that it answers and the data set can ask."""
    splits = {"query_split": FLAGS.query_split, "gallery_split": FLAGS.gallery_split}
    has_items = dataset.instance_ids(FLAGS.query_split) is not None
    return [
        kind(**splits)
        for task, kind in evaluation.PROTOCOLS.items()
        if task in system.tasks and (task != "instance" or has_items)
    ]


def reports(system: System, dataset: Dataset, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the report of each task, measured now unless it is in the folder.

    Raises:
      ValueError: if a report there is of other data or rules.
    """
    missing = []
    for protocol in protocols(system, dataset):
        (plan,) = evaluation.make_plans(dataset, [protocol])
        reporting.check_replaceable(folder, file_name(protocol), plan)
        path = folder / f"{file_name(protocol)}.json"
        if path.is_file():
            yield files.read_json(path, "a report", f"Delete {path}.")
        else:
            missing.append(plan)
    if not missing:
        return
    for measured in evaluation.evaluate_each(system, dataset, missing):
        report = reporting.summarize(measured)
        name = file_name(measured.plan.protocol)
        reporting.write_report(report, measured.outcomes, folder, name)
        yield report


def file_name(protocol: evaluation.TaskProtocol) -> str:
    """Returns the name of a report without suffix, as tools/evaluate.py gives it."""
    name = protocol.report_name
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip("_.")


def rows_of(system: System, dataset: Dataset, folder: Path) -> list[Row]:
    """Returns the row of a system, and that of what it predicts."""
    own: dict[str, dict[str, Any]] = {}
    predicted: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _PREDICTED}
    name = system.title
    for report in reports(system, dataset, folder):
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
    """Returns how many images the network sees in a second, in batches of 64, the best of three."""
    batch = tf.repeat(images[:1], _TIMED_BATCH, axis=0)
    compiled = tf.function(system.image_features, autograph=False)
    compiled(batch)
    times = []
    for _ in range(3):
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
    rows: list[Row] = []
    for run in FLAGS.run:
        system = registry.load_complete_system(run)
        system.space.check_same(dataset.space, f"--run={run}", f"data set {dataset.name}")
        rows += rows_of(system, dataset, Path(run).expanduser() / "evaluation")
        print(table(rows), flush=True)
    if FLAGS.trunk:
        trunk = TrunkAlone.of_images(dataset, FLAGS.gallery_split, FLAGS.trunk, FLAGS.trunk_size)
        folder = Path(f"{FLAGS.output}_trunk" if FLAGS.output else FLAGS.run[0]).expanduser()
        rows += rows_of(trunk, dataset, folder / "evaluation" / FLAGS.trunk)
        print(table(rows), flush=True)
    if FLAGS.output:
        path = Path(FLAGS.output).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".md").write_text(table(rows) + "\n", encoding="utf-8")
        files.write_json(path.with_suffix(".json"), [dataclasses.asdict(row) for row in rows])
        print(f"written: {path.with_suffix('.md')}, {path.with_suffix('.json')}")


if __name__ == "__main__":
    command.run(main)
