import dataclasses

import numpy as np
import pytest

from fashionsearchnet.evaluation import scores

TOP_5 = scores.Figure("top_k", 5)


def outcomes(ranks, protocol="p", value=0):
    number = len(ranks)
    group = np.array([0, 0, 1, 1][:number], np.int32)
    edits = np.where(np.arange(3) == group[:, None], value, -1).astype(np.int32)
    blank = np.zeros((number, 2), np.float32)
    rows = tuple(
        scores.MethodScores(name, {"ranks": np.array(r, np.int32), "ndcg": blank}, (1, 5))
        for name, r in (("own", ranks), ("unedited query", [99] * number))
    )
    return scores.Outcomes(
        task="manipulation",
        protocol=protocol,
        query=np.array([0, 4, 4, 7][:number], np.int32),
        group=group,
        edits=edits,
        group_names=("colour", "size", "unused"),
        rows=rows,
    )


def test_summary_by_hand():
    stored = outcomes([1, 9, 2, 3])
    summary = scores.summarize(stored.row().values(TOP_5), stored.grouping(200))
    assert summary["per_group"] == [0.5, 1.0, None]
    assert summary["mean"] == 0.75
    assert summary["queries"] == 0.75
    assert summary["per_group_interval"][2] is None
    low, high = summary["mean_interval"]
    assert 0 <= low < 0.75 < high <= 1
    assert summary == scores.summarize(stored.row().values(TOP_5), stored.grouping(200))


def test_a_group_that_no_resample_holds_has_no_interval():
    stored = outcomes([1, 9, 2])  # a resample of one query image in three may lack the second group
    for seed in range(20):
        grouping = stored.grouping(1, seed)
        interval = scores.summarize(stored.row().values(TOP_5), grouping)["per_group_interval"][1]
        assert interval == (None if grouping.weights[0, 1] == 0 else [1.0, 1.0])


def test_intervals_are_the_middle_95_percent_of_a_bootstrap_over_queries():
    generator = np.random.default_rng(1)
    query = np.repeat(np.arange(0, 60, 2), 4)  # 30 images, numbered with gaps
    group, values = generator.integers(0, 3, len(query)), generator.random(len(query))
    grouping = scores.Grouping(group, 3, query, num_resamples=200, seed=4)
    summary = scores.summarize(values, grouping)
    resampled = []
    for weights in grouping.weights:
        drawn = np.repeat(np.arange(len(query)), np.repeat(weights, 4).astype(int))
        per_group = [values[drawn][group[drawn] == g].mean() for g in range(3)]
        resampled.append([*per_group, np.mean(per_group), values[drawn].mean()])
    expected = np.percentile(resampled, [2.5, 97.5], axis=0).T
    found = [summary["mean_interval"], summary["queries_interval"]]
    np.testing.assert_allclose([*summary["per_group_interval"], *found], expected)


def test_curve_is_the_mean_of_top_k():
    stored = outcomes([1, 9, 2, 3])
    assert scores.curve(stored.row(), stored.grouping(), "top_k", (1, 2, 3, 9)) == [
        0.25,
        0.5,
        0.75,
        1.0,
    ]


def test_paired_difference():
    a, b = outcomes([1, 9, 2, 3]), outcomes([9, 9, 2, 3])
    grouping = a.grouping()
    difference = scores.difference(a.row(), b.row(), TOP_5, grouping)
    assert difference["per_group"] == [0.5, 0.0, None]
    assert difference["mean"] == 0.25
    low, high = difference["mean_interval"]
    assert low == 0.0 and 0.25 < high <= 1.0
    against = scores.difference(a.row(), a.row("unedited query"), TOP_5, grouping)
    assert against["queries"] == 0.75
    itself = scores.difference(a.row(), a.row(), TOP_5, grouping)
    assert itself["mean_interval"] == [0.0, 0.0]


def test_figures_by_name():
    figures = {
        "average_precision": np.array([0.5, 1.0]),
        "ndcg": np.array([[0.1, 0.2], [0.3, 0.4]]),
    }
    row = scores.MethodScores("own", figures, (1, 5))
    assert row.values(scores.Figure("average_precision")).tolist() == [0.5, 1.0]
    assert row.values(scores.Figure("ndcg", 5)).tolist() == [0.2, 0.4]
    assert scores.Figure("top_k", 5).title == "Top-5 accuracy"
    assert scores.Figure("recall").short == "Recall@K"
    assert scores.Figure("average_precision").short == "MAP"


def test_stored_outcomes_come_back_whole(tmp_path):
    stored = outcomes([1, 9, 2, 3])
    stored.save(tmp_path / "a.npz")
    loaded = scores.Outcomes.load(tmp_path / "a.npz")
    for field in dataclasses.fields(stored):
        first, second = getattr(stored, field.name), getattr(loaded, field.name)
        if field.name == "rows":
            for row, other in zip(first, second, strict=True):
                assert (row.name, row.top_k) == (other.name, other.top_k)
                assert list(row.figures) == list(other.figures)
                for figure, values in row.figures.items():
                    np.testing.assert_array_equal(values, other.figures[figure])
        else:
            np.testing.assert_array_equal(first, second)


def test_outcomes_of_before_there_were_tasks_are_read(tmp_path):
    stored = outcomes([1, 9, 2, 3])
    stored.save(tmp_path / "now.npz")
    with np.load(tmp_path / "now.npz") as content:
        old = {k: v for k, v in content.items() if k not in ("task", "figure_names")}
    np.savez_compressed(tmp_path / "old.npz", **old)
    loaded = scores.Outcomes.load(tmp_path / "old.npz")
    assert loaded.task == "manipulation"
    assert list(loaded.row().figures) == ["ranks", "ndcg"]
    np.testing.assert_array_equal(loaded.row().figures["ranks"], stored.row().figures["ranks"])


def test_what_cannot_be_paired_is_refused():
    first, other = outcomes([1, 9, 2, 3]), outcomes([1, 9, 2, 3], protocol="other data")
    with pytest.raises(ValueError, match="a and b were measured by different protocols"):
        first.check_comparable(other, "a", "b")
    with pytest.raises(ValueError, match=r"a and b ask different questions .edits differs"):
        first.check_comparable(outcomes([1, 9, 2, 3], value=1), "a", "b")
    with pytest.raises(ValueError, match="row must be one of own, unedited query; got 'full'"):
        first.row("full")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tools/evaluate\.py"):
        scores.Outcomes.load(tmp_path / "none.json")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("text.npz", "other.npz"):
        with pytest.raises(ValueError, match="does not hold the outcomes"):
            scores.Outcomes.load(tmp_path / name)
    outcomes([1, 9, 2, 3]).save(tmp_path / "cut.npz")
    data = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="does not hold the outcomes"):
        scores.Outcomes.load(tmp_path / "cut.npz")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="does not hold the outcomes"):
        scores.Outcomes.load(tmp_path / "array.npz")


def test_a_flipped_byte_is_harmless_or_said_to_be_damage(tmp_path):
    path = tmp_path / "a.npz"
    outcomes([1, 9, 2, 3]).save(path)
    data, num_damaged = path.read_bytes(), 0
    positions = range(0, len(data), 7)
    for position in positions:
        flipped = data[position] ^ (1 << position % 8)
        path.write_bytes(data[:position] + bytes([flipped]) + data[position + 1 :])
        try:
            assert scores.Outcomes.load(path).row().figures["ranks"].tolist() == [1, 9, 2, 3]
        except ValueError as error:
            assert "does not hold the outcomes" in str(error)
            num_damaged += 1
    assert num_damaged > len(positions) / 2
