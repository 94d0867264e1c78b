import dataclasses

import numpy as np
import pytest
from fakes import SPACE
from index_fakes import DIM, create, make_items, nearest_of, random_values

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.exact import ExactIndex
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item


@pytest.mark.parametrize("num_queries", [1, 300])
@pytest.mark.parametrize("k", [1, 20, 130, 500])
def test_same_answers_as_the_exact_index_of_evaluation(tmp_path, rng, num_queries, k):
    # Integers around zero: no rounding anywhere, many duplicates, many equal distances.
    half = rng.integers(-2, 3, (200, 64)).astype("f4")
    half[rng.integers(200, size=60)] = half[:60]
    vectors = np.concatenate([half, -half])
    queries = rng.integers(-2, 3, (num_queries, 64)).astype("f4")
    queries[0] = vectors[3]
    index = create(tmp_path / "index", dim=64)
    index.put(make_items(random_values(rng, 400)), vectors)
    distances, positions = ExactIndex(vectors).search(queries, k)
    for found, distance, position in zip(
        index.search(queries, k), distances, positions, strict=True
    ):
        assert found.ids == [f"item{p}" for p in position]
        assert found.distances.dtype == np.float32
        np.testing.assert_array_equal(found.distances, distance)


def test_any_order_of_changes_leaves_what_a_plain_table_would_hold(tmp_path, rng):
    table: dict[str, tuple] = {}  # as a dictionary: what is put again moves to the end
    index = create(tmp_path / "index")
    for step in range(25):
        chosen = [f"item{i}" for i in rng.choice(40, 6, replace=False)]
        if step % 3 == 2:
            chosen = [name for name in chosen if name in table]
            index.remove(chosen)
            for name in chosen:
                del table[name]
        else:
            values, vectors = random_values(rng, 6), rng.integers(-2, 3, (6, DIM)).astype("f4")
            index.put([Item(*pair) for pair in zip(chosen, values, strict=True)], vectors)
            for name, *rest in zip(chosen, values, vectors, strict=True):
                table.pop(name, None)
                table[name] = tuple(rest)
        if step % 4 == 0:
            index.commit()
            index = GalleryIndex.open(tmp_path / "index")
        assert index.ids == list(table) and len(index) == len(table)
        if not table:
            continue
        values, vectors = (np.array(column) for column in zip(*table.values(), strict=True))
        np.testing.assert_array_equal(index.values, values)
        queries = rng.integers(-2, 3, (5, DIM)).astype("f4")
        allowed = np.isin(values[:, 0], [0, 2]) & (values[:, 1] == 1)
        filters = {"colour": ["red", "blue"], "sleeve": ["long"]}
        for mask, chosen_filters in ((np.ones(len(table), bool), None), (allowed, filters)):
            expected = nearest_of(queries, vectors, mask, 7)
            for found, row in zip(index.search(queries, 7, chosen_filters), expected, strict=True):
                assert found.ids == [index.ids[p] for p in row]


def test_an_item_is_found_by_its_id(gallery):
    index, _, values = gallery
    item = index.get("item7")
    assert (item.id, item.image) == ("item7", None)
    np.testing.assert_array_equal(item.values, values[7])
    assert index.image("item7") == b"image of item7"
    assert "item7" in index and "item60" not in index
    for method in (index.get, index.image):
        with pytest.raises(KeyError):
            method("item60")
    index.put([Item("plain", values[0])], np.zeros((1, DIM)))
    assert index.image("plain") is None


def test_ids_may_be_any_text(gallery, tmp_path):
    index = gallery[0]
    names = ["größe/ü.jpg", "a\nb", "../../etc/passwd", "衣服", " ", "'; drop", "x" * 1024]
    index.put([Item(name, np.zeros(3, int)) for name in names], np.ones((len(names), DIM)))
    index.commit()
    assert GalleryIndex.open(tmp_path / "index").ids[-len(names) :] == names


def test_an_empty_gallery_and_a_filter_that_leaves_nothing_find_nothing(tmp_path):
    index = create(tmp_path / "index")
    (found,) = index.search(np.zeros((1, DIM)), 5)
    assert found.ids == [] and found.distances.shape == (0,)
    index.put([Item("a", np.array([-1, 0, 0]))], np.zeros((1, DIM)))
    assert index.search(np.zeros((1, DIM)), 5, {"colour": ["red"]})[0].ids == []
    assert index.search(np.zeros((1, DIM)), 5, {"sleeve": ["short"]})[0].ids == ["a"]
    assert index.search(np.zeros((0, DIM)), 5) == []
    index.remove(["a"])
    assert index.search(np.zeros((1, DIM)), 5)[0].ids == []


def test_the_space_the_fingerprint_and_the_length_are_kept(gallery, tmp_path):
    index = GalleryIndex.open(tmp_path / "index")
    assert (index.space, index.fingerprint, index.dim) == (SPACE, "0123456789abcdef", DIM)
    assert index.engine_name == "flat"


def test_another_model_or_space_is_refused(gallery):
    index = gallery[0]
    index.check_model("0123456789abcdef", SPACE)
    with pytest.raises(
        ValueError, match=r"vectors of the model 0123456789abcdef, not of ffff.*Use"
    ):
        index.check_model("ffff", SPACE)
    other = AttributeSpace.from_dict({**SPACE.to_dict(), "colour": ["red", "green", "black"]})
    with pytest.raises(ValueError, match=r"different attribute spaces: 'colour' differs in black"):
        index.check_model("0123456789abcdef", other)


def test_a_changed_attribute_space_beside_the_states_is_refused(gallery, tmp_path):
    AttributeSpace.from_dict({"colour": ["a", "b"]}).save(
        tmp_path / "index" / "attribute_space.json"
    )
    with pytest.raises(
        ValueError, match=r"attribute_space\.json is not the attribute space of the index"
    ):
        GalleryIndex.open(tmp_path / "index")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((2, DIM + 1)), r"shape \[number, 8\], as this index has; got \(2, 9\)"),
        (np.zeros(DIM), r"shape \[number, 8\].*got \(8,\)"),
        (np.full((2, DIM), [[0.0], [np.nan]]), r"NaN or infinity \(first in row 1\)"),
        (np.full((2, DIM), np.inf), r"NaN or infinity \(first in row 0\)"),
        (np.zeros((3, DIM)), r"each item needs a vector; got 2 and 3"),
    ],
)
def test_bad_vectors_are_refused_and_nothing_is_added(gallery, vectors, message):
    index, _, values = gallery
    with pytest.raises(ValueError, match=message):
        index.put(make_items(values[:2], first=100), vectors)
    if "each item" not in message:
        with pytest.raises(ValueError, match=message.replace(" in row", " in row")):
            index.search(vectors, 1)
    assert len(index) == 60


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, r"text of 1 to 1,024 bytes in UTF-8; got ''"),
        ({"id": "x" * 1025}, "text of 1 to 1,024 bytes"),
        ({"id": "caf\udce9.jpg"}, "text of 1 to 1,024 bytes"),
        ({"id": 7}, "text of 1 to 1,024 bytes in UTF-8; got 7"),
        ({"id": "item101"}, "must have different ids; 'item101' occurs twice"),
        (
            {"values": np.array([0, 0, 4])},
            r"item100' must be 3 integers.*\[3, 2, 4\]; got \[0, 0, 4",
        ),
        ({"values": np.array([0, -2, 0])}, "must be 3 integers"),
        ({"values": np.zeros(2, int)}, "must be 3 integers"),
        ({"values": np.zeros(3)}, "must be 3 integers"),
    ],
)
def test_bad_items_are_refused_and_nothing_is_added(gallery, changes, message):
    index, vectors, values = gallery
    first, second = make_items(values[:2], first=100)
    with pytest.raises(ValueError, match=message):
        index.put([dataclasses.replace(first, **changes), second], vectors[:2])
    assert len(index) == 60


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"color": ["red"]}, r"no attribute 'color' .did you mean colour"),
        ({"colour": ["rde"]}, r"no value 'rde' .did you mean red"),
        ({"colour": []}, r"filter of 'colour' must be a list of one or more"),
        ({"colour": "red"}, r"must be a list of one or more values; got 'red'"),
    ],
)
def test_bad_filters_list_what_there_is(gallery, filters, message):
    with pytest.raises(ValueError, match=message):
        gallery[0].search(np.zeros((1, DIM)), 5, filters)


def test_an_index_is_made_in_a_folder_of_its_own(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "7.jpg").touch()
    with pytest.raises(ValueError, match=r"photos holds other files, such as 7\.jpg.*new or empty"):
        create(photos)
    assert [path.name for path in photos.iterdir()] == ["7.jpg"]
    with pytest.raises(ValueError, match=r"7\.jpg is a file, but an index is a folder"):
        create(photos / "7.jpg")
    killed = tmp_path / "killed"  # before its first commit
    (killed / "images" / "ab").mkdir(parents=True)
    (killed / "states" / "000001").mkdir(parents=True)
    (killed / "attribute_space.json").touch()
    assert len(create(killed)) == 0


def test_bad_arguments_are_refused(gallery, tmp_path):
    index = gallery[0]
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        index.search(np.zeros((1, DIM)), 0)
    with pytest.raises(
        ValueError, match=r"no item 'item60' .did you mean item6.*nothing was remov"
    ):
        index.remove(["item3", "item60"])
    assert len(index) == 60
    with pytest.raises(ValueError, match="already holds an index"):
        create(tmp_path / "index")
    with pytest.raises(ValueError, match=r"engine must be one of flat, ivf, milvus; got 'flta'"):
        create(tmp_path / "other", engine="flta")
    with pytest.raises(ValueError, match="milvus needs the address of a server"):
        create(tmp_path / "other", engine="milvus")
    with pytest.raises(ValueError, match="the others take none"):
        create(tmp_path / "other", address="http://localhost:19530")
    with pytest.raises(ValueError, match=r"engine flat must be one of float32, float16; got 'pq'"):
        create(tmp_path / "other", storage="pq")
    with pytest.raises(FileNotFoundError, match=r"holds no finished index. Make one with tools/bu"):
        GalleryIndex.open(tmp_path / "nowhere")
