"""The loop on a stage of a few numbers: what it writes, and that nothing can make it forget."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet import training
from fashionsearchnet.training import distribution, loop

ROOT = Path(__file__).parents[2]
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
    **execution,
) -> np.ndarray:
    """Trains to `num_steps`, or is stopped after `stop_at`; returns all weights."""
    keras.utils.set_random_seed(3)
    strategy = strategy or distribution.get_strategy("one_device")
    with strategy.scope():
        stage = RegressionStage(targets, delay, stop_at)
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


@pytest.mark.parametrize("stop_at", [1, 3, 4, 8])
def test_a_stopped_and_resumed_run_ends_with_the_weights_of_a_straight_one(tmp_path, stop_at):
    straight = run(tmp_path / "straight", 10)
    run(tmp_path / "resumed", 10, stop_at=stop_at)
    resumed = run(tmp_path / "resumed", 10)
    np.testing.assert_array_equal(resumed, straight)
    lines = [_metrics(tmp_path / name) for name in ("straight", "resumed")]
    assert [line["step"] for line in lines[1]] == [2, 4, 6, 8, 10]
    for mine, theirs in zip(*lines, strict=True):
        # A line that a resume cut in two is the mean of its second part only.
        if mine["step"] - 1 != (stop_at // 3) * 3:
            assert mine["loss"] == pytest.approx(theirs["loss"])


@pytest.mark.parametrize("steps_per_call", [2, 4, 100])
def test_several_steps_in_a_call_are_the_same_steps(steps_per_call, tmp_path):
    """With lines every 2 steps and checkpoints every 3, and a stop in the middle of a call."""
    single = run(tmp_path / "single", 10)
    run(tmp_path / "several", 10, stop_at=5, steps_per_call=steps_per_call)
    np.testing.assert_array_equal(
        run(tmp_path / "several", 10, steps_per_call=steps_per_call), single
    )
    lines = [_metrics(tmp_path / name) for name in ("single", "several")]
    assert [line["step"] for line in lines[1]] == [2, 4, 6, 8, 10]
    for one, other in zip(*lines, strict=True):
        if one["step"] != 4:  # the resume cut it in two
            assert other["loss"] == pytest.approx(one["loss"])
            assert other["noise"] == pytest.approx(one["noise"])


def test_a_call_takes_as_many_steps_as_it_may():
    length = training.RunLength(100, log_every=50, checkpoint_every=40)
    ends = [0]
    while ends[-1] < 100:
        ends.append(ends[-1] + loop._steps_of_call(ends[-1], length, 16))
    assert ends == [0, 16, 32, 40, 50, 66, 80, 96, 100]


def test_xla_gives_nearly_the_same_weights(tmp_path):
    """But for its noise, which it draws in another way."""
    compiled = run(tmp_path / "compiled", 10, jit_compile=True, steps_per_call=2)
    np.testing.assert_allclose(compiled, run(tmp_path / "plain", 10), atol=0.05)
    mirrored = distribution.get_strategy("mirrored")
    with pytest.raises(ValueError, match="jit_compile is for one replica"):
        run(tmp_path / "two", 10, jit_compile=True, strategy=mirrored)


def test_a_killed_process_resumes_exactly(tmp_path):
    script = (
        "import sys; sys.path[:0] = ['tests', 'tests/training']; import conftest, test_loop as t;"
        "t.run(sys.argv[1], 60, delay=0.05)"
    )
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob("checkpoints/*.index")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = tf.train.latest_checkpoint(str(folder / "checkpoints"))
    assert reached is not None, "the process saved no checkpoint within 60 s"
    assert int(reached.rpartition("-")[2]) < 60, "the process was not killed in time"
    np.testing.assert_array_equal(run(folder, 60), run(tmp_path / "straight", 60))


def test_a_finished_run_is_left_alone(tmp_path):
    weights = run(tmp_path, 4)
    before = (tmp_path / "metrics.jsonl").read_text()
    np.testing.assert_array_equal(run(tmp_path, 4), weights)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_the_loss_falls_and_is_logged_with_a_rate(tmp_path):
    run(tmp_path, 40)
    lines = _metrics(tmp_path)
    assert lines[-1]["loss"] < 0.1 * lines[0]["loss"]
    assert lines[0]["images_per_second"] > 0
    assert list(tmp_path.glob("tensorboard/events*"))


def test_mirrored_replicas_give_the_weights_of_one_device(tmp_path):
    mirrored = distribution.get_strategy("mirrored")
    assert mirrored.num_replicas_in_sync == 2
    one = run(tmp_path / "one", 8)
    two = run(tmp_path / "two", 8, strategy=mirrored)
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


def test_replicas_clip_the_gradients_of_the_whole_batch(tmp_path):
    clipped = dataclasses.replace(SETTINGS, gradient_clip_norm=0.5)
    one = run(tmp_path / "one", 8, settings=clipped)
    two = run(tmp_path / "two", 8, settings=clipped, strategy=distribution.get_strategy("mirrored"))
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
    assert np.abs(run(tmp_path / "unclipped", 8) - one).max() > 0.1


def test_all_replicas_skip_a_step_that_overflows_on_one(tmp_path):
    """Scaled losses of float16 overflow at first; the scale falls until they do not."""
    targets = np.zeros(NUM, np.float32)
    targets[0] = 1000.0  # in one replica's share of a batch
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        for last in (0, BATCH - 1):  # of the first replica, of the second
            weights = run(
                tmp_path / str(last),
                12,
                targets=np.roll(targets, last),
                strategy=distribution.get_strategy("mirrored"),
            )
            assert np.isfinite(weights).all()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


def test_two_workers_give_the_weights_of_one_device(tmp_path):
    """Two processes on loopback; both end with the weights of a single one."""
    script = (
        "import sys, time; from fashionsearchnet.training import distribution;"
        "strategy = distribution.get_strategy('multi_worker');"
        "sys.path.insert(0, 'tests/training'); import test_loop as t, numpy as np;"
        "np.save(sys.argv[2], t.run(sys.argv[1], 8, strategy=strategy));"
        "distribution.once(lambda: (time.sleep(1), open(sys.argv[3], 'a').write(sys.argv[2])));"
        "assert open(sys.argv[3]).read()"  # the others wait for the one that writes
    )
    ports = [_free_port(), _free_port()]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-c", script, str(tmp_path / "run"), str(tmp_path / f"{index}")]
        command.append(str(tmp_path / "written_once"))
        workers.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        )
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors[-2000:]
    assert (tmp_path / "written_once").read_text() == str(tmp_path / "0")
    straight = run(tmp_path / "straight", 8)
    for index in range(2):
        found = np.load(tmp_path / f"{index}.npy")
        np.testing.assert_allclose(found, straight, rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path):
    run(tmp_path, 6)
    checkpoints = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    explosive = training.OptimizerSettings(learning_rate=1e30)
    bad = tmp_path / "bad"
    with pytest.raises(FloatingPointError, match=r"loss became infinite or NaN in steps"):
        run(bad, 30, settings=explosive)
    assert not list(bad.glob("checkpoints/*.index"))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == checkpoints


def test_weights_that_the_last_update_broke_are_not_saved(tmp_path):
    """The loss of that step, from before its update, is finite."""
    explosive = training.OptimizerSettings(learning_rate=1e38)
    with pytest.raises(FloatingPointError, match=r"is infinite, NaN or huge after step 1\. Lower"):
        run(tmp_path, 1, settings=explosive)
    assert not list(tmp_path.glob("checkpoints/*.index"))


def test_every_checkpoint_of_a_run_that_explodes_is_sane(tmp_path):
    explosive = training.OptimizerSettings(learning_rate=1e8)
    with pytest.raises(FloatingPointError, match="else in another one, since a run"):
        run(tmp_path, 30, settings=explosive, checkpoint_every=1)
    saved = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    for name, _ in tf.train.list_variables(saved):
        value = tf.train.load_variable(saved, name)
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            assert np.isfinite(np.linalg.norm(value)), name


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(tmp_path, 3)
    stage = RegressionStage()
    stage.model = keras.Sequential([keras.Input((DIM,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"does not fit this model and stage"):
        training.train(
            stage,
            workdir=tmp_path,
            optimizer=SETTINGS,
            length=training.RunLength(5),
            strategy=distribution.get_strategy("one_device"),
        )


class TwoUpdatesStage(RegressionStage):
    """Moves a by a^2 / 2, then b by a b; both start at 1."""

    names = ("a", "b")

    def __init__(self):
        super().__init__()
        self.model = keras.Model()
        self.a, self.b = (keras.Variable(1.0, name=name) for name in "ab")
        self.model.a, self.model.b = self.a, self.b

    def updates(self):
        own = training.OptimizerSettings(learning_rate=1.0)
        return [
            training.Update(
                lambda batch, seed: (tf.square(self.a) / 2, {"noise": _noise(seed)}),
                [self.a],
                name=self.names[0],
            ),
            training.Update(
                lambda batch, seed: (self.a * self.b, {"noise": _noise(seed)}),
                [self.b],
                name=self.names[1],
                optimizer=own,
            ),
        ]


def _noise(seed):
    return tf.random.stateless_normal([], seed)


def train_two(stage, workdir, **settings):
    training.train(
        stage,
        workdir=workdir,
        optimizer=training.OptimizerSettings(learning_rate=0.1, **settings),
        length=training.RunLength(1, seed=7),
        strategy=distribution.get_strategy("one_device"),
    )


def test_a_later_update_sees_what_the_earlier_one_moved(tmp_path):
    stage = TwoUpdatesStage()
    train_two(stage, tmp_path)
    assert float(stage.a) == pytest.approx(1 - 0.1 * 1)
    assert float(stage.b) == pytest.approx(1 - 1.0 * 0.9)
    (line,) = _metrics(tmp_path)
    assert line["a/loss"] == pytest.approx(0.5) and line["b/loss"] == pytest.approx(0.9)
    assert line["a/noise"] == pytest.approx(float(_noise([7, 1])))
    assert line["b/noise"] != line["a/noise"]


@pytest.mark.parametrize("names", [("", "b"), ("a", "a")])
def test_updates_need_names_that_differ(names, tmp_path):
    stage = TwoUpdatesStage()
    stage.names = names
    with pytest.raises(ValueError, match="several with names that differ; got the names"):
        train_two(stage, tmp_path)


def test_a_variable_that_the_loss_does_not_reach_is_refused_by_name(tmp_path, monkeypatch):
    stage = TwoUpdatesStage()
    bad = training.Update(lambda batch, seed: (tf.square(stage.a), {}), [stage.a, stage.b])
    monkeypatch.setattr(stage, "updates", lambda: [bad])
    with pytest.raises(ValueError, match="does not depend on b; leave it out"):
        train_two(stage, tmp_path)


def test_a_batch_that_replicas_cannot_share_is_refused(tmp_path):
    stage = RegressionStage()
    stage.global_batch_size = 7
    with pytest.raises(ValueError, match="batch_size 7 must be a multiple of the 2 replicas"):
        training.train(
            stage,
            workdir=tmp_path,
            optimizer=SETTINGS,
            length=training.RunLength(5),
            strategy=distribution.get_strategy("mirrored"),
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_gives_one_clear_error_and_the_old_checkpoint_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        run(disk, 9, stop_at=3)
        left = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(left.f_bavail * left.f_frsize))
        with pytest.raises(OSError, match=r"cannot write|No space left"):
            run(disk, 9)
        (disk / "filler").unlink()
        np.testing.assert_array_equal(run(disk, 9), run(tmp_path / "straight", 9))
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def _metrics(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
