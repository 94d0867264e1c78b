"""The flags of the scripts that train readers of attributes; `reader_setup` uses them."""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.systems.flam.variants import POOLINGS

import training_flags


def define() -> None:
    """Defines the flags of network, feature and reader."""
    training_flags.define_augmentation()
    training_flags.define_network()
    training_flags.define_trunk_training()
    training_flags.define_folder(
        "init_from",
        "Workdir of a finished stage of train_instances.py, which brings network and feature. "
        "Without it, the feature is what the trunk of the flags gives.",
        required=False,
    )
    flags.DEFINE_enum(
        "pooling", "levels", list(POOLINGS), f"Without --init_from. {command.choices(POOLINGS)}"
    )
    flags.DEFINE_integer(
        "pca_dim",
        256,
        "Without --init_from: main directions of the pooled maps that make the feature; 0 for all "
        "of it.",
        0,
    )
    flags.DEFINE_float("dropout_rate", 0.5, "On the hidden layers.", 0.0, 0.95)
    flags.DEFINE_float("input_dropout_rate", 0.0, "On the feature.", 0.0, 0.95)
    flags.DEFINE_integer("generator_dim", 512, "Hidden width of the generator.", 1)
