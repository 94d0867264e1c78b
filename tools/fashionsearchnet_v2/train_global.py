"""Stage 3 of FashionSearchNet-v2: learns to merge the local representations (Eq. 7-8).

  python tools/fashionsearchnet_v2/train_global.py \\
      --flagfile=flags/garments/fashionsearchnet_v2/global.flags
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import RANKING_LOSSES, REDUCTIONS
from fashionsearchnet.systems.fashionsearchnet_v2.variants import VARIANTS

import training_flags

_BLOCK_DIM = 32  # as accurate as 256 on the data sets of docs/results.md

FLAGS = flags.FLAGS
training_flags.define(num_epochs=2)
training_flags.define_edits()
training_flags.define_folder("init_from", "Workdir of a finished stage 2.")
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_enum(
    "variant",
    "full",
    [name for name, variant in VARIANTS.items() if variant.global_ranking],
    "Row of the paper's Table 1, or ours.",
)
flags.DEFINE_integer("global_dim", 512, "Width r of the global representation.", 1)
flags.DEFINE_integer(
    "block_dim",
    None,
    "Numbers per attribute in a vector of ours, in place of --global_dim; by default "
    f"{_BLOCK_DIM}. More take more memory and time in an index.",
    1,
)
flags.DEFINE_float(
    "memory_rate_multiplier",
    1.0,
    "Learning rate of the memory over that of the rest, where the variant trains it. At 1 its rows "
    "hardly move.",
    0.0,
)
flags.DEFINE_enum(
    "ranking_loss",
    "triplet",
    list(RANKING_LOSSES),
    command.choices(RANKING_LOSSES),
)
flags.DEFINE_enum(
    "reduction",
    "mean",
    REDUCTIONS,
    "Of the losses of a batch; Eq. 8 is a sum. With it, the learning rate acts --batch_size times "
    "as strongly.",
)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import tensorflow as tf

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.edit_ranking import EditRanking
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import GlobalStage
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    check_shares_representations,
    get_variant,
)
from fashionsearchnet.systems.representations import load_representations

import training_setup


def build_model(dataset: Dataset, strategy: tf.distribute.Strategy) -> FashionSearchNetV2:
    """Returns the variant's model with the local representations and memory of stage 2."""
    start = training_setup.load_start(FashionSearchNetV2, dataset)
    trained = start.arguments["variant"]
    check_shares_representations(FLAGS.variant, trained, f"--init_from={FLAGS.init_from}")
    arguments = {
        **start.arguments,
        "variant": FLAGS.variant,
        "global_dim": FLAGS.global_dim,
        "block_dim": block_dim(start.arguments["representation_dim"]),
    }
    with strategy.scope():
        model = FashionSearchNetV2(dataset.space, **arguments)
        model.copy_parts(start, *model.input_parts, "heads", "memory")
    return model


def block_dim(representation_dim: int) -> int | None:
    """Returns --block_dim or its default; None for a variant without blocks of its own."""
    if FLAGS.block_dim is None and get_variant(FLAGS.variant).blockwise:
        return min(_BLOCK_DIM, representation_dim)
    return FLAGS.block_dim


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    model = build_model(dataset, strategy)
    representations = load_representations(
        FLAGS.init_from, dataset, FLAGS.train_split, "fashionsearchnet_v2/train_representations"
    )
    if isinstance(model.global_representation, EditRanking):
        model.global_representation.start_from(representations)
    stage = GlobalStage(
        model,
        representations,
        dataset.labels(FLAGS.train_split),
        memory_rate_multiplier=FLAGS.memory_rate_multiplier,
        ranking_loss=FLAGS.ranking_loss,
        reduction=FLAGS.reduction,
        **training_setup.edit_stage_arguments(),
    )
    training_setup.train(stage, dataset, strategy)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
