"""The flags that the three training scripts share, and the objects made of them."""

import sys
from pathlib import Path

import keras
import tensorflow as tf
from absl import flags

from fashionsearchnet import distribution, runs, systems, training
from fashionsearchnet.data import pipeline

FLAGS = flags.FLAGS


def define(*, num_epochs: float, batch_size: int = 64) -> None:
    """Defines the shared flags, with a stage's own defaults."""
    flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
    flags.DEFINE_string(
        "dataset", "garments/small", "Data set below --data_dir; see tools/prepare_data.py."
    )
    flags.DEFINE_string(
        "workdir", None, "Folder of this run. Run the same command again to resume.", required=True
    )
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


def start() -> tuple[pipeline.Dataset, tf.distribute.Strategy]:
    """Opens the data set, makes the run's folder and sets precision and seeds."""
    # A strategy of several workers must come before anything else of TensorFlow.
    strategy = distribution.get_strategy(FLAGS.distribution)
    FLAGS["workdir"].value = str(Path(FLAGS.workdir).expanduser())
    dataset = pipeline.open_dataset(FLAGS.data_dir, FLAGS.dataset)
    keras.mixed_precision.set_dtype_policy(FLAGS.precision)
    keras.utils.set_random_seed(FLAGS.seed)
    if distribution.is_chief(strategy):
        # Only our own flags: absl's and TensorFlow's say nothing about the run.
        modules = FLAGS.flags_by_module_dict()
        own = [flag for name in (sys.argv[0], __name__) for flag in modules.get(name, [])]
        text = "".join(f"{flag.serialize()}\n" for flag in own if flag.value is not None)
        runs.start_run(FLAGS.workdir, space=dataset.space, flags=text, seed=FLAGS.seed)
    return dataset, strategy


def train(stage: training.Stage, dataset: pipeline.Dataset, strategy) -> None:
    """Runs the loop on a stage as the flags say."""
    training.train(
        stage,
        workdir=FLAGS.workdir,
        optimizer=_optimizer(),
        schedule=_schedule(dataset.num_examples(FLAGS.train_split)),
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


def _schedule(num_examples: int) -> training.Schedule:
    """Returns how long to train: `--num_epochs` over `num_examples`, in steps."""
    return training.Schedule(
        num_steps=max(1, round(FLAGS.num_epochs * num_examples / FLAGS.batch_size)),
        log_every=FLAGS.log_every,
        checkpoint_every=FLAGS.checkpoint_every,
        seed=FLAGS.seed,
    )


def is_finished() -> bool:
    """Returns whether this run is complete, and says so."""
    if not Path(FLAGS.workdir, "model.json").exists():
        return False
    print(f"{FLAGS.workdir} is finished; use another --workdir to train again.")
    return True


def save(model, stage: str, strategy: tf.distribute.Strategy) -> None:
    """Writes the finished stage's model and says where."""
    if not distribution.is_chief(strategy):
        return
    systems.save_system(
        FLAGS.workdir, model, stage, dataset=FLAGS.dataset, train_split=FLAGS.train_split
    )
    print(f"{stage}: done; the model is in {FLAGS.workdir}")
