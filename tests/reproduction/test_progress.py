"""Going on where a reproduction was stopped, and refusing what was made otherwise."""

import json
import shutil

import pytest
from reproduction_fakes import FakeRunner, plan_of, write_evaluation, write_run

from fashionsearchnet import files
from fashionsearchnet.reproduction.execution import run_plan
from fashionsearchnet.reproduction.progress import Progress
from fashionsearchnet.training.flagfiles import differences, parse_flags


def progress_of(plan):
    return Progress(plan.settings.runs_dir)


def test_flags_are_read_as_absl_reads_them(tmp_path):
    (tmp_path / "a.flags").write_text("# text\n--batch_size=64\n--flip\n--schedule=cosine\n")
    lines = [f"--flagfile={tmp_path / 'a.flags'}", "--noflip", "--batch_size=32"]
    assert parse_flags(lines) == {"batch_size": "32", "flip": "false", "schedule": "cosine"}


def test_differences_are_of_meaning():
    there = {"num_epochs": "2.0", "init_from": "/a/rank_l", "workdir": "/a/full", "flip": "true"}
    same = {"num_epochs": "2", "init_from": "b/rank_l", "workdir": "b/full", "flip": "true"}
    assert differences(same, there) == []
    other = {"num_epochs": "3", "init_from": "b/rank", "workdir": "b/full", "momentum": "0"}
    assert differences(other, there) == [
        "--num_epochs is 2.0 there, 3 now",
        "--init_from is /a/rank_l there, b/rank now",
        "--momentum is not given there, 0 now",
    ]
    assert differences({}, there, given=["flip"]) == ["--flip is true there, not given now"]


def test_a_start_is_known_by_its_place_beside_the_run():
    there = {"init_from": "/a/rank_l", "workdir": "/a/full"}
    assert differences({"init_from": "/a/rank_l", "workdir": "/b/full"}, there) == []
    elsewhere = {"init_from": "/b/others/rank_l", "workdir": "/b/full"}
    assert differences(elsewhere, there) == ["--init_from is /a/rank_l there, /b/others/rank_l now"]


def test_a_finished_plan_runs_nothing(tmp_path):
    plan, first, second = plan_of(tmp_path, "full"), FakeRunner(), FakeRunner()
    assert run_plan(plan, progress_of(plan), first) == []
    assert first.ran == [step.name for step in plan.steps]
    progress_of(plan).check(plan.steps)
    assert run_plan(plan, progress_of(plan), second) == []
    assert second.ran == []


def test_an_interruption_leaves_all_resumable(tmp_path):
    plan, runner = plan_of(tmp_path, "rank_l"), FakeRunner()

    def interrupted(step):
        if step.name == "rank_l":
            write_run(step, finished=False)
            raise KeyboardInterrupt
        return runner(step)

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, progress_of(plan), interrupted)
    progress = progress_of(plan)
    progress.check(plan.steps)
    assert not progress.records["rank_l"].is_finished
    run_plan(plan, progress, runner)
    assert runner.ran == ["localization", "rank_l", "rank_l/query"]


def test_a_failure_stops_only_what_needs_it(tmp_path, capsys):
    plan = plan_of(tmp_path, "amnet", "rank_l", "full")
    runner = FakeRunner(fails=["amnet_classification", "full"])
    failed = run_plan(plan, progress_of(plan), runner)
    assert failed == ["amnet_classification", "amnet", "amnet/query", "full", "full/query"]
    assert "rank_l/query" in runner.ran
    assert "amnet_classification failed" in capsys.readouterr().err


def test_a_script_that_ends_well_without_its_output_has_failed(tmp_path):
    plan = plan_of(tmp_path, "rank")
    assert not progress_of(plan).run(plan.steps[0], lambda step: 0)


def test_a_run_with_other_flags_is_refused(tmp_path):
    plan = plan_of(tmp_path, "full")
    run_plan(plan, progress_of(plan), FakeRunner())
    changed = plan_of(tmp_path, "full", epochs_scale=0.5)
    with pytest.raises(
        ValueError,
        match=r"localization holds a run with other settings: "
        r"--num_epochs is 3 there, 1.5 now\. Nothing is overwritten",
    ):
        progress_of(changed).check(changed.steps)


def test_a_run_made_by_hand_counts_and_is_compared(tmp_path):
    plan = plan_of(tmp_path, "rank")
    write_run(plan.steps[0])
    progress_of(plan).check(plan.steps)
    assert plan.steps[0].is_finished
    flags = plan.steps[0].folder / "flags.txt"
    flags.write_text(flags.read_text() + "--batch_size=13\n")
    with pytest.raises(ValueError, match="--batch_size is 13 there, 64 now"):
        progress_of(plan).check(plan.steps)


def test_a_flag_that_is_no_longer_wanted_is_noticed(tmp_path):
    extra = ("--weight_decay=0.1",)
    plan = plan_of(tmp_path, "full", training=("--precision=mixed_bfloat16",), evaluation=extra)
    run_plan(plan, progress_of(plan), FakeRunner())
    plain = plan_of(tmp_path, "full")
    with pytest.raises(ValueError, match="--precision is mixed_bfloat16 there, not given now"):
        progress_of(plain).check(plain.steps)


def test_a_run_made_again_by_hand_is_known_by_its_own_flags(tmp_path):
    plan = plan_of(tmp_path, "full", epochs_scale=0.5, training=("--precision=mixed_bfloat16",))
    run_plan(plan, progress_of(plan), FakeRunner())
    wanted = plan_of(tmp_path, "full")
    for step in wanted.steps:
        if step.is_training:
            write_run(step)
            (step.folder / "flags.txt").open("a").write("--precision=float32\n")
        else:
            FakeRunner()(step)
    progress_of(wanted).check(wanted.steps)


LIMIT = "--max_manipulations_per_attribute"


def limited(folder, limit, *num_changes):
    """The plan of a row with so many manipulations of each attribute."""
    return plan_of(folder, "rank", num_changes=num_changes, evaluation=(f"{LIMIT}={limit}",))


@pytest.mark.parametrize("numbers", [(1,), (1, 2)])
@pytest.mark.parametrize("more", [(1,), (1, 2), (1, 3)])
def test_a_report_with_other_settings_is_refused(numbers, more, tmp_path):
    plan = limited(tmp_path, 50, *numbers)
    run_plan(plan, progress_of(plan), FakeRunner())
    wanted = limited(tmp_path, 90, *more)
    with pytest.raises(
        ValueError, match=rf"query\.json.* of tools/evaluate.py .*query.json: {LIMIT} is 50 there"
    ):
        progress_of(wanted).check(wanted.steps)


def test_a_report_is_known_by_its_own_settings(tmp_path):
    before = limited(tmp_path, 50, 1)
    run_plan(before, progress_of(before), FakeRunner())
    write_evaluation(before.runs[0].report(1), "Rank", 0.5, most=90)
    wanted = limited(tmp_path, 90, 1)
    progress_of(wanted).check(wanted.steps)
    with pytest.raises(ValueError, match=f"query.json: {LIMIT} is 90 there, not given now"):
        progress_of(wanted).check(plan_of(tmp_path, "rank").steps)


def test_the_default_number_of_drawn_manipulations_is_known(tmp_path):
    plan = plan_of(tmp_path, "rank", num_changes=(1, 2))
    run_plan(plan, progress_of(plan), FakeRunner())
    progress_of(plan).check(plan.steps)
    progress_of(plan).check(plan_of(tmp_path, "rank").steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "garments/small/1.0.0"}, "--dataset is garments/small there, garments/large"),
        ({"hit_rule": "at_least"}, "--hit_rule is at_least there, identical now"),
    ],
)
def test_a_report_made_by_hand_on_something_else_is_refused(change, message, tmp_path):
    plan = plan_of(tmp_path, "rank")
    run_plan(plan, progress_of(plan), FakeRunner())
    path = plan.runs[0].report(1)
    report = json.loads(path.read_text())
    report["dataset"] = change.pop("dataset", report["dataset"])
    report["protocol"] |= change
    files.write_json(path, report)
    with pytest.raises(ValueError, match=message):
        progress_of(plan).check(plan.steps)


def test_a_report_of_an_older_version_is_accepted(tmp_path):
    plan = plan_of(tmp_path, "rank")
    run_plan(plan, progress_of(plan), FakeRunner())
    path = plan.runs[0].report(1)
    report = json.loads(path.read_text())
    del report["protocol"]["num_changes"], report["system"]["weights"]
    files.write_json(path, report)
    progress_of(plan).check(plan.steps)


@pytest.fixture
def remade(tmp_path):
    """The plan of a table whose first stage was made again by hand, with other weights."""
    plan = plan_of(tmp_path, "amnet", "rank_l", "full", sheet_rows=("full",))
    run_plan(plan, progress_of(plan), FakeRunner())
    (plan.settings.runs_dir / "localization/model.weights.h5").write_text("others")
    return plan


def test_what_was_made_from_former_weights_is_refused(remade):
    runs_dir = remade.settings.runs_dir
    with pytest.raises(ValueError) as caught:
        progress_of(remade).check(remade.steps)
    places = f"{runs_dir}/rank_l, {runs_dir}/full, {runs_dir}/report/sheet_full.png. Nothing is"
    assert places in str(caught.value)
    assert "move them away to have them made again" in str(caught.value)


def test_an_evaluation_of_former_weights_is_refused(tmp_path):
    plan = plan_of(tmp_path, "rank_l")
    run_plan(plan, progress_of(plan), FakeRunner())
    (plan.settings.runs_dir / "rank_l/model.weights.h5").write_text("others")
    with pytest.raises(ValueError, match=r": \S+/rank_l/evaluation/query\.json\. Nothing"):
        progress_of(plan).check(plan.steps)


def test_runs_that_do_not_say_what_they_are_from_are_accepted(remade):
    files.write_json(remade.settings.runs_dir / "rank_l/model.json", {})
    progress_of(remade).check(remade.steps)


def test_the_refusal_of_a_run_names_what_goes_with_it(tmp_path):
    plan = plan_of(tmp_path, "rank_l", "full")
    run_plan(plan, progress_of(plan), FakeRunner())
    flags = plan.settings.runs_dir / "localization/flags.txt"
    flags.write_text(flags.read_text() + "--batch_size=13\n")
    with pytest.raises(
        ValueError, match=r"what was made from it \(\S+/rank_l, \S+/full\), to have"
    ):
        progress_of(plan).check(plan.steps)


def test_a_start_that_is_made_anew_makes_stale_what_was_made_from_it(tmp_path, capsys):
    plan = plan_of(tmp_path, "rank_l")
    run_plan(plan, progress_of(plan), FakeRunner())
    other = plan_of(tmp_path, "rank_l", epochs_scale=0.5)
    shutil.move(plan.settings.runs_dir / "localization", tmp_path / "away")
    (plan.settings.runs_dir / "rank_l/flags.txt").unlink()
    runner = FakeRunner()
    assert run_plan(other, progress_of(other), runner) == ["rank_l", "rank_l/query"]
    assert runner.ran == ["localization"]
    assert f"made anew: {plan.settings.runs_dir}/rank_l. Nothing" in capsys.readouterr().err


def test_a_start_that_is_made_anew_with_the_same_weights_keeps_what_was_made_from_it(tmp_path):
    plan = plan_of(tmp_path, "rank_l")
    run_plan(plan, progress_of(plan), FakeRunner())
    shutil.rmtree(plan.settings.runs_dir / "localization")
    progress_of(plan).check(plan.steps)
    assert run_plan(plan, progress_of(plan), FakeRunner()) == []


def test_half_a_run_does_not_go_on_from_another_start(tmp_path):
    plan = plan_of(tmp_path, "rank_l")
    write_run(plan.steps[0])
    write_run(plan.steps[1], finished=False)
    progress_of(plan).check(plan.steps)
    shutil.rmtree(plan.steps[0].folder)
    with pytest.raises(ValueError, match=r"moved away or made anew: \S+/rank_l\. Nothing"):
        progress_of(plan).check(plan.steps)


def test_a_damaged_record_is_told(tmp_path):
    (tmp_path / "steps.json").write_text('{"rank": 3}')
    with pytest.raises(ValueError, match=r"steps\.json is damaged .*Remove it"):
        Progress(tmp_path)
