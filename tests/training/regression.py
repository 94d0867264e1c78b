"""A stage of a few numbers, and how the tests of the loop train it."""

import json
import time

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet import training
from fashionsearchnet.training import distribution

NUM, DIM, BATCH = 24, 5, 8


class RegressionStage(training.Stage):
    """Linear regression with noise drawn from the step's seed.

    Its data end after step `stop_at`, as if the process had been stopped there.
    """

    name = "regression"
    global_batch_size = BATCH

    def __init__(
        self,
        targets: np.ndarray | None = None,
        delay: float = 0.0,
        stop_at: int = 1_000_000,
    ):
        inputs = np.random.default_rng(0).normal(size=(NUM, DIM)).astype(np.float32)
        self._inputs = inputs
        self._targets = inputs.sum(axis=1) if targets is None else targets
        self._delay, self._stop_at = delay, stop_at
        self.model = keras.Sequential([keras.Input((DIM,)), keras.layers.Dense(1)])

    def examples(self, first_step, context):
        def one(step):
            time.sleep(self._delay)
            rows = (int(step) * BATCH + np.arange(BATCH)) % NUM
            return self._inputs[rows], self._targets[rows]

        def batch(step):
            x, y = tf.numpy_function(one, [step], [tf.float32, tf.float32])
            return tf.ensure_shape(x, [BATCH, DIM]), tf.ensure_shape(y, [BATCH])

        batches = tf.data.Dataset.range(first_step, self._stop_at).map(batch)
        if context is None:
            return batches
        share = BATCH // context.num_input_pipelines
        mine = context.input_pipeline_id * share
        batches = batches.map(lambda x, y: (x[mine : mine + share], y[mine : mine + share]))
        return batches.unbatch().batch(context.get_per_replica_batch_size(BATCH))

    def updates(self):
        return [training.Update(self.loss, self.model.trainable_variables)]

    def loss(self, batch, seed):
        x, y = batch
        noise = tf.random.stateless_normal([], seed) * 0.01
        error = tf.cast(self.model(x)[:, 0], tf.float32) - y + noise
        return tf.reduce_sum(tf.square(error)) / BATCH, {"noise": noise}


SETTINGS = training.OptimizerSettings(
    learning_rate=0.02, momentum=0.9, weight_decay=1e-3, schedule="cosine", warmup_steps=3
)


def run(
    workdir,
    num_steps: int,
    *,
    stop_at: int = 1_000_000,
    strategy=None,
    delay=0.0,
    settings=SETTINGS,
    checkpoint_every=3,
    targets=None,
    stage=None,
    **execution,
) -> np.ndarray:
    """Trains to `num_steps`, or is stopped after `stop_at`; returns all weights."""
    keras.utils.set_random_seed(3)
    strategy = strategy or distribution.get_strategy("one_device")
    with strategy.scope():
        stage = stage or RegressionStage(targets, delay, stop_at)
    length = training.RunLength(num_steps, log_every=2, checkpoint_every=checkpoint_every, seed=7)
    try:
        training.train(
            stage,
            workdir=workdir,
            optimizer=settings,
            length=length,
            strategy=strategy,
            execution=training.Execution(**execution),
        )
    except (StopIteration, tf.errors.OutOfRangeError):
        assert stop_at < num_steps
    return np.concatenate([np.ravel(w) for w in stage.model.get_weights()])


def metrics(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
