import numpy as np
import pytest

from fashionsearchnet.evaluation import published
from fashionsearchnet.evaluation.scores import Figure


def test_printed_means_are_those_of_the_printed_figures():
    for name in ("shopping100k", "darn", "imaterialist", "celeba"):
        table = published.table_for(name)
        assert table is not None
        assert list(table.rows) == [
            "AMNet", "w/o Rank", "Rank", "Rank-L", "Rank-LG", "Full", "Full w/ FF",
        ]  # fmt: skip
        for figures, mean in table.rows.values():
            assert np.mean(figures) == pytest.approx(mean, abs=0.00061)


def test_figures_follow_the_names_asked_for():
    table = published.table_for("catalogue/shopping100k/1.0.0")
    assert table is not None
    assert table.aligned("Full", ["Pattern", "pocket", "season"]) == [0.549, 0.521, None]
    darn = published.table_for("darn")
    assert darn is not None
    assert darn.aligned("Full w/ FF", ["sleeve_length", "sleeve-shape"]) == [0.432, 0.252]


def test_tables_say_their_task_and_figure():
    (table,) = published.tables_for("catalogue/shopping100k/1.0.0", "manipulation")
    assert table.figure == Figure("top_k", 20)
    assert published.tables_for("shopping100k", "attribute") == []


def test_other_data_have_none():
    assert published.table_for("garments/large") is None
