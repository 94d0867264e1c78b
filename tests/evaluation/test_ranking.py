import numpy as np
import pytest

from fashionsearchnet.evaluation.ranking import Candidates
from fashionsearchnet.index.exact import nearest


@pytest.mark.parametrize("levels", [3, 1000])  # with many ties, and with hardly any
def test_all_candidates_come_in_the_order_of_a_stable_sort(levels):
    generator = np.random.default_rng(levels)
    distances = generator.integers(0, levels, (20, 50)).astype(np.float32) / 7
    distances -= 0.01  # rounding may put a distance below zero
    distances[:, 4] = np.inf
    distances[3, 5:9] = [0.0, -0.0, -1e-7, 1e-7]
    found = Candidates(distances, np.zeros((20, 50), bool)).in_order()
    # The bits of -0.0 are below those of 0.0.
    distances[3, 6] = -1e-45
    order = np.argsort(distances, axis=1, kind="stable")
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(nearest(distances, 7), order[:, :7])
