"""Draws Figure 3 of FLAM's paper: embeddings of images before and after an edit, by t-SNE.

  python tools/flam/draw_embeddings.py --workdir=runs/my_shop/flam --edit=baseColour=Red \\
      --output=runs/my_shop/flam/embeddings.png

A good manipulator moves the edited images, black crosses, to the wanted value in the panel of the
edited attribute. Rings mark the images that show that value as they are. In all other panels,
edited images stay where images of their values are. Needs scikit-learn (pip install
'fashionsearchnet[tsne]').
"""

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a finished run of FLAM.", required=True)
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("dataset", "", "Data set below --data_dir; by default the run's.")
flags.DEFINE_string("split", "gallery", "Split of the images; slices work.")
flags.DEFINE_string("edit", None, "The edit, such as colour=red.", required=True)
flags.DEFINE_integer("num_images", 3000, "Images to show as they are; 3000 in the paper.", 3)
flags.DEFINE_integer("num_edited", 1000, "Of them, images to edit too; 1000 in the paper.", 1)
flags.DEFINE_integer("seed", 0, "Of the choice of images and of t-SNE.", 0)
flags.DEFINE_string("output", None, "PNG file.", required=True)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np

from fashionsearchnet.attributes import KEEP, parse_manipulation
from fashionsearchnet.data import pipeline
from fashionsearchnet.explain import embedding_map
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.features import (
    FeatureArrays,
    attribute_embeddings,
    edited_embedding,
    extract_features,
)
from fashionsearchnet.systems.flam.model import FLAM


def main() -> None:
    trained = registry.describe_system(FLAGS.workdir)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset or trained["dataset"])
    system = registry.load_complete_system(FLAGS.workdir)
    if not isinstance(system, FLAM) or not system.editor.variant.manipulates:
        raise ValueError(
            f"--workdir={FLAGS.workdir} is a run of {system.title}; embeddings of edited features "
            "are those of a FLAM with a manipulator."
        )
    edit = parse_manipulation(system.space, [FLAGS.edit], "--edit")
    features = extract_features(system, dataset, FLAGS.split)
    rng = np.random.default_rng(FLAGS.seed)
    number = len(features["embedding"])
    shown = rng.permutation(number)[: FLAGS.num_images]
    rows = shown[: FLAGS.num_edited]
    edited: FeatureArrays = {
        "embedding": edited_embedding(system.query_embedding, features)(
            rows, np.tile(edit, (len(rows), 1))
        )
    }
    before: FeatureArrays = {name: array[shown] for name, array in features.items()}
    labels = dataset.labels(FLAGS.split)[shown]
    panels = [
        embedding_map.Panel(
            name,
            attribute_embeddings(system, before, a),
            attribute_embeddings(system, edited, a),
            labels[:, a],
            system.space.values[a],
            int(edit[a]) if edit[a] != KEEP else None,
        )
        for a, name in enumerate(system.space.names)
    ]
    title = f"{system.title}: {len(shown):,} images, and {len(rows):,} of them with {FLAGS.edit}"
    embedding_map.draw(FLAGS.output, panels, title, FLAGS.seed)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    command.run(main)
