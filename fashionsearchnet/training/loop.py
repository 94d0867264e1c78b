"""The only training loop: updates, progress and exact resume.

A resumed run ends with the weights of one that ran through, since everything random is a function
of (seed, step): a checkpoint of variables, optimizers and step is the whole state. On a GPU this
holds for deterministic operations only (`arithmetic.set_arithmetic`).
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet.checks import check_range
from fashionsearchnet.networks import kernels
from fashionsearchnet.training import distribution
from fashionsearchnet.training.checkpoints import Checkpoints
from fashionsearchnet.training.logs import MetricsLog
from fashionsearchnet.training.optimizers import OptimizerSettings
from fashionsearchnet.training.rate_groups import RateGroups, rate_groups
from fashionsearchnet.training.stages import Stage, Update


@dataclasses.dataclass(frozen=True)
class RunLength:
    """How long a run is, and how often it logs and saves.

    Attributes:
      num_steps: in all.
      log_every: steps per line of metrics.jsonl; the loss is checked as often.
      checkpoint_every: steps.
      seed: of everything random.
    """

    num_steps: int
    log_every: int = 50
    checkpoint_every: int = 500
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Execution:
    """How steps are executed.

    Attributes:
      steps_per_call: steps in one call of the compiled function, at most; a call ends where a line
        of metrics.jsonl or a checkpoint is due. The weights are the same for any number. More
        steps save the time between two calls, in which a GPU waits.
      jit_compile: whether XLA compiles the updates. It rounds in another order and draws other
        noise from the same seed, so the weights differ from those of a run without.
    """

    steps_per_call: int = 1
    jit_compile: bool = False


def train(
    stage: Stage,
    *,
    workdir: str | os.PathLike[str],
    optimizer: OptimizerSettings,
    length: RunLength,
    strategy: tf.distribute.Strategy,
    execution: Execution = Execution(),
) -> None:
    """Trains a stage from its last checkpoint, or from where its model stands, to the last step.

    Writes `checkpoints/`, `metrics.jsonl` and `tensorboard/` into `workdir`. `optimizer` is for
    every update that brings none of its own; `strategy` is that in whose scope the model was built.

    Raises:
      ValueError: if a checkpoint does not fit the model, the batch cannot be shared evenly, or
        updates cannot be told apart by their names.
      FloatingPointError: if the loss is not finite, or the weights are too large for any use when
        they are to be saved. They are not saved then: the last checkpoint is from before that.
    """
    check_range("num_steps", length.num_steps, 1)
    check_range("steps_per_call", execution.steps_per_call, 1)
    _check_replicas(stage, strategy, execution)
    workdir = Path(workdir)
    with strategy.scope():
        updates = _named_updates(stage)
        groups = {
            name: rate_groups(update, optimizer, length.num_steps)
            for name, update in updates.items()
        }
    checkpoints = Checkpoints(workdir, stage.model, _optimizers_by_name(groups), strategy)
    first_step = checkpoints.restore()
    if first_step >= length.num_steps:
        return
    log = MetricsLog(workdir, stage.name, first_step, distribution.is_chief(strategy))
    batches = iter(_distribute(stage, first_step, strategy))
    train_steps = _make_train_steps(updates, groups, strategy, batches, execution.jit_compile)
    bar = tqdm(
        total=length.num_steps,
        initial=first_step,
        desc=stage.name,
        unit="step",
        mininterval=1.0,
        disable=not distribution.is_chief(strategy),
    )
    number = first_step  # of steps that are done
    with bar:
        while number < length.num_steps:
            count = _steps_of_call(number, length, execution.steps_per_call)
            # As tensors: the function would be traced again for other numbers of Python.
            numbers = tf.constant([length.seed, number, count], tf.int32)
            log.add(train_steps(batches, numbers), count, count * stage.global_batch_size)
            number += count
            bar.update(count)
            last = number == length.num_steps
            if last or number % length.log_every == 0:
                bar.set_postfix(log.flush(number), refresh=False)
            if last or number % length.checkpoint_every == 0:
                log.check_finite(number)
                checkpoints.save(number)


def _check_replicas(stage: Stage, strategy: tf.distribute.Strategy, execution: Execution) -> None:
    """Raises a ValueError for what the replicas of a strategy cannot do."""
    replicas = strategy.num_replicas_in_sync
    if stage.global_batch_size % replicas:
        raise ValueError(
            f"batch_size {stage.global_batch_size} must be a multiple of the {replicas} replicas."
        )
    if execution.jit_compile and strategy is not distribution.get_strategy("one_device"):
        raise ValueError(
            "jit_compile is for the distribution one_device, since XLA cannot sum over replicas, "
            f"not even over one; got {replicas} of {type(strategy).__name__}. Leave jit_compile "
            "out, or use one_device."
        )


def _steps_of_call(number: int, length: RunLength, steps_per_call: int) -> int:
    """Returns how many steps to take after step `number` in one call."""
    ends = [length.num_steps, number + steps_per_call]
    ends += [number - number % e + e for e in (length.log_every, length.checkpoint_every)]
    return min(ends) - number


def _named_updates(stage: Stage) -> dict[str, Update]:
    """The updates of a stage by name, in turn."""
    updates = list(stage.updates())
    names = [update.name for update in updates]
    if not names or (len(names) > 1 and (len(set(names)) < len(names) or "" in names)):
        raise ValueError(
            f"stage {stage.name!r} must have one update, or several with names that differ; got "
            f"the names {names}."
        )
    return dict(zip(names, updates, strict=True))


def _optimizers_by_name(groups: Mapping[str, RateGroups]) -> dict[str, keras.Optimizer]:
    """Names all optimizers for checkpoints; that of the first update is `optimizer`."""
    found = {
        name if number == 0 else f"{name}_group{number}": optimizer
        for name, group in groups.items()
        for number, optimizer in enumerate(group.optimizers)
    }
    first, *others = found
    return {"optimizer": found[first], **{f"optimizer_{name}": found[name] for name in others}}


def _make_train_steps(
    updates: Mapping[str, Update],
    groups: Mapping[str, RateGroups],
    strategy: tf.distribute.Strategy,
    batches: Any,  # an iterator of tf.data or of tf.distribute: they have no common class
    jit_compile: bool,
):
    """Returns the compiled function (batches, [seed, done, count]) -> sums of logged scalars.

    It takes `count` steps, the first of which has the number `done` + 1.
    """
    steps = {name: replica_update(updates[name], groups[name]) for name in updates}
    if jit_compile:
        steps = {name: compiled_by_xla(step) for name, step in steps.items()}

    def replica_step(batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        logged: dict[str, tf.Tensor] = {}
        for index, (name, step) in enumerate(steps.items()):
            # The first update takes the step's own seed; no two draw the same noise.
            own = tf.random.experimental.stateless_fold_in(seed, index) if index else seed
            prefix = f"{name}/" if len(steps) > 1 else ""
            logged |= {prefix + key: value for key, value in step(batch, own).items()}
        return logged

    # A graph of its own, not a part of the loop below. In a loop, TensorFlow's pass for oneDNN now
    # and then leaves out the gradients of max-poolings, and its own kernel computes them: another
    # last digit (docs/gpu.md). XLA has kernels of its own for all of a step.
    apart = {} if jit_compile else {"_noinline": True}

    @tf.function(autograph=False, experimental_attributes=apart)
    def train_step(batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        logged = strategy.run(replica_step, args=(batch, seed))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in logged.items()
        }

    seed = tf.TensorSpec([2], tf.int32)
    # Traced here for the names of the logged scalars alone; the call below uses the same trace.
    names = train_step.get_concrete_function(batches.element_spec, seed).structured_outputs

    @tf.function(autograph=False)
    def train_steps(batches: Any, numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        seed, done, count = tf.unstack(numbers)

        def take_one(step: tf.Tensor, sums: dict[str, tf.Tensor]):
            logged = train_step(next(batches), tf.stack([seed, step]))
            return step + 1, {name: sums[name] + logged[name] for name in names}

        start = (done + 1, {name: tf.zeros([]) for name in names})
        # A step begins when the one before it has ended.
        _, sums = tf.while_loop(
            lambda step, _: step <= done + count, take_one, start, parallel_iterations=1
        )
        return sums

    return train_steps


def compiled_by_xla(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of tensors as XLA compiles it."""

    @tf.function(autograph=False, jit_compile=True)
    def compiled(*arguments: Any) -> Any:
        with kernels.for_xla():
            return function(*arguments)

    return compiled


def replica_update(update: Update, groups: RateGroups) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns one update on a replica: (batch, seed) -> its shares of the logged numbers."""
    variables = list(update.variables)

    def replica_update(batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, logged = update.loss(batch, seed)
            scaled = groups.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            if gradient is None:
                raise ValueError(
                    f"the loss of update {update.name!r} does not depend on {variable.path}; leave "
                    "it out of the update's variables."
                )
        # The gradient of a gather is sparse; SGD's momentum would forget the rows left out.
        groups.apply([tf.convert_to_tensor(gradient) for gradient in gradients])
        return {"loss": loss, **logged}

    return replica_update


def _distribute(stage: Stage, first_step: int, strategy: tf.distribute.Strategy):
    """Returns the stage's batches from a step on, shared among the replicas, on their devices."""

    def examples(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        # A data set hands the parts of a tuple over one by one.
        return stage.examples(first_step, context).map(
            lambda *parts: kernels.wide(parts if len(parts) > 1 else parts[0])
        )

    if strategy.num_replicas_in_sync == 1:
        return distribution.prefetched(examples(None))
    return strategy.distribute_datasets_from_function(examples)
