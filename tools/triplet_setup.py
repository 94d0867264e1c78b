"""What the flags of the scripts describe that train vectors of attributes."""

from collections.abc import Sequence
from typing import Any

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


def train_embedding(
    kind: type[AttributeNetwork],
    stage: type[TripletStage],
    *,
    of_model: Sequence[str] = (),
    of_stage: Sequence[str] = (),
) -> None:
    """Trains the vectors of attributes, fills the memory with their class means, and saves the run.

    Args:
      kind: of the system.
      stage: its stage on triplets.
      of_model: flags that are arguments of this system only, each by its own name.
      of_stage: flags that are arguments of this stage only.

    Raises:
      ValueError: if a flag of triplets is given to a stage without them.
    """
    if training_setup.is_finished():
        return
    dataset, strategy = training_setup.start()
    build: Any = kind
    shared = ("variant", "hidden_dim", "attention_normalization", "learns_from")
    arguments = training_setup.network_arguments(dataset) | values_of(*shared, *of_model)
    with strategy.scope():
        model: AttributeNetwork = build(dataset.space, **arguments)
    training_setup.load_pretrained_weights(model)
    made = stage_of(stage, model, dataset, of_stage)
    training_setup.train(made, dataset, strategy)
    if dataset.space.has_values:
        fill_memory(model, dataset, FLAGS.train_split, FLAGS.workdir, made.outputs)
    training_setup.save(model, made.name, strategy)


def stage_of(
    kind: type[TripletStage], model: AttributeNetwork, dataset: Dataset, own: Sequence[str]
) -> TripletStage | ValueStage:
    """Returns the stage of --learns_from, on the outputs of a frozen trunk.

    Args:
      kind: of the stage on triplets.
      model: to be trained.
      dataset: to train on.
      own: flags that are arguments of that kind only.

    Raises:
      ValueError: if a flag of triplets is given to a stage without them.
    """
    common = {
        "global_batch_size": FLAGS.batch_size,
        "split": FLAGS.train_split,
        "seed": FLAGS.seed,
        "flip": FLAGS.flip,
        "trunk_rate_multiplier": FLAGS.trunk_rate_multiplier,
    }
    triplets = ("margin", "negatives_of", "rare_values", *own)
    if FLAGS.learns_from == "values":
        why = "is about triplets, and --learns_from=values draws none"
        training_setup.refuse_flags([*triplets, "triplets_per_epoch"], why)
        outputs = training_setup.stored_outputs(model, dataset)
        return ValueStage(model, dataset, **common, outputs=outputs)
    outputs = training_setup.stored_outputs(model, dataset)
    return kind(model, dataset, **common, outputs=outputs, **values_of(*triplets))


def values_of(*names: str) -> dict[str, Any]:
    """Returns the values of flags by their names."""
    return {name: FLAGS[name].value for name in names}


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
    block_dim = FLAGS.block_dim
    if FLAGS["block_dim"].value == FLAGS["block_dim"].default:
        block_dim = min(block_dim, start.memory.memory.shape[-1])
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
