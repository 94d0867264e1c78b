"""Replicas and workers that share a step give the weights of one device."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from regression import BATCH, NUM, SETTINGS, RegressionStage, run

from fashionsearchnet.training import distribution

ROOT = Path(__file__).parents[2]


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
        "sys.path.insert(0, 'tests/training'); import regression as t, numpy as np;"
        "np.save(sys.argv[2], t.run(sys.argv[1], 8, strategy=strategy));"
        # A tensor that comes into the step, such as the labels of a batch.
        "rows = t.tf.constant([[1.0, 2.0]]);"
        "step = t.tf.function(lambda r: strategy.run(distribution.gather, (r,)), autograph=False);"
        "np.testing.assert_array_equal(step(rows), [[1, 2], [1, 2]]);"
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


def test_a_batch_that_replicas_cannot_share_is_refused(tmp_path):
    stage = RegressionStage()
    stage.global_batch_size = 7
    with pytest.raises(ValueError, match="batch_size 7 must be a multiple of the 2 replicas"):
        run(tmp_path, 5, stage=stage, strategy=distribution.get_strategy("mirrored"))


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
