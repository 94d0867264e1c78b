import numpy as np
import pytest
from fakes import SPACE
from index_fakes import DIM, create, make_items, random_values

from fashionsearchnet.attributes import MISSING, softmax_blocks
from fashionsearchnet.index.alike import search_alike
from fashionsearchnet.index.blocks import BlockStore
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item

NUM_ITEMS = 300


def slow_order(query, probabilities, values, weights, allowed):
    """Scores of all items, and their order, by plain loops."""
    scores, others = [], []
    for row, labels in zip(probabilities, values, strict=True):
        each = []
        for a, (start, number) in enumerate(zip(SPACE.offsets, SPACE.num_values, strict=True)):
            p = row[start : start + number].astype(float)
            if labels[a] != MISSING:
                p = np.eye(number)[labels[a]]
            each.append(float(p @ query[start : start + number]))
        scores.append(sum(w * s for w, s in zip(weights, each, strict=True)) / sum(weights))
        others.append(sum(s for w, s in zip(weights, each, strict=True) if not w))
    ranked = sorted(
        np.flatnonzero(allowed), key=lambda i: (-round(scores[i], 5), -round(others[i], 5), i)
    )
    return np.array(scores), ranked


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """An index whose items have labels in part."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("index")
    values = random_values(rng, NUM_ITEMS)
    values[::2] = MISSING
    read = softmax_blocks(SPACE, rng.normal(0, 2, (NUM_ITEMS, SPACE.total_values)))
    read = np.round(read, 2).astype("f4")
    index = create(folder)
    index.put(make_items(values), rng.normal(size=(NUM_ITEMS, DIM)), probabilities=read)
    index.commit()
    return GalleryIndex.open(folder), read, values


@pytest.mark.parametrize(
    ("like", "weights"),
    [
        ({"neckline": 1.0}, [0, 0, 1]),
        ({"neckline": 4.0, "colour": 0.25}, [0.25, 0, 4]),
        ({name: 1.0 for name in SPACE.names}, [1, 1, 1]),
    ],
)
def test_it_ranks_by_the_probability_of_the_same_value(gallery, like, weights, rng):
    index, read, values = gallery
    query = softmax_blocks(SPACE, rng.normal(0, 2, SPACE.total_values))
    red = values[:, 0] == 0
    for filters, allowed in ((None, np.ones(NUM_ITEMS, bool)), ({"colour": ["red"]}, red)):
        scores, order = slow_order(query, read, values, weights, allowed)
        found = search_alike(index, query, 25, like, filters)
        np.testing.assert_allclose(found.distances, 1 - scores[order[:25]], atol=1e-5)
        near = [int(name.removeprefix("item")) for name in found.ids]
        np.testing.assert_allclose(scores[near], scores[order[:25]], atol=1e-5)
        assert all(allowed[near])


def test_labels_win_and_other_attributes_order_equals(tmp_path):
    index = create(tmp_path)
    values = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 0], [-1, 1, 0], [0, 1, 0]], np.int32)
    read = np.tile(np.array([0, 1, 0, 0, 1, 0, 1, 0, 0], "f4"), (5, 1))[:, : SPACE.total_values]
    index.put(make_items(values), np.zeros((5, DIM)), probabilities=read)
    query = np.zeros(SPACE.total_values, "f4")
    query[SPACE.offsets[0]] = query[SPACE.offsets[1] + 1] = query[SPACE.offsets[2]] = 1.0
    found = search_alike(index, query, 5, {"colour": 1.0})
    # Of the three that are labelled red, two have the sleeve too; the first of them was put first.
    assert found.ids == ["item1", "item4", "item0", "item2", "item3"]
    np.testing.assert_array_equal(found.distances, [0, 0, 0, 1, 1])


def test_one_image_of_each_product(gallery, tmp_path, rng):
    _, read, values = gallery
    index = create(tmp_path)
    items = [Item(f"item{i}", v, group=f"product {i // 3}") for i, v in enumerate(values[:60])]
    index.put(items, np.zeros((60, DIM)), probabilities=read[:60])
    query = softmax_blocks(SPACE, rng.normal(0, 2, SPACE.total_values))
    every = search_alike(index, query, 60, {"sleeve": 1.0})
    one = search_alike(index, query, 60, {"sleeve": 1.0}, one_per_group=True)
    first: dict[str, str] = {}
    for name, group in zip(every.ids, every.groups or [], strict=True):
        first.setdefault(group, name)
    assert one.ids == list(first.values()) and len(one.ids) == 20


def test_removed_and_new_items(tmp_path):
    index = create(tmp_path)
    values = np.full((5, 3), MISSING, np.int32)
    read = np.full((5, SPACE.total_values), 0.5, "f4") * np.arange(1, 6)[:, None] / 5
    index.put(make_items(values), np.zeros((5, DIM)), probabilities=read)
    index.commit()
    index.put(make_items(values[:1], first=5), np.zeros((1, DIM)), probabilities=read[2:3])
    index.remove(["item1", "item4"])
    query = np.full(SPACE.total_values, 0.5, "f4")
    for found in (index, index.commit() or GalleryIndex.open(tmp_path)):
        order = ["item3", "item2", "item5", "item0"]
        assert search_alike(found, query, 5, {"colour": 2.0}).ids == order
    assert search_alike(create(tmp_path / "empty"), query, 5, {"colour": 2.0}).ids == []


def test_an_item_that_nobody_read(tmp_path):
    index, values = create(tmp_path), np.zeros((2, 3), np.int32)
    read = np.full((1, SPACE.total_values), 0.5, "f4")
    index.put(make_items(values[:1]), np.zeros((1, DIM)), probabilities=read)
    index.put(make_items(values[1:], first=1), np.zeros((1, DIM)))
    for found in (index, index.commit() or GalleryIndex.open(tmp_path)):
        with pytest.raises(ValueError, match=r"or an item was put without\. Build the index in"):
            search_alike(found, read[0], 1, {"colour": 1.0})


def test_what_is_refused(gallery, tmp_path):
    index, *_ = gallery
    query = np.zeros(SPACE.total_values, "f4")
    with pytest.raises(ValueError, match=r"no attribute 'color' .did you mean colour"):
        search_alike(index, query, 1, {"color": 1.0})
    with pytest.raises(ValueError, match="must name an attribute; got none"):
        search_alike(index, query, 1, {})
    for weight in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"weight of 'colour' must be .*above 0; got"):
            search_alike(index, query, 1, {"colour": weight})
    with pytest.raises(ValueError, match="query must have shape"):
        search_alike(index, query[:-1], 1, {"colour": 1.0})


def test_an_index_of_an_earlier_version_says_so(tmp_path, monkeypatch):
    index = create(tmp_path)
    values = np.zeros((2, 3), np.int32)
    read = np.full((2, SPACE.total_values), 0.5, "f4")
    index.put(make_items(values), np.zeros((2, DIM)), probabilities=read)
    with monkeypatch.context() as earlier:
        earlier.setattr(BlockStore, "save", lambda *arguments: None)
        index.commit()
    old = GalleryIndex.open(tmp_path)
    with pytest.raises(ValueError, match=r"an earlier version built it, .* Build the index in"):
        search_alike(old, read[0], 1, {"colour": 1.0})
    old.put(make_items(values[:1], first=2), np.zeros((1, DIM)), probabilities=read[:1])
    old.commit()  # it stays as it is
    assert len(GalleryIndex.open(tmp_path).search(np.zeros((1, DIM)), 3)[0].ids) == 3
