import numpy as np
import pytest

from fashionsearchnet.evaluation import metrics
from fashionsearchnet.evaluation.ranking import Candidates


@pytest.mark.parametrize("levels", [3, 1000])  # with many ties, and with hardly any
def test_all_candidates_come_in_the_order_of_a_stable_sort(levels):
    generator = np.random.default_rng(levels)
    distances = generator.integers(0, levels, (20, 50)).astype(np.float32) / 7
    distances -= 0.01  # rounding may put a distance below zero
    distances[:, 4] = np.inf
    distances[3, 5:9] = [0.0, -0.0, -1e-7, 1e-7]
    relevant = generator.random((20, 50)) < 0.2
    ranking = Candidates(distances, relevant).in_order()
    # The bits of -0.0 are below those of 0.0.
    distances[3, 6] = -1e-45
    order = np.argsort(distances, axis=1, kind="stable")
    np.testing.assert_array_equal(ranking.positions, order)
    np.testing.assert_array_equal(ranking.relevant, np.take_along_axis(relevant, order, axis=1))
    assert (np.diff(ranking.distances, axis=1) >= 0).all()


def test_the_nearest_are_the_first_of_all():
    generator = np.random.default_rng(1)
    candidates = Candidates(
        generator.integers(0, 9, (12, 30)).astype(np.float32), generator.random((12, 30)) < 0.3
    )
    few, everything = candidates.nearest(5), candidates.in_order()
    np.testing.assert_array_equal(few.positions, everything.positions[:, :5])
    np.testing.assert_array_equal(few.distances, everything.distances[:, :5])
    np.testing.assert_array_equal(few.relevant, everything.relevant[:, :5])


def test_a_query_without_a_hit_has_the_last_rank_of_all():
    distances = np.array([[0.5, 0.2], [0.1, 0.2]], np.float32)
    relevant = np.array([[True, False], [False, False]])
    ranks = Candidates(distances, relevant).first_hit_ranks()
    assert ranks.dtype == np.int32
    assert ranks.tolist() == [2, metrics.NO_HIT]
