import json
import shutil

import pytest
from source_fakes import (
    SIZES,
    draw_images,
    prepare_quietly,
    replace_line,
    stored_labels,
    write_lines,
)

from fashionsearchnet.data.darn import reader
from fashionsearchnet.data.preparation import summary
from fashionsearchnet.evaluation.published import table_for

NAMES = (
    *("category", "button", "color", "length", "pattern"),
    *("shape", "collar", "sleeve_length", "sleeve_shape"),
)
IMAGES = [f"{i // 4}_{i % 4}.jpg" for i in range(20)]


def value_of(image, attribute):
    """The value of an image, -1 for missing; numbers from 8 to 11 in every attribute."""
    return -1 if image == attribute else 8 + (image + attribute) % 4


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The plain layout; two images were not to be had."""
    folder = tmp_path_factory.mktemp("darn")
    draw_images(folder / "images", IMAGES[2:])
    rows = [f"image,{','.join(NAMES)}"]
    for i, image in enumerate(IMAGES):
        rows.append(",".join([image, *(str(value_of(i, a)) for a in range(9))]))
    write_lines(folder / "labels.csv", rows)
    return folder


@pytest.fixture
def source(original, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(original, tmp_path / "source")


def read(folder):
    return reader.read(reader.DarnOptions(source_dir=str(folder), **SIZES))


def test_published_numbers():
    assert sum(reader._NUM_VALUES.values()) == 179
    assert sum(reader._ASEN_NUM_VALUES.values()) == 185
    assert tuple(reader._NUM_VALUES) == tuple(reader._ASEN_NUM_VALUES) == NAMES
    table = table_for("darn/paper")
    assert table is not None and None not in table.aligned("Full", NAMES)


def test_prepared_data_set_is_what_the_files_say(original, tmp_path):
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(original))
    assert folder == tmp_path / "darn" / "paper" / "1.0.0"
    space = json.loads((folder / "attribute_space.json").read_text())
    assert space == {name: ["8", "9", "10", "11"] for name in NAMES}
    stored = stored_labels(folder)
    sizes = {split: len(images) for split, images in stored.items()}
    assert sizes == {"query": 3, "gallery": 6, "validation": 2, "train": 7}
    together = {image: labels for images in stored.values() for image, labels in images.items()}
    assert together == {
        image: [max(value_of(i, a) - 8, -1) for a in range(9)]
        for i, image in enumerate(IMAGES)
        if i >= 2
    }
    content = summary.read(folder)
    assert content["dropped"] == {"missing file": 2}
    assert content["beside the paper"]["values"] == {"here": 36, "paper": 179}


@pytest.mark.parametrize(
    ("index", "line", "message"),
    [
        (20, "3_0.jpg,1,1,1,1,1,1,1,1,1", r"labels.csv line 21 repeats '3_0.jpg' of line 14"),
        (4, "0_3.jpg,1,1", "labels.csv line 5: 3 cells where the header has 10"),
        (0, "image,category", "column 'button' is missing"),
    ],
)
def test_a_spoiled_table(source, index, line, message):
    replace_line(source / "labels.csv", index, line)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_more_values_than_published(source):
    rows = [f"{image},{','.join([str(i)] * 9)}" for i, image in enumerate(IMAGES)]
    replace_line(source / "labels.csv", 1, *rows)
    write_lines(source / "labels.csv", [f"image,{','.join(NAMES)}", *rows])
    with pytest.raises(ValueError, match=r"button has 20 values, such as .*; DARN has 12"):
        read(source)


@pytest.mark.parametrize(("cell", "found"), [("7", "7 only"), ("-1", "missing labels only")])
def test_a_column_without_two_values(source, cell, found):
    rows = [line.split(",") for line in (source / "labels.csv").read_text().splitlines()[1:]]
    rows = [",".join([*cells[:3], cell, *cells[4:]]) for cells in rows]
    write_lines(source / "labels.csv", [f"image,{','.join(NAMES)}", *rows])
    with pytest.raises(ValueError, match=f"labels.csv: color holds {found}, .*at least two"):
        read(source)


def test_a_digit_that_is_no_number_is_a_name(source):
    replace_line(source / "labels.csv", 5, "1_0.jpg,²,8,8,8,8,8,8,8,8")
    assert read(source).space.values[0] == ("8", "9", "10", "11", "²")


def test_another_folder(tmp_path):
    (tmp_path / "Attributes").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"expected labels.csv, images/; .*found Attributes/"
    ):
        read(tmp_path)


def test_no_image_at_all(source, tmp_path):
    shutil.rmtree(source / "images")
    (source / "images").mkdir()
    with pytest.raises(OSError, match=r"20 of 20 images are missing .*none can be used.*: nothing"):
        prepare_quietly(reader.READER, tmp_path, source_dir=str(source))


@pytest.fixture
def copy_of_asen(tmp_path):
    """ASEN's layout: four images to train, two to validate, two to test."""
    folder = tmp_path / "asen"
    for split, images in (("train", "abcd"), ("valid", "ef"), ("test", "gh")):
        write_lines(folder / f"filenames_{split}.txt", [f"pic/{image}.jpg" for image in images])
    write_lines(folder / "label_train.txt", ["0 0 19 8 16", "1 2 54", "3 0 0", "2 5 3"])
    for split in ("valid", "test"):
        write_lines(folder / f"query_{split}.txt", ["0 0 1", "0 1 12"])
        write_lines(folder / f"candidate_{split}.txt", ["1 0 2", "0 3 6", "0 0 1"])
    return folder


def test_the_copy_of_asen(copy_of_asen):
    source = read(copy_of_asen)
    assert source.space.num_values == (20, 13, 55, 7, 28, 11, 26, 8, 17)
    labels = {
        record.image: {n: v for n, v in zip(NAMES, record.values, strict=True) if v}
        for record in source.records
    }
    assert labels == {
        "pic/a.jpg": {"category": "value_19", "sleeve_shape": "value_16"},
        "pic/b.jpg": {"color": "value_54"},
        "pic/c.jpg": {"shape": "value_03"},
        "pic/d.jpg": {"category": "value_00"},
        "pic/e.jpg": {"category": "value_01", "button": "value_12", "length": "value_06"},
        "pic/f.jpg": {"category": "value_02"},
        "pic/g.jpg": {"category": "value_01", "button": "value_12", "length": "value_06"},
        "pic/h.jpg": {"category": "value_02"},
    }


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("label_train.txt", "4 0 1", "label_train.txt line 2: the image must be .*0 and 3"),
        ("label_train.txt", "1 9 1", "the attribute must be an integer between 0 and 8"),
        ("label_train.txt", "1 0 20", "category's value must be .*between 0 and 19; got '20'"),
        ("label_train.txt", "1 0", "pairs of attribute and value; got '1 0'"),
        ("label_train.txt", "0 0 4", "category of image 0 is 19 and 4; an image has one"),
        ("filenames_train.txt", "pic/a.jpg", "filenames_train.txt line 2 repeats"),
        ("filenames_test.txt", "pic/a.jpg", "filenames_test.txt and .*train.txt both have"),
    ],
)
def test_a_spoiled_copy_of_asen(copy_of_asen, file, line, message):
    replace_line(copy_of_asen / file, 1, line)
    with pytest.raises(ValueError, match=message):
        read(copy_of_asen)
