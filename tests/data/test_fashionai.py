"""FashionAI in ASEN's lists and in its original rows, DeepFashion and DARN with ASEN's splits."""

import json

import pytest
from source_fakes import (
    SIZES,
    draw_images,
    prepare_quietly,
    replace_line,
    stored_labels,
    write_lines,
)

from fashionsearchnet.data.darn import reader as darn
from fashionsearchnet.data.deepfashion_attributes import reader as deepfashion
from fashionsearchnet.data.fashionai import reader
from fashionsearchnet.data.preparation import summary
from fashionsearchnet.data.preparation.options import SourceOptions

NAMES = tuple(reader._NUM_VALUES)
META = {
    "FashionAI": {
        "ATTRIBUTES": list(NAMES),
        "ATTRIBUTES_NUM": reader._NUM_VALUES,
        "ATTRIBUTES_VALUES": {
            name: ["Invisible", *(f"{name} {v}" for v in range(1, number))]
            for name, number in reader._NUM_VALUES.items()
        },
    },
    "DeepFashion": {
        "ATTRIBUTES": list(deepfashion._NUM_VALUES),
        "ATTRIBUTES_NUM": deepfashion._NUM_VALUES,
    },
}
IMAGES = [f"Images/{NAMES[i % 8]}_labels/{i}.jpg" for i in range(12)]


def write_lists(folder, images):
    """Four images to train, four to validate, four to test: two queries and two candidates each."""
    draw_images(folder, images)
    for split, first in (("train", 0), ("valid", 4), ("test", 8)):
        write_lines(folder / f"filenames_{split}.txt", images[first : first + 4])
    write_lines(folder / "label_train.txt", ["0 0 1", "1 1 8", "2 2 0", "3 3 5"])
    for split in ("valid", "test"):
        write_lines(folder / f"query_{split}.txt", ["2 0 1", "0 1 3"])
        write_lines(folder / f"candidate_{split}.txt", ["1 1 3", "3 0 2"])


@pytest.fixture
def lists(tmp_path):
    """The folder `data` of ASEN."""
    folder = tmp_path / "data"
    write_lists(folder / "FashionAI", IMAGES)
    (folder / "meta.json").write_text(json.dumps(META))
    return folder


def read(folder):
    return reader.read(SourceOptions(source_dir=str(folder), **SIZES))


def test_published_numbers():
    assert sum(reader._NUM_VALUES.values()) == 54
    assert sum(deepfashion._NUM_VALUES.values()) == 1000


def test_the_lists_bring_their_splits(lists, tmp_path):
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(lists))
    assert folder == tmp_path / "fashionai" / "paper" / "1.0.0"
    stored = stored_labels(folder)
    order = {
        "train": (0, 1, 2, 3),
        "validation": (6, 4, 5, 7),  # the queries first
        "query": (10, 8),
        "gallery": (9, 11),
    }
    assert {split: list(images) for split, images in stored.items()} == {
        split: [IMAGES[i] for i in images] for split, images in order.items()
    }
    assert stored["query"][IMAGES[10]] == [1, -1, -1, -1, -1, -1, -1, -1]
    assert stored["train"][IMAGES[1]] == [-1, 8, -1, -1, -1, -1, -1, -1]
    space = json.loads((folder / "attribute_space.json").read_text())
    assert list(space) == list(NAMES) and space["skirt_length"][0] == "Invisible"


@pytest.mark.parametrize(
    ("file", "index", "line", "message"),
    [
        ("label_train.txt", 1, "4 1 8", "label_train.txt line 2: the image must be .*0 and 3"),
        ("label_train.txt", 1, "1 8 1", "the attribute must be an integer between 0 and 7"),
        ("query_test.txt", 1, "0 1 9", "sleeve_length's value must be .*between 0 and 8"),
        (
            "label_train.txt",
            1,
            "1 1 8 1 7",
            "line 2: sleeve_length of image 1 is 8 and 7; .*Remove",
        ),
        ("label_train.txt", 1, "0 0 2", "line 2: skirt_length of image 0 is 1 and 2; an image has"),
        ("filenames_train.txt", 1, "", "filenames_train.txt line 2 is blank, where the name"),
        ("candidate_test.txt", 0, "2 3 1", "candidate_test.txt; 1 are in both, such as 'Images/"),
        ("candidate_test.txt", 0, "3 0 2", "filenames_test.txt must be in .*; 1 are in neither"),
        ("filenames_test.txt", 0, IMAGES[0], "filenames_test.txt and .*train.txt both have"),
    ],
)
def test_spoiled_lists(lists, file, index, line, message):
    replace_line(lists / "FashionAI" / file, index, line)
    with pytest.raises(ValueError, match=message):
        read(lists)


def test_candidates_of_another_split(lists):
    """The lists of the larger split name images that the smaller one has not."""
    replace_line(lists / "FashionAI" / "candidate_test.txt", 1, "17 0 2")
    with pytest.raises(ValueError, match="the image must be an integer between 0 and 3"):
        read(lists)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ATTRIBUTES_NUM": {**reader._NUM_VALUES, "neck_design": 6}},
            "ATTRIBUTES_NUM of FashionAI",
        ),
        ({"ATTRIBUTES": ["skirt_length"]}, "ATTRIBUTES_NUM of FashionAI must be"),
        ({"ATTRIBUTES": [["skirt_length"]]}, "ATTRIBUTES_NUM of FashionAI must be"),
        ({"ATTRIBUTES_NUM": [6, 9, 8, 6, 5, 5, 10, 5]}, "ATTRIBUTES_NUM of FashionAI must be"),
        ({"ATTRIBUTES": None}, "must describe FashionAI with its ATTRIBUTES"),
        ({"ATTRIBUTES_VALUES": {}}, "ATTRIBUTES_VALUES must list 6 names for skirt_length"),
    ],
)
def test_a_spoiled_meta_file(lists, change, message):
    spoiled = {**META, "FashionAI": {**META["FashionAI"], **change}}
    (lists / "meta.json").write_text(json.dumps(spoiled))
    with pytest.raises(ValueError, match=message):
        read(lists)


def test_no_meta_file(lists):
    (lists / "meta.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"meta.json does not exist"):
        read(lists)


@pytest.fixture
def rows(tmp_path):
    """The original rows in two tables: one image has two values, one none, one a doubtful one."""
    folder = tmp_path / "base"
    draw_images(folder, IMAGES)
    texts = [
        f"{image},{NAMES[i % 8]}_labels,{'n' * (i % 5)}y{'n' * (number - 1 - i % 5)}"
        for i, (image, number) in enumerate(
            zip(IMAGES, [*reader._NUM_VALUES.values()] * 2, strict=False)
        )
    ]
    texts[0] = f"{IMAGES[0]},skirt_length_labels,nynnnn"
    texts[1] = f"{IMAGES[1]},sleeve_length_labels,nnnymnnnn"
    texts[2] = f"{IMAGES[2]},coat_length_labels,nynnnnyn"
    texts[3] = f"{IMAGES[3]},pant_length_labels,nnmnnn"
    write_lines(folder / "Annotations" / "label.csv", texts[:6])
    write_lines(folder / "Annotations" / "more.csv", texts[6:])
    return folder


def test_the_original_rows(rows, tmp_path):
    sizes = {"num_queries": 2, "num_gallery": 4, "num_validation": 1}
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(rows), **sizes)
    together = {k: v for images in stored_labels(folder).values() for k, v in images.items()}
    assert len(together) == 10 and all(sum(v >= 0 for v in row) == 1 for row in together.values())
    assert together[IMAGES[0]][0] == 1
    assert together[IMAGES[1]][1] == 3  # a doubtful value beside it does not count
    assert not {IMAGES[2], IMAGES[3]} & together.keys()
    dropped = (folder / "dropped.csv").read_text()
    assert "nynnnnyn has 2 values with y; one is needed" in dropped
    assert "nnmnnn has 0 values with y; one is needed" in dropped


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{IMAGES[0]},skirt_length_labels,nynnn", "must have 6 letters y, n or m, one per value"),
        (f"{IMAGES[0]},skirt_length_labels,nyxnnn", "must have 6 letters y, n or m"),
        (f"{IMAGES[0]},hat_labels,ny", "label.csv line 1 must be <image>,<attribute>,<letters>"),
        (f"{IMAGES[0]},skirt_length_labels", "label.csv line 1 must be <image>"),
        (f"{IMAGES[5]},skirt_length_labels,nynnnn", "repeats"),
    ],
)
def test_spoiled_rows(rows, line, message):
    replace_line(rows / "Annotations" / "label.csv", 0, line)
    with pytest.raises(ValueError, match=message):
        read(rows)


def test_another_folder(tmp_path):
    (tmp_path / "Attributes").mkdir()
    with pytest.raises(FileNotFoundError, match=r"expected Annotations/, Images/; .*Attributes/"):
        read(tmp_path)


def test_deepfashion(lists, tmp_path):
    write_lists(lists / "DeepFashion", [f"img/{i}.jpg" for i in range(12)])
    folder = prepare_quietly(deepfashion.READER, tmp_path, source_dir=str(lists))
    assert folder == tmp_path / "deepfashion_attributes" / "paper" / "1.0.0"
    assert stored_labels(folder)["query"] == {
        "img/10.jpg": [1, -1, -1, -1, -1],
        "img/8.jpg": [-1, 3, -1, -1, -1],
    }
    with pytest.raises(FileNotFoundError, match="does not look like ASEN's lists of DeepFashion"):
        deepfashion.read(SourceOptions(source_dir=str(lists / "DeepFashion"), **SIZES))


def test_of_several_values_the_rarest_counts(lists, tmp_path):
    """Texture 3 and 7 have two images each, 9 has one; of equals the first of the line counts."""
    folder = lists / "DeepFashion"
    write_lists(folder, [f"img/{i}.jpg" for i in range(12)])
    lines = ["0 0 3 0 9 1 5", "1 0 7 0 3", "2 0 7", "3 4 1 4 1"]
    write_lines(folder / "label_train.txt", lines)
    stored = stored_labels(prepare_quietly(deepfashion.READER, tmp_path, source_dir=str(lists)))[
        "train"
    ]
    assert list(stored.values()) == [
        [9, 5, -1, -1, -1],
        [7, -1, -1, -1, -1],
        [7, -1, -1, -1, -1],
        [-1, -1, -1, -1, 1],
    ]
    notes = deepfashion.read(SourceOptions(source_dir=str(lists), **SIZES)).notes
    assert "2 images to train on have several values" in notes[-1]
    assert notes[-1].endswith("and 2 labels are left out")
    replace_line(folder / "label_train.txt", 2, "1 0 8")
    with pytest.raises(ValueError, match="line 3: texture of image 1 is 7 and 3 and 8; an image"):
        deepfashion.read(SourceOptions(source_dir=str(lists), **SIZES))


def test_darn_with_the_splits_of_asen(tmp_path):
    write_lists(tmp_path / "DARN", [f"pic/{i}.jpg" for i in range(12)])
    options = {"source_dir": str(tmp_path / "DARN"), "asen_splits": True, "name": "asen"}
    folder = prepare_quietly(darn.READER, tmp_path, **options)
    assert folder == tmp_path / "darn" / "asen" / "1.0.0"
    assert list(stored_labels(folder)["gallery"]) == ["pic/9.jpg", "pic/11.jpg"]


def test_darn_leaves_out_images_whose_address_is_gone(tmp_path):
    write_lists(tmp_path / "DARN", [f"pic/{i}.jpg" for i in range(12)])
    for gone in (1, 9):
        (tmp_path / "DARN" / "pic" / f"{gone}.jpg").unlink()
    options = {"source_dir": str(tmp_path / "DARN"), "asen_splits": True, "name": "asen"}
    folder = prepare_quietly(darn.READER, tmp_path, **options)
    stored = stored_labels(folder)
    assert list(stored["train"]) == ["pic/0.jpg", "pic/2.jpg", "pic/3.jpg"]
    assert list(stored["gallery"]) == ["pic/11.jpg"]
    notes = summary.read(folder)["notes"]
    assert notes[-1].endswith("so figures are not the papers': train 1, gallery 1")
    (tmp_path / "DARN" / "pic" / "11.jpg").unlink()
    with pytest.raises(ValueError, match="no image of the published split 'gallery' is left"):
        prepare_quietly(darn.READER, tmp_path / "other", **options)
