"""The flags that the training scripts share, and the objects that they describe."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any, TypeVar

import keras
import optimizer_flags
import tensorflow as tf
from absl import flags

from fashionsearchnet import command, systems, training
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks import backbones, layers
from fashionsearchnet.networks.image_input import FITS, ImageInput
from fashionsearchnet.systems.convolutional import ConvolutionalSystem
from fashionsearchnet.systems.edit_stage import EditStage
from fashionsearchnet.systems.system import System
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.systems.trunk_outputs import TrunkOutputs, trunk_outputs
from fashionsearchnet.training import distribution, edits, optimizers, runs, training_images

FLAGS = flags.FLAGS

AnySystem = TypeVar("AnySystem", bound=System)
_NETWORK_FLAGS = {  # of `define_network`; a later stage takes them over
    *("backbone", "image_size", "width", "first_stride", "normalization"),
    *("trunk_tap", "pretrained_weights", "image_input", "image_fit"),
}


class _FolderParser(flags.ArgumentParser):
    """Takes a folder, `~` for the user's own included, whichever shell handed it over."""

    syntactic_help = "a folder"

    def parse(self, argument: str) -> str:
        return os.path.expanduser(argument)


def define_folder(name: str, help_text: str, *, required: bool = True) -> None:
    """Defines a flag that names a folder."""
    flags.DEFINE(
        _FolderParser(),
        name,
        None,
        help_text,
        serializer=flags.ArgumentSerializer(),
        required=required,
    )


def define(*, num_epochs: float, batch_size: int = 64) -> None:
    """Defines the shared flags, with a stage's own defaults."""
    flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
    flags.DEFINE_string(
        "dataset", "garments/small", "Data set below --data_dir; see tools/prepare_data.py."
    )
    define_folder("workdir", "Folder of this run. Run the same command again to resume.")
    flags.DEFINE_string(
        "train_split", "train", "Split to train on; 'train+validation' once all is chosen."
    )
    flags.DEFINE_float("num_epochs", num_epochs, "Passes over the training images.", 0.001)
    flags.DEFINE_integer("batch_size", batch_size, "Images per step over all devices.", 2)
    flags.DEFINE_integer(
        "least_steps",
        1,
        "Train longer than --num_epochs where that has fewer steps: for few images.",
        1,
    )
    optimizer_flags.define()
    flags.adopt_module_key_flags(optimizer_flags)
    flags.DEFINE_integer("seed", 0, "Of initial weights, order, flips, dropout and triplets.", 0)
    flags.DEFINE_enum(
        "precision",
        "float32",
        optimizers.PRECISIONS,
        "Losses, distances, maps and boxes stay float32. mixed_bfloat16 is much faster on "
        "CPUs with AMX and much slower on those without bfloat16; mixed_float16 is for older GPUs.",
    )
    flags.DEFINE_enum(
        "distribution",
        "one_device",
        distribution.STRATEGIES,
        "mirrored: all GPUs of this machine; multi_worker: the machines in TF_CONFIG.",
    )
    flags.DEFINE_integer("log_every", 50, "Steps per line of metrics.jsonl.", 1)
    flags.DEFINE_integer("checkpoint_every", 500, "Steps.", 1)


def define_augmentation() -> None:
    """Defines the flags of the stages that read images."""
    flags.DEFINE_bool("flip", False, "Mirror half of the images; not in the paper.")
    flags.DEFINE_bool(
        "balanced",
        False,
        "Give every attribute two images that agree and one that differs in every batch. It helps "
        "where labels are sparse; not in the paper. Keeps the encoded images in memory.",
    )


def define_edits() -> None:
    """Defines the flags of the stages that train on edits."""
    flags.DEFINE_enum(
        "negatives",
        "random",
        list(edits.NEGATIVES),
        "; ".join(f"{name}: {words}" for name, words in edits.NEGATIVES.items())
        + ". Where nearly all are in order from the start (ranking_accuracy in metrics.jsonl), "
        "random ones teach little.",
    )
    flags.DEFINE_integer(
        "num_changes", 1, "Attributes edited at once, at most; a random number from 1 to this.", 1
    )
    flags.DEFINE_enum(
        "epoch_of",
        "images",
        list(edits.EPOCHS),
        "What an epoch has. "
        + "; ".join(f"{name}: {words}" for name, words in edits.EPOCHS.items())
        + ".",
    )


def define_trunk_training() -> None:
    """Defines the flags of stages that train a trunk at its own rate or use its stored outputs."""
    flags.DEFINE_float(
        "trunk_rate_multiplier", 1.0, "Learning rate of the trunk over that of the rest.", 0.0
    )
    define_folder(
        "trunk_outputs",
        "Folder where the outputs of frozen trunks are stored for all stages and runs; by default "
        "trunk_outputs beside --workdir. It can be deleted at any time.",
        required=False,
    )


def define_network() -> None:
    """Defines the flags of the trunk, for the first stage of a system."""
    flags.DEFINE_string(
        "backbone",
        "alexnet",
        f"Trunk: {', '.join(backbones.BACKBONES)}, or hub:<preset of KerasHub>.",
    )
    flags.DEFINE_integer("image_size", 227, "Side of the square input in pixels.", 25)
    flags.DEFINE_float("width", 1.0, "Multiplies the number of filters of AlexNet.", 0.05, 4.0)
    flags.DEFINE_integer("first_stride", 4, "Stride of conv1; 2 for images under 100 px.", 1, 4)
    flags.DEFINE_enum(
        "normalization",
        "none",
        layers.NORMALIZATIONS,
        "batch is needed to train from scratch; none is the original AlexNet, for pretrained "
        "weights.",
    )
    flags.DEFINE_string("trunk_tap", "", "Map that the trunk ends with; by default the network's.")
    flags.DEFINE_enum(
        "trunk_training",
        None,
        list(backbones.TRAINING),
        "; ".join(f"{name}: {words}" for name, words in backbones.TRAINING.items())
        + ". By default as in --init_from, or else full.",
    )
    flags.DEFINE_string(
        "pretrained_weights",
        None,
        "imagenet for the published weights of the backbone, or a file: *.weights.h5 of the "
        "backbone, or bvlc_alexnet.npy for conv1-conv4 of alexnet.",
    )
    flags.DEFINE_enum(
        "image_input",
        "auto",
        ["auto", "dataset", "pretrained"],
        "dataset: pixels less the data set's mean; pretrained: the input that --pretrained_weights "
        "were trained on; auto: pretrained with --pretrained_weights, dataset without.",
    )
    flags.DEFINE_enum(
        "image_fit", "pad", list(FITS), "How an image becomes a square. " + command.choices(FITS)
    )


def network_arguments(dataset: Dataset) -> dict[str, Any]:
    """Returns the trunk of the flags and its input, as arguments of a system.

    Raises:
      ValueError: if a flag does not fit the backbone, or a data set of vectors.
    """
    if dataset.vector_input is not None:
        _check_network_at_default(f"used: {dataset.name} holds vectors, which pass no network")
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
    image_input = dataclasses.replace(image_input, fit=FLAGS.image_fit)
    return {"image_input": image_input, "trunk": trunk}


def load_pretrained_weights(model: System) -> None:
    """Loads --pretrained_weights, if given, into a system's trunk and prints the layers."""
    if FLAGS.pretrained_weights:
        names = backbones.load_pretrained(model.backbone, FLAGS.pretrained_weights)
        layers = f"{names[0]} to {names[-1]}, {len(names)} layers"
        print(f"loaded {layers}, from {FLAGS.pretrained_weights}")


def load_start(kind: type[AnySystem], dataset: Dataset) -> AnySystem:
    """Returns the system that the run --init_from holds.

    Raises:
      ValueError: unless it is a `kind`, with the data set's attributes.
    """
    found = systems.load_system(FLAGS.init_from)
    if not isinstance(found, kind):
        (wanted,) = (name for name, known in systems.SYSTEMS.items() if known is kind)
        raise ValueError(
            f"--init_from={FLAGS.init_from} is a run of {found.name}; this script starts from a "
            f"run of {wanted}."
        )
    found.space.check_same(dataset.space, f"--init_from={FLAGS.init_from}", "the data set")
    dataset.check_seen_by(found.image_input, f"the model of --init_from={FLAGS.init_from}")
    return found


def trunk_of_start(start: ConvolutionalSystem) -> backbones.Trunk:
    """Returns the trunk of the run --init_from, trained as --trunk_training says.

    Raises:
      ValueError: naming a flag of the network that differs from its default: the run has chosen.
    """
    _check_network_at_default(
        f"changed by a stage that starts from another: --init_from={FLAGS.init_from} brings its "
        "network"
    )
    trunk = start.backbone.trunk
    return dataclasses.replace(trunk, training=FLAGS.trunk_training or trunk.training)


def _check_network_at_default(cannot_be: str) -> None:
    """Raises a ValueError for a flag of the network that differs from its default, with why."""
    for name in _NETWORK_FLAGS & set(FLAGS):
        if FLAGS[name].value != FLAGS[name].default:
            raise ValueError(f"--{name}={FLAGS[name].value} cannot be {cannot_be}. Leave it out.")


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
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    if distribution.is_chief(strategy):
        runs.start_run(
            FLAGS.workdir,
            space=dataset.space,
            flags=_settings(),
            seed=FLAGS.seed,
            at_default=_at_default(),
        )
        start_from = FLAGS.init_from if "init_from" in FLAGS else ""
        training_images.store(FLAGS.workdir, dataset.image_ids(FLAGS.train_split), start_from)
        labels = dataset.labels(FLAGS.train_split)
        for hint in training_images.hints(labels, dataset.space, FLAGS.batch_size):
            print(f"note: {hint}", file=sys.stderr)
    keras.mixed_precision.set_dtype_policy(FLAGS.precision)
    keras.utils.set_random_seed(FLAGS.seed)
    return dataset, strategy


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
    """Trains a stage with the flags' optimizer, for the flags' number of epochs or steps."""
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
        optimizer=optimizer_flags.settings(steps_per_epoch),
        length=training.RunLength(
            num_steps=max(FLAGS.least_steps, round(FLAGS.num_epochs * steps_per_epoch)),
            log_every=FLAGS.log_every,
            checkpoint_every=FLAGS.checkpoint_every,
            seed=FLAGS.seed,
        ),
        strategy=strategy,
    )


def save(model: System, stage: str, strategy: tf.distribute.Strategy) -> None:
    """Writes the model of a finished stage and prints where it is."""
    if not distribution.is_chief(strategy):
        return
    details = {"dataset": FLAGS.dataset, "train_split": FLAGS.train_split}
    if "init_from" in FLAGS and FLAGS.init_from:  # to notice when the start is trained again
        details["starts_from"] = systems.weights_digest(FLAGS.init_from)
    systems.save_system(FLAGS.workdir, model, stage, **details)
    print(f"{stage}: done; the model is in {FLAGS.workdir}")
