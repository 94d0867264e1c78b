"""The only training loop: stages, progress, logs, checkpoints and exact resume.

What makes a resumed run end with the weights of one that ran through: everything random is a
function of (seed, step), so a checkpoint of variables, optimizer and step is the whole state.
"""

import dataclasses
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import keras
import tensorflow as tf
from tqdm import tqdm

from fashionsearchnet import files
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.training import distribution

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SCHEDULES = ("constant", "cosine")

_CALM = (
    "Lower the learning rate, switch batch normalisation on or set gradient_clip_norm, and train "
    "again in another workdir: a run that has begun keeps its settings."
)


class Stage(Protocol):
    """What the loop needs to know of a stage: its data, its variables and its loss.

    Attributes:
      name: of the stage, for logs.
      model: is checkpointed whole.
      global_batch_size: images (or triplets) per step over all replicas.
    """

    name: str
    model: keras.Model
    global_batch_size: int

    def examples(
        self, first_step: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Returns endless batches from a step on, the same for the same step."""

    def trainable_variables(self) -> Sequence[keras.Variable]:
        """Returns the variables that this stage moves."""

    def learning_rate_multipliers(self) -> Mapping[str, float]:
        """Returns factors on the learning rate by variable path; 1 where there is none."""

    def loss(self, batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns a replica's share of the loss and of the logged numbers, float32 scalars.

        Shares of all replicas add up to the loss of the global batch.

        Args:
          batch: this replica's part of a batch of `examples`.
          seed: int32 `[2]`, of this step, the same on every replica.
        """


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """Stochastic gradient descent as [Ak21] Sec. 4.1 (the defaults), or as scratch needs it.

    Attributes:
      learning_rate: the highest one.
      momentum: 0 in the paper.
      weight_decay: decoupled, on kernels only.
      schedule: 'constant', or 'cosine' down to zero at the last step.
      warmup_steps: linear from zero, at the start of a cosine.
      gradient_clip_norm: bounds the norm of all gradients together, those of the global batch
        however many replicas share it; 0 for no bound.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    gradient_clip_norm: float = 0.0

    def build(self, num_steps: int, variables: Sequence[keras.Variable]) -> keras.Optimizer:
        """Returns the optimizer of these variables with its slots created.

        With several replicas it must be built in the strategy's scope, and clips rightly only if
        each replica hands it the mean of all replicas' gradients.
        """
        check_choice("schedule", self.schedule, SCHEDULES)
        check_range("learning_rate", self.learning_rate, 0.0)
        rate: float | keras.optimizers.schedules.LearningRateSchedule = self.learning_rate
        if self.schedule == "cosine":
            warmup = min(self.warmup_steps, num_steps // 2)
            rate = keras.optimizers.schedules.CosineDecay(
                0.0 if warmup else self.learning_rate,
                num_steps - warmup,
                warmup_target=self.learning_rate if warmup else None,
                warmup_steps=warmup,
            )
        optimizer = keras.optimizers.SGD(
            rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay or None,
            # Keras clips first and sums over the replicas then.
            global_clipnorm=self.gradient_clip_norm / distribution.num_replicas() or None,
        )
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if v.name != "kernel"])
        if keras.mixed_precision.dtype_policy().name == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer


@dataclasses.dataclass(frozen=True)
class RunLength:
    """How long a run is, and how often it tells and saves.

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


def train(
    stage: Stage,
    *,
    workdir: str | os.PathLike[str],
    optimizer: OptimizerSettings,
    length: RunLength,
    strategy: tf.distribute.Strategy,
) -> None:
    """Trains a stage from its last checkpoint, or from where its model stands, to the last step.

    Writes `checkpoints/`, `metrics.jsonl` and `tensorboard/` into `workdir`.

    Raises:
      ValueError: if a checkpoint does not fit the model, or the batch cannot be shared evenly.
      FloatingPointError: if the loss is not finite, or the weights are too large for any use when
        they are to be saved. They are not saved then: a last checkpoint is from before that.
    """
    check_range("num_steps", length.num_steps, 1)
    replicas = strategy.num_replicas_in_sync
    if stage.global_batch_size % replicas:
        raise ValueError(
            f"batch_size {stage.global_batch_size} must be a multiple of the {replicas} replicas."
        )
    workdir = Path(workdir)
    with strategy.scope():
        built = optimizer.build(length.num_steps, stage.trainable_variables())
        step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
    checkpoints = _Checkpoints(workdir, stage.model, built, step, strategy)
    first_step = checkpoints.restore()
    if first_step >= length.num_steps:
        return
    log = _MetricsLog(workdir, first_step, distribution.is_chief(strategy))
    batches = iter(_distribute(stage, first_step, strategy))
    train_step = _make_train_step(stage, built, strategy)
    bar = tqdm(
        total=length.num_steps,
        initial=first_step,
        desc=stage.name,
        unit="step",
        mininterval=1.0,
        disable=not distribution.is_chief(strategy),
    )
    with bar:
        for number in range(first_step + 1, length.num_steps + 1):
            seed = tf.constant([length.seed, number], tf.int32)
            log.add(train_step(next(batches), seed), stage.global_batch_size)
            bar.update()
            last = number == length.num_steps
            if last or number % length.log_every == 0:
                bar.set_postfix(log.flush(number, stage.name), refresh=False)
            if last or number % length.checkpoint_every == 0:
                log.check_finite(number)
                _check_weights(stage.model, number)
                step.assign(number)
                checkpoints.save(number)


def _make_train_step(stage: Stage, optimizer: keras.Optimizer, strategy: tf.distribute.Strategy):
    """Returns the compiled step: (distributed batch, seed) -> logged scalars."""
    variables = list(stage.trainable_variables())
    factors = [stage.learning_rate_multipliers().get(v.path, 1.0) for v in variables]
    scales_loss = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    # Keras clips, and looks for an overflow of scaled losses, before it sums over the replicas.
    needs_all = scales_loss or optimizer.global_clipnorm is not None

    def replica_step(batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, logged = stage.loss(batch, seed)
            scaled = optimizer.scale_loss(loss) if scales_loss else loss
        gradients = tape.gradient(scaled, [v.value for v in variables])
        # The gradient of a gather is sparse; SGD's momentum would forget the rows left out.
        gradients = [tf.convert_to_tensor(g) * f for g, f in zip(gradients, factors, strict=True)]
        if needs_all:
            gradients = distribution.mean(gradients)
        optimizer.apply(gradients, variables)
        return {"loss": loss, **logged}

    @tf.function
    def train_step(batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        logged = strategy.run(replica_step, args=(batch, seed))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in logged.items()
        }

    return train_step


def _check_weights(model: keras.Model, number: int) -> None:
    """Raises a FloatingPointError if a variable is not finite, or so large that its norm is not.

    A loss is computed before the update, so it does not see what the last update did.
    """
    for variable in model.variables:
        if not math.isfinite(float(tf.norm(tf.cast(variable.value, tf.float32)))):
            raise FloatingPointError(
                f"{variable.path} is infinite, NaN or huge after step {number}. {_CALM}"
            )


def _distribute(stage: Stage, first_step: int, strategy: tf.distribute.Strategy):
    """The stage's batches from a step on, shared among the replicas."""
    if strategy.num_replicas_in_sync == 1:
        return stage.examples(first_step, None)
    return strategy.distribute_datasets_from_function(
        lambda context: stage.examples(first_step, context)
    )


class _Checkpoints:
    """The run's state on disk; TensorFlow writes a checkpoint beside the last, then names it."""

    def __init__(self, workdir: Path, model, optimizer, step: tf.Variable, strategy):
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step)
        self._step = step
        self._folder = workdir / "checkpoints"
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._folder), max_to_keep=2
        )
        # Every worker must take part in a save; all but the chief throw their copy away.
        self._is_chief = distribution.is_chief(strategy)

    def restore(self) -> int:
        """Restores the last checkpoint, if there is one, and returns its step."""
        latest = self._manager.latest_checkpoint
        if latest is None:
            return 0
        try:
            self._checkpoint.restore(latest).assert_existing_objects_matched().assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise ValueError(
                f"checkpoint {latest} does not fit this model and stage ({reason}); use the "
                "flags it was made with (flags.txt beside it), or another --workdir."
            ) from error
        return int(self._step.numpy())

    def save(self, number: int) -> None:
        """Saves the state as checkpoint `number`."""
        try:
            if self._is_chief:
                self._manager.save(checkpoint_number=number)
                return
            folder = tempfile.mkdtemp()
            self._checkpoint.write(os.path.join(folder, "state"))
            shutil.rmtree(folder)
        except (tf.errors.OpError, OSError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise OSError(
                f"cannot write a checkpoint into {self._folder} ({reason.splitlines()[0]}); the "
                "checkpoint before is unchanged. Free some space, then run the same command again."
            ) from error


class _MetricsLog:
    """Means of the logged numbers between two lines, to metrics.jsonl and TensorBoard."""

    def __init__(self, workdir: Path, first_step: int, enabled: bool):
        self._path = workdir / "metrics.jsonl"
        self._enabled = enabled
        if enabled:
            _drop_lines_after(self._path, first_step)
            self._writer = tf.summary.create_file_writer(str(workdir / "tensorboard"))
        self._sums: dict[str, tf.Tensor] = {}
        self._count, self._images, self._start = 0, 0, time.perf_counter()

    def add(self, logged: Mapping[str, tf.Tensor], images: int) -> None:
        """Takes in the scalars of one step without waiting for the device."""
        for name, value in logged.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1
        self._images += images

    def check_finite(self, number: int) -> None:
        """Raises a FloatingPointError if a loss since the last line is not finite."""
        bad = [n for n, v in self._sums.items() if not math.isfinite(float(v))]
        if bad:
            raise FloatingPointError(
                f"{', '.join(bad)} became infinite or NaN in steps "
                f"{number - self._count + 1} to {number}. {_CALM}"
            )

    def flush(self, number: int, stage_name: str) -> dict[str, str]:
        """Writes a line for the steps up to `number` and returns it for the progress bar."""
        self.check_finite(number)
        seconds = time.perf_counter() - self._start
        line = {name: float(value) / self._count for name, value in self._sums.items()}
        line["images_per_second"] = self._images / seconds
        self._sums, self._count, self._images = {}, 0, 0
        self._start = time.perf_counter()
        if self._enabled:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": number, "stage": stage_name, **line}) + "\n")
            with self._writer.as_default(step=number):
                for name, value in line.items():
                    tf.summary.scalar(f"{stage_name}/{name}", value)
        return {name: f"{value:.3g}" for name, value in line.items()}


def _drop_lines_after(path: Path, step: int) -> None:
    """Removes what a killed run logged after its last checkpoint; it will be logged again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):
            continue  # the line that the kill cut short
    files.write_text(path, "".join(line + "\n" for line in kept))
