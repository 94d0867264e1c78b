"""The flags of the optimizer and its schedule, for all training scripts."""

from absl import flags

from fashionsearchnet import command
from fashionsearchnet.choices import OPTIMIZERS, SCHEDULES


def define() -> None:
    """Defines the flags."""
    flags.DEFINE_enum("optimizer", "sgd", list(OPTIMIZERS), "sgd in the paper.")
    flags.DEFINE_float("learning_rate", 0.01, "Highest learning rate; 0.01 in the paper.", 0.0)
    flags.DEFINE_float("momentum", 0.0, "Of SGD; 0 in the paper, 0.9 from scratch.", 0.0, 0.9999)
    flags.DEFINE_float("weight_decay", 0.0, "On kernels, decoupled; not for adam.", 0.0)
    flags.DEFINE_enum(
        "schedule",
        "constant",
        list(SCHEDULES),
        f"Of the learning rate. {command.choices(SCHEDULES)}",
    )
    flags.DEFINE_integer("warmup_steps", 0, "Linear warm-up before a cosine, in steps.", 0)
    flags.DEFINE_float(
        "step_epochs", 0.0, "Epochs between two drops of the rate with --schedule=steps.", 0.0
    )
    flags.DEFINE_float(
        "step_factor", 0.1, "Each drop of --schedule=steps multiplies the rate by this.", 0.0, 1.0
    )
    flags.DEFINE_float("gradient_clip_norm", 0.0, "Bound on the global norm; 0 for none.", 0.0)
