"""The loop on a stage of a few numbers: what it writes, and that nothing can make it forget."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from regression import DIM, RegressionStage, metrics, run

from fashionsearchnet import training
from fashionsearchnet.training import distribution, loop

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stop_at", [1, 3, 4, 8])
def test_a_stopped_and_resumed_run_ends_with_the_weights_of_a_straight_one(tmp_path, stop_at):
    straight = run(tmp_path / "straight", 10)
    run(tmp_path / "resumed", 10, stop_at=stop_at)
    resumed = run(tmp_path / "resumed", 10)
    np.testing.assert_array_equal(resumed, straight)
    lines = [metrics(tmp_path / name) for name in ("straight", "resumed")]
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
    lines = [metrics(tmp_path / name) for name in ("single", "several")]
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


def test_xla_is_refused_for_replicas_even_for_one(tmp_path):
    for strategy in (
        distribution.get_strategy("mirrored"),
        tf.distribute.MirroredStrategy(["CPU:0"]),
    ):
        with pytest.raises(ValueError, match="jit_compile is for the distribution one_device"):
            run(tmp_path, 10, jit_compile=True, strategy=strategy)


def test_a_killed_process_resumes_exactly(tmp_path):
    script = (
        "import sys; sys.path[:0] = ['tests', 'tests/training']; import conftest, regression as t;"
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
    lines = metrics(tmp_path)
    assert lines[-1]["loss"] < 0.1 * lines[0]["loss"]
    assert lines[0]["images_per_second"] > 0
    assert list(tmp_path.glob("tensorboard/events*"))


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
        run(tmp_path, 5, stage=stage)


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


@pytest.mark.parametrize("steps_per_call", [1, 4])
def test_batches_from_another_device_give_the_same_weights(steps_per_call, tmp_path, monkeypatch):
    """Resumed in between; the second CPU stands in for a GPU."""
    straight = run(tmp_path / "straight", 10)
    second = tf.config.list_logical_devices("CPU")[1].name
    monkeypatch.setattr(distribution, "compute_device", lambda: second)
    run(tmp_path / "there", 10, stop_at=4, steps_per_call=steps_per_call)
    there = run(tmp_path / "there", 10, steps_per_call=steps_per_call)
    np.testing.assert_array_equal(there, straight)
