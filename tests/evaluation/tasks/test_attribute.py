import numpy as np
import pytest
from evaluation_fakes import SPACE, EditDependentSystem, FakeDataset, FakeSystem, QueriesInGallery

from fashionsearchnet.evaluation import AttributeProtocol, evaluate, make_plans, metrics, reporting
from fashionsearchnet.evaluation.scores import Figure, MethodScores
from fashionsearchnet.systems.features import extract_features

SMALL = AttributeProtocol(top_k=(1, 3, 20), num_resamples=50)
MAP, TRIPLETS = Figure("average_precision"), Figure("triplet_accuracy")


def plan_of(dataset, protocol=SMALL):
    """The questions, without looking at any image."""
    return make_plans(dataset, [protocol])[0]


def slow_figures(query, gallery, value, values, left_out, top_k):
    """Average precision, triplet accuracy and precisions of one query by plain loops."""
    order = sorted(range(len(gallery)), key=lambda i: (np.sum((gallery[i] - query) ** 2), i))
    found = [values[i] == value for i in order if i != left_out]
    ranks = [rank for rank, hit in enumerate(found, start=1) if hit]
    average = sum(sum(found[:rank]) / rank for rank in ranks) / len(ranks)
    pairs = [i < j for i, a in enumerate(found) for j, b in enumerate(found) if a and not b]
    return [average, np.mean(pairs), *(np.mean(found[:k]) for k in top_k)]


@pytest.mark.parametrize("dataset", [FakeDataset(seed=3), QueriesInGallery(seed=3)])
def test_figures_equal_plain_loops(dataset):
    system = FakeSystem(noise=0.7)
    measured = evaluate(system, dataset, SMALL)
    row, plan = measured.rows[-1], measured.plan
    queries, gallery = (
        extract_features(system, dataset, split)["embedding"] for split in ("query", "gallery")
    )
    labels = dataset.labels("gallery")
    assert len(plan) > 25
    for question, (query, attribute) in enumerate(zip(plan.query, plan.group, strict=True)):
        block = slice(SPACE.offsets[attribute], None)
        block = slice(block.start, block.start + SPACE.num_values[attribute])
        labelled = np.flatnonzero(labels[:, attribute] >= 0)
        left_out = -1
        if plan.own is not None:
            left_out = int(np.flatnonzero(labelled == dataset.own[query])[0])
        expected = slow_figures(
            queries[query, block].astype(np.float64),
            gallery[labelled][:, block].astype(np.float64),
            dataset.labels("query")[query, attribute],
            labels[labelled, attribute],
            left_out,
            SMALL.top_k,
        )
        figures = [MAP, TRIPLETS, *(Figure("precision", k) for k in SMALL.top_k)]
        found = [row.values(figure)[question] for figure in figures]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_rows_and_the_two_means():
    measured = evaluate(FakeSystem(noise=0.5), FakeDataset(), SMALL)
    assert [row.name for row in measured.rows] == [
        "chance", "predicted attributes", "predicted agreement", "whole image", "fake",
    ]  # fmt: skip
    report = reporting.summarize(measured)
    own = measured.rows[-1].values(MAP)
    per_group = [own[measured.plan.group == a].mean() for a in range(3)]
    found = report["rows"][-1]["average_precision"]
    assert found["per_group"] == pytest.approx(per_group)
    assert found["mean"] == pytest.approx(np.mean(per_group))
    assert found["queries"] == pytest.approx(own.mean()) != found["mean"]
    text = reporting.markdown(report, "x.png")
    for block in [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]:
        assert len({line.count("|") for line in block}) == 1
    for expected in (
        "# fake on fakes/tiny, retrieval by attribute",
        "## MAP per attribute",
        "## Triplet accuracy, plain mean / query-weighted mean over 3 attributes",
        "## Precision@K, plain mean / query-weighted mean over 3 attributes",
        "| number |",
        "| chance |",
        "## Paired differences of MAP",
    ):
        assert expected in text
    assert text.count("plain mean | query-weighted mean") == 3
    screen = reporting.screen_text(report)
    assert "whole image" in screen and "triplet accuracy" in screen


def test_a_system_whose_gallery_depends_on_the_edit_has_no_whole_image():
    measured = evaluate(EditDependentSystem(), FakeDataset(), SMALL)
    assert "whole image" not in [row.name for row in measured.rows]


def test_a_perfect_system_and_its_softmax_are_perfect():
    measured = evaluate(FakeSystem(), FakeDataset(), SMALL)
    rows = {row.name: row for row in measured.rows}
    for name in ("predicted attributes", "fake"):
        assert (rows[name].values(MAP) == 1).all() and (rows[name].values(TRIPLETS) == 1).all()
    assert rows["whole image"].values(MAP).mean() < 1


def test_counted_by_hand():
    dataset = FakeDataset(num_queries=3, num_gallery=5)
    dataset.labels("query")[:] = [[0, 0, -1], [1, -1, 0], [2, 0, 0]]
    dataset.labels("gallery")[:] = [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, -1, -1], [0, 0, -1]]
    plan = plan_of(dataset)
    # colour: nobody has the value 2. size: the second query has none. shape: all are alike.
    pairs = list(zip(plan.query.tolist(), plan.group.tolist(), strict=True))
    assert pairs == [(0, 0), (1, 0), (0, 1), (2, 1)]
    assert plan.num_unanswerable == 3
    assert plan.num_relevant.tolist() == [3, 2, 3, 3]
    assert plan.num_items.tolist() == [5, 5, 4, 4]
    np.testing.assert_array_equal(plan.relevant(np.array([2, 3])), [[1, 0, 1, 1]] * 2)
    assert plan.counts()["candidates_per_group"] == {"colour": 5, "size": 4, "shape": 3}
    chance = plan.chance()
    np.testing.assert_allclose(chance.values(Figure("precision", 3)), [3 / 5, 2 / 5, 3 / 4, 3 / 4])
    expected = metrics.expected_average_precision(plan.num_relevant, plan.num_items)
    np.testing.assert_allclose(chance.values(MAP), expected)


def test_a_random_ranking_of_skewed_labels_equals_the_formulas():
    generator = np.random.default_rng(0)
    dataset = FakeDataset(num_queries=300, num_gallery=400)
    for split in ("query", "gallery"):
        labels = dataset.labels(split)
        labels[:, 0] = generator.choice(3, len(labels), p=[0.9, 0.08, 0.02])
        labels[:, 1] = generator.choice(2, len(labels), p=[0.97, 0.03])
    plan = plan_of(dataset)
    chance = plan.chance()
    for attribute in range(3):
        members = np.flatnonzero(plan.group == attribute)
        relevant = plan.relevant(members)
        distances = generator.random(relevant.shape).astype(np.float32)
        found = plan.score(distances, relevant, members)
        row = MethodScores("random", found, SMALL.top_k)
        for figure in (MAP, TRIPLETS, Figure("precision", 20)):
            expected = chance.values(figure)[members].mean()
            assert row.values(figure).mean() == pytest.approx(expected, abs=0.02)


def test_ties_do_not_follow_the_order_of_the_gallery():
    """A gallery sorted by value, and a system that sees nothing: chance, whoever comes first."""
    dataset = FakeDataset(num_queries=200, num_gallery=400)
    labels = dataset.labels("gallery")
    labels[:] = labels[np.argsort(labels[:, 0], kind="stable")]
    plan = plan_of(dataset)
    members = np.flatnonzero(plan.group == 0)
    values = dataset.labels("query")[plan.query[members], 0]
    found = plan.score(np.zeros((len(members), 400), np.float32), plan.relevant(members), members)
    row, expected = MethodScores("tied", found, SMALL.top_k), plan.chance()
    for value in range(3):
        chosen = values == value
        for figure, allowed in ((MAP, 0.05), (TRIPLETS, 0.06)):
            wanted = expected.values(figure)[members][chosen].mean()
            assert row.values(figure)[chosen].mean() == pytest.approx(wanted, abs=allowed)


def test_equal_distances_stand_in_the_same_order_for_all_queries():
    dataset = FakeDataset(num_queries=20, num_gallery=50)
    plan = plan_of(dataset)
    first = np.flatnonzero(plan.group == 0)
    values = dataset.labels("query")[plan.query[first], 0]
    alike = first[values == values[0]]
    distances, relevant = np.zeros((len(alike), 50), np.float32), plan.relevant(alike)
    found = plan.score(distances, relevant, alike)["average_precision"]
    assert len(alike) > 1 and len(set(found.tolist())) == 1
    for chosen in alike:
        one = np.array([chosen])
        again = plan.score(distances[:1], plan.relevant(one), one)["average_precision"]
        np.testing.assert_array_equal(again, found[:1])


def test_an_attribute_that_no_candidate_has_gets_no_figure():
    dataset = FakeDataset()
    dataset.labels("gallery")[:, 1] = -1
    report = reporting.summarize(evaluate(FakeSystem(noise=0.5), dataset, SMALL))
    assert report["questions"]["per_group"]["size"] == 0
    assert report["rows"][-1]["average_precision"]["per_group"][1] is None
    assert "over 2 attributes" in reporting.markdown(report, "x.png")


def test_the_number_of_top_k_is_at_least_one():
    with pytest.raises(ValueError, match="the number of top_k must be at least 1; got 0"):
        AttributeProtocol(top_k=())


def test_nothing_to_ask_is_refused():
    dataset = FakeDataset(num_queries=2, num_gallery=3)
    dataset.labels("query")[:] = 0
    dataset.labels("gallery")[:] = 0
    with pytest.raises(ValueError, match="no query of 'query' shares a value with an image of"):
        plan_of(dataset)
