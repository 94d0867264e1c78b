"""Both benchmarks of items of DeepFashion, from small files in the authors' format."""

import itertools
import shutil

import cv2
import numpy as np
import pytest
from source_fakes import SIZES, prepare_quietly, replace_line, write_lines

from fashionsearchnet.data import pipeline
from fashionsearchnet.data.deepfashion_consumer2shop import reader as consumer2shop
from fashionsearchnet.data.deepfashion_inshop import reader as inshop
from fashionsearchnet.data.preparation.options import SourceOptions

BOX = (8, 4, 23, 19)  # 16 x 16 pixels, the last ones included
PARTITION, INSHOP_BOXES = "Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt"
SHOP_BOXES = "Anno/list_bbox_consumer2shop.txt"
# Item, folders, split of its images: the queries and the gallery share items, the training has its
# own.
ITEMS = [
    ("id_00000001", "WOMEN/Dresses", ("train", "train", "train")),
    ("id_00000002", "MEN/Denim", ("train", "train")),
    ("id_00000003", "WOMEN/Denim", ("query", "gallery", "gallery")),
    ("id_00000004", "MEN/Shirts_Polos", ("query", "gallery")),
    ("id_00000005", "MEN/Denim", ("train", "train")),
]


def draw(folder, images):
    """Images of noise with a red box where the garment is."""
    rng = np.random.default_rng(0)
    left, top, right, bottom = BOX
    for image in images:
        path = folder / image
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (32, 40, 3)).astype(np.uint8)
        pixels[top : bottom + 1, left : right + 1] = (0, 0, 255)
        cv2.imwrite(str(path), pixels, (cv2.IMWRITE_JPEG_QUALITY, 100))


def write_list(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lines(path, [len(rows), header, *rows])


@pytest.fixture(scope="module")
def original_inshop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inshop")
    rows = [
        (f"img/{kind}/{item}/0{number}_1_front.jpg", item, split)
        for item, kind, splits in ITEMS
        for number, split in enumerate(splits, 1)
    ]
    draw(folder / "Img", [image for image, *_ in rows])
    write_list(
        folder / PARTITION, "image_name item_id evaluation_status", ["   ".join(r) for r in rows]
    )
    header = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    numbers = " ".join(map(str, BOX))
    write_list(folder / INSHOP_BOXES, header, [f"{image} 1 1 {numbers}" for image, *_ in rows])
    return folder


@pytest.fixture(scope="module")
def original_shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("consumer2shop")
    pairs, images = [], []
    splits = {"id_1": "train", "id_2": "val", "id_3": "test", "id_4": "test"}
    kinds = itertools.cycle(("CLOTHING/Blouse", "TOPS/Tank_Top", "TROUSERS/Jeans"))
    for (item, split), kind in zip(splits.items(), kinds, strict=False):
        shop = f"img/{kind}/{item}/shop_01.jpg"
        customers = [f"img/{kind}/{item}/comsumer_0{i}.jpg" for i in (1, 2)]
        images += [shop, *customers]
        pairs += [f"{customer} {shop} {item} {split}" for customer in customers]
    draw(folder, images)
    header = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
    write_list(folder / PARTITION, header, pairs)
    header = "image_name clothes_type source_type x_1 y_1 x_2 y_2"
    numbers = " ".join(map(str, BOX))
    write_list(folder / SHOP_BOXES, header, [f"{image} 1 2 {numbers}" for image in images])
    return folder


def options(folder):
    return SourceOptions(source_dir=str(folder), **SIZES)


def stored(reader, name, folder, data_dir):
    """The prepared data set, opened as a training script opens it."""
    prepare_quietly(reader.READER, data_dir, source_dir=str(folder))
    return pipeline.open_dataset(data_dir, f"{name}/paper")


def test_in_shop_is_what_the_files_say(original_inshop, tmp_path):
    dataset = stored(inshop, "deepfashion_inshop", original_inshop, tmp_path)
    assert dataset.instance_ids("query") == ["id_00000003", "id_00000004"]
    assert dataset.instance_ids("gallery") == ["id_00000003", "id_00000003", "id_00000004"]
    assert dataset.space.to_dict() == {
        "gender": ["MEN", "WOMEN"],
        "category": ["Denim", "Dresses", "Shirts_Polos"],
    }
    assert dataset.labels("query").tolist() == [[1, 0], [0, 2]]
    trained = dataset.instance_ids("train") + dataset.instance_ids("validation")
    assert sorted(set(trained)) == ["id_00000001", "id_00000002", "id_00000005"]
    assert len(trained) == 7


def test_published_splits_are_not_chosen(original_inshop, tmp_path):
    chosen = {"source_dir": str(original_inshop), "dense_splits": True}
    with pytest.raises(ValueError, match="--dense_splits is for splits that are drawn, but these"):
        prepare_quietly(inshop.READER, tmp_path, **chosen)


def test_images_are_cut_to_their_box(original_inshop, tmp_path):
    dataset = stored(inshop, "deepfashion_inshop", original_inshop, tmp_path)
    for data in dataset.encoded_images("query").as_numpy_iterator():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None and pixels.shape == (16, 16, 3)
        assert (pixels[2:-2, 2:-2, 2] > 200).all() and (pixels[2:-2, 2:-2, :2] < 60).all()


def test_consumer_to_shop_is_what_the_files_say(original_shop, tmp_path):
    dataset = stored(consumer2shop, "deepfashion_consumer2shop", original_shop, tmp_path)
    assert sorted(dataset.image_ids("query")) == [
        "img/CLOTHING/Blouse/id_4/comsumer_01.jpg",
        "img/CLOTHING/Blouse/id_4/comsumer_02.jpg",
        "img/TROUSERS/Jeans/id_3/comsumer_01.jpg",
        "img/TROUSERS/Jeans/id_3/comsumer_02.jpg",
    ]
    assert sorted(dataset.instance_ids("gallery")) == ["id_3", "id_4"]
    trained = dataset.instance_ids("train") + dataset.instance_ids("validation")
    assert sorted(trained) == ["id_1"] * 3 + ["id_2"] * 3
    assert dataset.space.names == ("group", "category")


@pytest.mark.parametrize(
    ("file", "index", "line", "message"),
    [
        (PARTITION, 0, "9", "says that it has 9 rows but has 12"),
        (PARTITION, 1, "image item", "must begin with a line that says the number of rows and the"),
        (PARTITION, 3, "img/WOMEN/Dresses/id_1/02_1_front.jpg id_1", "line 4 must have 3 words"),
        (
            PARTITION,
            3,
            "img/a/b/c/d.jpg id_1 test",
            "line 4: evaluation_status must be one of tr",
        ),
        (PARTITION, 3, "img/Dresses/d.jpg id_1 train", "line 4: an image must read img/<group>/<"),
        (PARTITION, 3, "img/a/b/c/d.jpg id_1 train", "has no box for img/a/b/c/d.jpg"),
        (INSHOP_BOXES, 3, "img/a.jpg 1 1 5 5 five 9", "line 4: x_2 must be an integer between"),
        (INSHOP_BOXES, 3, "img/a.jpg 1 1 9 5 9 9", "line 4: x_2 must be above x_1 .*9 5 9 9"),
    ],
)
def test_a_spoiled_file(original_inshop, tmp_path, file, index, line, message):
    shutil.copytree(original_inshop, tmp_path / "source")
    replace_line(tmp_path / "source" / file, index, line)
    with pytest.raises(ValueError, match=message):
        inshop.read(options(tmp_path / "source"))


def test_an_image_in_two_splits_of_consumer_to_shop(original_shop, tmp_path):
    shutil.copytree(original_shop, tmp_path / "source")
    line = "img/TROUSERS/Jeans/id_3/comsumer_01.jpg img/TROUSERS/Jeans/id_3/shop_01.jpg id_3 train"
    replace_line(tmp_path / "source" / PARTITION, 7, line)
    with pytest.raises(ValueError, match=r"belongs to id_3 and split .* here, but to id_3 and"):
        consumer2shop.read(options(tmp_path / "source"))


def test_a_box_outside_of_its_image(original_inshop, tmp_path):
    shutil.copytree(original_inshop, tmp_path / "source")
    image = "img/WOMEN/Dresses/id_00000001/01_1_front.jpg"
    replace_line(tmp_path / "source" / INSHOP_BOXES, 2, f"{image} 1 1 38 4 60 20")
    with pytest.raises(OSError, match=r"01_1_front.jpg: box .* keeps 2 x 17 of 40 x 32 pixels"):
        prepare_quietly(inshop.READER, tmp_path / "data", source_dir=str(tmp_path / "source"))


def test_another_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not look like DeepFashion In-shop: expected"):
        inshop.read(options(tmp_path))
