import numpy as np
import pytest
from fakes import SPACE
from index_fakes import create, make_items, random_values

from fashionsearchnet.index import ivf, parts
from fashionsearchnet.index.engines import EngineSettings
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.milvus import MilvusEngine

DIM = 24  # three blocks of eight
KINDS = [("flat", "float32"), ("flat", "float16"), ("ivf", "float32"), ("ivf", "pq")]


def slow_nearest(queries, vectors, weights, allowed, k):
    """Distances and positions of the K nearest, over blocks with these weights, in float64."""
    difference = (queries[:, None].astype("f8") - vectors[None]).reshape(
        len(queries), len(vectors), SPACE.num_attributes, -1
    )
    squares = (difference**2).sum(axis=-1) @ np.array(weights)
    squares[:, ~allowed] = np.inf
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(squares, order, 1)), order


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "_".join(kind))
def gallery(request, tmp_path_factory):
    """700 items, small integers: no rounding, and many equal distances."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("index")
    vectors, values = rng.integers(-2, 3, (700, DIM)).astype("f4"), random_values(rng, 700)
    engine, storage = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ivf, "MIN_ITEMS", 500)
        patch.setattr(parts, "_CHUNK_NUMBERS", 2400)
        index = create(folder, engine=engine, storage=storage, dim=DIM)
        index.put(make_items(values), vectors)
        index.commit()
        yield GalleryIndex.open(folder), vectors, values


@pytest.mark.parametrize("num_queries", [1, 50])
@pytest.mark.parametrize(
    ("like", "weights"),
    [
        ({"sleeve": 1.0}, [0, 1, 0]),
        ({"neckline": 4.0}, [0, 0, 4]),
        ({"neckline": 4.0, "colour": 0.25}, [0.25, 0, 4]),
        ({"colour": 1.0, "sleeve": 1.0, "neckline": 1.0}, [1, 1, 1]),
    ],
)
def test_blocks_are_searched_exactly(gallery, rng, num_queries, like, weights):
    index, vectors, values = gallery
    queries = rng.integers(-2, 3, (num_queries, DIM)).astype("f4")
    whole, red = np.ones(700, bool), values[:, 0] == 0
    for filters, allowed in ((None, whole), ({"colour": ["red"]}, red)):
        distances, positions = slow_nearest(queries, vectors, weights, allowed, 20)
        found = index.search(queries, 20, filters, like=like)
        for one, distance, position in zip(found, distances, positions, strict=True):
            assert one.ids == [f"item{p}" for p in position]
            np.testing.assert_allclose(one.distances, distance, rtol=1e-6)


def test_all_blocks_alike_are_the_whole_vector(gallery, rng):
    index, *_ = gallery
    queries = rng.normal(size=(5, DIM))
    like = dict.fromkeys(SPACE.names, 1.0)
    plain, by_blocks = index.search(queries, 700), index.search(queries, 700, like=like)
    for one, other in zip(plain, by_blocks, strict=True):
        assert one.ids == other.ids
        np.testing.assert_allclose(one.distances, other.distances, rtol=1e-6)


def test_what_is_refused(gallery, tmp_path):
    index, *_ = gallery
    query = np.zeros((1, DIM))
    with pytest.raises(ValueError, match=r"no attribute 'color' .did you mean colour"):
        index.search(query, 1, like={"color": 1.0})
    for weight in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"weight of 'colour' must be .*above 0; got"):
            index.search(query, 1, like={"colour": weight})
    other = create(tmp_path / "other", dim=25)
    with pytest.raises(ValueError, match="vectors of 25 numbers do not hold a block of each of"):
        other.search(np.zeros((1, 25)), 1, like={"colour": 1.0})


def test_a_milvus_server_compares_whole_vectors():
    assert EngineSettings(DIM, SPACE).storage in MilvusEngine.storages
    engine = MilvusEngine(None, "http://nowhere", "collection", SPACE)
    with pytest.raises(ValueError, match=r"whole vectors only. .*build the index with --engine=fl"):
        engine.search(np.zeros((1, DIM), np.float32), 1, None, (parts.Part(0, 8),))
