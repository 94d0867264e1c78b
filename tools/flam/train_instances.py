"""Stage 1 of FLAM: trains a feature that tells items apart, by cross-entropy and triplets.

  python tools/flam/train_instances.py --flagfile=flags/instances/flam/instances.flags

The data set must know which images show the same item. A feature that exists already, such as that
of a pretrained trunk, needs no such stage: start with train_embedders.py.
"""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.flam.variants import POOLINGS

import training_flags

FLAGS = flags.FLAGS
training_flags.define(num_epochs=12)
training_flags.define_network()
training_flags.define_trunk_training()
flags.adopt_module_key_flags(training_flags)  # --help shows them too
flags.DEFINE_bool("flip", False, "Mirror half of the images; not in the paper.")
flags.DEFINE_enum("pooling", "spoc", list(POOLINGS), command.choices(POOLINGS))
flags.DEFINE_integer("projection_dim", 1024, "Width of the feature; 1024 in the paper.", 1)
flags.DEFINE_integer(
    "num_instances",
    1000,
    "Items that the cross-entropy tells apart, those with the most images; 1000 in the paper, 0 "
    "for none.",
    0,
)
flags.DEFINE_float("margin", 0.2, "Of the triplets, as a difference of cosines.", 0.0, 2.0)
flags.DEFINE_float("triplet_weight", 1.0, "Of the triplets; the cross-entropy has 1.", 0.0)

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

import numpy as np
import tensorflow as tf

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.flam.instance_stage import InstanceStage
from fashionsearchnet.systems.flam.model import FLAM

import training_setup


def build_model(dataset: Dataset, strategy: tf.distribute.Strategy) -> FLAM:
    """Returns a model on the trunk of the flags, its pooled maps standardised if that is asked."""
    ids = dataset.instance_ids(FLAGS.train_split)
    known = 0 if ids is None else len(np.unique(ids))
    with strategy.scope():
        model = FLAM(
            dataset.space,
            **training_setup.network_arguments(dataset),
            pooling=FLAGS.pooling,
            projection_dim=FLAGS.projection_dim,
            num_instances=min(FLAGS.num_instances, known),
        )
    training_setup.load_pretrained_weights(model)
    return model


def main() -> None:
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    model = build_model(dataset, strategy)
    if FLAGS.pooling == "levels":
        model.fit_feature(training_setup.outputs_now(model, dataset, flip=False).upright)
    stage = InstanceStage(
        model,
        dataset,
        outputs=training_setup.stored_outputs(model, dataset),
        global_batch_size=FLAGS.batch_size,
        split=FLAGS.train_split,
        seed=FLAGS.seed,
        flip=FLAGS.flip,
        margin=FLAGS.margin,
        triplet_weight=FLAGS.triplet_weight,
        trunk_rate_multiplier=FLAGS.trunk_rate_multiplier,
    )
    training_setup.train(stage, dataset, strategy)
    training_setup.save(model, stage.name, strategy)


if __name__ == "__main__":
    command.run(main)
