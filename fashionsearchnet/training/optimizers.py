"""Optimizers and learning rate schedules as settings."""

import dataclasses
from collections.abc import Sequence

import keras

from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.choices import OPTIMIZERS, SCHEDULES
from fashionsearchnet.training import distribution


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """An optimizer with its schedule; the default is plain SGD as in [Ak21] Sec. 4.1.

    Attributes:
      optimizer: a key of OPTIMIZERS.
      learning_rate: the highest one.
      momentum: of SGD, in 0..1; 0 in [Ak21].
      beta_1: of Adam: the share of the mean gradient that stays after a step, in 0..1.
      beta_2: of Adam: the same of the mean squared gradient, in 0..1.
      weight_decay: decoupled, on kernels only: a step takes learning rate times this off them.
      schedule: a key of SCHEDULES.
      warmup_steps: of 'cosine': the rate rises from zero in a line; half of the run at most.
      step_every: of 'steps': steps (not epochs) between two drops of the rate.
      step_factor: of 'steps': what a drop multiplies the rate by, in 0..1.
      gradient_clip_norm: bounds the norm of all gradients of an update together, those of the
        global batch however many replicas share it; 0 for no bound.

    Raises:
      ValueError: if an argument is out of its range, or the optimizer has no use for it.
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    step_every: int = 0
    step_factor: float = 0.1
    gradient_clip_norm: float = 0.0

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_range("learning_rate", self.learning_rate, 0.0)
        check_range("step_factor", self.step_factor, 0.0, 1.0)
        for name in ("weight_decay", "warmup_steps", "gradient_clip_norm"):
            check_range(name, getattr(self, name), 0)
        for name in ("momentum", "beta_1", "beta_2"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(
                    f"{name} must be at least 0 and below 1; got {getattr(self, name)}."
                )
        if self.optimizer != "sgd" and self.momentum:
            raise ValueError(
                f"momentum is for sgd, but optimizer is {self.optimizer}; got momentum "
                f"{self.momentum}. Set momentum to 0: Adam has its own (beta_1)."
            )
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError(
                f"optimizer adam has no weight decay; got {self.weight_decay}. Use adamw, or set "
                "weight_decay to 0."
            )
        if self.warmup_steps and self.schedule != "cosine":
            raise ValueError(
                f"warmup_steps is for schedule cosine, but schedule is {self.schedule}; got "
                f"{self.warmup_steps}. Set warmup_steps to 0, or use the cosine."
            )
        if self.schedule == "steps" and self.step_every < 1:
            raise ValueError(
                "schedule steps needs step_every, the number of steps between two drops of the "
                f"learning rate, at least 1; got {self.step_every}."
            )

    def rate(self, num_steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
        """Returns the learning rate, or its schedule over `num_steps` steps."""
        if self.schedule == "cosine":
            warmup = min(self.warmup_steps, num_steps // 2)
            return keras.optimizers.schedules.CosineDecay(
                0.0 if warmup else self.learning_rate,
                num_steps - warmup,
                warmup_target=self.learning_rate if warmup else None,
                warmup_steps=warmup,
            )
        if self.schedule == "steps":
            return keras.optimizers.schedules.ExponentialDecay(
                self.learning_rate, self.step_every, self.step_factor, staircase=True
            )
        return self.learning_rate

    def build(self, num_steps: int, variables: Sequence[keras.Variable]) -> keras.Optimizer:
        """Returns the optimizer of these variables with its slots created.

        With several replicas, build it in the strategy's scope. It clips rightly only if each
        replica hands it the mean of all replicas' gradients.
        """
        common = {
            "learning_rate": self.rate(num_steps),
            "weight_decay": self.weight_decay or None,
            # Keras clips first and then sums over the replicas.
            "global_clipnorm": self.gradient_clip_norm / distribution.num_replicas() or None,
        }
        if self.optimizer == "sgd":
            optimizer = keras.optimizers.SGD(momentum=self.momentum, **common)
        else:  # Keras's AdamW is its Adam with this decay, but refuses to have none
            optimizer = keras.optimizers.Adam(beta_1=self.beta_1, beta_2=self.beta_2, **common)
        if self.weight_decay:
            rest = [v for v in variables if v.name != "kernel"]
            optimizer.exclude_from_weight_decay(var_list=rest)
        if keras.mixed_precision.dtype_policy().name == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer
