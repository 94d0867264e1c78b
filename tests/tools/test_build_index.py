"""tools/build_index.py with a model and a data set in memory."""

import cv2
import numpy as np
import pytest
from absl import flags
from evaluation_fakes import SPACE, FakeDataset, script

from fashionsearchnet.index.gallery_index import GalleryIndex


class FakeModel:
    """An export that gives the mean colours of the four quarters of an image."""

    space, fingerprint, dim = SPACE, "feedfeedfeedfeed", 12

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


def test_what_does_not_fit_is_refused(run, tmp_path):
    for arguments in ([], ["--dataset=a", "--images_dir=b"], ["--dataset=a", "--remove=b"]):
        with pytest.raises(ValueError, match="one thing at a time"):
            run(*arguments)
    with pytest.raises(ValueError, match="--export=DIR is needed"):
        run("--dataset=fakes/tiny", export="")
    with pytest.raises(ValueError, match=r"photos holds no images \(.bmp, .jpeg, .jpg"):
        run(f"--images_dir={tmp_path / 'photos'}")
    with pytest.raises(FileNotFoundError, match="holds no finished index"):
        run("--remove=a", export="")
    with pytest.raises(ValueError, match="milvus needs the address"):
        run("--dataset=fakes/tiny", "--engine=milvus")
    run("--dataset=fakes/tiny", "--engine=ivf")
    with pytest.raises(ValueError, match="has the engine ivf, not --engine=flat"):
        run("--dataset=fakes/tiny", "--engine=flat")
    run.model.fingerprint = "another"
    with pytest.raises(ValueError, match="vectors of the model feedfeedfeedfeed, not of another"):
        run("--dataset=fakes/tiny")
