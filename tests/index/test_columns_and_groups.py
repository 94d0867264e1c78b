import dataclasses

import numpy as np
import pytest
from fakes import SPACE
from index_fakes import DIM, create, nearest_of, random_values

from fashionsearchnet.index.filters import value_counts
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import MAX_COLUMNS_BYTES, Item

NUM = 60


@pytest.fixture
def shop(tmp_path, rng):
    """Sixty photos of some twenty products; every sixth photo is of no known product."""
    values = random_values(rng, NUM)
    products = [f"shoe {number}" for number in rng.integers(0, 20, NUM)]
    items = [
        Item(
            f"{i}.jpg",
            values[i],
            columns={"title": f"Café {i}", "price": f"{i}.90"},
            group="" if i % 6 == 0 else products[i],
        )
        for i in range(NUM)
    ]
    vectors = rng.normal(size=(NUM, DIM)).astype(np.float32)
    index = create(tmp_path / "index")
    index.put(items, vectors)
    index.commit()
    return index, items, vectors


def test_columns_and_groups_survive_a_commit_and_a_change_of_place(shop):
    index, items, vectors = shop
    index.put(items[3:4], vectors[3:4])  # moves to the end
    index.commit()
    opened = GalleryIndex.open(index.directory)
    for item in items:
        found = opened.get(item.id)
        assert (found.columns, found.group) == (item.columns, item.group)
        assert list(found.columns) == ["title", "price"]  # in the shop's order


def test_an_index_of_an_older_version_opens(shop, monkeypatch):
    index, _, vectors = shop
    savez = np.savez

    def as_before(path, **arrays):
        savez(path, **{name: a for name, a in arrays.items() if name != "described"})

    monkeypatch.setattr(np, "savez", as_before)
    index.commit()
    opened = GalleryIndex.open(index.directory)
    assert opened.get("1.jpg").columns == {} and opened.get("1.jpg").group == ""
    assert not opened.items.has_groups and index.items.has_groups
    assert len(opened.search(vectors[:1], 9, one_per_group=True)[0].ids) == 9


@pytest.mark.parametrize("k", [1, 5, 17, NUM])
@pytest.mark.parametrize("filters", [{}, {"colour": ["red"]}])
def test_one_item_of_each_product_is_the_nearest(shop, rng, k, filters):
    index, items, vectors = shop
    allowed = np.zeros(NUM, bool)
    allowed[index.matching(filters)] = True
    queries = rng.normal(size=(7, DIM)).astype(np.float32)
    found = index.search(queries, k, filters, one_per_group=True)
    for row, order in zip(found, nearest_of(queries, vectors, allowed, NUM), strict=True):
        seen, wanted = set(), []
        for position in order:
            product = items[position].group or position
            if product not in seen:
                seen.add(product)
                wanted.append(items[position].id)
        assert row.ids == wanted[:k]
        assert row.groups == [index.get(name).group for name in row.ids]
    positions = index.matching(filters, one_per_group=True)
    assert len(positions) == len(wanted)  # of the last query: all products that pass
    assert (np.diff(positions) > 0).all()


def test_the_first_of_some_without_an_item_and_without_its_product(shop):
    index, items, vectors = shop
    (found,) = index.search(vectors[1:2], NUM)
    assert found.first(3).ids == found.ids[:3]
    assert found.first(3, without="1.jpg", skip=2).ids == found.ids[3:6]
    kept = found.first(NUM, without_group=items[1].group).ids
    assert kept == [n for n in found.ids if index.get(n).group != items[1].group]
    assert len(found.first(NUM, without_group="").ids) == NUM  # no product is no group


def test_only_columns_and_group_change(shop):
    index, items, vectors = shop
    changed = dataclasses.replace(items[3], columns={"price": "0.90"}, group="sale")
    assert index.holds(changed) and not index.items["3.jpg"].is_described_as(changed)
    before = index.ids
    index.describe([changed])
    assert index.ids == before and index.items["3.jpg"].is_described_as(changed)
    assert index.search(vectors[3:4], 1)[0].groups == ["sale"]


def test_counts_of_each_value_ignore_the_filter_of_their_own_attribute(shop):
    index, _, _ = shop
    labels = index.values
    filters = {"colour": ["red", "blue"], "sleeve": ["long"]}
    red, blue = (SPACE.value_index("colour", name) for name in ("red", "blue"))
    colour, sleeve = SPACE.attribute_index("colour"), SPACE.attribute_index("sleeve")
    is_long = labels[:, sleeve] == SPACE.value_index("sleeve", "long")
    is_coloured = np.isin(labels[:, colour], [red, blue])
    others = {colour: is_long, sleeve: is_coloured}
    for attribute, counts in enumerate(value_counts(SPACE, index.items, filters)):
        mask = others.get(attribute, is_long & is_coloured)
        size = SPACE.num_values[attribute]
        wanted = [(labels[mask, attribute] == value).sum() for value in [*range(size), -1]]
        assert counts.tolist() == wanted


@pytest.mark.parametrize(
    "change",
    [
        {"columns": {"price": 9}},
        {"columns": {"title": "\ud800"}},
        {"group": None},
        {"columns": {"text": "x" * MAX_COLUMNS_BYTES}},
        {"group": "x" * 2000},
    ],
)
def test_columns_that_are_no_texts_or_too_long_are_refused(shop, change):
    index, items, vectors = shop
    odd = dataclasses.replace(items[0], id="new", **change)
    with pytest.raises(ValueError, match=r"columns .* 'new'"):
        index.put([odd], vectors[:1])
    assert "new" not in index
