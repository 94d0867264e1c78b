"""tools/build_index.py with a model and a data set in memory."""

import os
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from evaluation_fakes import SPACE, FakeDataset, script

from fashionsearchnet.attributes import AttributeSpace, predicted_values
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.networks.image_input import ImageInput, VectorInput
from fashionsearchnet.systems.gallery_labels import beliefs_of


class FakeModel:
    """An export that gives the mean colours of the four quarters of an image."""

    space, fingerprint, dim = SPACE, "feedfeedfeedfeed", 12
    description = SimpleNamespace(
        label_blend=(0.5,) * SPACE.num_attributes, image_input=ImageInput(64)
    )
    encoded = 0

    def check_uses_labels(self):
        if self.description.label_blend is None:
            raise ValueError("Export a run of fashionsearchnet_v2")

    def encode_blocks(self, images):
        self.encoded += len(images)
        vectors, probabilities = self.encode_gallery(images)
        return vectors.reshape(len(images), SPACE.num_attributes, -1), probabilities

    def embed_blocks(self, blocks, beliefs, blend):
        values = predicted_values(SPACE, beliefs)
        labelled = blocks + 100 * np.array(blend)[:, None] * values[..., None]
        return labelled.reshape(len(blocks), -1)

    def encode_gallery(self, images):
        vectors = np.empty((len(images), self.dim), np.float32)
        for row, data in zip(vectors, images, strict=True):
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            row[:] = cv2.resize(picture, (2, 2), interpolation=cv2.INTER_AREA).reshape(-1)
        return vectors, np.full((len(images), SPACE.total_values), 0.5, np.float32)


@pytest.fixture(scope="module")
def tool():
    with script("build_index") as module:
        yield module
    flags.FLAGS.unparse_flags()


class Runner:
    """Runs the script with flags, on a model and a data set that tests may look at."""

    def __init__(self, tool, directory):
        self.model, self.dataset = FakeModel(), FakeDataset()
        self.tool, self.directory = tool, directory

    def __call__(self, *arguments, export="exports/x"):
        flags.FLAGS.unparse_flags()
        common = [f"--index={self.directory}", *[f"--export={export}"] * bool(export)]
        flags.FLAGS(["build_index.py", *common, *arguments])
        self.tool.main()


@pytest.fixture
def run(tool, tmp_path, monkeypatch):
    runner = Runner(tool, tmp_path / "index")
    monkeypatch.setattr(tool, "ExportedModel", lambda path: runner.model)
    monkeypatch.setattr(tool.pipeline, "open_dataset", lambda data_dir, name: runner.dataset)
    return runner


def test_a_split_with_labels_and_images(run, capsys):
    run("--dataset=fakes/tiny")
    assert "added 60, replaced 0, already there 0; 60 items." in capsys.readouterr().out
    index = GalleryIndex.open(run.directory)
    assert index.ids == run.dataset.image_ids("gallery")
    np.testing.assert_array_equal(index.values, run.dataset.labels("gallery"))
    images = list(run.dataset.encoded_images("gallery").as_numpy_iterator())
    assert index.image("gallery7") == images[7]
    vectors = run.model.encode_gallery(images)[0]
    (found,) = index.search(vectors[7:8], 60)
    assert "gallery7" in found.ids[: int((found.distances == 0).sum())]
    index.check_model("feedfeedfeedfeed", SPACE)
    run("--dataset=fakes/tiny")
    assert "added 0, replaced 0, already there 60; 60 items." in capsys.readouterr().out


def test_items_are_removed(run, capsys):
    run("--dataset=fakes/tiny")
    run("--remove=gallery3", "--remove=gallery5", export="")
    assert "removed 2; 58 items." in capsys.readouterr().out
    assert not {"gallery3", "gallery5"} & {*GalleryIndex.open(run.directory).ids}
    with pytest.raises(ValueError, match=r"no item 'gallery3' .did you mean"):
        run("--remove=gallery3", export="")


def test_items_that_the_shop_no_longer_has_are_named_and_removed(run, capsys, monkeypatch):
    run("--dataset=fakes/tiny")
    assert "are not in" not in capsys.readouterr().out
    ids, labels = run.dataset.image_ids("gallery"), run.dataset.labels("gallery")
    images = list(run.dataset.encoded_images("gallery").as_numpy_iterator())
    monkeypatch.setattr(run.dataset, "image_ids", lambda split: ids[2:])
    monkeypatch.setattr(run.dataset, "labels", lambda split: labels[2:])
    monkeypatch.setattr(
        run.dataset, "encoded_images", lambda split: tf.data.Dataset.from_tensor_slices(images[2:])
    )
    run("--dataset=fakes/tiny")
    assert "2 items of the index are not in gallery of fakes" in capsys.readouterr().out
    run("--dataset=fakes/tiny", "--remove_absent")
    assert "58 items. Removed 2 that are not in gallery of fakes" in capsys.readouterr().out
    assert GalleryIndex.open(run.directory).ids == ids[2:]
    monkeypatch.setattr(run.dataset, "image_ids", lambda split: ids[40:])
    with pytest.raises(ValueError, match=r"would remove 38 of the 58 items .*a third is refused"):
        run("--dataset=fakes/tiny", "--remove_absent")
    with pytest.raises(ValueError, match="--remove_absent goes with --dataset or --features"):
        run("--images_dir=photos", "--remove_absent")
    assert len(GalleryIndex.open(run.directory)) == 58


def test_a_folder_of_images_without_labels(run, tmp_path, capsys, rng):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    pictures = rng.integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    for name, picture in zip(("a.png", "b.JPG", "sub/a.png"), pictures, strict=True):
        (folder / name).write_bytes(cv2.imencode(name[-4:], picture)[1].tobytes())
    (folder / "notes.txt").write_text("no image")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    run(f"--images_dir={folder}")
    told = capsys.readouterr()
    assert "added 3" in told.out and "broken.jpg: damaged image" in told.err
    index = GalleryIndex.open(run.directory)
    assert index.ids == ["a.png", "b.JPG", "sub/a.png"]
    assert (index.values == -1).all()
    assert index.image("a.png") == (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(cv2.imencode(".png", pictures[2] // 2)[1].tobytes())
    run(f"--images_dir={folder}")
    assert "added 0, replaced 1, already there 2; 3 items." in capsys.readouterr().out


def test_a_folder_goes_by_content_and_says_what_it_skips(run, tmp_path, capsys, rng):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    for name in ("a.jfif", "b", "c.gif.jpg", "d.txt"):
        (folder / name).write_bytes(jpeg)
    other = {
        "e.jpg": b"\0\0\0\x18ftypheic" + bytes(8),
        "f.avif": b"\0\0\0\x18ftypavif" + bytes(8),
        "g.gif": b"GIF89a" + bytes(20),
        "h.tif": b"II*\0" + bytes(20),
        "i.jp2": b"\0\0\0\x0cjP  \r\n" + bytes(20),
    }
    for name, data in other.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg)
    (folder / "j.jpg").symlink_to(folder / "none.jpg")
    (folder / "k").symlink_to(tmp_path)
    run(f"--images_dir={folder}")
    told = capsys.readouterr()
    assert GalleryIndex.open(run.directory).ids == ["a.jfif", "b", "c.gif.jpg", "d.txt"]
    assert "added 4" in told.out and "Left out 8, see above" in told.out
    assert "caf" in told.err and "its name is not UTF-8; rename the file" in told.err
    assert f"left out {folder / 'j.jpg'}: a link to a file that does not exist" in told.err
    assert f"left out {folder / 'k'}: a link to a folder, which is not followed" in told.err
    for name, what in zip(other, ("HEIC", "AVIF", "GIF", "TIFF", "JPEG 2000"), strict=True):
        assert f"left out {folder / name}: another format: it is {what}" in told.err


def test_a_table_adds_labels_columns_and_products(run, tmp_path, capsys, rng):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        picture = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        (folder / f"{i}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    names, first = SPACE.names, [values[0] for values in SPACE.values]
    rows = [
        ["image", *names, "title", "product"],
        ["0.png", first[0].upper() + " ", *first[1:], "One", "7"],
        ["1.png", "violet", *first[1:], "Two", ""],
        ["gone.png", *first, "Three", "7"],
        ["2.png", *first, "Four", "7", "too much"],
    ]
    (tmp_path / "today.csv").write_text("\n".join(map(",".join, rows)))
    arguments = [f"--images_dir={folder}", f"--csv={tmp_path / 'today.csv'}"]
    run(*arguments, "--show_columns=title", "--group_column=product")
    told = capsys.readouterr()
    assert "added 2" in told.out and "Left out 2" in told.out
    assert f"{names[0]}: no label, since the model does not know the value: violet 1" in told.err
    assert "left out line 4, gone.png: missing file" in told.err
    assert "left out line 5, 2.png: wrong number of cells" in told.err
    index = GalleryIndex.open(run.directory)
    assert index.ids == ["0.png", "1.png"]
    assert index.values.tolist() == [[0] * len(names), [-1] + [0] * (len(names) - 1)]


def test_what_does_not_fit_is_refused(run, tmp_path):
    for arguments in ([], ["--dataset=a", "--images_dir=b"], ["--dataset=a", "--remove=b"]):
        with pytest.raises(ValueError, match="one thing at a time"):
            run(*arguments)
    with pytest.raises(ValueError, match="--export=DIR is needed"):
        run("--dataset=fakes/tiny", export="")
    with pytest.raises(NotADirectoryError, match="photos is not a folder"):
        run(f"--images_dir={tmp_path / 'photos'}")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="holds no images: 1 files, none of them JPEG"):
        run(f"--images_dir={tmp_path}")
    with pytest.raises(ValueError, match="--show_columns goes with --csv"):
        run(f"--images_dir={tmp_path}", "--show_columns=title")
    with pytest.raises(ValueError, match="--csv goes with --images_dir"):
        run("--dataset=fakes/tiny", "--csv=a.csv")
    with pytest.raises(FileNotFoundError, match="holds no finished index"):
        run("--remove=a", export="")
    with pytest.raises(ValueError, match="milvus needs the address"):
        run("--dataset=fakes/tiny", "--engine=milvus")
    run("--dataset=fakes/tiny", "--engine=ivf")
    with pytest.raises(ValueError, match="has the engine ivf, not --engine=flat"):
        run("--dataset=fakes/tiny", "--engine=flat")
    run.model.description = SimpleNamespace(image_input=VectorInput(3, features="clip"))
    with pytest.raises(ValueError, match=r"exports/x takes vectors, but --images_dir=.* images"):
        run(f"--images_dir={tmp_path}")
    del run.model.description
    run.model.fingerprint = "another"
    with pytest.raises(ValueError, match="vectors of the model feedfeedfeedfeed, not of another"):
        run("--dataset=fakes/tiny")


def test_an_index_that_uses_labels(run, capsys, monkeypatch):
    images = list(run.dataset.encoded_images("gallery").as_numpy_iterator())
    same = tf.data.Dataset.from_tensor_slices(images)
    monkeypatch.setattr(run.dataset, "encoded_images", lambda split: same)
    run("--dataset=fakes/tiny", "--use_labels", "--label_blend=0.25")
    told = capsys.readouterr().out
    assert "added 60, replaced 0, relabelled 0, already there 0; 60 items." in told
    names = ", ".join(f"{name} 0.25" for name in SPACE.names)
    assert f"use labels, {(run.dataset.labels('gallery') >= 0).mean():.0%} of them" in told
    assert f"share of the label: {names}." in told and run.model.encoded == 60
    labels = run.dataset.labels("gallery")
    labels[3] = (labels[3] + 1) % np.array(SPACE.num_values)
    run("--dataset=fakes/tiny")  # the index remembers what it was built with
    told = capsys.readouterr().out
    assert "replaced 0, relabelled 1, already there 59" in told and run.model.encoded == 60
    index = GalleryIndex.open(run.directory)
    blocks, read = FakeModel().encode_blocks(images[3:4])
    beliefs = beliefs_of(SPACE, labels[3:4], read)
    vectors = FakeModel().embed_blocks(blocks, beliefs, index.label_blend)
    assert index.search(vectors, 1)[0].distances[0] == 0.0
    with pytest.raises(ValueError, match="uses labels, unlike --nouse_labels"):
        run("--dataset=fakes/tiny", "--nouse_labels")
    with pytest.raises(ValueError, match=r"was built with label_blend .0.25, .*, not with .0.5"):
        run("--dataset=fakes/tiny", "--label_blend=0.5")


def test_which_labelled_indexes_are_refused(run, tmp_path):
    with pytest.raises(ValueError, match="--label_blend is for an index with --use_labels"):
        run("--dataset=fakes/tiny", "--label_blend=0.5")
    for blend in ("2", "x", "0.1,0.2"):
        with pytest.raises(ValueError, match="--label_blend="):
            run("--dataset=fakes/tiny", "--use_labels", f"--label_blend={blend}")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"needs labels, but no image of .*photos has one"):
        run(f"--images_dir={tmp_path / 'photos'}", "--use_labels")
    run.dataset.labels("gallery")[:] = -1
    with pytest.raises(ValueError, match="needs labels, but no image of fakes/tiny has one"):
        run("--dataset=fakes/tiny", "--use_labels")
    run.model.description = SimpleNamespace(label_blend=None, image_input=ImageInput(64))
    run.dataset.labels("gallery")[:] = 0
    with pytest.raises(ValueError, match="Export a run of fashionsearchnet_v2"):
        run("--dataset=fakes/tiny", "--use_labels")
    run("--dataset=fakes/tiny")
    with pytest.raises(ValueError, match="does not use labels, unlike --use_labels"):
        run("--dataset=fakes/tiny", "--use_labels")
    run.dataset.space = AttributeSpace.from_dict({"size": ["s", "l"]})
    with pytest.raises(ValueError, match="different attribute spaces"):
        run("--dataset=fakes/tiny", "--use_labels")


def test_columns_and_products_travel_and_follow_the_data_set(run, capsys, monkeypatch):
    number = run.dataset.num_examples("gallery")
    prices = [{"title": f"Shirt {i}", "price": "9.90"} for i in range(number)]
    products = [f"product {i // 2}" for i in range(number)]
    monkeypatch.setattr(run.dataset, "columns", lambda split: prices)
    monkeypatch.setattr(run.dataset, "instance_ids", lambda split: products)
    run("--dataset=fakes/tiny")
    encoded = run.model.encoded
    item = GalleryIndex.open(run.directory).get(run.dataset.image_ids("gallery")[3])
    assert (item.columns, item.group) == (prices[3], "product 1")
    capsys.readouterr()
    prices[3] = {"title": "Shirt 3", "price": "4.90"}
    run("--dataset=fakes/tiny")
    assert "given other columns 1, already there 59; 60 items." in capsys.readouterr().out
    assert GalleryIndex.open(run.directory).get(item.id).columns["price"] == "4.90"
    assert run.model.encoded == encoded


def test_how_vectors_are_stored(run, capsys):
    with pytest.raises(ValueError, match=r"--storage=pq .* at least 20,000 items; there are 60"):
        run("--dataset=fakes/tiny", "--engine=ivf", "--storage=pq")
    assert not (run.directory / "CURRENT").exists()
    run("--dataset=fakes/tiny", "--storage=float16")
    assert GalleryIndex.open(run.directory).storage == "float16"
    run("--dataset=fakes/tiny")
    assert "already there 60; 60 items." in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"has the storage float16, not --storage=float32. Leave"):
        run("--dataset=fakes/tiny", "--storage=float32")
    with pytest.raises(ValueError, match=r"has the engine flat, not --engine=ivf. Leave the flag"):
        run("--dataset=fakes/tiny", "--engine=ivf")
