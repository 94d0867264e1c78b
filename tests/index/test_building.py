import dataclasses

import numpy as np
import pytest
from index_fakes import DIM, create, random_values

from fashionsearchnet.index import building
from fashionsearchnet.index.building import Counts, Encoded, add_images, relabel
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item


class Encoder:
    """Vectors that are a function of the image; counts the images, and may stop at one."""

    def __init__(self, stop_after=10**9):
        self.encoded, self.stop_after = 0, stop_after

    def encode(self, images, values):
        self.encoded += len(images)
        if self.encoded > self.stop_after:
            raise KeyboardInterrupt
        return Encoded(vectors_of(images), np.full((len(images), 9), 0.25))


class LabelledEncoder(Encoder):
    """Vectors of an index that uses labels: blocks of two numbers, and the labels."""

    def encode(self, images, values):
        found = super().encode(images, values)
        blocks = found.vectors[:, :6].reshape(-1, 3, 2)
        vectors = self.embed(blocks, found.probabilities, values)
        return Encoded(vectors, found.probabilities, blocks)

    def embed(self, blocks, probabilities, values):
        assert (probabilities == 0.25).all()
        return np.pad(
            blocks.reshape(len(blocks), 6) + np.repeat(values, 2, axis=1), [(0, 0), (0, 2)]
        )


def vectors_of(images):
    rows = [np.frombuffer(image.ljust(DIM)[:DIM], np.uint8) for image in images]
    return np.array(rows, np.float32)


@pytest.fixture
def items(rng):
    values = random_values(rng, 50)
    return [Item(f"{i}.jpg", row, f"{i} image".encode()) for i, row in enumerate(values)]


def fill(directory, items, encoder, **arguments):
    index = GalleryIndex.open(directory)
    settings = {"total": len(items), "batch_size": 8, "commit_every": 16, **arguments}
    return add_images(index, encoder, iter(items), **settings)


@pytest.fixture(autouse=True)
def cheap_commits(monkeypatch):
    monkeypatch.setattr(building, "_COMMIT_SHARE", 1e9)


def test_a_run_that_was_stopped_goes_on(tmp_path, items):
    create(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "stopped", items, Encoder(stop_after=39))
    assert GalleryIndex.open(tmp_path / "stopped").ids == [item.id for item in items[:32]]
    encoder = Encoder()
    assert fill(tmp_path / "stopped", items, encoder) == Counts(added=18, skipped=32)
    assert encoder.encoded == 18
    create(tmp_path / "whole")
    assert fill(tmp_path / "whole", items, Encoder()) == Counts(added=50)
    stopped, whole = (GalleryIndex.open(tmp_path / name) for name in ("stopped", "whole"))
    assert stopped.ids == whole.ids
    np.testing.assert_array_equal(stopped.values, whole.values)
    queries = vectors_of([item.image for item in items]) + 0.25
    for one, other in zip(stopped.search(queries, 9), whole.search(queries, 9), strict=True):
        assert one.ids == other.ids
    assert stopped.image("7.jpg") == b"7 image"


def test_changed_images_and_labels_are_replaced(tmp_path, items):
    create(tmp_path / "index")
    fill(tmp_path / "index", items, Encoder())
    items[3] = Item("3.jpg", items[3].values, b"another image")
    items[4] = Item("4.jpg", (items[4].values + 1) % 2, items[4].image)
    items.append(Item("new.jpg", items[0].values, b"new image"))
    encoder = Encoder()
    counts = fill(tmp_path / "index", items, encoder)
    assert counts == Counts(added=1, replaced=2, skipped=48)
    assert encoder.encoded == 3
    index = GalleryIndex.open(tmp_path / "index")
    assert index.image("3.jpg") == b"another image"
    np.testing.assert_array_equal(index.get("4.jpg").values, items[4].values)
    assert fill(tmp_path / "index", items, Encoder(0)) == Counts(skipped=51)


def test_changed_columns_alone_need_no_encoder(tmp_path, items):
    create(tmp_path / "index")
    fill(tmp_path / "index", items, Encoder())
    items[3] = dataclasses.replace(items[3], columns={"price": "9.90"}, group="shirt 1")
    assert fill(tmp_path / "index", items, Encoder(0)) == Counts(described=1, skipped=49)
    index = GalleryIndex.open(tmp_path / "index")
    assert index.get("3.jpg").columns == {"price": "9.90"}
    assert index.ids == [item.id for item in items]  # it keeps its place
    items[3] = dataclasses.replace(items[3], image=b"another image")
    assert fill(tmp_path / "index", items, Encoder()) == Counts(replaced=1, skipped=49)
    assert GalleryIndex.open(tmp_path / "index").get("3.jpg").group == "shirt 1"


def test_commits_are_rare_where_they_are_expensive(tmp_path, items, monkeypatch):
    create(tmp_path / "index")
    monkeypatch.setattr(building, "_COMMIT_SHARE", 1e-9)
    commit, calls = GalleryIndex.commit, []

    def counted(self):
        calls.append(len(self))
        commit(self)

    monkeypatch.setattr(GalleryIndex, "commit", counted)
    fill(tmp_path / "index", items, Encoder(), batch_size=4, commit_every=4)
    assert calls == [4, 50]  # the first shows what it costs; the last is the end
    assert len(GalleryIndex.open(tmp_path / "index")) == 50


def test_changed_labels_need_no_encoder_where_labels_are_used(tmp_path, items):
    create(tmp_path / "index", label_blend=(0.5, 0.5, 0.5))
    assert fill(tmp_path / "index", items, LabelledEncoder()) == Counts(added=50)
    values = (items[4].values + 1) % 2
    items[3] = Item("3.jpg", items[3].values, b"another image")
    items[4] = Item("4.jpg", values, items[4].image)
    encoder = LabelledEncoder()
    counts = fill(tmp_path / "index", items, encoder)
    assert counts == Counts(replaced=1, relabelled=1, skipped=48) and encoder.encoded == 1
    assert fill(tmp_path / "index", items, LabelledEncoder(0)) == Counts(skipped=50)
    index = GalleryIndex.open(tmp_path / "index")
    assert index.image("4.jpg") == items[4].image
    relabel(index, encoder, ["7.jpg"], items[4].values[None])
    items[7] = Item("7.jpg", items[4].values, items[7].image)
    index.commit()
    # The vectors are those of an index that had these labels from the start.
    create(tmp_path / "fresh", label_blend=(0.5, 0.5, 0.5))
    fill(tmp_path / "fresh", items, LabelledEncoder())
    fresh, again = (GalleryIndex.open(tmp_path / name) for name in ("fresh", "index"))
    wanted = LabelledEncoder().encode([i.image for i in items], np.stack([i.values for i in items]))
    for opened in (fresh, again, index):
        found = opened.search(wanted.vectors, 1)
        assert [each.ids[0] for each in found] == [item.id for item in items]
        assert max(each.distances[0] for each in found) == 0.0
    assert encoder.encoded == 1
