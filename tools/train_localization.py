"""Stage 1 of FashionSearchNet-v2: trains the attribute activation maps by classification.

  python tools/train_localization.py --flagfile=flags/garments/localization.flags \
      --data_dir=data --workdir=runs/garments/localization
"""

from fashionsearchnet import command  # isort: skip  (sets TensorFlow's environment)

from absl import flags

import training_flags
from fashionsearchnet import backbones, layers
from fashionsearchnet.backbones import load_pretrained
from fashionsearchnet.systems.fashionsearchnet_v2 import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import LocalizationStage

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


def main() -> None:
    dataset, strategy = training_flags.start()
    if training_flags.is_finished():
        return
    with strategy.scope():
        model = FashionSearchNetV2(
            dataset.space,
            backbone=FLAGS.backbone,
            image_size=FLAGS.image_size,
            width=FLAGS.width,
            first_stride=FLAGS.first_stride,
            normalization=FLAGS.normalization,
            channel_means=dataset.channel_means(FLAGS.train_split),
        )
    if FLAGS.pretrained_weights:
        names = load_pretrained(model.backbone, FLAGS.pretrained_weights)
        print(f"loaded {', '.join(names)} from {FLAGS.pretrained_weights}")
    stage = LocalizationStage(
        model,
        dataset,
        global_batch_size=FLAGS.batch_size,
        split=FLAGS.train_split,
        seed=FLAGS.seed,
        flip=FLAGS.flip,
    )
    training_flags.train(stage, dataset, strategy)
    training_flags.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
