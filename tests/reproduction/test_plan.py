"""Which commands a table needs, what they share, and in which order they come."""

import dataclasses

import numpy as np
import pytest
from evaluation_fakes import FakeDataset
from reproduction_fakes import ROOT, TABLE_1, make_experiment, plan_of

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.reproduction.plan import available_rows, choose_rows, make_plan
from fashionsearchnet.systems.recipes import RECIPES

GARMENTS = ROOT / "flags/garments"


def names(plan):
    return [step.name for step in plan.steps]


def step_of(plan, name):
    return next(step for step in plan.steps if step.name == name)


def test_stages_are_shared(tmp_path):
    plan = plan_of(tmp_path)
    scripts = [step.script for step in plan.steps]
    assert scripts.count("fashionsearchnet_v2/train_localization") == 1
    # w/o Rank, Rank, Rank-L, both poolings, normalised triplets
    assert scripts.count("fashionsearchnet_v2/train_representations") == 5
    rows = available_rows(plan.experiment)
    assert scripts.count("evaluate") == len(plan.runs) == len(rows)
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
    assert step.arguments[0] == f"--flagfile={GARMENTS / 'fashionsearchnet_v2/global.flags'}"
    flags = step.flags()
    assert flags["init_from"] == str(tmp_path / "runs/rank_l")
    assert flags["negatives"] == "unedited"
    assert flags["num_epochs"] == "3"  # half of six
    assert (flags["seed"], flags["precision"]) == ("0", "float32")


@pytest.mark.parametrize(("key", "num_changes"), [("ours", None), ("ours_3_changes", "3")])
def test_rows_of_a_variant_with_a_flagfile_of_its_own_take_it(key, num_changes, tmp_path):
    step = step_of(plan_of(tmp_path, key), key)
    assert step.arguments[0] == f"--flagfile={GARMENTS / 'fashionsearchnet_v2/ours.flags'}"
    flags = step.flags()
    assert (flags["variant"], flags.get("num_changes")) == ("ours", num_changes)


def test_rows_that_change_nothing_are_left_out(tmp_path):
    rows = available_rows(make_experiment(tmp_path))
    assert "full_memory_1" in rows and "full_memory_100" not in rows
    rows = available_rows(make_experiment(tmp_path, flags_dir=ROOT / "flags/darn"))
    assert "full_memory_1" not in rows and "full_memory_100" in rows


def test_rows_of_systems_without_flagfiles_are_left_out(tmp_path):
    rows = available_rows(make_experiment(tmp_path, flags_dir=ROOT / "flags/demo"))
    assert "amnet" not in rows and "full" in rows


def test_optional_rows_need_a_flagfile(tmp_path):
    optional = {key for key, row in TABLE_1.table(RECIPES).items() if row.is_optional}
    assert optional == {"full_pooled", "ours_pooled"}
    assert not optional & set(available_rows(make_experiment(tmp_path)))
    pretrained = make_experiment(tmp_path, flags_dir=ROOT / "flags/catalogue/pretrained")
    assert {*optional, "rank_l", "ours"} <= set(available_rows(pretrained))
    assert "amnet" not in available_rows(pretrained)
    plan = make_plan(pretrained, choose_rows(["ours_pooled"], pretrained, "--variants"))
    assert names(plan)[-3:] == ["pooled_representations", "pooled_ours", "pooled_ours/query"]


def test_an_unknown_row_is_refused_with_the_rows_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"--variants must be one of amnet, .*did you mean rank_l"):
        choose_rows(["rank-l"], make_experiment(tmp_path), "--variants")


def test_a_folder_without_flagfiles_is_refused(tmp_path):
    experiment = make_experiment(tmp_path, flags_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no flagfiles.*--flags_dir"):
        choose_rows([], experiment, "--variants")


def test_a_row_whose_system_does_not_answer_the_task_is_refused(tmp_path):
    recipe = dataclasses.replace(TABLE_1, task="instance")
    with pytest.raises(ValueError, match=r"amnet cannot be in Table 1, .* answers manipulation"):
        choose_rows(["amnet"], make_experiment(tmp_path, recipe=recipe), "--variants")


def test_a_recipe_may_be_about_another_task(tmp_path):
    recipe = dataclasses.replace(
        TABLE_1, task="attribute", metric="average_precision", k=None, rows=TABLE_1.rows[3:4]
    )
    plan = plan_of(tmp_path, recipe=recipe)
    assert names(plan) == ["localization", "rank_l", "rank_l/query_attribute"]
    assert plan.steps[-1].flags()["task"] == "attribute"
    with pytest.raises(ValueError, match="num_changes is for the task 'manipulation'"):
        make_experiment(tmp_path, recipe=recipe, num_changes=(1, 2))


def test_one_recipe_takes_rows_of_another():
    (row,) = RECIPES["amnet"].table(RECIPES).values()
    assert TABLE_1.table(RECIPES)["amnet"] == row


def test_further_seeds_have_folders_of_their_own(tmp_path):
    rows = choose_rows(["rank_l"], make_experiment(tmp_path), "--variants")
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
    (tmp_path / "fashionsearchnet_v2").mkdir()
    for name in ("localization", "representations", "global"):
        path = tmp_path / f"fashionsearchnet_v2/{name}.flags"
        path.write_text("--learning_rate=0.01\n")
    with pytest.raises(ValueError, match=r"--epochs_scale .*localization\.flags does not give"):
        plan_of(tmp_path, "rank", flags_dir=tmp_path, epochs_scale=0.1)


class Trainable(FakeDataset):
    """The gallery is trained on, or images that differ in all their attributes."""

    def __init__(self, has_edits=True, **arguments):
        super().__init__(**arguments)
        uniform = np.repeat(np.arange(2, dtype=np.int32), 6)[:, None] * np.ones(3, np.int32)
        self._labels["train"] = self._labels["gallery"] if has_edits else uniform


def test_a_data_set_is_checked_for_all_steps(tmp_path):
    plan = plan_of(tmp_path, "full")
    plan.check_dataset(Trainable())
    with pytest.raises(ValueError, match="no two training images differ in exactly one attribute"):
        plan.check_dataset(Trainable(has_edits=False))
    plan_of(tmp_path, "rank_l").check_dataset(Trainable(has_edits=False))
    narrow = Trainable()
    narrow.space = AttributeSpace(narrow.space.names[:2], narrow.space.values[:2])
    narrow._labels = {split: labels[:, :2] for split, labels in narrow._labels.items()}
    plan_of(tmp_path, "ours").check_dataset(narrow)
    with pytest.raises(ValueError, match="num_changes must be between 1 and 2; got 3"):
        plan_of(tmp_path, "ours_3_changes").check_dataset(narrow)
    with pytest.raises(ValueError, match="no change of one attribute of the 1 queries"):
        plan.check_dataset(Trainable(num_queries=1, num_gallery=1))
    with pytest.raises(KeyError, match="tarin"):
        plan_of(tmp_path, "rank_l", training=("--train_split=tarin",)).check_dataset(Trainable())
