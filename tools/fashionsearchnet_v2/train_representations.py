"""Stage 2 of FashionSearchNet-v2: trains the local representations by the joint loss (Eq. 9).

At its end it writes the attribute memory (class means) and the local representations of the
training images. Stage 3 trains on them.

  python tools/fashionsearchnet_v2/train_representations.py \\
      --flagfile=flags/garments/fashionsearchnet_v2/representations.flags --variant=rank_l

A variant on pooled features (`full_pooled`, `ours_pooled`) has no stage 1: this is its first.

  python tools/fashionsearchnet_v2/train_representations.py \\
      --flagfile=flags/catalogue/pretrained/fashionsearchnet_v2/pooled_representations.flags
"""

from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import MAP_SCALINGS
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    MAX_MAP_THRESHOLD,
    TRIPLET_MEANS,
    VARIANTS,
)

import training_flags

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_augmentation()
training_flags.define_network()
training_flags.define_trunk_training()
training_flags.define_folder(
    "init_from",
    "Workdir of a finished stage 1, which brings its network; not for a variant on pooled "
    "features.",
    required=False,
)
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_enum("variant", "full", list(VARIANTS), "Row of the paper's Table 1, or ours.")
flags.DEFINE_float(
    "map_threshold", 0.2, "Share of a map's maximum; 0.2 in the paper.", 0.0, MAX_MAP_THRESHOLD
)
flags.DEFINE_enum("map_scaling", "max", MAP_SCALINGS, "min_max stretches a map to 0..1 first.")
flags.DEFINE_integer("region_size", 3, "Cells per side of a pooled region.", 1, 13)
flags.DEFINE_list("hidden_dims", ["512", "512"], "Widths of fc8 and fc9, comma-separated.")
flags.DEFINE_integer("representation_dim", 256, "Width of fc10.", 1)
flags.DEFINE_float("dropout_rate", 0.5, "On fully connected layers; 0.5 in the paper.", 0.0, 0.95)
flags.DEFINE_float("input_dropout_rate", 0.0, "On what fc8 reads; 0 in the paper.", 0.0, 0.95)
flags.DEFINE_float("classification_weight", 1.0, "lambda_C of Eq. 9.", 0.0)
flags.DEFINE_float("triplet_weight", 1.5, "lambda_T of Eq. 9.", 0.0)
flags.DEFINE_enum(
    "triplet_mean",
    "batch",
    list(TRIPLET_MEANS),
    "L_T of Eq. 9. "
    + command.choices(TRIPLET_MEANS)
    + " batch is the paper's; with it, L_T fades where labels are "
    "sparse (valid_triplets in metrics.jsonl).",
)
flags.DEFINE_float("representation_classification_weight", 1.0, "lambda_TC of Eq. 9.", 0.0)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import tensorflow as tf

from fashionsearchnet.checks import whole_numbers
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import RepresentationStage
from fashionsearchnet.systems.fashionsearchnet_v2.variants import get_variant
from fashionsearchnet.systems.representations import fill_memory

import training_setup


def build_model(dataset: Dataset, strategy: tf.distribute.Strategy) -> FashionSearchNetV2:
    """Returns the variant's model with the attention of stage 1, or with pooled features."""
    arguments = {
        "variant": FLAGS.variant,
        "map_threshold": FLAGS.map_threshold,
        "map_scaling": FLAGS.map_scaling,
        "region_size": FLAGS.region_size,
        "hidden_dims": whole_numbers("hidden_dims", FLAGS.hidden_dims, 1),
        "representation_dim": FLAGS.representation_dim,
        "dropout_rate": FLAGS.dropout_rate,
        "input_dropout_rate": FLAGS.input_dropout_rate,
    }
    if get_variant(FLAGS.variant).pooled:
        return build_pooled_model(dataset, strategy, arguments)
    start = training_setup.load_start(FashionSearchNetV2, dataset)
    trunk = training_setup.trunk_of_start(start)
    with strategy.scope():
        model = FashionSearchNetV2(
            dataset.space, **{**start.arguments, **arguments, "trunk": trunk}
        )
        model.copy_parts(start, *model.input_parts)
    return model


def build_pooled_model(
    dataset: Dataset, strategy: tf.distribute.Strategy, arguments: dict[str, Any]
) -> FashionSearchNetV2:
    """Returns a model on the pooled features of the trunk that the flags name, standardised."""
    with strategy.scope():
        model = FashionSearchNetV2(
            dataset.space, **arguments, **training_setup.network_arguments(dataset)
        )
    training_setup.load_pretrained_weights(model)
    outputs = training_setup.outputs_now(model, dataset, flip=False)
    model.standardization.adapt(outputs.parts())
    return model


def check_start() -> None:
    """Raises a ValueError unless --init_from is given where the variant has a stage 1."""
    if get_variant(FLAGS.variant).pooled == (FLAGS.init_from is None):
        return
    if FLAGS.init_from is None:
        raise ValueError(
            f"--init_from must name a finished stage 1 for --variant={FLAGS.variant}; train one "
            "with train_localization.py, or use a variant on pooled features."
        )
    raise ValueError(
        f"--variant={FLAGS.variant} has no stage 1 to start from, since it pools whole maps; got "
        f"--init_from={FLAGS.init_from}. Leave it out, and name the network (--backbone)."
    )


def main() -> None:
    check_start()
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    model = build_model(dataset, strategy)
    outputs = training_setup.stored_outputs(model, dataset)
    stage = RepresentationStage(
        model,
        dataset,
        **training_setup.image_stage_arguments(),
        outputs=outputs,
        trunk_rate_multiplier=FLAGS.trunk_rate_multiplier,
        classification_weight=FLAGS.classification_weight,
        triplet_weight=FLAGS.triplet_weight,
        triplet_mean=FLAGS.triplet_mean,
        representation_classification_weight=FLAGS.representation_classification_weight,
    )
    training_setup.train(stage, dataset, strategy)
    fill_memory(model, dataset, FLAGS.train_split, FLAGS.workdir, outputs)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
