"""Going on where a reproduction was stopped, and refusing what was made otherwise."""

import json
import shutil

import pytest
from reproduction_fakes import FakeRunner, execute, plan_of, write_evaluation, write_run

from fashionsearchnet import files
from fashionsearchnet.reproduction.execution import run_plan
from fashionsearchnet.reproduction.progress import Progress


def progress_of(plan):
    return Progress(plan.experiment.runs_dir)


def test_a_finished_plan_runs_nothing(tmp_path):
    plan, first, second = plan_of(tmp_path, "full"), FakeRunner(), FakeRunner()
    assert execute(plan, first) == []
    assert first.ran == [step.name for step in plan.steps]
    progress_of(plan).check(plan)
    assert execute(plan, second) == []
    assert second.ran == []


def test_an_interruption_leaves_all_resumable(tmp_path):
    plan, runner = plan_of(tmp_path, "rank_l"), FakeRunner()

    def interrupted(step):
        if step.name == "rank_l":
            write_run(step, finished=False)
            raise KeyboardInterrupt
        return runner(step)

    with pytest.raises(KeyboardInterrupt):
        execute(plan, interrupted)
    progress = progress_of(plan)
    progress.check(plan)
    assert not progress.records["rank_l"].is_finished
    execute(plan, runner, progress)
    assert runner.ran == ["localization", "rank_l", "rank_l/query"]


def test_a_failure_stops_only_what_needs_it(tmp_path, capsys):
    plan = plan_of(tmp_path, "amnet", "rank_l", "full")
    runner = FakeRunner(fails=["amnet_classification", "full"])
    failed = execute(plan, runner)
    assert failed == ["amnet_classification", "amnet", "amnet/query", "full", "full/query"]
    assert "rank_l/query" in runner.ran
    assert "amnet_classification failed" in capsys.readouterr().err


def test_a_script_that_ends_well_without_its_output_has_failed(tmp_path):
    plan = plan_of(tmp_path, "rank")
    assert not progress_of(plan).run(plan.steps[0], lambda step: 0)


def test_a_run_with_other_flags_is_refused(tmp_path):
    plan = plan_of(tmp_path, "full")
    execute(plan, FakeRunner())
    changed = plan_of(tmp_path, "full", epochs_scale=0.5)
    with pytest.raises(
        ValueError,
        match=r"localization holds a run with other settings: "
        r"--num_epochs is 3 there, 1.5 now\. Nothing is overwritten",
    ):
        progress_of(changed).check(changed)


def test_a_run_made_by_hand_counts_and_is_compared(tmp_path):
    plan = plan_of(tmp_path, "rank")
    write_run(plan.steps[0])
    progress_of(plan).check(plan)
    assert plan.steps[0].is_finished
    flags = plan.steps[0].folder / "flags.txt"
    flags.write_text(flags.read_text() + "--batch_size=13\n")
    with pytest.raises(ValueError, match="--batch_size is 13 there, 64 now"):
        progress_of(plan).check(plan)


def test_a_flag_that_is_no_longer_wanted_is_noticed(tmp_path):
    extra = ("--weight_decay=0.1",)
    plan = plan_of(tmp_path, "full", training=("--precision=mixed_bfloat16",), evaluation=extra)
    execute(plan, FakeRunner())
    plain = plan_of(tmp_path, "full")
    with pytest.raises(ValueError, match="--precision is mixed_bfloat16 there, not given now"):
        progress_of(plain).check(plain)


def test_a_run_made_again_by_hand_is_known_by_its_own_flags(tmp_path):
    plan = plan_of(tmp_path, "full", epochs_scale=0.5, training=("--precision=mixed_bfloat16",))
    execute(plan, FakeRunner())
    wanted = plan_of(tmp_path, "full")
    for step in wanted.steps:
        if step.is_training:
            write_run(step)
            (step.folder / "flags.txt").open("a").write("--precision=float32\n")
        else:
            FakeRunner()(step)
    progress_of(wanted).check(wanted)


LIMIT = "--max_manipulations_per_attribute"


def limited(folder, limit, *num_changes):
    """The plan of a row with so many manipulations of each attribute."""
    return plan_of(folder, "rank", num_changes=num_changes, evaluation=(f"{LIMIT}={limit}",))


@pytest.mark.parametrize("numbers", [(1,), (1, 2)])
@pytest.mark.parametrize("more", [(1,), (1, 2), (1, 3)])
def test_a_report_with_other_settings_is_refused(numbers, more, tmp_path):
    plan = limited(tmp_path, 50, *numbers)
    execute(plan, FakeRunner())
    wanted = limited(tmp_path, 90, *more)
    with pytest.raises(
        ValueError, match=rf"query\.json.* of tools/evaluate.py .*query.json: {LIMIT} is 50 there"
    ):
        progress_of(wanted).check(wanted)


def test_a_report_is_known_by_its_own_settings(tmp_path):
    before = limited(tmp_path, 50, 1)
    execute(before, FakeRunner())
    write_evaluation(before.runs[0].report(1), "Rank", 0.5, most=90)
    wanted = limited(tmp_path, 90, 1)
    progress_of(wanted).check(wanted)
    with pytest.raises(ValueError, match=f"query.json: {LIMIT} is 90 there, not given now"):
        progress_of(wanted).check(plan_of(tmp_path, "rank"))


def test_the_default_number_of_drawn_manipulations_is_known(tmp_path):
    plan = plan_of(tmp_path, "rank", num_changes=(1, 2))
    execute(plan, FakeRunner())
    progress_of(plan).check(plan)
    progress_of(plan).check(plan_of(tmp_path, "rank"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "garments/small/1.0.0"}, "--dataset is garments/small there, garments/large"),
        ({"hit_rule": "at_least"}, "--hit_rule is at_least there, identical now"),
    ],
)
def test_a_report_made_by_hand_on_something_else_is_refused(change, message, tmp_path):
    plan = plan_of(tmp_path, "rank")
    execute(plan, FakeRunner())
    path = plan.runs[0].report(1)
    report = json.loads(path.read_text())
    report["dataset"] = change.pop("dataset", report["dataset"])
    report["protocol"] |= change
    files.write_json(path, report)
    with pytest.raises(ValueError, match=message):
        progress_of(plan).check(plan)


def test_a_report_of_an_older_version_is_accepted(tmp_path):
    plan = plan_of(tmp_path, "rank")
    execute(plan, FakeRunner())
    path = plan.runs[0].report(1)
    report = json.loads(path.read_text())
    del report["protocol"]["num_changes"], report["system"]["weights"]
    files.write_json(path, report)
    progress_of(plan).check(plan)


@pytest.fixture
def remade(tmp_path):
    """The plan of a table whose first stage was made again by hand, with other weights."""
    plan = plan_of(tmp_path, "amnet", "rank_l", "full", sheet_rows=("full",))
    execute(plan, FakeRunner())
    (plan.experiment.runs_dir / "localization/model.weights.h5").write_text("others")
    return plan


def test_what_was_made_from_former_weights_is_refused(remade):
    runs_dir = remade.experiment.runs_dir
    with pytest.raises(ValueError) as caught:
        progress_of(remade).check(remade)
    places = f"{runs_dir}/rank_l, {runs_dir}/full, {runs_dir}/report/sheet_full.png. Nothing is"
    assert places in str(caught.value)
    assert "move them away to make them again" in str(caught.value)


def test_an_evaluation_of_former_weights_is_refused(tmp_path):
    plan = plan_of(tmp_path, "rank_l")
    execute(plan, FakeRunner())
    (plan.experiment.runs_dir / "rank_l/model.weights.h5").write_text("others")
    with pytest.raises(ValueError, match=r": \S+/rank_l/evaluation/query\.json\. Nothing"):
        progress_of(plan).check(plan)


def test_runs_that_do_not_say_what_they_are_from_are_accepted(remade):
    files.write_json(remade.experiment.runs_dir / "rank_l/model.json", {})
    progress_of(remade).check(remade)


def test_the_refusal_of_a_run_names_what_goes_with_it(tmp_path):
    plan = plan_of(tmp_path, "rank_l", "full")
    execute(plan, FakeRunner())
    flags = plan.experiment.runs_dir / "localization/flags.txt"
    flags.write_text(flags.read_text() + "--batch_size=13\n")
    with pytest.raises(
        ValueError, match=r"with the steps that start from it \(\S+/rank_l, \S+/full\), to make"
    ):
        progress_of(plan).check(plan)


def test_a_new_start_makes_its_followers_stale(tmp_path, capsys):
    plan = plan_of(tmp_path, "rank_l")
    execute(plan, FakeRunner())
    other = plan_of(tmp_path, "rank_l", epochs_scale=0.5)
    shutil.move(plan.experiment.runs_dir / "localization", tmp_path / "away")
    (plan.experiment.runs_dir / "rank_l/flags.txt").unlink()
    runner = FakeRunner()
    assert execute(other, runner) == ["rank_l", "rank_l/query"]
    assert runner.ran == ["localization"]
    assert f"trained again: {plan.experiment.runs_dir}/rank_l. Nothing" in capsys.readouterr().err


def test_a_new_start_with_the_same_weights_keeps_its_followers(tmp_path):
    plan = plan_of(tmp_path, "rank_l")
    execute(plan, FakeRunner())
    shutil.rmtree(plan.experiment.runs_dir / "localization")
    progress_of(plan).check(plan)
    assert execute(plan, FakeRunner()) == []


def test_half_a_run_does_not_go_on_from_another_start(tmp_path):
    plan = plan_of(tmp_path, "rank_l")
    write_run(plan.steps[0])
    write_run(plan.steps[1], finished=False)
    progress_of(plan).check(plan)
    shutil.rmtree(plan.steps[0].folder)
    with pytest.raises(ValueError, match=r"moved away or trained again: \S+/rank_l\. Nothing"):
        progress_of(plan).check(plan)


def test_nothing_is_trained_on_a_data_set_that_cannot_be_evaluated(tmp_path):
    plan, runner = plan_of(tmp_path, "rank_l", data_dir=tmp_path / "empty"), FakeRunner()

    def refuse() -> None:
        raise ValueError("no questions")

    with pytest.raises(ValueError, match="no questions"):
        run_plan(plan, progress_of(plan), runner, refuse)
    assert runner.ran == ["prepare_data"]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "steps.json").write_text('{"rank": 3}')
    with pytest.raises(ValueError, match=r"steps\.json is damaged .*Remove it"):
        Progress(tmp_path)
