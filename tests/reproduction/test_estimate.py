"""How long what is left takes, from what was measured."""

import pytest
from reproduction_fakes import NUM_IMAGES, FakeRunner, plan_of, write_run

from fashionsearchnet.reproduction.estimate import (
    duration,
    left_in_words,
    num_images,
    plan_table,
    step_states,
)
from fashionsearchnet.reproduction.progress import Progress


def states_of(plan, progress=None):
    found = step_states(plan, progress or Progress(plan.experiment.runs_dir))
    return {state.step.name: state for state in found}


def finish(plan, progress, **seconds):
    for step in plan.steps:
        if step.name in seconds:
            progress.run(step, FakeRunner())
            progress.records[step.name].seconds = seconds[step.name]


def test_before_anything_is_measured_it_is_unknown(tmp_path):
    plan = plan_of(tmp_path, "full")
    states = states_of(plan)
    assert all(state.seconds is None for state in states.values())
    assert left_in_words(list(states.values())) == "4 steps of unknown length"
    assert "unknown" in plan_table(list(states.values()))


def test_finished_steps_scale_by_their_epochs(tmp_path):
    plan = plan_of(tmp_path, "rank", "rank_l", "full")
    progress = Progress(plan.experiment.runs_dir)
    finish(plan, progress, localization=300.0)
    states = states_of(plan, progress)
    assert states["localization"].is_done and states["localization"].seconds == 300.0
    # Three epochs took 300 s; stage 2 has two, and was not timed itself yet.
    assert states["rank"].seconds == pytest.approx(200.0)
    assert states["full"].seconds is None
    finish(plan, progress, rank=80.0)
    assert states_of(plan, progress)["rank_l"].seconds == pytest.approx(80.0)


def test_a_begun_run_counts_what_is_behind_it(tmp_path):
    plan = plan_of(tmp_path, "rank")
    write_run(plan.steps[0], finished=False, num_steps=15)
    state = states_of(plan)["localization"]
    images = 3 * NUM_IMAGES
    assert state.share_done == pytest.approx(15 * 64 / images)
    assert state.seconds == pytest.approx((images - 15 * 64) / 50.0)
    assert "begun, 32 %" in plan_table([state])


def test_several_edits_are_timed_apart(tmp_path):
    plan = plan_of(tmp_path, "rank", "rank_l", seeds=(0, 1), num_changes=(1, 2))
    progress = Progress(plan.experiment.runs_dir)
    finish(plan, progress, **{"localization": 1, "rank": 1, "rank/query 1,2": 70})
    finish(plan, progress, **{"seed_1/localization": 1, "seed_1/rank": 1, "seed_1/rank/query": 10})
    states = states_of(plan, progress)
    assert states["rank_l/query 1,2"].seconds == pytest.approx(70)
    assert states["seed_1/rank_l/query"].seconds == pytest.approx(10)


def test_words():
    assert [duration(s) for s in (None, 0, 45, 600, 7500)] == [
        "unknown",
        "1 s",
        "45 s",
        "10 min",
        "2 h 05 min",
    ]
    assert left_in_words([]) == "0 steps"


def test_training_images_are_those_of_the_split(tmp_path):
    plan = plan_of(tmp_path, "rank")
    folder = plan.experiment.data_dir / plan.experiment.dataset
    assert num_images(folder, "train") == NUM_IMAGES
    assert num_images(folder, "train+validation") == 1.25 * NUM_IMAGES
    assert num_images(folder, "train[:10%]") is None
    assert num_images(tmp_path / "none", "train") is None


def test_a_step_counts_the_images_that_it_trains_on(tmp_path):
    plan = plan_of(tmp_path, "rank", training=("--train_split=train+validation",))
    write_run(plan.steps[0], finished=False, num_steps=0)
    assert states_of(plan)["localization"].seconds == pytest.approx(3 * 1.25 * NUM_IMAGES / 50.0)


def test_a_similar_script_counts_until_one_is_timed(tmp_path):
    plan = plan_of(tmp_path, "amnet", "full")
    progress = Progress(plan.experiment.runs_dir)
    finish(plan, progress, localization=300.0)
    states = states_of(plan, progress)
    assert states["amnet_classification"].seconds == pytest.approx(500.0)  # five epochs, not three
    assert states["amnet"].seconds is None  # trains on stored features
