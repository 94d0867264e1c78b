import numpy as np
import pytest

from fashionsearchnet.index import exact
from fashionsearchnet.index.exact import ExactIndex, nearest


def test_distances_equal_a_direct_computation_far_from_the_origin(monkeypatch):
    monkeypatch.setattr(exact, "_CHUNK_DISTANCES", 100)
    generator = np.random.default_rng(0)
    offset = 1000.0  # where |q|^2 - 2 q.g + |g|^2 would lose all digits
    gallery, queries = (generator.normal(offset, 1.0, (n, 8)).astype("f4") for n in (30, 11))
    exact_squares = ((queries[:, None].astype("f8") - gallery[None]) ** 2).sum(axis=-1)
    index = ExactIndex(gallery)
    np.testing.assert_allclose(index.squared_distances(queries), exact_squares, rtol=1e-3)
    distances, positions = index.search(queries, 5)
    np.testing.assert_array_equal(positions, np.argsort(exact_squares, axis=1)[:, :5])
    expected = np.sqrt(np.sort(exact_squares, axis=1)[:, :5])
    np.testing.assert_allclose(distances, expected, rtol=1e-3)


@pytest.mark.parametrize("k", [1, 4, 20])
def test_nearest_equals_a_stable_sort_with_ties_and_signs(k):
    generator = np.random.default_rng(k)
    distances = generator.integers(-2, 4, (200, 20)).astype(np.float32)
    distances[distances == 0] *= generator.choice([-1, 1], (distances == 0).sum())  # -0.0 is 0.0
    expected = np.argsort(distances, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(nearest(distances, k), expected)


def test_the_item_itself_is_found_first():
    gallery = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    distances, positions = ExactIndex(gallery).search(gallery, 1)
    np.testing.assert_array_equal(positions[:, 0], np.arange(50))
    np.testing.assert_allclose(distances, 0.0, atol=2e-3)


def test_k_above_the_gallery_returns_all():
    index = ExactIndex(np.eye(3, dtype=np.float32))
    distances, positions = index.search(np.eye(3, dtype=np.float32), 10)
    assert positions.shape == distances.shape == (3, 3)
    assert len(index) == 3


def test_chunks_cover_all_queries_once(monkeypatch):
    monkeypatch.setattr(exact, "_CHUNK_DISTANCES", 9)
    index = ExactIndex(np.eye(4, dtype=np.float32))
    rows = np.concatenate([np.arange(10)[chunk] for chunk in index.chunks(10)])
    np.testing.assert_array_equal(rows, np.arange(10))


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"NaN or infinity .first in row 1"):
        ExactIndex(np.array([[0.0], [np.nan]]))
    with pytest.raises(ValueError, match="must not be empty"):
        ExactIndex(np.empty((0, 3)))
    with pytest.raises(ValueError, match=r"shape \[number, dim\]"):
        ExactIndex(np.zeros(3))
    index = ExactIndex(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="as long as those of the gallery, 3; got 2"):
        index.search(np.zeros((1, 2)), 1)
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search(np.zeros((1, 3)), 0)
