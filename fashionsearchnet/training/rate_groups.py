"""The optimizers of an update: one, or one for each learning rate where it needs them."""

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from fashionsearchnet.training import distribution
from fashionsearchnet.training.optimizers import OptimizerSettings
from fashionsearchnet.training.stages import Update


@dataclasses.dataclass(frozen=True)
class RateGroups:
    """The optimizers of an update, each with the variables that it moves.

    Attributes:
      optimizers: one or several; the first is that of the common learning rate.
      variables: of each optimizer.
      places: of each optimizer's variables among those of the update.
      gradient_factors: on the gradients, in the order of the update's variables.
      clip_norm: bound on the norm of all gradients together; 0 where the optimizer bounds it.
    """

    optimizers: tuple[keras.Optimizer, ...]
    variables: tuple[list[keras.Variable], ...]
    places: tuple[list[int], ...]
    gradient_factors: tuple[float, ...]
    clip_norm: float = 0.0

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns the loss as mixed_float16 wants it for its gradients."""
        return self.optimizers[0].scale_loss(loss) if self._scales_loss else loss

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Moves the variables by this replica's gradients; call it inside the step.

        Args:
          gradients: dense, in the order of the update's variables.
        """
        found = list(gradients)
        # Keras clips, and looks for an overflow of scaled losses, before it sums over the replicas.
        if self._scales_loss or self.clip_norm or self.optimizers[0].global_clipnorm is not None:
            found = distribution.mean(found)
        if self.clip_norm:
            found, _ = tf.clip_by_global_norm(found, self.clip_norm / distribution.num_replicas())
        found = [g * f for g, f in zip(found, self.gradient_factors, strict=True)]
        for optimizer, variables, places in zip(
            self.optimizers, self.variables, self.places, strict=True
        ):
            optimizer.apply([found[place] for place in places], variables)

    @property
    def _scales_loss(self) -> bool:
        return isinstance(self.optimizers[0], keras.optimizers.LossScaleOptimizer)


def rate_groups(update: Update, default: OptimizerSettings, num_steps: int) -> RateGroups:
    """Returns the optimizers of an update, with their slots created.

    With several replicas, build them in the strategy's scope.

    Args:
      update: of a stage.
      default: the settings of the run.
      num_steps: in all.

    Raises:
      ValueError: for several learning rates in mixed_float16, unless one optimizer can have them.
    """
    settings, variables = update.optimizer or default, list(update.variables)
    factors = [update.rate_multipliers.get(variable.path, 1.0) for variable in variables]
    every, bound = list(range(len(variables))), settings.gradient_clip_norm
    if set(factors) <= {1.0}:
        optimizer = settings.build(num_steps, variables)
        return RateGroups((optimizer,), (variables,), (every,), tuple(factors))
    # A step of SGD is in proportion to the gradient. Its decay is not.
    is_proportional = settings.optimizer == "sgd" and not settings.weight_decay
    is_scaled = keras.mixed_precision.dtype_policy().name == "mixed_float16"
    if is_scaled and (bound or not is_proportional):
        raise ValueError(
            f"rate multipliers under {settings.optimizer} with weight_decay "
            f"{settings.weight_decay:g} and gradient_clip_norm {bound:g} need a precision other "
            "than mixed_float16, whose loss scale belongs to one optimizer; use mixed_bfloat16, "
            "float32, or optimizer sgd with both at 0."
        )
    # The bound is on the gradients before any factor, so no optimizer of Keras can keep it.
    settings = dataclasses.replace(settings, gradient_clip_norm=0.0)
    if is_proportional:
        optimizer = settings.build(num_steps, variables)
        return RateGroups((optimizer,), (variables,), (every,), tuple(factors), bound)
    rates = sorted(set(factors), key=lambda factor: (factor != 1.0, factor))
    places = tuple([i for i, f in enumerate(factors) if f == rate] for rate in rates)
    groups = tuple([variables[i] for i in group] for group in places)
    optimizers = tuple(
        dataclasses.replace(settings, learning_rate=settings.learning_rate * rate).build(
            num_steps, group
        )
        for rate, group in zip(rates, groups, strict=True)
    )
    ones = (1.0,) * len(variables)
    return RateGroups(optimizers, groups, places, ones, bound)
