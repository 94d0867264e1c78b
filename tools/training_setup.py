"""What the flags of the training scripts describe: data set, network, run."""

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import keras
import tensorflow as tf
from absl import flags

from fashionsearchnet import training
from fashionsearchnet.checks import listed
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks import backbones
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.edit_stage import EditStage
from fashionsearchnet.systems.system import System
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs, trunk_outputs
from fashionsearchnet.training import arithmetic, distribution, runs, training_images

FLAGS = flags.FLAGS

AnySystem = TypeVar("AnySystem", bound=System)
_NETWORK_FLAGS = (  # of `training_flags.define_network`; a later stage takes them over
    *("backbone", "image_size", "width", "first_stride", "normalization"),
    *("trunk_tap", "pretrained_weights", "image_input", "image_fit", "image_pixels"),
)


def network_arguments(dataset: Dataset) -> dict[str, Any]:
    """Returns the trunk of the flags and its input, as arguments of a system.

    Raises:
      ValueError: if a flag does not fit the backbone, or a data set of vectors.
    """
    if dataset.vector_input is not None:
        why = f"cannot be used: {dataset.name} holds vectors, which pass no network"
        refuse_flags(_NETWORK_FLAGS, why)
        return {"image_input": dataset.vector_input, "trunk": backbones.VECTOR_TRUNK}
    trunk = backbones.Trunk(
        backbone=FLAGS.backbone,
        width=FLAGS.width,
        first_stride=FLAGS.first_stride,
        normalization=FLAGS.normalization,
        pretrained=FLAGS.pretrained_weights or backbones.NOT_PRETRAINED,
        tap=FLAGS.trunk_tap,
        training=FLAGS.trunk_training or "full",
    )
    kind = FLAGS.image_input
    if kind == "pretrained" or (kind == "auto" and FLAGS.pretrained_weights):
        image_input = backbones.pretrained_input(trunk, FLAGS.image_size)
    else:
        means = dataset.channel_means(FLAGS.train_split)
        image_input = ImageInput(FLAGS.image_size, mean=means)
    image_input = dataclasses.replace(image_input, fit=FLAGS.image_fit, pixels=FLAGS.image_pixels)
    return {"image_input": image_input, "trunk": trunk}


def load_pretrained_weights(model: System) -> None:
    """Loads --pretrained_weights, if given, into a system's trunk and prints the layers."""
    if FLAGS.pretrained_weights:
        names = backbones.load_pretrained(model.backbone, FLAGS.pretrained_weights)
        layers = f"{names[0]} to {names[-1]}, {len(names)} layers"
        print(f"loaded {layers}, from {FLAGS.pretrained_weights}")


def load_start(
    kind: type[AnySystem], dataset: Dataset, *, any_attributes: bool = False
) -> AnySystem:
    """Returns the system that the run --init_from holds.

    Args:
      kind: its class.
      dataset: that the script trains on.
      any_attributes: whether the attributes may differ, since nothing that depends on them is taken
        over.

    Raises:
      ValueError: unless it is a `kind`, with the data set's attributes.
    """
    found = registry.load_system(FLAGS.init_from)
    if not isinstance(found, kind):
        (wanted,) = (name for name, known in registry.SYSTEMS.items() if known is kind)
        raise ValueError(
            f"--init_from={FLAGS.init_from} is a run of {found.name}; this script starts from a "
            f"run of {wanted}."
        )
    if not any_attributes:
        found.space.check_same(dataset.space, f"--init_from={FLAGS.init_from}", "the data set")
    dataset.check_seen_by(found.image_input, f"the model of --init_from={FLAGS.init_from}")
    return found


def trunk_of_start(start: ConvolutionalSystem) -> backbones.Trunk:
    """Returns the trunk of the run --init_from, trained as --trunk_training says.

    Raises:
      ValueError: naming a flag of the network that differs from its default: the run has chosen.
    """
    refuse_flags(
        _NETWORK_FLAGS,
        "cannot be changed by a stage that starts from another: "
        f"--init_from={FLAGS.init_from} brings its network",
    )
    trunk = start.backbone.trunk
    return dataclasses.replace(trunk, training=FLAGS.trunk_training or trunk.training)


def refuse_flags(names: Iterable[str], why: str) -> None:
    """Raises a ValueError for a flag that differs from its default and would have no effect.

    A flag at its default passes: the flags.txt of a run gives all flags, and repeats the run.

    Args:
      names: of the flags; a script need not have all of them.
      why: what the message says behind the flag and its value.
    """
    for name in names:
        if name in FLAGS and FLAGS[name].value != FLAGS[name].default:
            raise ValueError(f"--{name}={FLAGS[name].value} {why}. Leave it out.")


def stored_outputs(model: ConvolutionalSystem, dataset: Dataset) -> TrunkOutputs | None:
    """Returns the outputs of a frozen trunk for the training images; None if the trunk learns."""
    if model.backbone.trunk.training != "frozen":
        return None
    return outputs_now(model, dataset, flip=FLAGS.flip)


def outputs_now(model: ConvolutionalSystem, dataset: Dataset, *, flip: bool) -> TrunkOutputs:
    """Returns what the trunk makes of the training images with the weights that it has now."""
    folder = FLAGS.trunk_outputs or Path(FLAGS.workdir).parent / "trunk_outputs"
    return trunk_outputs(model, dataset, FLAGS.train_split, folder, flip=flip)


def image_stage_arguments() -> dict[str, Any]:
    """Returns the arguments of a stage that reads images."""
    return {
        "global_batch_size": FLAGS.batch_size,
        "split": FLAGS.train_split,
        "seed": FLAGS.seed,
        "flip": FLAGS.flip,
        "balanced": FLAGS.balanced,
    }


def edit_stage_arguments() -> dict[str, Any]:
    """Returns the arguments of a stage that trains on edits."""
    return {
        "global_batch_size": FLAGS.batch_size,
        "seed": FLAGS.seed,
        "negatives": FLAGS.negatives,
        "num_changes": FLAGS.num_changes,
    }


def is_finished() -> bool:
    """Returns whether this run is complete, and prints that it is.

    Raises:
      ValueError: if it is complete but has other flags than this command.
    """
    workdir = Path(FLAGS.workdir)
    if not (workdir / "model.json").exists():
        return False
    runs.check_same_flags(workdir, _settings(), _at_default())
    print(f"{FLAGS.workdir} is finished; use another --workdir to train again.")
    return True


def start() -> tuple[Dataset, tf.distribute.Strategy]:
    """Returns the data set and the strategy.

    Opens the run's folder, and sets the precision and the seed that the model is built with.
    """
    # A strategy of several workers must come before anything else of TensorFlow.
    strategy = distribution.get_strategy(FLAGS.distribution)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset, FLAGS.cache, FLAGS.cache_dir)
    if distribution.is_chief(strategy):
        runs.start_run(
            FLAGS.workdir,
            space=dataset.space,
            flags=_settings(),
            seed=FLAGS.seed,
            at_default=_at_default(),
            starts_from=_start_digest(),
        )
        labels = dataset.labels(FLAGS.train_split)
        for hint in training_images.hints(labels, dataset.space, FLAGS.batch_size):
            print(f"note: {hint}", file=sys.stderr)
    store_training_images(strategy, dataset)
    arithmetic.set_arithmetic(FLAGS.precision, deterministic=FLAGS.deterministic)
    keras.utils.set_random_seed(FLAGS.seed)
    return dataset, strategy


def _start_digest() -> str:
    """Returns the SHA-256 of the weights of --init_from; '' without it."""
    start = FLAGS.init_from if "init_from" in FLAGS else ""
    return registry.weights_digest(start) if start else ""


def store_training_images(strategy: tf.distribute.Strategy, *datasets: Dataset) -> None:
    """Writes down which images the run learns from: those of --train_split, and of --init_from."""
    if distribution.is_chief(strategy):
        start_from = FLAGS.init_from if "init_from" in FLAGS else ""
        ids = [name for each in datasets for name in each.image_ids(FLAGS.train_split)]
        training_images.store(FLAGS.workdir, ids, start_from)


def _own_flags() -> list[flags.Flag]:
    """Returns the flags of the script and of the modules <name>_flags that scripts share."""
    modules = FLAGS.flags_by_module_dict().items()
    return [
        flag
        for name, found in modules
        if name == sys.argv[0] or name.endswith("_flags")
        for flag in found
    ]


def _settings() -> str:
    """Returns the flags as a flagfile."""
    return "".join(f"{flag.serialize()}\n" for flag in _own_flags() if flag.value is not None)


def _at_default() -> set[str]:
    """Returns the names of the flags that have their default value."""
    return {flag.name for flag in _own_flags() if flag.value == flag.default}


def train(stage: training.Stage, dataset: Dataset, strategy: tf.distribute.Strategy) -> None:
    """Trains a stage with the flags' optimizer, for the flags' number of epochs or steps.

    Prints what the stage leaves out.
    """
    if stage.left_out:
        print(f"not drawn on purpose: {listed(stage.left_out, 6)}")
    if isinstance(stage, EditStage):
        epoch_size = stage.epoch_size(FLAGS.epoch_of)
    elif isinstance(stage, TripletStage):
        epoch_size = FLAGS.triplets_per_epoch
    else:
        epoch_size = dataset.num_examples(FLAGS.train_split)
    steps_per_epoch = epoch_size / FLAGS.batch_size
    training.train(
        stage,
        workdir=FLAGS.workdir,
        optimizer=optimizer_settings(steps_per_epoch),
        length=training.RunLength(
            num_steps=max(FLAGS.least_steps, round(FLAGS.num_epochs * steps_per_epoch)),
            log_every=FLAGS.log_every,
            checkpoint_every=FLAGS.checkpoint_every,
            seed=FLAGS.seed,
        ),
        strategy=strategy,
        execution=training.Execution(FLAGS.steps_per_call, FLAGS.jit_compile),
    )
    # Memories and features to store come next, and are measured with float32 later.
    arithmetic.compute_whole_products()


def optimizer_settings(steps_per_epoch: float) -> training.OptimizerSettings:
    """Returns the optimizer's settings.

    Raises:
      ValueError: if --schedule=steps and --step_epochs do not come together.
    """
    is_stepped = FLAGS.schedule == "steps"
    if is_stepped != (FLAGS.step_epochs > 0):
        raise ValueError(
            "--schedule=steps and --step_epochs, the epochs between two drops, go together; got "
            f"--schedule={FLAGS.schedule} and --step_epochs={FLAGS.step_epochs:g}."
        )
    return training.OptimizerSettings(
        optimizer=FLAGS.optimizer,
        learning_rate=FLAGS.learning_rate,
        momentum=FLAGS.momentum,
        weight_decay=FLAGS.weight_decay,
        schedule=FLAGS.schedule,
        warmup_steps=FLAGS.warmup_steps,
        step_every=max(1, round(FLAGS.step_epochs * steps_per_epoch)) if is_stepped else 0,
        step_factor=FLAGS.step_factor,
        gradient_clip_norm=FLAGS.gradient_clip_norm,
    )


def save(model: System, stage: str, strategy: tf.distribute.Strategy) -> None:
    """Writes the model of a finished stage and prints where it is."""
    if not distribution.is_chief(strategy):
        return
    details = {"dataset": FLAGS.dataset, "train_split": FLAGS.train_split}
    if starts_from := _start_digest():  # to notice when the start is trained again
        details["starts_from"] = starts_from
    registry.save_system(FLAGS.workdir, model, stage, **details)
    print(f"{stage}: done; the model is in {FLAGS.workdir}")
