"""The flags of the scripts that train vectors of attributes; `triplet_setup` uses them."""

from collections.abc import Mapping
from typing import Any

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import (
    LEARNS_FROM,
    NEGATIVES_OF,
    NORMALIZATIONS,
    RANKING_LOSSES,
    RARE_VALUES,
    REDUCTIONS,
)

import training_flags


def define(variants: Mapping[str, Any], default: str) -> None:
    """Defines the flags of the stage that trains the vectors.

    Args:
      variants: of the system, by name.
      default: a key of `variants`.
    """
    training_flags.define(num_epochs=50, batch_size=16)
    training_flags.define_network()
    training_flags.define_trunk_training()
    flags.DEFINE_enum("variant", default, list(variants), "Which network.")
    flags.DEFINE_enum("learns_from", "triplets", list(LEARNS_FROM), command.choices(LEARNS_FROM))
    flags.DEFINE_integer(
        "hidden_dim", 512, "Width of what cells and attributes are compared by.", 1
    )
    flags.DEFINE_enum(
        "attention_normalization",
        "batch",
        NORMALIZATIONS,
        "Of what the attention compares; none for small batches.",
    )
    flags.DEFINE_integer(
        "triplets_per_epoch",
        100_000,
        "New ones in each epoch. With --learns_from=values an epoch is all training images.",
        1,
    )
    flags.DEFINE_bool("flip", False, "Mirror half of the images, as the published code does.")
    flags.DEFINE_float("margin", 0.2, "Of the triplets, on products of unit vectors.", 0.0, 2.0)
    flags.DEFINE_enum(
        "negatives_of",
        "images",
        list(NEGATIVES_OF),
        command.choices(NEGATIVES_OF),
    )
    flags.DEFINE_enum(
        "rare_values",
        "leave_out",
        list(RARE_VALUES),
        "Values that fewer than two images show. " + command.choices(RARE_VALUES),
    )


def define_editing() -> None:
    """Defines the flags of the stage that ranks edits, ours."""
    training_flags.define(num_epochs=12, batch_size=256)
    training_flags.define_edits()
    training_flags.define_folder("init_from", "Workdir of a finished stage of train_embedding.py.")
    flags.DEFINE_integer(
        "block_dim",
        32,
        "Numbers per attribute in a vector; by default 32, or as many as --init_from has if fewer.",
        1,
    )
    flags.DEFINE_float("memory_rate_multiplier", 1.0, "Learning rate of the memory.", 0.0)
    flags.DEFINE_enum(
        "ranking_loss", "softmax", list(RANKING_LOSSES), command.choices(RANKING_LOSSES)
    )
    flags.DEFINE_enum("reduction", "mean", REDUCTIONS, "Of the losses of a batch.")
