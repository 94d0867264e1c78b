import json
import shutil

import numpy as np
import pytest
from source_fakes import (
    SIZES,
    draw_images,
    prepare_quietly,
    replace_line,
    stored_labels,
    write_lines,
)

from fashionsearchnet.attributes import AttributeSpace, one_hot_blocks
from fashionsearchnet.data.pipeline import open_dataset
from fashionsearchnet.data.preparation import summary
from fashionsearchnet.data.preparation.selection import select
from fashionsearchnet.data.shopping100k import reader
from fashionsearchnet.evaluation.published import table_for

SPACE = reader.attribute_space()
FILES = ["category", "collar", "color", "fabric", "fastening", "fit", "gender", "neckline"]
FILES += ["pattern", "pocket", "sleevelen", "sport"]
IMAGES = [f"Female/3_Tracksuit Bottoms/{i:07}_1.jpg" for i in range(20)]


def make_labels():
    """Returns int32 [20, 12], a quarter of them missing."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, SPACE.num_values, (len(IMAGES), 12)).astype(np.int32)
    labels[rng.random(labels.shape) < 0.25] = -1
    labels[:, 0] = np.arange(len(IMAGES)) % 3
    return labels


LABELS = make_labels()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder as the authors publish it."""
    folder = tmp_path_factory.mktemp("shopping100k")
    draw_images(folder / "Images", IMAGES)
    for name, column in zip(FILES, LABELS.T, strict=True):
        rows = [f"{image} {value}" for image, value in zip(IMAGES, column, strict=True)]
        write_lines(folder / "Attributes" / f"{name}.txt", rows)
    return folder


@pytest.fixture
def source(original, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(original, tmp_path / "source")


def read(folder, **options):
    return reader.read(reader.Shopping100kOptions(source_dir=str(folder), **SIZES, **options))


def test_space_is_the_published_one():
    assert SPACE.num_values == (16, 17, 19, 14, 10, 15, 2, 11, 16, 7, 9, 15)
    assert SPACE.total_values == 151
    table = table_for("shopping100k/paper")
    assert table is not None and set(SPACE.names) == set(table.attributes)


def test_prepared_data_set_is_what_the_files_say(original, tmp_path):
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(original))
    assert folder == tmp_path / "shopping100k" / "paper" / "1.0.0"
    assert AttributeSpace.load(folder / "attribute_space.json") == SPACE
    stored = stored_labels(folder)
    assert {split: len(images) for split, images in stored.items()} == {
        "query": 3,
        "gallery": 6,
        "validation": 2,
        "train": 9,
    }
    together = {image: labels for images in stored.values() for image, labels in images.items()}
    assert together == dict(zip(IMAGES, LABELS.tolist(), strict=True))
    content = summary.read(folder)
    assert content["beside the paper"]["images"] == {"here": 20, "paper": 101_021}
    assert content["beside the paper"]["values"] == {"here": 151, "paper": 151}
    text = summary.to_text(content)
    for expected in ("101,021  differs", "gallery", "sport: 15 values", "note: the published"):
        assert expected in text
    assert prepare_quietly(reader.READER, tmp_path, source_dir=str(original)) == folder
    with pytest.raises(ValueError, match=r"num_queries was 3, now 4.*another name"):
        prepare_quietly(reader.READER, tmp_path, source_dir=str(original), num_queries=4)


def test_a_copy_of_an_image_is_no_second_example(source):
    images = source / "Images"
    shutil.copy(images / IMAGES[3], images / IMAGES[6])
    options = reader.Shopping100kOptions(source_dir=str(source), **SIZES)
    selection = select(reader.read(options), options, show_progress=False)
    assert [drop.kind for drop in selection.drops] == ["identical file"]
    assert len(selection.records) == 19 and selection.contradictions


@pytest.mark.parametrize(
    ("file", "index", "line", "message"),
    [
        ("fit", 20, "Male/0_Coats/1.jpg 3", r"fit.txt has 1 images that .*category.txt has not"),
        ("fit", 20, f"{IMAGES[4]} 3", "fit.txt line 21 repeats .* of line 5"),
        ("fit", 4, f"{IMAGES[4]} 15", "line 5: the value must be .* between -1 and 14; got '15'"),
        ("fit", 4, f"{IMAGES[4]} -2", "between -1 and 14; got '-2'"),
        ("fit", 4, f"{IMAGES[4]} slim", "got 'slim'"),
        ("fit", 4, "3", "line 5 must read '<path of the image> <value>'; got '3'"),
        ("category", 20, "Male/1.jpg 3", "category.txt has 1 images that .*collar.txt has not"),
    ],
)
def test_a_spoiled_label_file(source, file, index, line, message):
    replace_line(source / "Attributes" / f"{file}.txt", index, line)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_another_folder(tmp_path):
    (tmp_path / "img_align_celeba").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"Shopping100k: expected Images/.*img_align_celeba"
    ):
        read(tmp_path)
    with pytest.raises(NotADirectoryError, match="should be the folder of Shopping100k"):
        read(tmp_path / "none")
    with pytest.raises(ValueError, match="must begin with a letter"):
        read(tmp_path, name="../x")


def test_lost_images(source, tmp_path):
    (source / "Images" / IMAGES[7]).write_bytes(b"hello")
    with pytest.raises(
        OSError,
        match=r"1 of 20 images are missing or damaged \(at most 1%.*first: .*0000007_1.jpg, not an",
    ):
        prepare_quietly(reader.READER, tmp_path / "data", source_dir=str(source))
    shutil.rmtree(source / "Images")
    (source / "Images" / "Shopping100k").mkdir(parents=True)
    with pytest.raises(OSError, match=r"20 of 20 images .*missing file.*Images: Shopping100k/"):
        prepare_quietly(reader.READER, tmp_path / "data", source_dir=str(source))
    assert not (tmp_path / "data").exists()


def test_too_few_images_for_the_splits(original, tmp_path):
    with pytest.raises(ValueError, match=r"there are 20. Ask for smaller splits"):
        prepare_quietly(reader.READER, tmp_path, source_dir=str(original), num_gallery=18_000)


# ADDE's splits: the last eight images are the test images.

MISSING_ONE = int(np.argmin(LABELS[15]))  # an attribute that the query lacks
# Test image, attribute and wanted value; -1 to take the value away.
QUERIES = [(0, 2, 5), (0, 0, 3), (3, 2, 7), (3, 0, -1), (3, MISSING_ONE, 0)]


def edited_labels():
    """Returns the labels of a hit of each query, int32 [5, 12]."""
    targets = LABELS[12:][[image for image, _, _ in QUERIES]]
    for target, (_, attribute, value) in zip(targets, QUERIES, strict=True):
        target[attribute] = value
    return targets


@pytest.fixture(scope="module")
def original_splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    vectors = one_hot_blocks(SPACE, LABELS).astype(int)
    write_lines(folder / "attr_num.txt", SPACE.num_values)
    for split, part in (("train", slice(12)), ("test", slice(12, None))):
        write_lines(folder / f"imgs_{split}.txt", IMAGES[part])
        write_rows(folder / f"labels_{split}.txt", vectors[part])
    wanted = one_hot_blocks(SPACE, edited_labels()).astype(int)
    write_lines(folder / "ref_test.txt", [image for image, _, _ in QUERIES])
    write_rows(folder / "gt_test.txt", wanted)
    had = vectors[12:][[image for image, _, _ in QUERIES]]
    write_rows(folder / "indfull_test.txt", wanted - had)
    return folder


@pytest.fixture
def splits_dir(original_splits, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(original_splits, tmp_path / "splits")


def write_rows(path, rows):
    write_lines(path, [" ".join(map(str, row)) for row in rows])


@pytest.fixture(scope="module")
def prepared_adde(original, original_splits, tmp_path_factory):
    return prepare_quietly(
        reader.READER,
        tmp_path_factory.mktemp("adde"),
        source_dir=str(original),
        splits_dir=str(original_splits),
        name="adde",
    )


def test_splits_of_adde(prepared_adde):
    folder = prepared_adde
    stored = stored_labels(folder)
    labels = dict(zip(IMAGES, LABELS.tolist(), strict=True))
    assert stored["query"] == {image: labels[image] for image in (IMAGES[12], IMAGES[15])}
    assert list(stored["gallery"]) == IMAGES[12:]
    assert len(stored["validation"]) == 2 and len(stored["train"]) == 10
    assert stored["train"] | stored["validation"] == {i: labels[i] for i in IMAGES[:12]}
    entries = json.loads((folder / "manipulations.json").read_text())
    assert entries[0] == {"query": IMAGES[12], "set": {SPACE.names[2]: SPACE.values[2][5]}}
    assert entries[3] == {"query": IMAGES[15], "set": {}, "remove": ["category"]}
    text = summary.to_text(summary.read(folder))
    assert "the queries among them" in text and "manipulations.json lists 5 edits" in text


def test_the_listed_edits_of_adde_are_read_back(prepared_adde):
    dataset = open_dataset(prepared_adde.parents[2], "shopping100k/adde")
    assert dataset.queries_in_gallery
    edits = dataset.listed_edits()
    assert edits is not None and edits.source == "5 edits listed by shopping100k/adde/1.0.0"
    ids = dataset.image_ids("query")
    assert [ids[q] for q in edits.query] == [IMAGES[12 + image] for image, _, _ in QUERIES]
    expected = np.full((5, 12), -1)
    expected[range(5), [a for _, a, _ in QUERIES]] = [value for _, _, value in QUERIES]
    np.testing.assert_array_equal(edits.manipulation, expected)
    np.testing.assert_array_equal(edits.target, edited_labels())
    assert edits.query.dtype == edits.manipulation.dtype == edits.target.dtype == np.int32
    labels = dataset.labels("query")
    np.testing.assert_array_equal(labels, LABELS[[12, 15]])  # reading changes no label


def test_a_data_set_that_older_code_stored(prepared_adde, tmp_path):
    folder = shutil.copytree(prepared_adde, tmp_path / "shopping100k" / "adde" / "1.0.0")
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata.pop("queries_in_gallery") is True
    (folder / "metadata.json").write_text(json.dumps(metadata))
    assert open_dataset(tmp_path, "shopping100k/adde").queries_in_gallery
    (folder / "manipulations.json").unlink()
    dataset = open_dataset(tmp_path, "shopping100k/adde")
    assert not dataset.queries_in_gallery and dataset.listed_edits() is None


def test_edits_of_an_unknown_query_are_counted(prepared_adde, tmp_path):
    folder = shutil.copytree(prepared_adde, tmp_path / "shopping100k" / "adde" / "1.0.0")
    path = folder / "manipulations.json"
    path.write_text(path.read_text().replace(IMAGES[12], "gone.jpg"))
    edits = open_dataset(tmp_path, "shopping100k/adde").listed_edits()
    assert edits is not None and len(edits.query) == 3
    assert edits.source.endswith("; 2 more lack their query image and are left out")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:96b9\nsize 33"
ZEROS = " ".join("0" * 151)


@pytest.mark.parametrize(
    ("file", "index", "line", "message"),
    [
        ("attr_num.txt", 0, POINTER, r"attr_num.txt is a git-lfs pointer.*'git lfs pull'"),
        ("attr_num.txt", 0, "50", "values the attributes of Shopping100k have.*it says 50"),
        ("imgs_test.txt", 8, IMAGES[0], "labels_test.txt has 8 lines where 9 belong"),
        ("imgs_test.txt", 0, IMAGES[0], "in imgs_train.txt and in imgs_test.txt"),
        ("imgs_train.txt", 1, IMAGES[0], "imgs_train.txt line 2 repeats"),
        ("labels_train.txt", 2, "1 " + ZEROS, "must hold vectors"),
        ("labels_train.txt", 2, "1 1" + ZEROS[3:], "line 3: category has two values"),
        ("labels_train.txt", 2, "2" + ZEROS[1:], "line 3: numbers must lie between 0 and 1"),
        ("ref_test.txt", 1, "8", "ref_test.txt line 2: .*between 0 and 7; got '8'"),
        ("indfull_test.txt", 1, ZEROS, "line 2: an edit must change one attribute"),
        ("gt_test.txt", 2, ZEROS, "gt_test.txt line 3: the target must be"),
    ],
)
def test_spoiled_splits(original, splits_dir, file, index, line, message):
    replace_line(splits_dir / file, index, line)
    with pytest.raises(ValueError, match=message):
        read(original, splits_dir=str(splits_dir))


def test_splits_need_every_image(source, original_splits, tmp_path):
    (source / "Images" / IMAGES[13]).unlink()
    with pytest.raises(OSError, match=r"1 of 20 images are missing or damaged \(at most 0%"):
        prepare_quietly(
            reader.READER, tmp_path, source_dir=str(source), splits_dir=str(original_splits)
        )
    (source / "other").mkdir()
    with pytest.raises(FileNotFoundError, match=r"ADDE's split files: expected attr_num.txt"):
        read(source, splits_dir=str(source / "other"))
