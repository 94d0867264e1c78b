"""Measures where systems look, attribute by attribute, against the true boxes of rendered garments.

  python tools/measure_attention.py --data_dir=data --split='query[:500]' \\
      --run=runs/garments/rank_l --run=runs/garments/pretrained_agman

Prints a table in Markdown. A cell has the share of the attention that lies in the attribute's true
box, and the share of images in which the centre of the system's own box does. The first row is
attention that is the same everywhere, with a row for each system whose maps have other cells.
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
from fashionsearchnet.evaluation.localization import attention_scores, check_attention
from fashionsearchnet.evaluation.reporting import tables
from fashionsearchnet.systems import registry


def main() -> None:
    described = registry.describe_system(FLAGS.run[0])
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or described["dataset"])
    for run in FLAGS.run:  # all of them, before the first is measured
        system = registry.load_system(run)
        check_attention(system, dataset)
        system.space.check_same(dataset.space, f"--run={run}", f"data set {dataset.name}")
    found = {}
    for run in FLAGS.run:
        system = registry.load_system(run)
        found[f"{system.title} ({run})"] = attention_scores(system, dataset, FLAGS.split)
    evenly: dict[tuple[str, ...], str] = {}
    for name, scores in found.items():
        cells = tuple(f"{each['cells_in_box']:.3f} / -" for each in scores.values())
        evenly.setdefault(cells, f" on the maps of {name}" if evenly else "")
    rows = [
        [name, *(f"{s['mass_in_box']:.3f} / {s['center_in_box']:.3f}" for s in scores.values())]
        for name, scores in found.items()
    ]
    header = ["mass in box / centre in box", *next(iter(found.values()))]
    chance = [[f"the same everywhere{where}", *cells] for cells, where in evenly.items()]
    print(tables.markdown_table(header, [*chance, *rows]))


if __name__ == "__main__":
    command.run(main)
