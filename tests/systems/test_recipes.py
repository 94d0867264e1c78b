"""The recipes: complete, and each row starts from what it can use."""

import pytest

from fashionsearchnet.evaluation import published, scores
from fashionsearchnet.systems.fashionsearchnet_v2.variants import (
    VARIANTS,
    check_shares_representations,
)
from fashionsearchnet.systems.recipe import Recipe
from fashionsearchnet.systems.recipes import RECIPES
from fashionsearchnet.systems.registry import SYSTEMS

TABLE_1 = RECIPES["fashionsearchnet_v2"]
ROWS = TABLE_1.table(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_names_what_there_is(recipe: Recipe):
    rows = recipe.table(RECIPES)
    assert all(key == row.key for key, row in rows.items())
    named = (*recipe.order.keys, *recipe.order.beside_first, *recipe.sheet_rows)
    assert {*named, recipe.baseline_row} - {""} <= rows.keys()
    assert recipe.metric in scores.METRICS
    figure = scores.Figure(recipe.metric, recipe.k)
    table = recipe.paper and published.table_for(recipe.orientation, recipe.paper, figure)
    assert not recipe.paper or table
    for row in rows.values():
        assert recipe.task in SYSTEMS[row.system].tasks
        assert not row.is_published or (table and row.title in table.rows)
        assert bool(row.compared_with) == bool(row.adds)
        assert not row.compared_with or row.compared_with in rows
    assert len({row.color for row in rows.values()}) == len(rows)


def test_table_1_is_there_in_its_order():
    table = published.table_for("shopping100k")
    assert table
    assert [row.title for row in ROWS.values() if row.is_published] == list(table.rows)


def test_every_variant_is_a_row():
    assert set(VARIANTS) <= set(ROWS)
    assert [key for key, row in ROWS.items() if not row.compared_with] == ["amnet", "without_rank"]


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.key)
def test_shared_representations_fit(row):
    if row.system == "fashionsearchnet_v2" and row.run.start.start:
        wanted, start = (
            run.flags[0].removeprefix("--variant=") for run in (row.run, row.run.start)
        )
        check_shares_representations(wanted, start, "here")
