"""The flags that the training scripts share; `training_setup` makes objects of them."""

import os

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import (
    BACKBONES,
    CACHES,
    EPOCHS,
    NEGATIVES,
    NORMALIZATIONS,
    PRECISIONS,
    STRATEGIES,
    TRUNK_TRAINING,
)
from fashionsearchnet.networks.image_input import FITS, PIXELS

import optimizer_flags

FLAGS = flags.FLAGS


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
    _define_data()
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
    _define_execution()
    flags.DEFINE_integer("log_every", 50, "Steps per line of metrics.jsonl.", 1)
    flags.DEFINE_integer("checkpoint_every", 500, "Steps.", 1)


def _define_data() -> None:
    """Defines what a run reads and where it writes."""
    flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
    flags.DEFINE_string(
        "dataset", "garments/small", "Data set below --data_dir; see tools/prepare_data.py."
    )
    define_folder("workdir", "Folder of this run. Run the same command again to resume.")
    flags.DEFINE_enum(
        "cache",
        "none",
        list(CACHES),
        "How training images are kept; a run learns the same by each. " + command.choices(CACHES),
    )
    define_folder(
        "cache_dir",
        "Folder of decoded images; by default decoded in that of the data set. It can be deleted "
        "between two runs.",
        required=False,
    )
    flags.DEFINE_string(
        "train_split", "train", "Split to train on; 'train+validation' once all is chosen."
    )


def _define_execution() -> None:
    """Defines how its steps are computed."""
    flags.DEFINE_enum(
        "precision",
        "float32",
        PRECISIONS,
        "Losses, distances, maps and boxes stay float32. mixed_bfloat16 is much faster on "
        "CPUs with AMX and much slower on those without bfloat16; mixed_float16 is for older GPUs. "
        "tensor_float_32 is float32 whose products a GPU of 2020 or later shortens.",
    )
    flags.DEFINE_bool(
        "deterministic",
        False,
        "The same command gives the same weights on a GPU, too; slower. A CPU does not need it.",
    )
    flags.DEFINE_enum(
        "distribution",
        "one_device",
        STRATEGIES,
        "mirrored: all GPUs of this machine; multi_worker: the machines in TF_CONFIG.",
    )
    flags.DEFINE_integer(
        "steps_per_call",
        1,
        "Steps in one call of the compiled function: more keep a GPU busy. The weights are the "
        "same.",
        1,
    )
    flags.DEFINE_bool(
        "jit_compile", False, "XLA compiles the steps; for one device. docs/gpu.md says when."
    )


def define_augmentation() -> None:
    """Defines the flags of the stages that read images."""
    flags.DEFINE_bool("flip", False, "Mirror half of the images; not in the paper.")
    flags.DEFINE_bool(
        "balanced",
        False,
        "Give every attribute two images that agree and one that differs in every batch. It helps "
        "where labels are sparse; not in the paper.",
    )


def define_edits() -> None:
    """Defines the flags of the stages that train on edits."""
    flags.DEFINE_enum(
        "negatives",
        "random",
        list(NEGATIVES),
        command.choices(NEGATIVES) + " Where nearly all are in order from the start "
        "(ranking_accuracy in metrics.jsonl), random ones teach little.",
    )
    flags.DEFINE_integer(
        "num_changes", 1, "Attributes edited at once, at most; a random number from 1 to this.", 1
    )
    flags.DEFINE_enum(
        "epoch_of",
        "images",
        list(EPOCHS),
        f"What an epoch has. {command.choices(EPOCHS)}",
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
        f"Trunk: {', '.join(BACKBONES)}, or hub:<preset of KerasHub>.",
    )
    flags.DEFINE_integer("image_size", 227, "Side of the square input in pixels.", 25)
    flags.DEFINE_float(
        "width", 1.0, "Multiplies the filters of AlexNet, and of conv5 to conv7.", 0.05, 4.0
    )
    flags.DEFINE_integer(
        "first_stride", 4, "Stride of AlexNet's conv1; 2 for images under 100 px.", 1, 4
    )
    flags.DEFINE_enum(
        "normalization",
        "none",
        NORMALIZATIONS,
        "Of AlexNet and of convolutions behind a trunk. batch is needed to train from scratch; "
        "none is the original AlexNet, for pretrained weights.",
    )
    flags.DEFINE_string("trunk_tap", "", "Map that the trunk ends with; by default the network's.")
    flags.DEFINE_enum(
        "trunk_training",
        None,
        list(TRUNK_TRAINING),
        command.choices(TRUNK_TRAINING) + " By default as in --init_from, or else full.",
    )
    flags.DEFINE_string(
        "pretrained_weights",
        None,
        "imagenet for the published weights of the backbone, or a file: *.weights.h5 of the "
        "backbone, or bvlc_alexnet.npy for conv1-conv4 of alexnet.",
    )
    _define_image_input()


def _define_image_input() -> None:
    """Defines what the network sees of an image."""
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
    flags.DEFINE_enum(
        "image_pixels", "exact", list(PIXELS), "How it is computed. " + command.choices(PIXELS)
    )
