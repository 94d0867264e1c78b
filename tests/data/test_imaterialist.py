import csv
import json
import shutil

import pytest
from source_fakes import SIZES, draw_images, prepare_quietly, replace_line, stored_labels

from fashionsearchnet.data.imaterialist import reader
from fashionsearchnet.data.preparation import summary
from fashionsearchnet.evaluation.published import table_for

GROUPS = reader._groups()
CATEGORIES = sorted(c for names in GROUPS["categories"].values() for c in names)
OTHERS = {"color": 20, "gender": 3, "material": 34, "neckline": 11, "pattern": 28, "sleeve": 5}
OTHERS |= {"style": 22}  # 123 labels
LABELS = [("category", name) for name in CATEGORIES]
LABELS += [(task, f"{task} {i}") for task, size in OTHERS.items() for i in range(size)]
NUMBER = {label: number for number, label in enumerate(LABELS, 1)}

DRESS, GOWN, JEANS = (NUMBER["category", n] for n in ("Casual Dresses", "Prom Dresses", "Jeans"))
RED, BLUE = NUMBER["color", "color 0"], NUMBER["color", "color 1"]
FEMALE, MALE = NUMBER["gender", "gender 0"], NUMBER["gender", "gender 1"]
# Labels of an image, and the values of category, color and gender; None for noise.
CASES: list[tuple[list[int], tuple[str, str, str] | None]] = [
    ([DRESS, RED, FEMALE], ("dresses", "color 0", "gender 0")),
    ([DRESS, GOWN, BLUE], ("dresses", "color 1", "")),
    ([JEANS, RED, BLUE, MALE], ("jeans", "", "gender 1")),
    ([JEANS, DRESS, RED], None),
    ([JEANS, MALE, FEMALE], None),
    ([RED], None),
]
IMAGES = [str(i) for i in range(100, 136)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder as the authors publish it, with the images fetched but for one clean one."""
    folder = tmp_path_factory.mktemp("imaterialist")
    draw_images(folder / "train", [f"{image}.jpg" for image in IMAGES[1:]])
    with open(folder / "iMat_fashion_2018_label_map_228.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["labelId", "taskId", "labelName", "taskName"])
        writer.writerows([number, 1, name, task] for (task, name), number in NUMBER.items())
    write_annotations(folder, annotations())
    return folder


def annotations():
    return [
        {"imageId": image, "labelId": [str(label) for label in CASES[i % len(CASES)][0]]}
        for i, image in enumerate(IMAGES)
    ]


def write_annotations(folder, content):
    images = [{"imageId": image, "url": f"http://x/{image}"} for image in IMAGES]
    (folder / "train.json").write_text(json.dumps({"images": images, "annotations": content}))


@pytest.fixture
def source(original, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(original, tmp_path / "source")


def read(folder, **options):
    return reader.read(reader.IMaterialistOptions(source_dir=str(folder), **SIZES, **options))


def test_grouping_covers_105_categories_once_and_gives_147_values(original):
    assert len(GROUPS["categories"]) == 24 and len(set(CATEGORIES)) == len(CATEGORIES) == 105
    _, space = reader.read_label_map(original / "iMat_fashion_2018_label_map_228.csv")
    assert space.total_values == 147 and space.num_values[0] == 24
    table = table_for("imaterialist/paper")
    assert table is not None and table.attributes == space.names


def test_prepared_data_set_is_what_the_files_say(original, tmp_path):
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(original), num_images=16)
    assert folder == tmp_path / "imaterialist" / "paper" / "1.0.0"
    _, space = reader.read_label_map(original / "iMat_fashion_2018_label_map_228.csv")
    stored = stored_labels(folder)
    together = {image: labels for images in stored.values() for image, labels in images.items()}
    assert len(together) == sum(map(len, stored.values())) == 16  # of 17 clean ones there
    for image, labels in together.items():
        names = CASES[IMAGES.index(image) % len(CASES)][1]
        assert names is not None
        assert [space.value_name(a, labels[a]) for a in range(3)] == [name or "-" for name in names]
        assert set(labels[3:]) == {-1}
    content = summary.read(folder)
    assert content["dropped"]["noisy labels"] == 18
    assert "18 images have clean labels; num_images is 16" in summary.to_text(content)
    with open(folder / summary.DROPPED_FILE, newline="") as file:
        reasons = {record["file"]: record["reason"] for record in csv.DictReader(file)}
    assert reasons["103"] == "2 values of category (jeans, dresses)"
    assert reasons["104"] == "2 values of gender (gender 1, gender 0)"
    assert reasons["105"] == "no category"


def test_missing_and_damaged_images_are_left_out(source, tmp_path):
    (source / "train" / "101.jpg").write_bytes(b"hello")
    folder = prepare_quietly(reader.READER, tmp_path, source_dir=str(source))
    content = summary.read(folder)
    assert content["beside the paper"]["images"] == {"here": 16, "paper": 250_000}
    assert content["dropped"] == {"noisy labels": 18, "missing file": 1, "not an image": 1}


def test_the_names_and_numbers_of_the_authors_page(original, source):
    content = [
        {"image_id": int(a["imageId"]), "label_id": [int(label) for label in a["labelId"]]}
        for a in annotations()
    ]
    write_annotations(source, content)
    assert read(source).records == read(original).records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imageId": "101"}, r"train.json annotation 3 repeats '101' of annotation 2"),
        ({"imageId": "7"}, "annotates 1 images that its list 'images' has not, such as '7'"),
        ({"labelId": ["229"]}, "annotation 3: labels must lie between 1 and 228; got '229'"),
        ({"labelId": 5}, "annotation 3: labelId must be a list; got 5"),
    ],
)
def test_a_spoiled_annotation(source, change, message):
    content = annotations()
    content[2] |= change
    write_annotations(source, content)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_a_spoiled_json_file(source):
    (source / "train.json").write_text('{"images": [], "info": 3}')
    with pytest.raises(ValueError, match="with the lists 'images' and 'annotations'; it is images"):
        read(source)
    (source / "train.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"train.json is not JSON"):
        read(source)


def test_a_spoiled_list_of_images(source):
    content = json.loads((source / "train.json").read_text())
    twice = content | {"images": content["images"] + content["images"][4:5]}
    (source / "train.json").write_text(json.dumps(twice))
    with pytest.raises(ValueError, match=r"train.json image 37 repeats '104' of image 5"):
        read(source)
    nameless = content | {"images": [{"url": "http://x/100"}]}
    (source / "train.json").write_text(json.dumps(nameless))
    with pytest.raises(ValueError, match=r"train.json image 1 has no imageId or image_id"):
        read(source)


@pytest.mark.parametrize(
    ("index", "line", "message"),
    [
        (0, "label,task", "must have the columns labelId, labelName, taskName"),
        (1, "1,1,Flying Dresses,category", "line 2: 'Flying Dresses' is in no group"),
        (2, "1,1,Jeans,category", "line 3: labelId must occur once"),
        (2, "2,1,Jeans,shape", "and 'shape'"),
        (3, "300,1,Jeans,category", "between 1 and 228; got '300'"),
    ],
)
def test_a_spoiled_label_map(source, index, line, message):
    replace_line(source / "iMat_fashion_2018_label_map_228.csv", index, line)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_another_folder(source):
    shutil.rmtree(source / "train")
    with pytest.raises(FileNotFoundError, match="missing train/; found iMat_fashion"):
        read(source)
    with pytest.raises(ValueError, match="num_images must be at least 1"):
        read(source, num_images=0)


def test_images_for_the_splits_alone(source):
    with pytest.raises(ValueError, match=r"num_images must be more than the 11 of .*; got 11\."):
        read(source, num_images=11)
    assert read(source, num_images=12).max_images == 12
