"""What every stage of every system must promise; stage_table.py lists them."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from gpu_kernels import read_by_host, without_kernel
from stage_table import (
    ALL,
    PLAIN_RATE,
    RATE,
    SEVERAL_UPDATES,
    STAGES,
    gan,
    logged,
    own_paths,
    train,
    train_plainly,
    weights,
)

from fashionsearchnet import training
from fashionsearchnet.systems import registry
from fashionsearchnet.training import distribution, loop


@functools.cache
def untrained(build: Callable[..., training.Stage]) -> training.Stage:
    """A stage as it comes, for the test of the table and then for its run."""
    return build()


class Run:
    """A stage that was trained in `folder`, the weights `before`, and the graph of its steps."""

    LAST, BEFORE = 60, 57  # steps with a checkpoint

    def __init__(self, build: Callable[..., training.Stage], folder: Path):
        self.build, self.folder, self.stage = build, folder, untrained(build)
        self.before = weights(self.stage.model)
        lengths = {"log_every": 10, "checkpoint_every": self.BEFORE, "steps_per_call": 4}
        with mock.patch.object(loop, "_make_train_steps", self._make_train_steps):
            train(self.stage, folder, self.LAST, **lengths)

    def _make_train_steps(self, *arguments, make=loop._make_train_steps):
        """Makes the compiled function, and keeps the graph that its first call traces."""
        compiled = make(*arguments)

        def train_steps(batches, numbers):
            self.graph = compiled.get_concrete_function(batches, numbers)
            return self.graph(batches, numbers)

        return train_steps

    def forget_last_checkpoint(self) -> None:
        """Leaves the folder as a run does that was killed between the two checkpoints."""
        checkpoints = self.folder / "checkpoints"
        for path in checkpoints.glob(f"ckpt-{self.LAST}.*"):
            path.unlink()
        latest = f'model_checkpoint_path: "ckpt-{self.BEFORE}"\n'
        (checkpoints / "checkpoint").write_text(latest + "all_" + latest.replace("path", "paths"))


@pytest.fixture(scope="module", params=ALL)
def run(request, tmp_path_factory) -> Run:
    """A run of each stage."""
    return Run(request.param, tmp_path_factory.mktemp("run"))


def test_every_system_has_its_stages_in_the_table():
    assert set(STAGES) == set(registry.SYSTEMS)
    for builders in STAGES.values():
        stages = [untrained(build) for build in builders]
        assert {stage.name for stage in stages} == {n for s in stages for n in s.model.stages}


def test_only_the_stages_own_variables_move(run):
    """All of them do; the loop refuses gradients that are missing or not finite."""
    after = weights(run.stage.model)
    moved = {path for path, value in after.items() if (value != run.before[path]).any()}
    own = set(own_paths(run.stage))
    statistics = {path for path in run.before if "moving_" in path}
    assert own <= moved <= own | statistics


def test_a_step_stays_on_the_gpu(run):
    assert not without_kernel(run.graph)


def test_a_step_is_a_graph_of_its_own(run):
    """In a loop, oneDNN gets the gradients of max-poolings in most graphs, and not in all."""
    functions = run.graph.graph.as_graph_def().library.function
    steps = [f for f in functions if "train_step_" in f.signature.name]
    assert any(function.attr["_noinline"].b for function in steps)


def test_the_host_waits_for_no_number_of_a_step(run):
    assert not read_by_host(run.graph)


def test_the_loss_falls(run):
    if run.build in SEVERAL_UPDATES:  # two networks against each other need not both lose
        return
    losses = [line["loss"] for line in logged(run.folder)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_resumed_run_equals_a_straight_one(run):
    """Bit for bit, and however many steps a call takes."""
    run.forget_last_checkpoint()
    resumed = run.build()
    train(resumed, run.folder, run.LAST)
    expected = weights(run.stage.model)
    for path, value in weights(resumed.model).items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
    assert [line["step"] for line in logged(run.folder)][-2:] == [50, 60]


def test_a_gan_learns_the_vectors_that_its_discriminator_sees(tmp_path):
    stage = gan()
    train(stage, tmp_path, 400, log_every=100)
    first, *_, last = logged(tmp_path)
    assert last["generator/distance"] < 0.5 * first["generator/distance"]
    # Real and made vectors become hard to tell apart: log 4 where they are alike.
    assert abs(last["discriminator/loss"] - np.log(4)) < 0.5
    assert "loss" not in last


@pytest.mark.parametrize("build", ALL)
def test_two_replicas_give_the_weights_of_one(build, tmp_path):
    """Without batch statistics and dropout, which are each replica's own."""

    def movement(strategy, train_stage):
        with strategy.scope():
            stage = build(normalization="none", dropout_rate=0.0)
        own = own_paths(stage)
        before = weights(stage.model)
        train_stage(stage, PLAIN_RATE[stage.name])
        after = weights(stage.model)
        return {path: after[path] - before[path] for path in own}

    mirrored = distribution.get_strategy("mirrored")
    one = movement(
        distribution.get_strategy("one_device"), lambda stage, rate: train_plainly(stage, 4, rate)
    )
    two = movement(
        mirrored,
        lambda stage, rate: train(stage, tmp_path, 4, mirrored, rate=rate, steps_per_call=2),
    )
    for path, moved in one.items():
        apart = np.linalg.norm(two[path] - moved)
        assert apart < 1e-2 * np.linalg.norm(moved), path


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("build", ALL)
def test_mixed_precision_keeps_losses_and_weights_in_float32(build, policy, tmp_path, monkeypatch):
    """Steps in mixed_float16, which scales losses, are compiled; the others are taken eagerly."""
    dtypes = set()

    def watched(update: training.Update) -> training.Update:
        def loss(batch, seed):
            found = update.loss(batch, seed)
            dtypes.add(found[0].dtype)
            return found

        return dataclasses.replace(update, loss=loss)

    keras.mixed_precision.set_dtype_policy(policy)
    try:
        stage = build()
        updates = stage.updates()
        monkeypatch.setattr(type(stage), "updates", lambda _: [watched(u) for u in updates])
        if policy == "mixed_float16":
            train(stage, tmp_path, 1, weight_decay=0.0)  # see rate_groups
        else:
            train_plainly(stage, 1, RATE[stage.name])
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    variables = [v for update in updates for v in update.variables]
    assert {v.dtype for v in variables} == {"float32"}
    assert all(np.isfinite(v.numpy()).all() for v in variables)
    assert dtypes == {tf.float32}
