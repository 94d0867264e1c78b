"""The flags of the optimizer and its schedule, for all training scripts."""

from absl import flags

from fashionsearchnet import training
from fashionsearchnet.training import optimizers

FLAGS = flags.FLAGS


def define() -> None:
    """Defines the flags."""
    flags.DEFINE_enum("optimizer", "sgd", list(optimizers.OPTIMIZERS), "sgd in the paper.")
    flags.DEFINE_float("learning_rate", 0.01, "Highest learning rate; 0.01 in the paper.", 0.0)
    flags.DEFINE_float("momentum", 0.0, "Of SGD; 0 in the paper, 0.9 from scratch.", 0.0, 0.9999)
    flags.DEFINE_float("weight_decay", 0.0, "On kernels, decoupled; not for adam.", 0.0)
    flags.DEFINE_enum(
        "schedule",
        "constant",
        list(optimizers.SCHEDULES),
        "Of the learning rate. "
        + "; ".join(f"{name}: {words}" for name, words in optimizers.SCHEDULES.items())
        + ".",
    )
    flags.DEFINE_integer("warmup_steps", 0, "Linear warm-up before a cosine, in steps.", 0)
    flags.DEFINE_float(
        "step_epochs", 0.0, "Epochs between two drops of the rate with --schedule=steps.", 0.0
    )
    flags.DEFINE_float(
        "step_factor", 0.1, "Each drop of --schedule=steps multiplies the rate by this.", 0.0, 1.0
    )
    flags.DEFINE_float("gradient_clip_norm", 0.0, "Bound on the global norm; 0 for none.", 0.0)


def settings(steps_per_epoch: float) -> training.OptimizerSettings:
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
