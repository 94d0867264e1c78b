"""Trains the query feature manipulator of FLAM: a GAN on features, with embedders as teachers.

  python tools/flam/train_manipulator.py --flagfile=flags/catalogue/flam/manipulator.flags

It reads no labels, so its images may be unlabelled: --unlabelled_dataset names another data set,
whose labels are ignored.
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

from absl import flags

import training_flags
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.flam import FLAM, VARIANTS
from fashionsearchnet.systems.flam.vector_stages import ManipulatorStage, Vectors

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
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
    "Row of the paper's Table 3.",
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
flags.DEFINE_bool(
    "matches_made",
    False,
    "Train the discriminator's matching head on edited features too, as Eq. 4 is printed. Then it "
    "learns to find the wanted value in whatever the generator makes of it.",
)


def build_model(dataset: Dataset) -> FLAM:
    """Returns the variant's model with feature and embedders of --init_from.

    Raises:
      ValueError: unless that run has the embedders that the variant needs.
    """
    start = training_flags.load_start(FLAM, dataset)
    wanted = VARIANTS[FLAGS.variant]
    if not wanted.shares_reader(start.editor.variant):
        raise ValueError(
            f"--variant={FLAGS.variant} needs embedders of width {wanted.width}, but --init_from="
            f"{FLAGS.init_from} is a run of {start.title}. Train train_embedders.py with --variant="
            f"{FLAGS.variant}."
        )
    model = FLAM(dataset.space, **{**start.arguments, "variant": FLAGS.variant})
    model.copy_parts(start, *model.feature_parts, "vector_standardization", "reader")
    model.editor.start_discriminator()
    return model


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    with strategy.scope():
        model = build_model(dataset)
    seen = dataset
    if FLAGS.unlabelled_dataset:
        seen = pipeline.open_dataset(FLAGS.data_dir, FLAGS.unlabelled_dataset)
    outputs = training_flags.outputs_now(model, seen, flip=FLAGS.flip)
    mirrored = None if outputs.mirrored is None else model.features_of(outputs.mirrored)
    stage = ManipulatorStage(
        model,
        model.editor,
        Vectors(model.features_of(outputs.upright), mirrored),
        global_batch_size=FLAGS.batch_size,
        seed=FLAGS.seed,
        adversarial_weight=FLAGS.adversarial_weight,
        matching_weight=FLAGS.matching_weight,
        cycle_weight=FLAGS.cycle_weight,
        matches_made=FLAGS.matches_made,
    )
    training_flags.train(stage, seen, strategy)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
