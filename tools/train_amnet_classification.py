"""Stage 1 of AMNet: trains the network by classification, as the memory and stage 2 need it.

Ends by writing the memory (class means) and the training images' convolutional features, which
stage 2 works on.

  python tools/train_amnet_classification.py --flagfile=flags/garments/amnet_classification.flags \
      --data_dir=data --workdir=runs/garments/amnet_classification
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

from absl import flags

import training_flags
from fashionsearchnet import backbones, layers
from fashionsearchnet.backbones import load_pretrained
from fashionsearchnet.systems.amnet import AMNet
from fashionsearchnet.systems.amnet.extraction import fill_memory
from fashionsearchnet.systems.amnet.stages import ClassificationStage

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_augmentation()
flags.DEFINE_enum("backbone", "alexnet", backbones.BACKBONES, "Trunk up to conv4.")
flags.DEFINE_integer("image_size", 227, "Side of the square input in pixels.", 25)
flags.DEFINE_float("width", 1.0, "Multiplies the number of filters of AlexNet.", 0.05, 4.0)
flags.DEFINE_integer("first_stride", 4, "Stride of conv1; 2 for images under 100 px.", 1, 4)
flags.DEFINE_enum(
    "normalization",
    "none",
    layers.NORMALIZATIONS,
    "batch is needed to train from scratch; none is the original AlexNet, for pretrained weights.",
)
flags.DEFINE_string(
    "pretrained_weights",
    None,
    "bvlc_alexnet.npy for conv1-conv4, or *.weights.h5 of the backbone. Load only a .npy file that "
    "you trust: it is a pickle.",
)
flags.DEFINE_integer("feature_dim", 4096, "Width of fc6 and fc7; 4096 goes with --width=1.", 1)
flags.DEFINE_float("dropout_rate", 0.5, "On fc6, and on fc7 for the classifiers.", 0.0, 0.95)


def main() -> None:
    dataset, strategy = training_flags.start()
    if training_flags.is_finished():
        return
    with strategy.scope():
        model = AMNet(
            dataset.space,
            backbone=FLAGS.backbone,
            image_size=FLAGS.image_size,
            width=FLAGS.width,
            first_stride=FLAGS.first_stride,
            normalization=FLAGS.normalization,
            channel_means=dataset.channel_means(FLAGS.train_split),
            feature_dim=FLAGS.feature_dim,
            dropout_rate=FLAGS.dropout_rate,
        )
    if FLAGS.pretrained_weights:
        names = load_pretrained(model.backbone, FLAGS.pretrained_weights)
        print(f"loaded {', '.join(names)} from {FLAGS.pretrained_weights}")
    stage = ClassificationStage(
        model,
        dataset,
        global_batch_size=FLAGS.batch_size,
        split=FLAGS.train_split,
        seed=FLAGS.seed,
        flip=FLAGS.flip,
    )
    training_flags.train(stage, dataset, strategy)
    fill_memory(model, dataset, FLAGS.train_split, FLAGS.workdir)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
