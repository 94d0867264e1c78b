import numpy as np
import pytest
from fakes import SPACE

from fashionsearchnet.index import shortlist
from fashionsearchnet.index.engines import EngineSettings, ItemFilter
from fashionsearchnet.index.flat import FlatEngine

DIM = 160  # above twice the directions


@pytest.fixture(autouse=True)
def small_vectors(monkeypatch):
    monkeypatch.setattr(shortlist, "_LEAST_NUMBERS", 0)


def clustered(rng, number, spread=0.05, centre=0.0):
    """float32 [number, DIM] near forty points, as embeddings of labelled images are."""
    points = rng.normal(centre, 1.0, (40, DIM))
    return (points[rng.integers(40, size=number)] + rng.normal(0, spread, (number, DIM))).astype(
        "f4"
    )


def engine_of(vectors, storage="float32"):
    engine = FlatEngine.create(EngineSettings(vectors.shape[1], SPACE, storage))
    keys = np.arange(len(vectors), dtype=np.int64) * 3
    engine.add(keys, vectors, [], np.empty((len(vectors), 0), np.int32))
    return engine


def engines(vectors, storage="float32") -> tuple[FlatEngine, FlatEngine]:
    """The same vectors in an engine without a shortlist and in one with it."""
    prepared = engine_of(vectors, storage)
    prepared.prepare()
    assert prepared._shortlist is not None
    return engine_of(vectors, storage), prepared


def assert_same(plain, prepared, queries, k, item_filter=None):
    expected, found = (e.search(queries, k, item_filter) for e in (plain, prepared))
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("storage", FlatEngine.storages)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("centre", [0.0, 100.0])
def test_the_same_distances_and_order_as_a_search_of_all(storage, seed, centre):
    rng = np.random.default_rng(seed)
    vectors = clustered(rng, 1500, centre=centre)
    vectors[500:540] = vectors[7]  # ties, more than there are spare ones
    queries = np.concatenate([vectors[7:8], vectors[100:104], clustered(rng, 4, 0.3, centre)])
    pair = engines(vectors, storage)
    for k in (1, 20, 60):
        assert_same(*pair, queries, k)
        assert_same(*pair, queries, k, ItemFilter(rng.random(1500) < 0.3, ()))
    few = np.zeros(1500, bool)
    few[[7, 520, 1400]] = True
    assert_same(*pair, queries, 3, ItemFilter(few, ()))


def test_most_vectors_are_not_read(rng):
    vectors = engines(clustered(rng, 1500))[0].vectors
    made = shortlist.shortlist_of(vectors, vectors.get, DIM)
    assert made is not None and len(made) == 1500
    rows = made.candidates(vectors, vectors.get(slice(0, 1)), 20, None)
    assert rows is not None and len(rows) < 150 and (np.diff(rows) > 0).all()


def test_the_bound_holds_for_vectors_that_no_direction_shows(rng):
    # A direction that the sample lacks is all in the rest; one vector lies there.
    vectors = clustered(rng, 1500, spread=0.0)
    vectors[1234] += 5 * np.eye(DIM, dtype="f4")[0]
    query = vectors[1234:1235] + np.float32(0.001)
    assert_same(*engines(vectors), query, 5)


@pytest.mark.parametrize("number", [0.0, 1.0])
def test_equal_vectors_are_all_as_near_as_the_nearest(number, monkeypatch):
    monkeypatch.setattr(shortlist, "_LARGEST_SHARE", 1.0)
    vectors = np.full((300, DIM), number, np.float32)
    for k in (7, 300):
        assert_same(*engines(vectors), vectors[:2], k)


def test_noise_and_few_vectors_get_none(rng, monkeypatch):
    noise, few = engine_of(rng.normal(size=(1500, 1024)).astype("f4")), clustered(rng, 99)
    noise.prepare()
    assert noise._shortlist is None
    monkeypatch.setattr(shortlist, "_LEAST_NUMBERS", 10**9)
    small = engine_of(few)
    small.prepare()
    assert small._shortlist is None


def test_a_change_ends_it(rng):
    vectors = clustered(rng, 500)
    _, prepared = engines(vectors)
    new = np.full((1, DIM), 9.0, np.float32)
    prepared.add(np.array([5000]), new, [], np.empty((1, 0), np.int32))
    assert prepared._shortlist is None
    assert prepared.search(new, 1, None)[1].tolist() == [[5000]]
    prepared.prepare()
    prepared.delete(np.array([5000]))
    assert prepared.search(new, 1, None)[1].tolist() != [[5000]]


def test_a_batch_is_searched_as_before(rng):
    vectors = clustered(rng, 500)
    assert_same(*engines(vectors), vectors[:40], 5)
