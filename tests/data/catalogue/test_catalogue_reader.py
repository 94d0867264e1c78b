import csv
import errno
import json
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.catalogue.reader import READER, CatalogueOptions
from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.preparation import images, reader, summary
from fashionsearchnet.data.preparation.reader import prepare

LIMITS = ImageLimits(min_side=8, max_pixels=10_000, max_side=64)


@pytest.fixture(autouse=True, scope="module")
def quiet():
    tfds.disable_progress_bar()
    yield
    tfds.enable_progress_bar()


def picture(left=(200, 30, 40), right=(20, 60, 210)):
    """Returns uint8 [24, 32, 3] of two colours."""
    image = np.empty((24, 32, 3), np.uint8)
    image[:, :16], image[:, 16:] = left, right
    return image


def encode(image, suffix=".jpg"):
    return cv2.imencode(suffix, image)[1].tobytes()


def make_catalogue(folder, num=40):
    """Writes a catalogue with every fault; returns its options. `num` images are good."""
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(1)
    lines = ["image,colour,kind,price"]
    for i in range(num):
        noise = picture((10 + i, 50, 90)) + rng.integers(0, 9, (24, 32, 3), np.uint8)
        (images / f"{i}.jpg").write_bytes(encode(noise))
        colour = "" if i == 0 else ("red", "blue")[i % 2]
        lines.append(f"{i}.jpg,{colour},{('shirt', 'skirt', 'dress')[i % 3]},{1000 + i}")
    good = (images / "1.jpg").read_bytes()
    huge = encode(picture(), ".png")
    faults = {
        "twin.jpg": good,
        "truncated.jpg": good[: len(good) // 2],
        "zero.jpg": b"",
        "text.jpg": b"hello",
        "dot.png": encode(picture()[:1, :1], ".png"),
        "huge.png": huge[:16] + struct.pack(">II", 30_000, 30_000) + huge[24:],
        "rare.jpg": encode(picture((20, 60, 210))),
    }
    for name, data in faults.items():
        (images / name).write_bytes(data)
        lines.append(f"{name},red,skirt,1000")
    # 1.jpg and its twin: blue against red. 2.jpg is repeated and says the same.
    lines += [
        "2.jpg,red,dress,1000",
        "gone.jpg,red,shirt,1000",
        "../up.jpg,red,shirt,1000",
        ",red,shirt,1000",
    ]
    lines += ["3.jpg,red,,1000,x", "4,,skirt,1000"]  # 4.jpg by another name
    text = "\n".join(lines).replace("rare.jpg,red", "rare.jpg,plaid")  # a value used once
    (folder / "labels.csv").write_text(text)
    return dict(
        name="shop",
        csv=str(folder / "labels.csv"),
        images_dir=str(images),
        image_column="image",
        attributes=("colour", "kind"),
        min_count=5,
        num_queries=4,
        num_gallery=10,
        num_validation=3,
        limits=LIMITS,
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    options = make_catalogue(folder)
    data_dir = folder / "data"
    prepare(READER, CatalogueOptions(**options), data_dir, show_progress=False)
    return options, data_dir, data_dir / "catalogue" / "shop" / "1.0.0"


def test_prepared_data_set_is_what_the_table_says(prepared):
    options, _, folder = prepared
    builder = tfds.builder_from_directory(folder)
    space = AttributeSpace.from_dict(builder.info.metadata["attribute_space"])
    assert space == AttributeSpace.load(folder / "attribute_space.json")
    assert space.to_dict() == {"colour": ["blue", "red"], "kind": ["dress", "shirt", "skirt"]}
    sizes = {name: info.num_examples for name, info in builder.info.splits.items()}
    assert sizes == {"query": 4, "gallery": 10, "validation": 3, "train": 23}
    seen = {}
    for split in sizes:
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            name = example["image_id"].decode()
            assert name not in seen
            seen[name] = example["attributes"]
            assert example["attributes"].dtype == np.int32
            stored = tf.io.decode_image((Path(options["images_dir"]) / name).read_bytes()).numpy()
            np.testing.assert_array_equal(example["image"], stored)
    assert set(seen) == {f"{i}.jpg" for i in range(40)}
    for i in range(40):
        colour = -1 if i in (0, 1) else 1 - i % 2  # 0 is blank, 1 contradicted by its twin
        assert seen[f"{i}.jpg"].tolist() == [colour, (1, 2, 0)[i % 3]]


def test_report_and_dropped_rows_name_every_fault(prepared):
    _, _, folder = prepared
    report = json.loads((folder / summary.SUMMARY_FILE).read_text())
    assert report["kept"] == 40 and report["rows"] == 53
    with open(folder / summary.DROPPED_FILE, newline="") as file:
        dropped = {row["line"]: row for row in csv.DictReader(file)}
    assert {line: (row["file"], row["kind"]) for line, row in dropped.items()} == {
        "42": ("twin.jpg", "identical file"),
        "43": ("truncated.jpg", "damaged image"),
        "44": ("zero.jpg", "empty file"),
        "45": ("text.jpg", "not an image"),
        "46": ("dot.png", "too small"),
        "47": ("huge.png", "too large"),
        "48": ("rare.jpg", "rare value"),
        "49": ("2.jpg", "repeated row"),
        "50": ("gone.jpg", "missing file"),
        "51": ("../up.jpg", "outside the image folder"),
        "52": ("", "no image name"),
        "53": ("3.jpg", "wrong number of cells"),
        "54": ("4", "identical file"),
    }
    assert "line 3" in dropped["42"]["reason"] and "colour" in dropped["42"]["reason"]
    assert [c["attribute"] for c in report["contradictions"]] == ["colour"]
    text = summary.to_text(report)
    for expected in ("rows of the source", "too large", "contradict each other", "train", "red"):
        assert expected in text


def test_preparing_again_opens_what_is_there(prepared, monkeypatch):
    options, data_dir, folder = prepared
    monkeypatch.setattr(reader, "select", None)  # must not be needed
    options = CatalogueOptions(**options)
    builder = prepare(READER, options, data_dir, show_progress=False)
    assert Path(builder.data_dir) == folder


def test_other_options_are_named(prepared):
    options, data_dir, _ = prepared
    other = CatalogueOptions(**(options | {"min_count": 6, "split_seed": 9}))
    with pytest.raises(
        ValueError, match=r"split_seed was 0, now 9; min_count was 5, now 6.*overwrite"
    ):
        prepare(READER, other, data_dir, show_progress=False)


def test_changed_table_is_noticed(tmp_path):
    options = make_catalogue(tmp_path, num=36)
    data_dir = tmp_path / "data"
    before = CatalogueOptions(**options)
    first = prepare(READER, before, data_dir, show_progress=False)
    table = Path(options["csv"])
    table.write_text(table.read_text().replace("35.jpg,blue", "35.jpg,red"))
    with pytest.raises(ValueError, match="content of the csv was"):
        READER.open_existing(before, data_dir)
    second = prepare(READER, before, data_dir, overwrite=True, show_progress=False)
    assert first.data_dir == second.data_dir
    assert [path.name for path in (data_dir / "catalogue").iterdir()] == ["shop"]
    labels = {
        example["image_id"]: example["attributes"].tolist()
        for split in second.info.splits
        for example in second.as_dataset(split=split).as_numpy_iterator()
    }
    assert labels[b"35.jpg"] == [1, 0]


@pytest.mark.parametrize("failure", ["full disk", "nearly full disk", "changed file"])
def test_a_failed_build_leaves_what_was_there(prepared, monkeypatch, failure):
    options, data_dir, folder = prepared
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    read_bytes = images.read_bytes

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    select = reader.select

    def select_then_fail(*args):
        selection = select(*args)
        if failure == "full disk":
            monkeypatch.setattr(images, "read_bytes", fail)
        elif failure == "nearly full disk":  # TFDS looks before it writes
            nothing = SimpleNamespace(free=0)
            monkeypatch.setattr(shutil, "disk_usage", lambda path: nothing)
        else:
            monkeypatch.setattr(images, "read_bytes", lambda path: read_bytes(path) + b" ")
        return selection

    monkeypatch.setattr(reader, "select", select_then_fail)
    message = "was changed during" if failure == "changed file" else "no space left for"
    with pytest.raises(OSError, match=message):
        prepare(READER, CatalogueOptions(**options), data_dir, overwrite=True, show_progress=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in (data_dir / "catalogue").iterdir()] == ["shop"]


def test_a_killed_replacement_is_finished(prepared):
    options, data_dir, folder = prepared
    folder.rename(data_dir / "catalogue" / ".shop.former")  # killed between the two renames
    assert READER.open_existing(CatalogueOptions(**options), data_dir) is not None
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": "../shop"}, ValueError, "must begin with a letter"),
        ({"attributes": ()}, ValueError, "at least one column"),
        ({"num_queries": 0}, ValueError, "num_queries must be at least 1"),
        ({"min_count": 0}, ValueError, "min_count must be at least 1"),
        (
            {"min_count": 30},
            ValueError,
            "fewer than two values.*rare value 48.*--min_count=10",
        ),
        ({"num_gallery": 33}, ValueError, "there are 40. Ask for smaller splits"),
        ({"split_seed": -1}, ValueError, "split_seed must be between 0 and 4294967295; got -1"),
        ({"attributes": ("size",)}, ValueError, "'size' is missing.*columns: image, colour"),
        ({"image_column": "kind"}, ValueError, "asked for twice"),
        ({"image_column": "price"}, OSError, "none can be used; missing file 4.*: line 2, 1000"),
        ({"images_dir": "/none"}, NotADirectoryError, "images_dir"),
        ({"csv": "/none.csv"}, FileNotFoundError, "CSV"),
    ],
)
def test_refusals_leave_nothing_behind(prepared, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        options = CatalogueOptions(**(prepared[0] | change))
        prepare(READER, options, tmp_path / "data", show_progress=False)
    assert not (tmp_path / "data").exists()


def test_too_few_rows_are_refused_before_an_image_is_read(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "check_images", None)  # must not be needed
    options = CatalogueOptions(**(prepared[0] | {"num_gallery": 43}))
    with pytest.raises(ValueError, match=r"need 50 examples .* there are 47\. Ask for smaller"):
        prepare(READER, options, tmp_path / "data", show_progress=False)


def test_a_folder_that_cannot_be_made(prepared, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OSError, match=r"cannot make .* choose another data_dir"):
        prepare(READER, CatalogueOptions(**prepared[0]), tmp_path / "data", show_progress=False)
