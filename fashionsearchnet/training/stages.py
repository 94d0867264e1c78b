"""A stage as the loop sees it: a model, examples to train on, and updates."""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from fashionsearchnet.training.optimizers import OptimizerSettings

# (batch, seed) -> (loss, logged numbers). The batch is whatever a stage's `examples` yield.
Loss = Callable[[Any, tf.Tensor], tuple[tf.Tensor, dict[str, tf.Tensor]]]


@dataclasses.dataclass(frozen=True)
class Update:
    """One loss, the variables that it moves, and the optimizer that moves them.

    Attributes:
      loss: takes this replica's part of a batch and the update's seed, int32 `[2]`, the same on
        every replica. Returns float32 scalars: this replica's share of the loss, and its shares of
        the logged numbers by name. The shares of all replicas add up to the loss of the batch.
      variables: what the update moves; the loss must depend on each.
      name: tells the updates of a stage apart, in logs and checkpoints; '' for an only one.
      rate_multipliers: factors on the learning rate by the path of a variable, 1 where there is
        none. Under SGD they multiply the gradient. Adam does not see the scale of a gradient, and
        weight decay does not depend on it: there the variables of each factor get an optimizer of
        their own, with that learning rate. A bound on the norm of the gradients comes first.
      optimizer: None for that of the run.
    """

    loss: Loss
    variables: Sequence[keras.Variable]
    name: str = ""
    rate_multipliers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    optimizer: OptimizerSettings | None = None


class Stage(abc.ABC):
    """One stage of the training of a model.

    Attributes:
      name: of the stage, for logs.
      model: the loop saves all of it in checkpoints.
      global_batch_size: images (or triplets, or pairs) per step, over all replicas.
    """

    name: str
    model: keras.Model
    global_batch_size: int

    @property
    def left_out(self) -> Sequence[str]:
        """What the examples leave out on purpose, since too few images show it: a text for each."""
        return ()

    @abc.abstractmethod
    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches from a step on; the batch of a step is always the same.

        They have `global_batch_size`; with a `context`, of one input pipeline among several, they
        are per replica. Their int32 reach the updates as int64 (see `networks.kernels`).
        """

    @abc.abstractmethod
    def updates(self) -> Sequence[Update]:
        """Returns the updates that a step applies in turn to one batch.

        The loop calls this once, in the scope of the strategy, so that a stage can place there what
        its losses need (`distribution.on_each_replica`).
        A later update sees the variables that the earlier ones have moved. Several updates need
        distinct names.
        """
