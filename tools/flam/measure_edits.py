"""Measures edited features of FLAM by a classifier that never saw one (Table 5 of the paper).

  python tools/flam/measure_edits.py --workdir=runs/my_shop/flam \\
      --classifiers=runs/my_shop/cls_concat --data_dir=data

The classifier is a run of train_classifiers.py on the same feature. Prints its accuracy on the
queries' features as they are, and on those whose attribute was edited: on that attribute, where the
wanted value is right, and on the attributes that the edit keeps. Writes edited_features.json into
<workdir>/evaluation.
"""

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run of FLAM.", required=True)
flags.DEFINE_string(
    "classifiers", None, "Folder of a finished run of train_classifiers.py.", required=True
)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("dataset", "", "Data set below --data_dir; by default the run's.")
flags.DEFINE_string("query_split", "query", "Split of the images to edit; slices work.")
flags.DEFINE_string(
    "gallery_split", "gallery", "Split whose labels say which edits are possible; slices work."
)
flags.DEFINE_integer("max_manipulations_per_attribute", 1000, "Edits of each attribute, drawn.", 1)
flags.DEFINE_integer("seed", 0, "Of the draw of edits.", 0)
flags.DEFINE_integer("batch_size", 64, "Images per forward pass.", 1)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from pathlib import Path

from fashionsearchnet import files
from fashionsearchnet.data import pipeline
from fashionsearchnet.evaluation import ManipulationProtocol, published
from fashionsearchnet.evaluation.edited_features import EditedAccuracy, measure_edited
from fashionsearchnet.evaluation.reporting.tables import markdown_table
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.flam.model import FLAM


def load(flag: str) -> FLAM:
    """Returns the finished run of FLAM that a flag names."""
    workdir: str = FLAGS[flag].value or ""
    system = registry.load_complete_system(workdir)
    if not isinstance(system, FLAM):
        raise ValueError(f"--{flag}={workdir} is a run of {system.title}; give a run of FLAM.")
    return system


def load_both() -> tuple[FLAM, FLAM]:
    """Returns the system that edits and the classifier, both on one feature."""
    system, classifier = load("workdir"), load("classifiers")
    if not system.editor.variant.manipulates:
        raise ValueError(
            f"--workdir={FLAGS.workdir} is a run of {system.title}, which edits no features; give "
            "a run of train_manipulator.py."
        )
    if classifier.editor.variant.reader != "classifiers":
        raise ValueError(
            f"--classifiers={FLAGS.classifiers} is a run of {classifier.title}; give a run of "
            "train_classifiers.py."
        )
    if not system.shares_feature(classifier):
        raise ValueError(
            f"--classifiers={FLAGS.classifiers} reads another feature than that of --workdir="
            f"{FLAGS.workdir}; train both with the same trunk, or from the same --init_from."
        )
    return system, classifier


def table(found: EditedAccuracy, dataset: str) -> str:
    """Returns the figures in Markdown, the published ones beside them."""
    kept, others = found.kept, found.original_of_others
    rows = [
        [name, *map(figure, (found.original[a], found.edited[a, a], others[a], kept[a]))]
        for a, name in enumerate(found.attributes)
    ]
    rows.append(["mean difference", "", f"{found.mean_difference:+.3f}", "", ""])
    paper = published.edited_features(dataset)
    if paper is not None:
        figures = zip(paper["attributes"], paper["original"], paper["edited"], strict=True)
        rows += [[f"published: {name}", figure(a), figure(b), "", ""] for name, a, b in figures]
        rows.append(["published: difference", "", f"{paper['mean_difference']:+.3f}", "", ""])
    header = ["accuracy", "original", "edited", "others, original", "others, after the edit"]
    return markdown_table(header, rows)


def figure(value: float) -> str:
    """Returns a share with three digits, '-' for NaN."""
    return "-" if value != value else f"{value:.3f}"


def main() -> None:
    system, classifier = load_both()
    described = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or described["dataset"])
    protocol = ManipulationProtocol(
        query_split=FLAGS.query_split,
        gallery_split=FLAGS.gallery_split,
        max_manipulations_per_attribute=FLAGS.max_manipulations_per_attribute,
        seed=FLAGS.seed,
    )
    found = measure_edited(system, classifier, dataset, protocol, FLAGS.batch_size)
    print(f"{system.title} on {dataset.name}, {found.num_edits.sum():,} edits:")
    print(table(found, dataset.name))
    folder = Path(FLAGS.workdir).expanduser() / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "edited_features.json", found.to_dict())
    print(f"written: {folder / 'edited_features.json'}")


if __name__ == "__main__":
    command.run(main)
