"""Stage 1 of AMNet: trains the network by classification.

At its end it writes the memory (class means) and the convolutional features of the training images.
Stage 2 trains on them.

  python tools/amnet/train_classification.py --flagfile=flags/garments/amnet/classification.flags
"""

from absl import flags

from fashionsearchnet import command

import training_flags

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_augmentation()
training_flags.define_network()
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_integer("feature_dim", 4096, "Width of fc6 and fc7; 4096 goes with --width=1.", 1)
flags.DEFINE_float("dropout_rate", 0.5, "On fc6, and on fc7 for the classifiers.", 0.0, 0.95)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.systems.amnet.extraction import fill_memory
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.amnet.stages import ClassificationStage

import training_setup


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    with strategy.scope():
        model = AMNet(
            dataset.space,
            **training_setup.network_arguments(dataset),
            feature_dim=FLAGS.feature_dim,
            dropout_rate=FLAGS.dropout_rate,
        )
    training_setup.load_pretrained_weights(model)
    stage = ClassificationStage(model, dataset, **training_setup.image_stage_arguments())
    training_setup.train(stage, dataset, strategy)
    fill_memory(model, dataset, FLAGS.train_split, FLAGS.workdir)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
