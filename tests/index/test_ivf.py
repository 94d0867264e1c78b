import numpy as np
import pytest
from index_fakes import create, make_items, nearest_of, random_values

from fashionsearchnet.index import ivf
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.ivf import IvfEngine

DIM = 16


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(ivf, "MIN_ITEMS", 1500)


def clusters(rng, number):
    centres = np.random.default_rng(9).normal(size=(30, DIM))
    return (centres[rng.integers(30, size=number)] + rng.normal(0, 0.3, (number, DIM))).astype("f4")


def halves(vectors, storage):
    """The vectors as they are stored."""
    return vectors if storage == "float32" else vectors.astype(np.float16).astype(np.float32)


@pytest.fixture(params=IvfEngine.storages)
def gallery(request, tmp_path, rng):
    """3,000 items with lists; the vectors as they are stored, and the values."""
    vectors, values = halves(clusters(rng, 3000), request.param), random_values(rng, 3000)
    index = create(tmp_path / "index", engine="ivf", dim=DIM, storage=request.param)
    index.put(make_items(values), vectors)
    index.commit()
    return index, vectors, values


def recall(index, queries, vectors, allowed, filters=None, ids=None):
    ids = index.ids if ids is None else ids
    expected = nearest_of(queries, vectors, allowed, 20)
    found = index.search(queries, 20, filters)
    assert all(len(one.ids) == expected.shape[1] for one in found)
    truth = [{ids[p] for p in row} for row in expected]
    return np.mean([len(t & {*f.ids}) / len(t) for f, t in zip(found, truth, strict=True)])


def test_nearly_all_are_found_and_their_distances_are_exact(gallery, rng):
    index, vectors, _ = gallery
    queries = clusters(rng, 50)
    assert recall(index, queries, vectors, np.ones(3000, bool)) > 0.95
    for query, found in zip(queries, index.search(queries, 20), strict=True):
        positions = [int(name.removeprefix("item")) for name in found.ids]
        np.testing.assert_allclose(
            found.distances, np.linalg.norm(vectors[positions] - query, axis=1), rtol=1e-5
        )
        assert (np.diff(found.distances) >= 0).all()
    same = index.search(vectors[:5], 1)
    assert [found.ids for found in same] == [[f"item{i}"] for i in range(5)]


def test_strict_filters_are_exact_and_loose_ones_nearly(gallery, rng):
    index, vectors, values = gallery
    queries = clusters(rng, 30)
    strict = (values[:, 0] == 1) & (values[:, 2] == 3)
    filters = {"colour": ["green"], "neckline": ["square"]}
    assert strict.mean() < 0.25
    assert recall(index, queries, vectors, strict, filters) == 1.0
    loose = values[:, 0] != -1
    assert recall(index, queries, vectors, loose, {"colour": ["red", "green", "blue"]}) > 0.95


def test_few_probes_still_fill_the_answer(gallery, rng):
    index, *_ = gallery
    index.engine.num_probes = 1
    found = index.search(clusters(rng, 20), 200)
    assert all(len(one.ids) == len(set(one.ids)) == 200 for one in found)


def test_changes_go_into_the_lists_and_survive(gallery, rng, tmp_path):
    index, vectors, values = gallery
    index.remove([f"item{i}" for i in range(0, 1000, 2)])
    changed = rng.choice(np.arange(1000, 3000), 200, replace=False)
    moved, added = (halves(clusters(rng, n), index.storage) for n in (200, 300))
    items = make_items(values)
    index.put([items[i] for i in changed], moved)
    index.put(make_items(values[:300], first=5000), added)
    by_name = {f"item{i}": vector for i, vector in enumerate(vectors)}
    by_name |= {f"item{i}": vector for i, vector in zip(changed, moved, strict=True)}
    by_name |= {f"item{5000 + i}": vector for i, vector in enumerate(added)}
    expected = np.array([by_name[name] for name in index.ids])
    queries = clusters(rng, 30)
    whole = np.ones(len(index), bool)
    before = recall(index, queries, expected, whole)
    assert before > 0.95
    index.commit()
    reopened = GalleryIndex.open(tmp_path / "index")
    assert reopened.ids == index.ids
    assert recall(reopened, queries, expected, whole) == before
    reopened.put(items[:1], vectors[:1])  # a mapped file is not changed: that ends the process
    reopened.remove(index.ids[:2])
    reopened.commit()
    reopened = GalleryIndex.open(tmp_path / "index")
    assert reopened.ids == [*index.ids[2:], "item0"] and reopened.storage == index.storage
    assert reopened.search(vectors[:1], 1)[0].ids == ["item0"]
    reopened.remove(reopened.ids)
    reopened.commit()
    assert GalleryIndex.open(tmp_path / "index").search(queries, 3)[0].ids == []


def test_small_galleries_are_exact_and_lists_are_made_again_as_they_grow(tmp_path, rng):
    index = create(tmp_path / "index", engine="ivf", dim=DIM)
    vectors = clusters(rng, 6500)
    items = make_items(random_values(rng, 6500))
    sizes = []
    for start, stop in ((0, 500), (500, 1600), (1600, 2000), (2000, 6500)):
        index.put(items[start:stop], vectors[start:stop])
        index.commit()
        index = GalleryIndex.open(tmp_path / "index")
        assert isinstance(index.engine, ivf.IvfEngine)
        sizes.append(index.engine._made_for)
        queries = clusters(rng, 20)
        exactness = recall(index, queries, vectors[:stop], np.ones(stop, bool))
        assert exactness == 1.0 if stop == 500 else exactness > 0.95
    assert sizes == [0, 1600, 1600, 6500]


def test_defaults_grow_with_the_gallery():
    assert [ivf.default_num_lists(n) for n in (10, 20_000, 1_000_000)] == [1, 500, 4000]
    assert [ivf.default_num_probes(n) for n in (1, 500, 4000)] == [1, 22, 63]


def test_what_product_quantization_refuses(tmp_path, rng):
    ivf.check_trainable(1499, "float16")
    ivf.check_trainable(1500, "pq")
    with pytest.raises(
        ValueError, match=r"needs at least 1,500 items; there are 1,499\. Take --eng"
    ):
        ivf.check_trainable(1499, "pq")
    assert [ivf.piece_length(dim) for dim in (16, 1024, 30, 35, 6, 9, 2)] == [4, 4, 5, 5, 6, 3, 2]
    with pytest.raises(ValueError, match=r"pieces of 2 to 8 numbers, but 11 is divisible by none"):
        create(tmp_path / "index", engine="ivf", dim=11, storage="pq")
    assert not (tmp_path / "index" / "CURRENT").exists()
    index = create(tmp_path / "index", engine="ivf", dim=DIM, storage="pq")
    index.put(make_items(random_values(rng, 10)), clusters(rng, 10))
    index.commit()  # a part of a gallery, searched exactly
    with pytest.raises(ValueError, match="needs at least 1,500 items; there are 10"):
        index.engine.make_lists()


def test_product_quantization_leaves_the_vectors_in_the_file(gallery, tmp_path):
    index, *_ = gallery
    reopened = GalleryIndex.open(tmp_path / "index").engine
    assert isinstance(reopened, IvfEngine)
    codes = reopened._flat.vectors.index.codes
    assert codes.is_owned == (index.storage != "pq")
    if index.storage == "pq":
        assert reopened._lists.code_size == DIM // 4


@pytest.mark.parametrize("name", ["lists.faiss", "vectors.faiss"])
def test_a_changed_bit_is_noticed_when_the_index_is_opened(gallery, tmp_path, name):
    index, *_ = gallery
    path = tmp_path / "index" / "states" / index.state / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged: its content has changed"):
        GalleryIndex.open(tmp_path / "index")
