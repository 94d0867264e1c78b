"""Stage 2 of FashionSearchNet-v2: trains the local representations by the joint loss (Eq. 9).

At its end it writes the attribute memory (class means) and the local representations of the
training images. Stage 3 trains on them.

  python tools/fashionsearchnet_v2/train_representations.py \\
      --flagfile=flags/garments/fashionsearchnet_v2/representations.flags --variant=rank_l
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

import tensorflow as tf
from absl import flags

import training_flags
from fashionsearchnet.checks import whole_numbers
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.fashionsearchnet_v2 import VARIANTS, FashionSearchNetV2, regions
from fashionsearchnet.systems.fashionsearchnet_v2.extraction import fill_memory
from fashionsearchnet.systems.fashionsearchnet_v2.model import MAX_MAP_THRESHOLD
from fashionsearchnet.systems.fashionsearchnet_v2.stages import TRIPLET_MEANS, RepresentationStage

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_augmentation()
training_flags.define_folder("init_from", "Workdir of a finished stage 1.")
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_enum("variant", "full", list(VARIANTS), "Row of the paper's Table 1, or ours.")
flags.DEFINE_float(
    "map_threshold", 0.2, "Share of a map's maximum; 0.2 in the paper.", 0.0, MAX_MAP_THRESHOLD
)
flags.DEFINE_enum(
    "map_scaling", "max", regions.MAP_SCALINGS, "min_max stretches a map to 0..1 first."
)
flags.DEFINE_integer("region_size", 3, "Cells per side of a pooled region.", 1, 13)
flags.DEFINE_list("hidden_dims", ["512", "512"], "Widths of fc8 and fc9, comma-separated.")
flags.DEFINE_integer("representation_dim", 256, "Width of fc10.", 1)
flags.DEFINE_float("dropout_rate", 0.5, "On fully connected layers; 0.5 in the paper.", 0.0, 0.95)
flags.DEFINE_float("classification_weight", 1.0, "lambda_C of Eq. 9.", 0.0)
flags.DEFINE_float("triplet_weight", 1.5, "lambda_T of Eq. 9.", 0.0)
flags.DEFINE_enum(
    "triplet_mean",
    "batch",
    list(TRIPLET_MEANS),
    "L_T of Eq. 9. "
    + "; ".join(f"{name}: {words}" for name, words in TRIPLET_MEANS.items())
    + ". batch is the paper's; with it, L_T fades where labels are sparse (valid_triplets in "
    "metrics.jsonl).",
)
flags.DEFINE_float("representation_classification_weight", 1.0, "lambda_TC of Eq. 9.", 0.0)


def build_model(dataset: Dataset, strategy: tf.distribute.Strategy) -> FashionSearchNetV2:
    """Returns the variant's model with the attention of stage 1."""
    start = training_flags.load_start(FashionSearchNetV2, dataset)
    arguments = {
        **start.arguments,
        "variant": FLAGS.variant,
        "map_threshold": FLAGS.map_threshold,
        "map_scaling": FLAGS.map_scaling,
        "region_size": FLAGS.region_size,
        "hidden_dims": whole_numbers("hidden_dims", FLAGS.hidden_dims, 1),
        "representation_dim": FLAGS.representation_dim,
        "dropout_rate": FLAGS.dropout_rate,
    }
    with strategy.scope():
        model = FashionSearchNetV2(dataset.space, **arguments)
        model.copy_parts(start, "trunk", "conv5", "attention_maps")
    return model


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    model = build_model(dataset, strategy)
    stage = RepresentationStage(
        model,
        dataset,
        **training_flags.image_stage_arguments(),
        classification_weight=FLAGS.classification_weight,
        triplet_weight=FLAGS.triplet_weight,
        triplet_mean=FLAGS.triplet_mean,
        representation_classification_weight=FLAGS.representation_classification_weight,
    )
    training_flags.train(stage, dataset, strategy)
    fill_memory(model, dataset, FLAGS.train_split, FLAGS.workdir)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
