"""Trains the query feature manipulator of FLAM, with embedders as teachers.

  python tools/flam/train_manipulator.py \\
      --flagfile=flags/catalogue/pretrained/flam/manipulator.flags

The paper's manipulator is a GAN on features. It reads no labels, so its images may be unlabelled:
--unlabelled_dataset names another data set, whose labels are ignored.

Ours learns by a ranking: an edited feature must lie nearest to an image that shows the target. It
reads labels where there are some, and what the embedders read where there are none:

  python tools/flam/train_manipulator.py --variant=ranked \\
      --flagfile=flags/catalogue/pretrained/flam/ranked.flags
"""

from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.flam.variants import SEVERAL_EDITS, VARIANTS

import training_flags

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_edits()
training_flags.define_folder("init_from", "Workdir of a finished run of train_embedders.py.")
training_flags.define_folder(
    "trunk_outputs",
    "Folder where the outputs of trunks are stored for all stages and runs; by default "
    "trunk_outputs beside --workdir. It can be deleted at any time.",
    required=False,
)
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_enum(
    "variant",
    "m_os_adv",
    [name for name, variant in VARIANTS.items() if variant.manipulates],
    "Row of the paper's Table 3, or 'ranked' for ours.",
)
flags.DEFINE_enum(
    "several_edits",
    "in_turn",
    list(SEVERAL_EDITS),
    f"How a query edits several attributes. {command.choices(SEVERAL_EDITS)}",
)
flags.DEFINE_integer(
    "generator_dim", None, "Hidden width of the generator; by default that of --init_from.", 1
)
flags.DEFINE_string(
    "unlabelled_dataset",
    "",
    "Data set below --data_dir whose --train_split gives the images, in place of --dataset; its "
    "labels are not read.",
)
flags.DEFINE_bool("flip", False, "Mirror half of the images; not in the paper.")
flags.DEFINE_float("adversarial_weight", 1.0, "Of Eq. 3.", 0.0)
flags.DEFINE_float("matching_weight", 1.0, "Of Eq. 4.", 0.0)
flags.DEFINE_float("cycle_weight", 1.0, "Of Eq. 5.", 0.0)
flags.DEFINE_float(
    "sharpness",
    20.0,
    "Variant 'ranked': what multiplies distances, which are 1 between random vectors, before the "
    "softmax.",
    1e-3,
)
flags.DEFINE_bool(
    "matches_made",
    False,
    "Train the discriminator's matching head on edited features too, as Eq. 4 is printed. Then it "
    "learns to find the wanted value in whatever the generator makes of it.",
)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.flam.instance_stage import InstanceStage
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.flam.ranking_stage import RankingStage
from fashionsearchnet.systems.flam.vector_stages import ManipulatorStage, Vectors

import training_setup

_OF_GAN = ("adversarial_weight", "matching_weight", "matches_made", "flip")
_OF_RANKING = ("negatives", "num_changes", "epoch_of", "sharpness")


def check_flags() -> None:
    """Raises a ValueError for a flag that the variant does not read."""
    is_ranked = VARIANTS[FLAGS.variant].ranked
    others = [name for name, row in VARIANTS.items() if row.manipulates and row.ranked != is_ranked]
    training_setup.refuse_flags(
        _OF_GAN if is_ranked else _OF_RANKING,
        f"is not for --variant={FLAGS.variant}; it is for {', '.join(others)}",
    )


def build_model(dataset: Dataset) -> FLAM:
    """Returns the variant's model with feature and embedders of --init_from.

    Raises:
      ValueError: unless that run has trained the embedders that the variant needs.
    """
    start = training_setup.load_start(FLAM, dataset)
    if registry.describe_system(FLAGS.init_from)["stage"] == InstanceStage.name:
        raise ValueError(
            f"--init_from={FLAGS.init_from} has learned a feature only, and no embedder that could "
            "teach the manipulator. Train train_embedders.py with it, and give that run here."
        )
    wanted = VARIANTS[FLAGS.variant]
    if not wanted.shares_reader(start.editor.variant):
        raise ValueError(
            f"--variant={FLAGS.variant} needs embedders of width {wanted.width}, but --init_from="
            f"{FLAGS.init_from} is a run of {start.title}. Train train_embedders.py with --variant="
            f"{FLAGS.variant}."
        )
    chosen: dict[str, Any] = {"variant": FLAGS.variant, "several_edits": FLAGS.several_edits}
    if FLAGS.generator_dim:
        chosen["generator_dim"] = FLAGS.generator_dim
    model = FLAM(dataset.space, **{**start.arguments, **chosen})
    model.copy_parts(start, *model.feature_parts, "vector_standardization", "reader")
    if not wanted.ranked:
        model.editor.start_discriminator()
    return model


def build_stage(model: FLAM, dataset: Dataset) -> ManipulatorStage | RankingStage:
    """Returns the variant's stage on the images of a data set."""
    outputs = training_setup.outputs_now(model, dataset, flip=FLAGS.flip)
    mirrored = None if outputs.mirrored is None else model.feature_rows(outputs.mirrored)
    is_ranked = VARIANTS[FLAGS.variant].ranked
    labels = outputs.labels if is_ranked and not FLAGS.unlabelled_dataset else None
    vectors = Vectors(model.feature_rows(outputs.upright), mirrored, labels)
    if is_ranked:
        return RankingStage(
            model,
            model.editor,
            vectors,
            FLAGS.batch_size,
            seed=FLAGS.seed,
            negatives=FLAGS.negatives,
            num_changes=FLAGS.num_changes,
            sharpness=FLAGS.sharpness,
            cycle_weight=FLAGS.cycle_weight,
        )
    return ManipulatorStage(
        model,
        model.editor,
        vectors,
        global_batch_size=FLAGS.batch_size,
        seed=FLAGS.seed,
        adversarial_weight=FLAGS.adversarial_weight,
        matching_weight=FLAGS.matching_weight,
        cycle_weight=FLAGS.cycle_weight,
        matches_made=FLAGS.matches_made,
    )


def main() -> None:
    check_flags()
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    with strategy.scope():
        model = build_model(dataset)
    seen = dataset
    if FLAGS.unlabelled_dataset:
        seen = pipeline.open_dataset(FLAGS.data_dir, FLAGS.unlabelled_dataset)
        training_setup.store_training_images(strategy, dataset, seen)
    stage = build_stage(model, seen)
    training_setup.train(stage, seen, strategy)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
