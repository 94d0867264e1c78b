import numpy as np
import pytest

from fashionsearchnet.evaluation import metrics, published
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
    tables = published.tables_for("catalogue/shopping100k/1.0.0", "manipulation")
    assert [table.figure for table in tables] == [Figure("top_k", 20), Figure("top_k", 50)]
    assert published.tables_for("shopping100k", "attribute") == []


def test_a_table_with_several_ks_is_one_table_for_each():
    found = [
        table
        for table in published.tables_for("darn/paper", "manipulation")
        if "Table 4" in table.source
    ]
    assert [table.figure.k for table in found] == [1, 5, 20, 100]
    assert [table.rows["FLAM(M/OS/Adv)"] for table in found] == [
        ((), 0.176), ((), 0.458), ((), 0.707), ((), 0.884),
    ]  # fmt: skip
    table = published.table_for("darn", "flam_table_4", Figure("top_k", 100))
    assert table is not None and table.aligned("Cls-Concat", ["color"]) == [None]
    assert published.table_for("darn", "flam_table_4", Figure("top_k", 50)) is None


def test_figures_of_more_images_are_not_lower():
    """Recall and Top-K rise with K in every row of a paper."""
    for dataset, task, paper in (
        ("darn", "manipulation", "Table 4"),
        ("deepfashion_inshop", "instance", "Table 2"),
        ("deepfashion_consumer2shop", "instance", "Table 2"),
        ("deepfashion_consumer2shop", "instance", "Table 4"),
    ):
        tables = [t for t in published.tables_for(dataset, task) if paper in t.source]
        assert len(tables) == 4
        for row in tables[0].rows:
            means = [table.rows[row][1] for table in tables]
            assert means == sorted(means)


@pytest.mark.parametrize(
    ("name", "weights"), [("darn", [0.379, 0.502, 0.120]), ("shopping100k", [0.383, 0.430, 0.187])]
)
def test_the_mean_of_flam_is_over_manipulations(name, weights):
    """One set of shares of manipulations gives the mean of every row, within rounding."""
    table = published.table_for(name, "flam")
    assert table is not None and len(table.rows) == 6
    assert table.over_queries == table.rows.keys()
    for figures, mean in table.rows.values():
        assert np.dot(figures, weights) == pytest.approx(mean, abs=0.0015)


def test_items_have_figures_of_one_group():
    tables = published.tables_for("deepfashion_inshop/paper/1.0.0", "instance")
    assert [table.figure for table in tables] == [Figure("recall", k) for k in (1, 5, 20, 50)]
    for table in tables:
        assert table.attributes == ("all",)
        assert all(figures == (mean,) for figures, mean in table.rows.values())


def test_other_data_have_none():
    assert published.table_for("garments/large") is None


# Queries of the published test split of FashionAI, counted in ASEN's lists, by attribute.
FASHIONAI_QUERIES = np.array([422, 623, 535, 422, 341, 289, 703, 265])


def test_means_of_fashionai_are_over_queries():
    table = published.table_for("fashionai/paper/1.0.0", "asenet")
    assert table is not None and table.task == "attribute" and FASHIONAI_QUERIES.sum() == 3600

    def means(row):
        figures, printed = table.rows[row]
        weighted = np.average(figures, weights=FASHIONAI_QUERIES)
        return round(weighted, 4), round(np.mean(figures), 4), printed

    for row in ("Triplet net", "CSN"):
        weighted, _, printed = means(row)
        assert weighted == pytest.approx(printed, abs=1e-4)
    assert means("RPF") == (0.7011, pytest.approx(0.7072, abs=2e-4), 0.7011)
    assert means("ASENet V1") == (0.5996, 0.6102, 0.5996)  # it prints the plain mean
    assert table.aligned("AG-MAN", ["skirt_length"]) == [None]
    assert table.over_queries == table.rows.keys()
    order = ("Triplet net", "CSN", "ASENet V1", "ASENet_V2", "AG-MAN")
    printed = [table.rows[row][1] for row in order]
    assert printed == sorted(printed)


def test_means_of_deepfashion_are_over_attributes():
    table = published.table_for("deepfashion_attributes", "asenet")
    assert table is not None
    for figures, printed in table.rows.values():
        assert not figures or np.mean(figures) == pytest.approx(printed, abs=6e-4)
    assert not table.over_queries


def test_a_random_order_on_fashionai_has_the_published_map():
    """Values drawn as often as the lists have them are not at hand: equal shares are a bound."""
    sizes, candidates = (6, 9, 8, 6, 5, 5, 10, 5), (1703, 2383, 2088, 1722, 1401, 1269, 2734, 1100)
    least = [
        metrics.expected_average_precision(np.array([number / size]), np.array([number])).item()
        for size, number in zip(sizes, candidates, strict=True)
    ]
    simulated = (0.172, 0.126, 0.133, 0.174, 0.225, 0.216, 0.111, 0.212)
    assert all(a < b for a, b in zip(least, simulated, strict=True))
    assert np.average(simulated, weights=FASHIONAI_QUERIES) == pytest.approx(0.158, abs=5e-4)
