import itertools
import math

import numpy as np
import pytest

from fashionsearchnet.evaluation import metrics
from fashionsearchnet.index.exact import nearest


def slow_first_hit_rank(distances, relevant):
    order = sorted(range(len(distances)), key=lambda item: (distances[item], item))
    return next(rank for rank, item in enumerate(order, start=1) if relevant[item])


@pytest.mark.parametrize("levels", [3, 1000])  # with many ties, and with hardly any
def test_first_hit_ranks_equal_a_sort(levels):
    generator = np.random.default_rng(levels)
    distances = generator.integers(0, levels, (40, 25)).astype(np.float32)
    relevant = generator.random((40, 25)) < 0.15
    relevant[:, 7] |= ~relevant.any(axis=1)
    expected = [slow_first_hit_rank(d, r) for d, r in zip(distances, relevant, strict=True)]
    np.testing.assert_array_equal(metrics.first_hit_ranks(distances, relevant), expected)


def test_first_hit_ranks_by_hand():
    distances = np.array([[0.5, 0.2, 0.5, 0.9]])
    for relevant, rank in [([0, 0, 1, 0], 3), ([1, 0, 1, 0], 2), ([0, 1, 1, 1], 1)]:
        assert metrics.first_hit_ranks(distances, np.array([relevant], bool)) == [rank]


def test_a_query_without_a_hit_has_the_last_rank_of_all():
    distances = np.array([[0.5, 0.2], [0.1, 0.2]], np.float32)
    ranks = metrics.first_hit_ranks(distances, np.array([[True, False], [False, False]]))
    assert ranks.dtype == np.int32
    assert ranks.tolist() == [2, metrics.NO_HIT]
    ranks = metrics.first_hit_ranks(distances, np.zeros((2, 2), bool))
    assert ranks.tolist() == [metrics.NO_HIT] * 2


def test_ndcg_equals_a_loop():
    relevance = np.random.default_rng(0).integers(0, 5, (6, 8)) / 4
    result = metrics.ndcg(relevance, (1, 3, 8))
    for row, column in itertools.product(range(6), range(3)):
        k = (1, 3, 8)[column]
        gained = sum((2 ** relevance[row, r] - 1) / math.log2(r + 2) for r in range(k))
        ideal = sum(1 / math.log2(r + 2) for r in range(k))
        assert result[row, column] == pytest.approx(gained / ideal)


def test_ndcg_bounds_and_short_lists():
    np.testing.assert_allclose(metrics.ndcg(np.ones((2, 4)), (1, 4, 50)), 1.0)
    np.testing.assert_allclose(metrics.ndcg(np.zeros((2, 4)), (1, 4, 50)), 0.0)


def slow_average_precision(relevant):
    """The definition: the mean over the relevant ranks of the precision at that rank."""
    ranks = [rank for rank, hit in enumerate(relevant, start=1) if hit]
    return np.mean([sum(relevant[:rank]) / rank for rank in ranks])


def slow_triplet_accuracy(relevant):
    pairs = [(i, j) for i, r in enumerate(relevant) for j, o in enumerate(relevant) if r and not o]
    return np.mean([i < j for i, j in pairs])


def test_average_precision_and_triplet_accuracy_by_hand():
    relevant = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], bool)
    expected = [(1 + 2 / 3) / 2, (1 / 3 + 2 / 4) / 2, 1.0]
    np.testing.assert_allclose(metrics.average_precision(relevant), expected)
    accuracy = metrics.triplet_accuracy(relevant, np.array([4, 4, 4]))
    np.testing.assert_allclose(accuracy, [3 / 4, 0.0, 1.0])
    # An item that does not count stands last.
    accuracy = metrics.triplet_accuracy(relevant, np.array([3, 4, 3]))
    np.testing.assert_allclose(accuracy, [1 / 2, 0.0, 1.0])


def test_average_precision_and_triplet_accuracy_equal_loops():
    relevant = np.random.default_rng(2).random((30, 12)) < 0.3
    relevant[:, 3] |= ~relevant.any(axis=1)
    found = metrics.average_precision(relevant)
    np.testing.assert_allclose(found, [slow_average_precision(row) for row in relevant])
    found = metrics.triplet_accuracy(relevant, np.full(30, 12))
    np.testing.assert_allclose(found, [slow_triplet_accuracy(row) for row in relevant])
    with pytest.raises(ValueError, match="query 1 has no relevant item"):
        metrics.average_precision(np.array([[True, False], [False, False]]))


def test_expected_average_precision_equals_enumeration():
    for items, relevant in [(1, 1), (4, 1), (5, 2), (6, 3), (5, 5)]:
        draws = itertools.combinations(range(items), relevant)
        rows = np.array([np.isin(np.arange(items), draw) for draw in draws])
        expected = metrics.expected_average_precision(np.array(relevant), np.array(items))
        assert metrics.average_precision(rows).mean() == pytest.approx(float(expected))


def test_random_hit_rate_equals_enumeration():
    for items, relevant, k in [(6, 2, 3), (5, 5, 1), (7, 1, 7), (6, 3, 4), (4, 0, 2)]:
        draws = list(itertools.combinations(range(items), k))
        share = np.mean([any(item < relevant for item in draw) for draw in draws])
        assert metrics.random_hit_rate(np.array(relevant), items, k) == pytest.approx(share)


def test_random_hit_rate_equals_binomials_in_a_large_gallery():
    relevant = np.array([[1, 40], [700, 1]])
    rate = metrics.random_hit_rate(relevant, 18_000, 20)
    expected = [1 - math.comb(18_000 - m, 20) / math.comb(18_000, 20) for m in relevant.flat]
    np.testing.assert_allclose(rate.ravel(), expected, rtol=1e-9)
    assert rate.shape == (2, 2)


def test_random_hit_rate_with_k_above_the_gallery():
    assert metrics.random_hit_rate(np.array(1), 5, 50) == 1.0


def test_group_means():
    means = metrics.group_means(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 3)
    np.testing.assert_array_equal(means, [2.0, np.nan, 5.0])


def test_bootstrap_equals_a_loop_over_resamples():
    generator = np.random.default_rng(1)
    values, groups = generator.random(60), generator.integers(0, 3, 60)
    clusters = generator.integers(0, 10, 60)
    weights = metrics.bootstrap_weights(10, 20, seed=4)
    means, totals = metrics.bootstrap_group_means(values, groups, 3, clusters, weights)
    for resample in range(20):
        drawn = np.repeat(np.arange(10), weights[resample].astype(int))
        rows = np.concatenate([np.flatnonzero(clusters == c) for c in drawn])
        assert totals[resample] == pytest.approx(values[rows].mean())
        for group in range(3):
            members = rows[groups[rows] == group]
            expected = values[members].mean() if len(members) else np.nan
            assert means[resample, group] == pytest.approx(expected, nan_ok=True)


def test_bootstrap_weights_are_reproducible_and_draw_as_many_as_there_are():
    weights = metrics.bootstrap_weights(12, 50, seed=3)
    np.testing.assert_array_equal(weights, metrics.bootstrap_weights(12, 50, seed=3))
    assert not np.array_equal(weights, metrics.bootstrap_weights(12, 50, seed=5))
    np.testing.assert_array_equal(weights.sum(axis=1), 12)


def test_bootstrap_interval_covers_the_spread_of_clusters_not_of_values():
    # Ten copies of each cluster's value add no information, so the spread must not shrink.
    clusters = np.repeat(np.arange(50), 10)
    values = np.random.default_rng(0).random(50)[clusters]
    weights = metrics.bootstrap_weights(50, 2000, seed=0)
    groups = np.zeros(500, int)
    _, totals = metrics.bootstrap_group_means(values, groups, 1, clusters, weights)
    expected = values[::10].std() / np.sqrt(50)
    assert totals.std() == pytest.approx(expected, rel=0.1)


def test_boxes_by_hand():
    box = np.array([0.0, 0.0, 0.5, 0.5])
    other = np.array([0.25, 0.25, 0.75, 0.75])
    assert metrics.box_area(box) == 0.25
    assert metrics.box_iou(box, other) == pytest.approx(0.0625 / 0.4375)
    assert metrics.box_iou(box, box) == 1.0
    assert metrics.box_iou(box, np.array([0.6, 0.6, 1.0, 1.0])) == 0.0
    assert metrics.box_iou(np.zeros(4), np.zeros(4)) == 0.0  # empty boxes, no division by zero
    assert metrics.center_in_box(box, other)  # the corner counts
    assert not metrics.center_in_box(np.array([0.0, 0.0, 0.4, 0.6]), other)
    assert metrics.box_area(np.array([0.5, 0.5, 0.2, 0.9])) == 0.0


@pytest.mark.parametrize("levels", [3, 1000])  # with many ties, and with hardly any
def test_a_ranking_is_the_order_of_a_stable_sort(levels):
    generator = np.random.default_rng(levels)
    distances = generator.integers(0, levels, (20, 50)).astype(np.float32) / 7
    distances -= 0.01  # rounding may put a distance below zero
    distances[:, 4] = np.inf
    distances[3, 5:9] = [0.0, -0.0, -1e-7, 1e-7]
    found = metrics.ranking(distances)
    # The bits of -0.0 are below those of 0.0.
    distances[3, 6] = -1e-45
    order = np.argsort(distances, axis=1, kind="stable")
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(nearest(distances, 7), order[:, :7])
