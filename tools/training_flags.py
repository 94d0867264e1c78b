"""The flags that the training scripts share, and the objects made of them."""

import os
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import flags

from fashionsearchnet import systems, training
from fashionsearchnet.data import pipeline
from fashionsearchnet.networks import backbones, layers
from fashionsearchnet.training import distribution, edits, runs

FLAGS = flags.FLAGS


class _FolderParser(flags.ArgumentParser):
    """Takes a folder, `~` for the user's own included, whichever shell handed it over."""

    syntactic_help = "a folder"

    def parse(self, argument: str) -> str:
        return os.path.expanduser(argument)


def define_folder(name: str, help_text: str) -> None:
    """Defines a required flag that names a folder."""
    flags.DEFINE(
        _FolderParser(), name, None, help_text, serializer=flags.ArgumentSerializer(), required=True
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
    flags.DEFINE_float("learning_rate", 0.01, "Highest learning rate; 0.01 in the paper.", 0.0)
    flags.DEFINE_float("momentum", 0.0, "Of SGD; 0 in the paper, 0.9 from scratch.", 0.0, 0.9999)
    flags.DEFINE_float("weight_decay", 0.0, "On kernels, decoupled.", 0.0)
    flags.DEFINE_enum(
        "schedule", "constant", training.SCHEDULES, "Of the learning rate; cosine ends at zero."
    )
    flags.DEFINE_integer("warmup_steps", 0, "Linear warm-up before a cosine, in steps.", 0)
    flags.DEFINE_float("gradient_clip_norm", 0.0, "Bound on the global norm; 0 for none.", 0.0)
    flags.DEFINE_integer("seed", 0, "Of initial weights, order, flips, dropout and triplets.", 0)
    flags.DEFINE_enum(
        "precision",
        "float32",
        training.PRECISIONS,
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


def define_network() -> None:
    """Defines the flags of the trunk, for the first stage of a system."""
    flags.DEFINE_enum("backbone", "alexnet", backbones.BACKBONES, "Trunk up to conv4.")
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
    flags.DEFINE_string(
        "pretrained_weights",
        None,
        "bvlc_alexnet.npy for conv1-conv4, or *.weights.h5 of the backbone. Load only a .npy file "
        "that you trust: it is a pickle.",
    )


def network_arguments(dataset: pipeline.Dataset) -> dict[str, Any]:
    """Returns what the flags of the trunk say, as arguments of a system."""
    return {
        "backbone": FLAGS.backbone,
        "image_size": FLAGS.image_size,
        "width": FLAGS.width,
        "first_stride": FLAGS.first_stride,
        "normalization": FLAGS.normalization,
        "channel_means": dataset.channel_means(FLAGS.train_split),
    }


def load_pretrained_weights(model: Any) -> None:
    """Loads --pretrained_weights into a system's trunk, if given, and says which layers it had."""
    if FLAGS.pretrained_weights:
        names = backbones.load_pretrained(model.backbone, FLAGS.pretrained_weights)
        print(f"loaded {', '.join(names)} from {FLAGS.pretrained_weights}")


def load_start(system: str, dataset: pipeline.Dataset) -> Any:
    """Returns the system that --init_from holds.

    Raises:
      ValueError: if it is of another system than the one called `system`, or of another
        attribute space than the data set.
    """
    trained = systems.describe_system(FLAGS.init_from)["system"]
    if trained != system:
        raise ValueError(
            f"--init_from={FLAGS.init_from} is a run of {trained}; this script goes on from one "
            f"of {system}."
        )
    found = systems.load_system(FLAGS.init_from)
    found.space.check_same(dataset.space, f"--init_from={FLAGS.init_from}", "the data set")
    return found


def image_stage_arguments() -> dict[str, Any]:
    """Returns what the flags say of the images, as arguments of a stage that reads them."""
    return {
        "global_batch_size": FLAGS.batch_size,
        "split": FLAGS.train_split,
        "seed": FLAGS.seed,
        "flip": FLAGS.flip,
    }


def edit_stage_arguments() -> dict[str, Any]:
    """Returns what the flags say of the edits, as arguments of a stage that trains on them."""
    return {
        "global_batch_size": FLAGS.batch_size,
        "seed": FLAGS.seed,
        "negatives": FLAGS.negatives,
        "num_changes": FLAGS.num_changes,
    }


def is_finished() -> bool:
    """Returns whether this run is complete, and says so.

    Raises:
      ValueError: if it is, but with other flags than it is asked for now.
    """
    if not Path(FLAGS.workdir, "model.json").exists():
        return False
    runs.check_same_flags(Path(FLAGS.workdir), _settings())
    print(f"{FLAGS.workdir} is finished; use another --workdir to train again.")
    return True


def start() -> tuple[pipeline.Dataset, tf.distribute.Strategy]:
    """Returns the data set and the strategy, with all set that must be before a model is built."""
    # A strategy of several workers must come before anything else of TensorFlow.
    strategy = distribution.get_strategy(FLAGS.distribution)
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    if distribution.is_chief(strategy):
        runs.start_run(FLAGS.workdir, space=dataset.space, flags=_settings(), seed=FLAGS.seed)
    keras.mixed_precision.set_dtype_policy(FLAGS.precision)
    keras.utils.set_random_seed(FLAGS.seed)
    return dataset, strategy


def _settings() -> str:
    """Returns the flags as a flagfile: our own, since absl's and TensorFlow's say nothing of it."""
    modules = FLAGS.flags_by_module_dict()
    own = [flag for name in (sys.argv[0], __name__) for flag in modules.get(name, [])]
    return "".join(f"{flag.serialize()}\n" for flag in own if flag.value is not None)


def train(stage: training.Stage, dataset: pipeline.Dataset, strategy) -> None:
    """Runs the loop on a stage as the flags say."""
    training.train(
        stage,
        workdir=FLAGS.workdir,
        optimizer=_optimizer(),
        length=_run_length(dataset.num_examples(FLAGS.train_split)),
        strategy=strategy,
    )


def _optimizer() -> training.OptimizerSettings:
    """Returns the optimizer's settings."""
    return training.OptimizerSettings(
        learning_rate=FLAGS.learning_rate,
        momentum=FLAGS.momentum,
        weight_decay=FLAGS.weight_decay,
        schedule=FLAGS.schedule,
        warmup_steps=FLAGS.warmup_steps,
        gradient_clip_norm=FLAGS.gradient_clip_norm,
    )


def _run_length(num_examples: int) -> training.RunLength:
    """Returns how long to train: `--num_epochs` over `num_examples`, in steps."""
    return training.RunLength(
        num_steps=max(1, round(FLAGS.num_epochs * num_examples / FLAGS.batch_size)),
        log_every=FLAGS.log_every,
        checkpoint_every=FLAGS.checkpoint_every,
        seed=FLAGS.seed,
    )


def save(model, stage: str, strategy: tf.distribute.Strategy) -> None:
    """Writes the finished stage's model and says where."""
    if not distribution.is_chief(strategy):
        return
    details = {"dataset": FLAGS.dataset, "train_split": FLAGS.train_split}
    if "init_from" in FLAGS:  # so that a start that was made anew is noticed
        details["starts_from"] = systems.weights_digest(FLAGS.init_from)
    systems.save_system(FLAGS.workdir, model, stage, **details)
    print(f"{stage}: done; the model is in {FLAGS.workdir}")
