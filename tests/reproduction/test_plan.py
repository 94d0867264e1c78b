"""Which commands a table needs, what they share, and in which order they come."""

import pytest
from reproduction_fakes import ROOT, plan_of

from fashionsearchnet.evaluation import published
from fashionsearchnet.reproduction.rows import ROWS, available_rows, choose_rows, second_stage_of
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    VARIANTS,
    check_shares_representations,
)

GARMENTS = ROOT / "flags/garments"


def names(plan):
    return [step.name for step in plan.steps]


def step_of(plan, name):
    return next(step for step in plan.steps if step.name == name)


def test_table_1_is_there_in_its_order():
    table = published.table_for("shopping100k")
    assert table
    assert [row.title for row in ROWS.values() if row.is_published] == list(table.rows)


def test_every_variant_is_a_row():
    assert set(VARIANTS) <= set(ROWS)


def test_every_row_says_what_it_adds_to_another_and_has_a_colour_of_its_own():
    assert [key for key, row in ROWS.items() if not row.compared_with] == ["amnet", "without_rank"]
    assert all(row.compared_with in ROWS and row.adds for row in ROWS.values() if row.compared_with)
    assert len({row.color for row in ROWS.values()}) == len(ROWS)


@pytest.mark.parametrize("key", [key for key, row in ROWS.items() if row.variant])
def test_shared_representations_fit(key):
    check_shares_representations(ROWS[key].variant, second_stage_of(ROWS[key])[1], "here")


def test_stages_are_shared(tmp_path):
    plan = plan_of(tmp_path)
    scripts = [step.script for step in plan.steps]
    assert scripts.count("train_localization") == 1
    # w/o Rank, Rank, Rank-L, both poolings, normalised triplets
    assert scripts.count("train_representations") == 5
    assert scripts.count("evaluate") == len(plan.runs) == len(available_rows(GARMENTS))
    assert {"rank_l", "rank_lg", "full", "ours"} <= set(step_of(plan, "rank_l").rows)
    assert step_of(plan, "full_ff_representations").rows == ("full_ff",)


def test_steps_come_after_what_they_need(tmp_path):
    plan = plan_of(tmp_path, seeds=(0, 1), sheet_rows=("full",))
    for position, step in enumerate(plan.steps):
        assert set(step.needs) <= set(names(plan)[:position]), step.name


def test_one_row_brings_its_prerequisites(tmp_path):
    assert names(plan_of(tmp_path, "full")) == ["localization", "rank_l", "full", "full/query"]


def test_a_command_has_flagfile_start_and_settings(tmp_path):
    plan = plan_of(tmp_path, "full_unedited", epochs_scale=0.5, training=("--precision=float32",))
    step = step_of(plan, "full_unedited")
    assert step.arguments[0] == f"--flagfile={GARMENTS / 'global.flags'}"
    flags = step.flags()
    assert flags["init_from"] == str(tmp_path / "runs/rank_l")
    assert flags["negatives"] == "unedited"
    assert flags["num_epochs"] == "3"  # half of six
    assert (flags["seed"], flags["precision"]) == ("0", "float32")


@pytest.mark.parametrize(("key", "num_changes"), [("ours", None), ("ours_3_changes", "3")])
def test_rows_of_a_variant_with_a_flagfile_of_its_own_take_it(key, num_changes, tmp_path):
    step = step_of(plan_of(tmp_path, key), key)
    assert step.arguments[0] == f"--flagfile={GARMENTS / 'ours.flags'}"
    flags = step.flags()
    assert (flags["variant"], flags.get("num_changes")) == ("ours", num_changes)


def test_rows_that_change_nothing_are_left_out():
    assert "full_memory_1" in available_rows(GARMENTS)
    assert "full_memory_100" not in available_rows(GARMENTS)
    assert "full_memory_1" not in available_rows(ROOT / "flags/darn")
    assert "full_memory_100" in available_rows(ROOT / "flags/darn")


def test_an_unknown_row_is_refused_with_the_rows_there_are():
    with pytest.raises(ValueError, match=r"--variants must be one of amnet, .*did you mean rank_l"):
        choose_rows(["rank-l"], GARMENTS, "--variants")


def test_a_folder_without_flagfiles_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"global\.flags does not exist.*--flags_dir"):
        choose_rows([], tmp_path, "--variants")


def test_further_seeds_have_folders_of_their_own(tmp_path):
    rows = choose_rows(["rank_l"], GARMENTS, "--variants")
    plan = plan_of(tmp_path, "rank_l", "full", seeds=(0, 3), seed_rows=rows, num_changes=(1, 2))
    assert names(plan)[-3:] == ["seed_3/localization", "seed_3/rank_l", "seed_3/rank_l/query"]
    assert step_of(plan, "seed_3/rank_l").flags()["seed"] == "3"
    assert step_of(plan, "seed_3/rank_l").flags()["init_from"].endswith("seed_3/localization")
    assert "full/query 1,2" in names(plan)
    assert step_of(plan, "full/query 1,2").outputs == ("query.json", "query_2_changes.json")


def test_garments_are_rendered_first_if_they_are_not_there(tmp_path):
    plan = plan_of(tmp_path, "amnet", data_dir=tmp_path / "empty")
    assert names(plan)[0] == "prepare_data"
    assert step_of(plan, "amnet_classification").needs == ("prepare_data",)


def test_scaling_unknown_epochs_is_refused(tmp_path):
    for name in ("localization", "representations", "global"):
        (tmp_path / f"{name}.flags").write_text("--learning_rate=0.01\n")
    with pytest.raises(ValueError, match=r"--epochs_scale .*localization\.flags does not give"):
        plan_of(tmp_path, "rank", flags_dir=tmp_path, epochs_scale=0.1)
