"""Going on where a reproduction was stopped, and refusing what was made with other settings."""

import pytest
from reproduction_fakes import FakeRunner, plan_of, write_run

from fashionsearchnet.flagfiles import differences, parse_flags
from fashionsearchnet.reproduction.execution import run_plan
from fashionsearchnet.reproduction.progress import Progress


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
    other = {"num_epochs": "3", "init_from": "b/rank", "momentum": "0"}
    assert differences(other, there) == [
        "--num_epochs is 2.0 there, 3 now",
        "--init_from is /a/rank_l there, b/rank now",
        "--momentum is not given there, 0 now",
    ]


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


def test_an_evaluation_with_other_settings_is_refused(tmp_path):
    limit = "--max_manipulations_per_attribute"
    plan = plan_of(tmp_path, "rank", evaluation=(f"{limit}=50",))
    run_plan(plan, progress_of(plan), FakeRunner())
    more = plan_of(tmp_path, "rank", evaluation=(f"{limit}=90",))
    with pytest.raises(ValueError, match=rf"query.json of tools/evaluate.py .*{limit} is 50 there"):
        progress_of(more).check(more.steps)


def test_a_damaged_record_is_told(tmp_path):
    (tmp_path / "steps.json").write_text('{"rank": 3}')
    with pytest.raises(ValueError, match=r"steps\.json is damaged .*Remove it"):
        Progress(tmp_path)
