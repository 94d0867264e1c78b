"""Stage 2 of AMNet: trains memory, fusion and fully connected layers on edits, by a joint loss.

python tools/amnet/train_manipulation.py --flagfile=flags/garments/amnet/manipulation.flags
"""

from fashionsearchnet import command  # isort: skip  (TensorFlow starts quietly)

from absl import flags

import training_flags
from fashionsearchnet.systems.amnet import AMNet
from fashionsearchnet.systems.amnet.extraction import load_convolved
from fashionsearchnet.systems.amnet.stages import ManipulationStage

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_edits()
training_flags.define_folder("init_from", "Workdir of a finished stage 1.")
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_float(
    "margin",
    10.0,
    "By how much the positive must be nearer than the negative, as a Euclidean distance. It should "
    "be of the order of positive_distance and negative_distance in metrics.jsonl.",
    0.0,
)
flags.DEFINE_float("triplet_weight", 1.0, "Of the ranking loss; the classification has 1.", 0.0)


def main() -> None:
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    with strategy.scope():
        model = training_flags.load_start(AMNet, dataset)
    convolved = load_convolved(FLAGS.init_from, dataset, FLAGS.train_split)
    stage = ManipulationStage(
        model,
        convolved,
        dataset.labels(FLAGS.train_split),
        margin=FLAGS.margin,
        triplet_weight=FLAGS.triplet_weight,
        **training_flags.edit_stage_arguments(),
    )
    training_flags.train(stage, dataset, strategy)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
