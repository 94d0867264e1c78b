import numpy as np
import pytest
from fakes import SPACE
from index_fakes import nearest_of

from fashionsearchnet.index.engines import EngineSettings, ItemFilter
from fashionsearchnet.index.flat import FlatEngine


def flat(vectors, keys=None, storage="float32"):
    engine = FlatEngine.create(EngineSettings(vectors.shape[1], SPACE, storage))
    keys = np.arange(len(vectors)) if keys is None else keys
    engine.add(keys, vectors, [], np.empty((len(vectors), 0), np.int32))
    return engine


@pytest.mark.parametrize("storage", FlatEngine.storages)
@pytest.mark.parametrize("num_queries", [1, 40])  # pair by pair, and as a matrix product
@pytest.mark.parametrize("copies", [5, 60])  # fewer and more than the spare candidates
def test_equal_vectors_come_in_their_order_also_at_the_border(rng, num_queries, copies, storage):
    vectors = rng.normal(size=(300, 512)).astype("f4")
    places = np.sort(rng.choice(300, copies, replace=False))
    vectors[places] = vectors[places[0]]
    queries = vectors[places[0]] + rng.normal(0, 0.01, (num_queries, 512)).astype("f4")
    engine = flat(vectors, storage=storage)
    for k in (1, copies - 2, copies, copies + 3):
        distances, keys = engine.search(queries, k, None)
        np.testing.assert_array_equal(
            keys[:, :copies], np.tile(places[: min(k, copies)], (num_queries, 1))
        )
        assert (distances[:, :copies] == distances[:, :1]).all()


@pytest.mark.parametrize("storage", FlatEngine.storages)
def test_all_the_same_vector(storage):
    engine = flat(np.ones((200, 16), np.float32), storage=storage)
    _, keys = engine.search(np.ones((3, 16), np.float32), 7, None)
    np.testing.assert_array_equal(keys, np.tile(np.arange(7), (3, 1)))


def test_far_from_the_origin_nothing_is_lost(rng):
    vectors, queries = (rng.normal(1000.0, 1.0, (n, 64)).astype("f4") for n in (500, 200))
    distances, keys = flat(vectors).search(queries, 10, None)
    expected = nearest_of(queries, vectors, np.ones(500, bool), 10)
    np.testing.assert_array_equal(keys, expected)
    exact = np.linalg.norm(queries[:, None].astype("f8") - vectors[expected], axis=-1)
    np.testing.assert_allclose(distances, exact, rtol=1e-6)


@pytest.mark.parametrize("storage", FlatEngine.storages)
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_selections_and_keys_with_gaps(rng, share, storage):
    vectors = rng.normal(size=(400, 24)).astype(storage).astype("f4")
    vectors[200:240] = vectors[3]
    keys = np.cumsum(rng.integers(1, 5, 400))
    engine = flat(vectors, keys, storage)
    queries = np.concatenate([vectors[3:4], rng.normal(size=(30, 24)).astype("f4")])
    mask = rng.random(400) < share
    k = min(9, int(mask.sum()))
    _, found = engine.search(queries, k, ItemFilter(mask, ()))
    np.testing.assert_array_equal(found, keys[nearest_of(queries, vectors, mask, k)])
    engine.delete(keys[:100])
    _, found = engine.search(queries, 9, None)
    rest = np.ones(300, bool)
    np.testing.assert_array_equal(found, keys[100:][nearest_of(queries, vectors[100:], rest, 9)])
    np.testing.assert_array_equal(engine.vectors.get(np.arange(300)), vectors[100:])


@pytest.mark.parametrize("storage", FlatEngine.storages)
def test_a_file_of_another_size_is_refused(rng, tmp_path, storage):
    engine = flat(rng.normal(size=(5, 4)).astype("f4"), storage=storage)
    description = engine.save(tmp_path)
    settings = EngineSettings(4, SPACE, storage)
    assert len(FlatEngine.load(settings, tmp_path, description, np.arange(5))) == 5
    with pytest.raises(ValueError, match=r"vectors\.faiss holds 5 vectors of 4 .* 6 items of 4"):
        FlatEngine.load(settings, tmp_path, description, np.arange(6))


def test_half_precision_rounds_the_vectors_and_not_the_queries(rng):
    vectors, queries = (rng.normal(size=(n, 48)).astype("f4") for n in (300, 20))
    engine = flat(vectors, storage="float16")
    stored = vectors.astype(np.float16).astype("f4")
    np.testing.assert_array_equal(engine.vectors.get(np.arange(300)), stored)
    assert (np.abs(stored - vectors) <= np.maximum(np.abs(vectors) / 2048, 3e-8)).all()
    distances, keys = engine.search(queries, 10, None)
    expected = nearest_of(queries, stored, np.ones(300, bool), 10)
    np.testing.assert_array_equal(keys, expected)
    exact = np.linalg.norm(queries[:, None].astype("f8") - stored[expected], axis=-1)
    np.testing.assert_allclose(distances, exact, rtol=1e-6)


def test_ties_of_rounding_go_to_the_even_one():
    """FAISS rounds some of these away from zero, depending on the length of the vectors."""
    between = np.linspace(-2.0, 2.0, 4 * 2048 + 1, dtype=np.float32)[: 4 * 2048].reshape(-1, 128)
    engine = flat(between, storage="float16")
    expected = between.astype(np.float16).astype("f4")
    np.testing.assert_array_equal(engine.vectors.get(np.arange(len(between))), expected)


@pytest.mark.parametrize("number", [7e4, 1e-6])
def test_numbers_that_half_precision_cannot_hold_are_refused(number):
    vectors = np.array([[1.0, -2.0], [number, 0.0]], np.float32)
    with pytest.raises(ValueError, match=rf"is {number:g}, but .*to 65,504.*--storage=float32"):
        flat(vectors, storage="float16")
    assert len(flat(vectors)) == 2
    assert len(flat(np.array([[1.0, 1e-6], [0.0, 0.0]], np.float32), storage="float16")) == 2
