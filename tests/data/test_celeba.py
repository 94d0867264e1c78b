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

from fashionsearchnet.data.celeba import reader
from fashionsearchnet.data.preparation import summary
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.evaluation.published import table_for

# The 40 columns as the authors name them.
AUTHORS_LINE = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee "
    "Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard "
    "Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair "
    "Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young"
)
COLUMNS = AUTHORS_LINE.split()
IMAGES = [f"{i:06}.jpg" for i in range(1, 19)]
# What is true of the first images, and the labels that follow from it.
CASES = [
    (["Black_Hair", "No_Beard", "Wavy_Hair", "Young", "Smiling"], [0, 4, 1, 1, 0, 0, 0, 1]),
    (["Gray_Hair", "Goatee", "Male", "Eyeglasses"], [3, 1, -1, 0, 1, 1, 0, 0]),
    (["Goatee", "Mustache", "Male", "Wearing_Hat"], [-1, -1, -1, 0, 0, 1, 1, 0]),
    (["Brown_Hair", "Black_Hair", "Bald", "No_Beard"], [-1, 4, -1, 0, 0, 0, 0, 0]),
    (["5_o_Clock_Shadow", "Straight_Hair"], [-1, 0, 0, 0, 0, 0, 0, 0]),
    (["Straight_Hair", "Wavy_Hair", "Sideburns", "Blond_Hair"], [1, 3, -1, 0, 0, 0, 0, 0]),
]


def row(image, true):
    return "  ".join([image, *("1" if column in true else "-1" for column in COLUMNS)])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder as the authors publish it, in its three folders."""
    folder = tmp_path_factory.mktemp("celeba")
    draw_images(folder / "Img/img_align_celeba", IMAGES)
    rows = [row(image, CASES[i % len(CASES)][0]) for i, image in enumerate(IMAGES)]
    lines = [len(IMAGES), " ".join(COLUMNS), *rows]
    write_lines(folder / "Anno/list_attr_celeba.txt", lines)
    partition = [f"{image} {i % 3}" for i, image in enumerate(IMAGES)]
    write_lines(folder / "Eval/list_eval_partition.txt", partition)
    return folder


@pytest.fixture
def source(original, tmp_path):
    """A copy to spoil, its files side by side."""
    folder = tmp_path / "source"
    shutil.copytree(original / "Img/img_align_celeba", folder / "img_align_celeba")
    shutil.copy(original / "Anno/list_attr_celeba.txt", folder)
    shutil.copy(original / "Eval/list_eval_partition.txt", folder)
    return folder


def read(folder):
    return reader.read(SourceOptions(source_dir=str(folder), **SIZES))


def test_groups_are_eight_with_21_values():
    space = reader.attribute_space()
    assert space.num_values == (4, 5, 2, 2, 2, 2, 2, 2) and space.total_values == 21
    table = table_for("celeba/paper")
    assert table is not None and None not in table.aligned("Full", space.names)
    used = [column[1:] for group in reader._groups().values() for column in group.values()]
    assert set(used) <= set(COLUMNS)


def test_prepared_data_set_is_what_the_files_say(original, tmp_path):
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(original))
    assert folder == tmp_path / "celeba" / "paper" / "1.0.0"
    stored = stored_labels(folder)
    sizes = {split: len(images) for split, images in stored.items()}
    assert sizes == {"query": 3, "gallery": 6, "validation": 2, "train": 7}
    together = {image: labels for images in stored.values() for image, labels in images.items()}
    assert together == {image: CASES[i % len(CASES)][1] for i, image in enumerate(IMAGES)}
    content = summary.read(folder)
    assert content["beside the paper"]["images"] == {"here": 18, "paper": 202_599}
    assert content["attributes"]["beard"]["missing"] == 3
    assert "mustache" in summary.to_text(content)  # without an image


def test_both_layouts_are_read(original, source):
    assert read(original).records == read(source).records


@pytest.fixture
def kaggle(source):
    """Kaggle's copy: the lists as CSV, the images in a doubled folder."""
    inner = source / "inner"
    (source / "img_align_celeba").rename(inner)
    (source / "img_align_celeba").mkdir()
    inner.rename(source / "img_align_celeba" / "img_align_celeba")
    _, columns, *rows = (source / "list_attr_celeba.txt").read_text().splitlines()
    lines = ["image_id," + columns.replace(" ", ","), *(",".join(row.split()) for row in rows)]
    write_lines(source / "list_attr_celeba.csv", lines)
    rows = (source / "list_eval_partition.txt").read_text().splitlines()
    lines = ["image_id,partition", *(row.replace(" ", ",") for row in rows)]
    write_lines(source / "list_eval_partition.csv", lines)
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (source / name).unlink()
    return source


def test_the_copy_of_kaggle_is_read(original, kaggle, tmp_path):
    found, expected = read(kaggle), read(original)
    assert [(r.image, r.values) for r in found.records] == [
        (r.image, r.values) for r in expected.records
    ]
    assert found.records[0].line == 2
    prepare_quietly(reader.READER, tmp_path, source_dir=str(kaggle))
    replace_line(kaggle / "list_attr_celeba.csv", 3, "000003.jpg,1,-1")
    with pytest.raises(ValueError, match=r"celeba.csv line 4 .* got 2 numbers after '000003.jpg'"):
        read(kaggle)
    replace_line(kaggle / "list_attr_celeba.csv", 0, "image_id,Young")
    with pytest.raises(ValueError, match=r"must begin with a header of 40 names"):
        read(kaggle)


@pytest.mark.parametrize(
    ("file", "index", "line", "message"),
    [
        ("attr", 20, row("000019.jpg", []), "says that it has 18 images but has 19 rows"),
        ("attr", 5, row("000003.jpg", []), "list_attr_celeba.txt line 6 repeats .* of line 5"),
        ("attr", 5, "000004.jpg" + " 0" * 40, "line 6 must be .*each 1 or -1"),
        ("attr", 5, "000004.jpg 1 -1", "got 2 numbers after '000004.jpg'"),
        ("attr", 1, "Young Male", "40 names; got '18' and 2 names"),
        ("attr", 1, " ".join(COLUMNS).replace("Goatee", "Goat"), "no column Goatee, which beard"),
        ("attr", 0, "image_id,Young", "must begin with a line that says the number"),
        ("attr", 0, "²", "must begin with a line that says the number"),
        ("partition", 18, "000019.jpg 0", "partition.txt has 1 images that .*attr_celeba.txt has"),
        ("partition", 3, "000004.jpg 3", "line 4: the partition must be .*between 0 and 2"),
    ],
)
def test_a_spoiled_file(source, file, index, line, message):
    names = {"attr": "list_attr_celeba.txt", "partition": "list_eval_partition.txt"}
    replace_line(source / names[file], index, line)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_another_folder(source):
    (source / "list_attr_celeba.txt").rename(source / "attributes.csv")
    with pytest.raises(
        FileNotFoundError, match=r"missing list_attr_celeba.txt; found attributes.csv"
    ):
        read(source)


def test_lost_images(source, tmp_path):
    (source / "img_align_celeba" / IMAGES[0]).unlink()
    with pytest.raises(
        OSError,
        match=r"1 of 18 images are missing or damaged.*first: line 3, 000001.jpg, missing",
    ):
        prepare_quietly(reader.READER, tmp_path, source_dir=str(source))
