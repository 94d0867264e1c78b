"""What the scripts share that train vectors of attributes on triplets."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import flags

import training_flags
from fashionsearchnet import command, training
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks import layers
from fashionsearchnet.systems.attribute_network import AttributeNetwork
from fashionsearchnet.systems.edit_ranking_stage import (
    RANKING_LOSSES,
    REDUCTIONS,
    EditRankingStage,
)
from fashionsearchnet.systems.representations import (
    fill_memory,
    load_representations,
    of_each_attribute,
)
from fashionsearchnet.systems.triplet_stage import TripletStage

FLAGS = flags.FLAGS


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
    flags.DEFINE_integer(
        "hidden_dim", 512, "Width of what cells and attributes are compared by.", 1
    )
    flags.DEFINE_enum(
        "attention_normalization",
        "batch",
        layers.NORMALIZATIONS,
        "Of what the attention compares; none for small batches.",
    )
    flags.DEFINE_integer("triplets_per_epoch", 100_000, "Drawn anew in every epoch.", 1)
    flags.DEFINE_bool("flip", False, "Mirror half of the images, as the published code does.")
    flags.DEFINE_float("margin", 0.2, "Of the triplets, on products of unit vectors.", 0.0, 2.0)
    flags.DEFINE_enum(
        "negatives_of",
        "images",
        list(training.NEGATIVES_OF),
        command.choices(training.NEGATIVES_OF),
    )
    flags.DEFINE_enum(
        "rare_values",
        "leave_out",
        list(training.RARE_VALUES),
        "Values that fewer than two images show. " + command.choices(training.RARE_VALUES),
    )


def model_arguments(dataset: Dataset) -> dict[str, Any]:
    """Returns the arguments of a network that both systems share."""
    return {
        "variant": FLAGS.variant,
        "hidden_dim": FLAGS.hidden_dim,
        "attention_normalization": FLAGS.attention_normalization,
        **training_flags.network_arguments(dataset),
    }


def stage_arguments(model: AttributeNetwork, dataset: Dataset) -> dict[str, Any]:
    """Returns the arguments of a stage on triplets, and the outputs of a frozen trunk."""
    return {
        "global_batch_size": FLAGS.batch_size,
        "split": FLAGS.train_split,
        "seed": FLAGS.seed,
        "flip": FLAGS.flip,
        "margin": FLAGS.margin,
        "negatives_of": FLAGS.negatives_of,
        "rare_values": FLAGS.rare_values,
        "outputs": training_flags.stored_outputs(model, dataset),
        "trunk_rate_multiplier": FLAGS.trunk_rate_multiplier,
    }


def train(stage: TripletStage, dataset: Dataset, strategy: tf.distribute.Strategy) -> None:
    """Trains the vectors, fills the memory with their class means, and saves the run."""
    if stage.sampler.left_out:
        print(f"not drawn as the value of a triplet: {', '.join(stage.sampler.left_out)}")
    training_flags.train(stage, dataset, strategy)
    fill_memory(stage.model, dataset, FLAGS.train_split, FLAGS.workdir, stage.outputs)
    training_flags.save(stage.model, stage.name, strategy)


def define_editing() -> None:
    """Defines the flags of the stage that ranks edits, ours."""
    training_flags.define(num_epochs=12, batch_size=256)
    training_flags.define_edits()
    training_flags.define_folder("init_from", "Workdir of a finished stage of train_embedding.py.")
    flags.DEFINE_integer("block_dim", 32, "Numbers per attribute in a vector.", 1)
    flags.DEFINE_float("memory_rate_multiplier", 1.0, "Learning rate of the memory.", 0.0)
    flags.DEFINE_enum(
        "ranking_loss", "softmax", list(RANKING_LOSSES), command.choices(RANKING_LOSSES)
    )
    flags.DEFINE_enum("reduction", "mean", REDUCTIONS, "Of the losses of a batch.")


def train_editing(kind: type[AttributeNetwork], script: str) -> None:
    """Trains how the vectors of --init_from rank edited images, and saves the run.

    Args:
      kind: of the system.
      script: of tools/, which trains what --init_from holds.

    Raises:
      ValueError: if --init_from holds something else.
    """
    if training_flags.is_finished():
        return
    dataset, strategy = training_flags.start()
    start = training_flags.load_start(kind, dataset)
    if start.stages != ("embedding",):
        raise ValueError(
            f"--init_from={FLAGS.init_from} must be a run of tools/{script}.py; it is one of the "
            "stage on edits already. Give the run that it started from."
        )
    build: Any = kind
    block_dim = min(FLAGS.block_dim, start.memory.memory.shape[-1])
    arguments = {**start.arguments, "edit_ranking": True, "block_dim": block_dim}
    with strategy.scope():
        model: AttributeNetwork = build(dataset.space, **arguments)
        model.copy_parts(start, *start.trained_parts, "memory")
    stored = load_representations(FLAGS.init_from, dataset, FLAGS.train_split, script)
    model.start_ranking(of_each_attribute(stored, dataset.space.num_attributes))
    stage = EditRankingStage(
        model,
        stored,
        dataset.labels(FLAGS.train_split),
        variables=model.ranking_variables,
        memory=model.memory.memory,
        memory_rate_multiplier=FLAGS.memory_rate_multiplier,
        ranking_loss=FLAGS.ranking_loss,
        reduction=FLAGS.reduction,
        **training_flags.edit_stage_arguments(),
    )
    training_flags.train(stage, dataset, strategy)
    training_flags.save(model, stage.name, strategy)
