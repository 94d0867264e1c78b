"""What the flags of the scripts describe that train vectors of attributes."""

from typing import Any

import tensorflow as tf
from absl import flags

from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.systems.attribute_network import AttributeNetwork
from fashionsearchnet.systems.edit_ranking_stage import EditRankingStage
from fashionsearchnet.systems.representations import (
    fill_memory,
    load_representations,
    of_each_attribute,
)
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.systems.value_stage import ValueStage

import training_setup

FLAGS = flags.FLAGS
_LISTED = 6  # values that are not drawn, on the screen


def model_arguments(dataset: Dataset) -> dict[str, Any]:
    """Returns the arguments of a network that both systems share."""
    return {
        "variant": FLAGS.variant,
        "hidden_dim": FLAGS.hidden_dim,
        "attention_normalization": FLAGS.attention_normalization,
        "learns_from": FLAGS.learns_from,
        **training_setup.network_arguments(dataset),
    }


def stage_of(
    kind: type[TripletStage], model: AttributeNetwork, dataset: Dataset, **options: Any
) -> TripletStage | ValueStage:
    """Returns the stage of --learns_from, on the outputs of a frozen trunk.

    Args:
      kind: of the stage on triplets.
      model: to be trained.
      dataset: to train on.
      **options: of that kind, each the flag of the same name.

    Raises:
      ValueError: if a flag of triplets is given to a stage without them.
    """
    triplets = {"margin", "negatives_of", "rare_values", "triplets_per_epoch", *options}
    if FLAGS.learns_from == "values":
        why = "is about triplets, and --learns_from=values draws none"
        training_setup.refuse_flags(sorted(triplets), why)
    common = {
        "global_batch_size": FLAGS.batch_size,
        "split": FLAGS.train_split,
        "seed": FLAGS.seed,
        "flip": FLAGS.flip,
        "outputs": training_setup.stored_outputs(model, dataset),
        "trunk_rate_multiplier": FLAGS.trunk_rate_multiplier,
    }
    if FLAGS.learns_from == "values":
        return ValueStage(model, dataset, **common)
    return kind(
        model,
        dataset,
        **common,
        margin=FLAGS.margin,
        negatives_of=FLAGS.negatives_of,
        rare_values=FLAGS.rare_values,
        **options,
    )


def train(
    stage: TripletStage | ValueStage, dataset: Dataset, strategy: tf.distribute.Strategy
) -> None:
    """Trains the vectors, fills the memory with their class means, and saves the run."""
    if isinstance(stage, TripletStage) and stage.sampler.left_out:
        left_out = stage.sampler.left_out
        more = len(left_out) - _LISTED
        dots = f" and {more:,} more" if more > 0 else ""
        print(f"not drawn as the value of a triplet: {', '.join(left_out[:_LISTED])}{dots}")
    training_setup.train(stage, dataset, strategy)
    if dataset.space.has_values:
        fill_memory(stage.model, dataset, FLAGS.train_split, FLAGS.workdir, stage.outputs)
    training_setup.save(stage.model, stage.name, strategy)


def train_editing(kind: type[AttributeNetwork], script: str) -> None:
    """Trains how the vectors of --init_from rank edited images, and saves the run.

    Args:
      kind: of the system.
      script: of tools/, which trains what --init_from holds.

    Raises:
      ValueError: if --init_from holds something else.
    """
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    start = training_setup.load_start(kind, dataset)
    if start.stages != ("embedding",):
        raise ValueError(
            f"--init_from={FLAGS.init_from} must be a run of tools/{script}.py; it is one of the "
            "stage on edits already. Give the run that it started from."
        )
    if not dataset.space.has_values:
        raise ValueError(
            f"{dataset.name} lists triplets and no values, so nothing can be edited; take a data "
            "set with values."
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
        memory=model.edits_by.memory,
        memory_rate_multiplier=FLAGS.memory_rate_multiplier,
        ranking_loss=FLAGS.ranking_loss,
        reduction=FLAGS.reduction,
        **training_setup.edit_stage_arguments(),
    )
    training_setup.train(stage, dataset, strategy)
    training_setup.save(model, stage.name, strategy)
