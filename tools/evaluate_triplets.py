"""Measures a system on the triplets that a data set lists: how many positives are nearer.

  python tools/evaluate_triplets.py --workdir=runs/zappos50k/asenet --data_dir=data

For a data set without values, such as zappos50k with CSN's lists; for any other use
tools/evaluate.py --task=attribute. Prints a table in Markdown, and writes it with its intervals to
<workdir>/evaluation/<split>_triplets.json.
"""

from pathlib import Path

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_string(
    "split", "query", "Split whose triplets are asked: query (to test), validation or train."
)
flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap over anchors.", 1)
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet import files
from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation.listed_triplets import listed_triplet_accuracy
from fashionsearchnet.evaluation.reporting import tables
from fashionsearchnet.systems import registry


def main() -> None:
    described = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or described["dataset"])
    system = registry.load_system(FLAGS.workdir)
    found = listed_triplet_accuracy(
        system, dataset, FLAGS.split, FLAGS.num_resamples, batch_size=FLAGS.batch_size
    )
    means = [tables.with_interval(found, key) for key in ("mean", "queries")]
    groups = ["-" if value is None else f"{value:.3f}" for value in found["per_group"]]
    numbers = [f"{number:,}" for number in found["numbers"]]
    header = ["triplet accuracy", *dataset.space.names, "plain mean", "triplet-weighted mean"]
    chance = ["chance", *["0.500"] * len(groups), "0.500", "0.500"]
    rows = [chance, [system.title, *groups, *means], ["triplets", *numbers, "", ""]]
    print(tables.markdown_table(header, rows))
    path = Path(FLAGS.workdir).expanduser() / "evaluation" / f"{FLAGS.split}_triplets.json"
    details = {"dataset": dataset.name, "split": FLAGS.split, "attributes": dataset.space.names}
    files.write_json(path, details | found)
    print(f"written: {path}")


if __name__ == "__main__":
    command.run(main)
