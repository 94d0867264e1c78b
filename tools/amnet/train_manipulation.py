"""Stage 2 of AMNet: trains memory, fusion and fully connected layers on edits, by a joint loss.

python tools/amnet/train_manipulation.py --flagfile=flags/garments/amnet/manipulation.flags
"""

from absl import flags

from fashionsearchnet import command

import training_flags

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

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.amnet.extraction import load_convolved
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.amnet.stages import ManipulationStage

import training_setup


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    with strategy.scope():
        model = training_setup.load_start(AMNet, dataset)
    convolved = load_convolved(FLAGS.init_from, dataset, FLAGS.train_split)
    stage = ManipulationStage(
        model,
        convolved,
        dataset.labels(FLAGS.train_split),
        margin=FLAGS.margin,
        triplet_weight=FLAGS.triplet_weight,
        **training_setup.edit_stage_arguments(),
    )
    training_setup.train(stage, dataset, strategy)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
