"""What a gallery keeps on disk: states, images, vectors in a storage, and blocks."""

import dataclasses

import numpy as np
import pytest
from index_fakes import DIM, create, make_items, random_values

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item
from fashionsearchnet.index.states import States


def test_what_is_not_committed_is_not_on_disk(gallery, tmp_path):
    index = gallery[0]
    index.remove(["item0"])
    assert len(index) == 59
    assert len(GalleryIndex.open(tmp_path / "index")) == 60


def test_of_two_writers_the_second_is_refused(gallery, tmp_path):
    first, second = (GalleryIndex.open(tmp_path / "index") for _ in range(2))
    first.remove(["item0"])
    first.commit()
    second.remove(["item1"])
    with pytest.raises(OSError, match=r"another process has changed .*000003, but.*Run the same"):
        second.commit()
    assert GalleryIndex.open(tmp_path / "index").ids == first.ids


def test_a_reader_sees_that_another_process_has_committed(gallery, tmp_path):
    writer, vectors, _ = gallery
    reader = GalleryIndex.open(tmp_path / "index")
    assert reader.is_current() and reader.state == writer.state == "000002"
    writer.remove(["item0"])
    assert reader.is_current()
    writer.commit()
    assert writer.is_current() and not reader.is_current()
    fresh = GalleryIndex.open(tmp_path / "index")
    assert fresh.is_current() and fresh.state == "000003" and reader.state == "000002"
    assert reader.search(vectors[:1], 1)[0].ids == ["item0"]  # both answer, each from its own
    assert reader.image("item0") == b"image of item0"  # the former state keeps its images
    assert fresh.search(vectors[:1], 1)[0].ids != ["item0"]
    (tmp_path / "index" / "CURRENT").unlink()
    with pytest.raises(FileNotFoundError, match="holds no finished index"):
        reader.is_current()


def image_files_of(index):
    return {path.name for path in (index.directory / "images").rglob("*") if path.is_file()}


def test_images_are_kept_as_long_as_one_of_the_two_states_has_them(gallery):
    index, vectors, values = gallery
    assert len(image_files_of(index)) == 60
    twin = Item("twin", values[0], b"image of item0")
    index.put([twin], vectors[:1])
    index.remove(["item0", "item1"])
    index.commit()
    assert len(image_files_of(index)) == 60  # the state before has item1
    index = GalleryIndex.open(index.directory)
    index.remove(["item2"])
    index.commit()
    assert len(image_files_of(index)) == 59
    assert index.image("twin") == b"image of item0"
    index.put([Item("item2", values[2], b"image of item2")], vectors[2:3])  # back again
    index.commit()
    index.commit()
    assert index.image("item2") == b"image of item2"
    assert len(image_files_of(index)) == 59


def test_a_damaged_or_missing_image_is_named(gallery):
    index = gallery[0]
    paths = {p.read_bytes(): p for p in (index.directory / "images").rglob("*") if p.is_file()}
    damaged, missing = paths[b"image of item3"], paths[b"image of item4"]
    damaged.write_bytes(b"image of item?")
    missing.unlink()
    with pytest.raises(OSError, match=rf"the image .*{damaged.name} is damaged.*build_index"):
        index.image("item3")
    with pytest.raises(OSError, match=rf"cannot read the image .*{missing.name} .No such file"):
        index.image("item4")


def test_holds_compares_values_and_image(gallery):
    index, vectors, values = gallery
    item = Item("item5", values[5], b"image of item5")
    assert index.holds(item)
    assert not index.holds(dataclasses.replace(item, id="item99"))
    assert not index.holds(dataclasses.replace(item, image=b"another"))
    assert not index.holds(dataclasses.replace(item, image=None))
    assert not index.holds(dataclasses.replace(item, values=(values[5] + 1) % 2))
    plain = Item("plain", values[0])
    index.put([plain], vectors[:1])
    assert index.holds(plain)


def test_must_goes_by_label_and_by_prediction_where_there_is_none(tmp_path):
    """Colours red 0, green 1, blue 2; the labels and the predictions of six items."""
    labels = np.full((6, 3), -1, np.int32)
    labels[:, 0] = [2, 1, -1, -1, -1, 2]
    read = np.zeros((6, 9), np.float32)
    read[np.arange(6), [0, 2, 2, 0, 1, 2]] = 1.0
    vectors = np.arange(6, dtype=np.float32)[:, None] * np.ones(DIM, np.float32)
    index = create(tmp_path / "index")
    index.put(make_items(labels), vectors, probabilities=read)
    index.commit()
    for opened in (index, GalleryIndex.open(tmp_path / "index")):

        def found(filters=None, must=None, searched=opened):
            (each,) = searched.search(vectors[:1], 6, filters, must)
            return each.ids

        assert found(must={"colour": ["blue"]}) == ["item0", "item2", "item5"]
        assert found(must={"colour": ["red", "blue"]}) == ["item0", "item2", "item3", "item5"]
        assert found(filters={"colour": ["blue"]}) == ["item0", "item5"]
        assert found({"colour": ["blue"]}, {"colour": ["green"]}) == []
        assert found(must={"colour": ["blue"], "sleeve": ["short"]}) == ["item0", "item2", "item5"]
    with pytest.raises(ValueError, match=r"the must of 'colour' must be a list of one or more"):
        index.search(vectors[:1], 6, must={"colour": []})


def test_an_index_without_predictions_opens(gallery, monkeypatch):
    """As version 0.1 wrote them: no predictions among the items, no blend in the state."""
    index, vectors, values = gallery
    save = np.savez

    def as_before(file, **arrays):
        del arrays["predicted"]
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", as_before)
    index.commit()
    opened = GalleryIndex.open(index.directory)
    assert opened.label_blend is None and (opened.items.predicted == -1).all()
    (found,) = opened.search(vectors[:1], 60, must={"colour": ["red"]})
    assert len(found.ids) == (values[:, 0] == 0).sum()


def test_an_index_that_does_not_name_its_storage_opens(gallery, monkeypatch):
    """As version 0.1 wrote them; what they hold is float32."""
    index, vectors, _ = gallery
    commit = States.commit

    def as_before(self, base, write):
        def write_less(folder):
            state = write(folder)
            del state["engine"]["storage"]
            return state

        return commit(self, base, write_less)

    monkeypatch.setattr(States, "commit", as_before)
    index.commit()
    assert "storage" not in (index.directory / "states" / index.state / "state.json").read_text()
    opened = GalleryIndex.open(index.directory)
    assert opened.storage == "float32"
    assert opened.search(vectors[:1], 1)[0].ids == ["item0"]


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_the_storage_stays_over_commits(tmp_path, rng, storage):
    vectors = rng.normal(size=(6, DIM)).astype("f4")
    items = make_items(random_values(rng, 6))
    index = create(tmp_path / "index", storage=storage)
    for start in (0, 3):
        index.put(items[start : start + 3], vectors[start : start + 3])
        index.commit()
        index = GalleryIndex.open(tmp_path / "index")
        assert index.storage == storage
    stored = vectors.astype(storage).astype("f4")
    for one, row in zip(index.search(stored, 1), items, strict=True):
        assert (one.ids, one.distances[0]) == ([row.id], 0.0)


def test_blocks_are_kept_apart_and_survive_commits(tmp_path, rng):
    values, vectors = random_values(rng, 5), rng.normal(size=(5, DIM)).astype("f4")
    blocks, read = rng.normal(size=(5, 3, 4)).astype("f4"), rng.random((5, 9)).astype("f4")
    index = create(tmp_path / "index", label_blend=(0.5, 0.25, 1.0))
    index.commit()
    index.put(make_items(values[:3]), vectors[:3], probabilities=read[:3], blocks=blocks[:3])
    index.commit()
    index.put(
        make_items(values[3:], first=3), vectors[3:], probabilities=read[3:], blocks=blocks[3:]
    )
    index.remove(["item1"])
    index.commit()
    rows = [0, 2, 3, 4]
    for opened in (index, GalleryIndex.open(tmp_path / "index")):
        assert opened.label_blend == (0.5, 0.25, 1.0)
        found, probabilities = opened.blocks_of([f"item{row}" for row in rows])
        np.testing.assert_array_equal(found, blocks[rows])
        np.testing.assert_array_equal(probabilities, read[rows])
        with pytest.raises(KeyError):
            opened.blocks_of(["item1"])


def test_which_blocks_are_refused(tmp_path, gallery):
    index, vectors, values = gallery
    items = make_items(values[:2], first=100)
    with pytest.raises(ValueError, match="blocks belong to an index that uses labels"):
        index.put(items, vectors[:2], blocks=np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"must be finite and of shape \[2, 9\]"):
        index.put(items, vectors[:2], probabilities=np.zeros((2, 8)))
    with pytest.raises(ValueError, match=r"does not use labels.*--use_labels"):
        index.blocks_of(["item0"])
    labelled = create(tmp_path / "labelled", label_blend=(0.5, 0.5, 0.5))
    for some in ({}, {"blocks": np.zeros((2, 3, 4))}, {"probabilities": np.zeros((2, 9))}):
        with pytest.raises(ValueError, match="uses labels, with probabilities"):
            labelled.put(items, vectors[:2], **some)
    for wrong, rule in (
        (np.zeros((2, 2, 4)), r"shape \[2, 3, block_dim"),
        ([[[np.nan]] * 3] * 2, "NaN"),
    ):
        with pytest.raises(ValueError, match=rule):
            labelled.put(items, vectors[:2], blocks=np.array(wrong), probabilities=np.zeros((2, 9)))
    assert not len(labelled)
