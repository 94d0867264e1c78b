"""Chooses how much of a label goes into gallery vectors, and stores it with a run.

  python tools/choose_blend.py --workdir=runs/garments/ours --data_dir=data

Each block of a gallery vector is a blend of what the image shows and the prototype of its label.
The blend is chosen on a validation cut, over galleries that know a quarter to all of their labels
and galleries with wrong ones. Blends that are worse than the images alone anywhere are left out.
The cut is smaller than the gallery, so a smaller K than 20 counts there: as large a share.
tools/export.py, tools/build_index.py --use_labels, tools/search.py --use_labels and
tools/evaluate.py --gallery_labels then take it.
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.attributes import HIT_RULES

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string(
    "dataset", "", "Data set below --data_dir; by default the one that the run was trained on."
)
flags.DEFINE_string("query_split", "validation[:30%]", "Split of the queries; slices work.")
flags.DEFINE_string("gallery_split", "validation[30%:]", "Split of the gallery; slices work.")
flags.DEFINE_integer(
    "k",
    None,
    "The K of the Top-K to choose by; by default the share of the gallery that 20 images are of "
    "--final_split. Top-20 among few images hardly depends on the blend.",
    1,
)
flags.DEFINE_string("final_split", "gallery", "The gallery that the blend is for.")
flags.DEFINE_enum("hit_rule", "identical", list(HIT_RULES), "See tools/evaluate.py.")
flags.DEFINE_integer(
    "max_manipulations_per_attribute", 1000, "Manipulations of each attribute, drawn.", 1
)
flags.DEFINE_integer("seed", 0, "Of the draws of manipulations and labels.", 0)
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.evaluation import LabelledGalleryProtocol
from fashionsearchnet.evaluation.label_blend import CONDITIONS, BlendChoice, choose_blend
from fashionsearchnet.evaluation.reporting.tables import text_table
from fashionsearchnet.systems import registry


def k_of_flags(dataset: Dataset) -> int:
    """Returns --k, or the K that is as hard as 20 of the final gallery."""
    if FLAGS.k is not None:
        return int(FLAGS.k)
    share = dataset.num_examples(FLAGS.gallery_split) / dataset.num_examples(FLAGS.final_split)
    return min(20, max(1, round(20 * share)))


def print_choice(choice: BlendChoice, k: int) -> None:
    """Prints the figures of every blend that was tried."""
    header = [f"blend: Top-{k} with known / wrong labels"]
    header += [f"{known:.0%} / {wrong:.0%}" for known, wrong in CONDITIONS]
    rows = [["images alone", *[f"{choice.alone:.3f}"] * len(CONDITIONS)]]
    rows += [
        [f"{blend:g}", *(f"{figure:.3f}" for figure in figures)]
        for blend, figures in choice.figures.items()
    ]
    print(text_table(header, rows))


def main() -> None:
    if FLAGS.query_split.partition("[")[0] == "query":
        raise ValueError(
            "a choice is never made on the queries that a table is measured on; give a "
            f"--query_split such as 'validation[:30%]', not {FLAGS.query_split!r}."
        )
    trained = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system = registry.load_complete_system(FLAGS.workdir)
    k = k_of_flags(dataset)
    protocol = LabelledGalleryProtocol(
        query_split=FLAGS.query_split,
        gallery_split=FLAGS.gallery_split,
        top_k=(k,),
        headline_k=k,
        hit_rule=FLAGS.hit_rule,
        max_manipulations_per_attribute=FLAGS.max_manipulations_per_attribute,
        seed=FLAGS.seed,
    )
    choice = choose_blend(system, dataset, protocol, batch_size=FLAGS.batch_size)
    print_choice(choice, k)
    weights = registry.weights_digest(FLAGS.workdir)
    path = choice.chosen(system.space, weights, protocol).save(FLAGS.workdir)
    print(f"written: {path}, blend {choice.blend:g} for {', '.join(system.space.names)}")


if __name__ == "__main__":
    command.run(main)
