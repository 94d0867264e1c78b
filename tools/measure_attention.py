"""Measures where systems look, attribute by attribute, against the true boxes of rendered garments.

  python tools/measure_attention.py --data_dir=data --split='query[:500]' \\
      --run=runs/garments/rank_l --run=runs/garments/pretrained_agman

Prints a table in Markdown. A cell has the share of the attention that lies in the attribute's true
box, and the share of images in which the centre of the system's own box does. The first row is
attention that is the same everywhere.
"""

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("run", None, "Folder of a finished run; repeatable.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the first run has."
)
flags.DEFINE_string("split", "query", "Split of the images; slices work.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation.localization import attention_scores
from fashionsearchnet.evaluation.reporting import tables
from fashionsearchnet.systems import registry


def main() -> None:
    described = registry.describe_system(FLAGS.run[0])
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or described["dataset"])
    found = {}
    for run in FLAGS.run:
        system = registry.load_system(run)
        system.space.check_same(dataset.space, f"--run={run}", f"data set {dataset.name}")
        found[f"{system.title} ({run})"] = attention_scores(system, dataset, FLAGS.split)
    first = next(iter(found.values()))
    evenly = [f"{scores['cells_in_box']:.3f} / -" for scores in first.values()]
    rows = [
        [name, *(f"{s['mass_in_box']:.3f} / {s['center_in_box']:.3f}" for s in scores.values())]
        for name, scores in found.items()
    ]
    header = ["mass in box / centre in box", *first]
    print(tables.markdown_table(header, [["the same everywhere", *evenly], *rows]))


if __name__ == "__main__":
    command.run(main)
