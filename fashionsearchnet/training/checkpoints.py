"""The state of a run on disk: model, optimizers and step."""

import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

from fashionsearchnet.training import distribution
from fashionsearchnet.training.logs import diverged


class Checkpoints:
    """The last two checkpoints of a run.

    TensorFlow writes a checkpoint beside the last one and only then names it as the latest, so a
    kill or a full disk leaves the last one whole.
    """

    def __init__(
        self,
        workdir: Path,
        model: keras.Model,
        optimizers: Mapping[str, keras.Optimizer],
        strategy: tf.distribute.Strategy,
    ):
        """Takes the whole model, and built optimizers by the names that they are saved under."""
        with strategy.scope():
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._model = model
        self._checkpoint = tf.train.Checkpoint(model=model, step=self._step, **optimizers)
        self._folder = workdir / "checkpoints"
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._folder), max_to_keep=2
        )
        # Every worker must take part in a save; all but the chief throw their copy away.
        self._is_chief = distribution.is_chief(strategy)

    def restore(self) -> int:
        """Restores the last checkpoint, if there is one, and returns its step, else 0."""
        latest = self._manager.latest_checkpoint
        if latest is None:
            return 0
        try:
            self._checkpoint.restore(latest).assert_existing_objects_matched().assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise ValueError(
                f"checkpoint {latest} does not fit this model and stage ({reason}). Use the flags "
                "of its run (flags.txt beside it), or another --workdir."
            ) from error
        return int(self._step.numpy())

    def save(self, number: int) -> None:
        """Saves the state after step `number`, unless the weights are too large for any use."""
        self._check_weights(number)
        self._step.assign(number)
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
                f"cannot write a checkpoint into {self._folder} ({reason.splitlines()[0]}). The "
                "checkpoint before is unchanged. Free some space, then run the same command again."
            ) from error

    def _check_weights(self, number: int) -> None:
        """Raises a FloatingPointError if a variable is not finite, or its norm is not.

        The loss is computed before the update, so it does not see what the last update did.
        """
        for variable in self._model.variables:
            if not math.isfinite(float(tf.norm(tf.cast(variable.value, tf.float32)))):
                raise diverged(f"{variable.path} is infinite, NaN or huge after step {number}")
