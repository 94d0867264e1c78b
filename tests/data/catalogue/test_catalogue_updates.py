"""A catalogue that grows: updates, splits that stay, products, losses, locks."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from fashionsearchnet import files
from fashionsearchnet.data.catalogue.reader import READER, CatalogueOptions
from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.pipeline import PreparedDataset
from fashionsearchnet.data.preparation import images, reader, summary

SPLITS = ("query", "gallery", "validation", "train")


@pytest.fixture(autouse=True, scope="module")
def quiet():
    tfds.disable_progress_bar()
    yield
    tfds.enable_progress_bar()


def photo(seed):
    """A JPEG of 24 x 32 pixels that is like no other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


class Shop:
    """A table and its images in a folder; `rows` may change between preparations."""

    def __init__(self, folder: Path, num: int):
        self.folder, self.data_dir = folder, folder / "data"
        (folder / "images").mkdir(parents=True)
        self.rows: list[list[str]] = []
        self.add(range(num))

    def add(self, numbers):
        for i in numbers:
            (self.folder / "images" / f"{i}.jpg").write_bytes(photo(i))
            colour, kind = ("red", "blue")[i % 2], ("shirt", "skirt", "dress")[i % 3]
            self.rows.append([f"{i}.jpg", colour, kind, f"p{i // 3}", f"Item {i}"])

    def options(self, **more):
        with open(self.folder / "t.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [["image", "colour", "kind", "product", "title"], *self.rows]
            )
        chosen: dict[str, Any] = dict(
            name="shop",
            csv=str(self.folder / "t.csv"),
            images_dir=str(self.folder / "images"),
            image_column="image",
            attributes=("colour", "kind"),
            min_count=2,
            num_queries=4,
            num_gallery=10,
            num_validation=3,
            limits=ImageLimits(min_side=8, max_pixels=10_000, max_side=64),
        )
        return CatalogueOptions(**(chosen | more))

    def prepare(self, how=None, **more):
        how = how or {}
        builder = reader.prepare(
            READER, self.options(**more), self.data_dir, show_progress=False, **how
        )
        return PreparedDataset(builder)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path, 40)


def split_of(dataset):
    return {name: split for split in SPLITS for name in dataset.image_ids(split)}


def report_of(dataset):
    return summary.read(dataset.builder.data_dir)


def test_an_update_reads_new_images_only_and_keeps_splits_and_values(shop, monkeypatch):
    before = shop.prepare(show_columns=("title",))
    was = split_of(before)
    shop.add(range(40, 60))
    shop.rows[41][1] = "violet"  # the models do not know it
    (shop.folder / "images" / "7.jpg").write_bytes(photo(1007))
    del shop.rows[12]
    read, check = [], images.check_image

    def check_and_note(path, *arguments):
        read.append(path.name)
        return check(path, *arguments)

    monkeypatch.setattr(images, "check_image", check_and_note)
    with pytest.raises(ValueError, match=r"content of the csv .*up to date with --update"):
        shop.prepare(show_columns=("title",))
    with pytest.raises(ValueError, match=r"min_count was 2, now 3.*An update keeps .* again"):
        shop.prepare({"update": True}, show_columns=("title",), min_count=3)
    now = shop.prepare({"update": True}, show_columns=("title",))
    assert sorted(read) == sorted(["7.jpg", *(f"{i}.jpg" for i in range(40, 60))])
    assert now.space == before.space
    split = split_of(now)
    assert len(split) == 59 and "12.jpg" not in split
    assert all(split[name] == was[name] for name in was if name != "12.jpg")
    report = report_of(now)
    assert report["updated"] == {"new": 20, "changed": 1, "unchanged": 38, "gone": 1}
    note = "colour: missing, since the data set has no such value (unknown_values.json has all)"
    assert f"{note}: violet 1" in report["notes"]
    unknown = json.loads((Path(now.builder.data_dir) / summary.UNKNOWN_FILE).read_text())
    assert unknown == {"colour": {"violet": 1}}
    (at,) = [i for i, name in enumerate(now.image_ids(split["41.jpg"])) if name == "41.jpg"]
    assert now.labels(split["41.jpg"])[at].tolist() == [-1, now.space.value_index("kind", "dress")]
    columns = now.columns(split["41.jpg"])
    assert columns is not None and columns[at] == {"title": "Item 41"}


def test_an_update_by_a_table_that_lost_its_end_is_refused(shop):
    before = shop.prepare()
    del shop.rows[20:]
    with pytest.raises(ValueError, match=r"20 of the 40 images of .* are gone .*max_dropped=0\.33"):
        shop.prepare({"update": True})
    assert split_of(PreparedDataset(before.builder)) == split_of(before)
    assert report_of(shop.prepare({"update": True}, max_dropped=0.5))["updated"]["gone"] == 20


def test_an_update_of_a_data_set_that_does_not_exist_is_refused(shop):
    with pytest.raises(ValueError, match=r"no data set .*other/1\.0\.0 to update\. Check"):
        shop.prepare({"update": True}, name="other")


def test_an_item_whose_values_are_all_new_stays_without_a_label(shop):
    space = shop.prepare().space
    shop.add(range(40, 42))
    shop.rows[40][1:3] = "violet", "coat"
    shop.rows[41][1:3] = "", ""  # nobody labelled it: dropped, as ever
    now = shop.prepare({"update": True})
    split = split_of(now)
    assert now.space == space and "40.jpg" in split and "41.jpg" not in split
    (at,) = [i for i, name in enumerate(now.image_ids(split["40.jpg"])) if name == "40.jpg"]
    assert now.labels(split["40.jpg"])[at].tolist() == [-1, -1]


def test_images_without_a_product_are_counted(shop):
    shop.rows[3][3] = ""
    report = report_of(shop.prepare(group_column="product"))
    assert (
        "product: 1 images name no product; each counts as a product of its own" in report["notes"]
    )


def test_an_update_of_splits_by_seed_is_refused(shop):
    shop.prepare(split_by="seed")
    shop.add(range(40, 42))
    with pytest.raises(ValueError, match=r"has splits by seed.* Prepare it once with --split_by"):
        shop.prepare({"update": True}, split_by="seed")


def test_overwriting_keeps_the_splits(shop):
    was = split_of(shop.prepare())
    shop.add(range(40, 60))
    now = split_of(shop.prepare({"overwrite": True}))
    assert all(now[name] == was[name] for name in was)
    # Under another name the bounds are new: no image that was trained on becomes a query.
    other = split_of(shop.prepare(name="other"))
    assert all(SPLITS.index(other[name]) >= SPLITS.index(was[name]) for name in was)


def test_the_images_of_a_product_stay_together(shop):
    dataset = shop.prepare(group_column="product")
    assert {s: dataset.num_examples(s) for s in SPLITS[:3]}.keys() == {*SPLITS[:3]}
    products = {split: set(dataset.instance_ids(split) or []) for split in SPLITS}
    assert sum(map(len, products.values())) == len(set().union(*products.values())) == 14
    assert shop.prepare(name="without").instance_ids("train") is None


def test_near_copies_are_reported(shop):
    for i in range(6):
        coarse = np.random.default_rng(i).integers(40, 200, (4, 5), np.uint8)
        pixels = cv2.cvtColor(cv2.resize(coarse, (60, 48)), cv2.COLOR_GRAY2BGR)
        (shop.folder / "images" / f"{i}.jpg").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        again = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        (shop.folder / "images" / f"{i}_b.jpg").write_bytes(again)
        shop.rows.append([f"{i}_b.jpg", *shop.rows[i][1:]])
    dataset = shop.prepare()
    report = report_of(dataset)
    assert report["near copies"]["pairs"] == 6
    assert "6 pairs of images seem to show the same picture" in summary.to_text(report)
    with open(Path(dataset.builder.data_dir) / summary.COPIES_FILE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["file"], row["copy"]) for row in rows} == {
        (f"{i}.jpg", f"{i}_b.jpg") for i in range(6)
    }
    split = split_of(dataset)
    assert all(row["split"] == split[row["file"]] for row in rows)
    # The images of a product are no surprise.
    assert report_of(shop.prepare(name="p", group_column="product"))["near copies"]["pairs"] == 0
    shop.rows[-1][3] = "another"
    text = summary.to_text(report_of(shop.prepare(name="q", group_column="product")))
    assert "1 pairs of images" in text and "names another product for each of a pair" in text


def test_too_many_missing_images_are_refused_before_anything_is_replaced(shop):
    before = Path(shop.prepare().builder.data_dir)
    content = (before / "dataset_info.json").read_bytes()
    for i in range(25):
        (shop.folder / "images" / f"{i}.jpg").rename(shop.folder / "images" / f"0{i}.jpg")
    with pytest.raises(ValueError) as caught:
        shop.prepare({"overwrite": True})
    message = str(caught.value)
    assert "25 of 40 rows cannot be used, more than --max_dropped=0.33 allows" in message
    assert "missing file 25" in message and "line 2, 0.jpg" in message
    assert "25 missing names lack zeros at their start, or have too many, such as 0.jpg" in message
    assert "Nothing was written or replaced" in message
    assert (before / "dataset_info.json").read_bytes() == content
    report = report_of(shop.prepare({"overwrite": True}, max_dropped=0.7, num_gallery=3))
    assert report["dropped"] == {"missing file": 25} and report["rows"] == 40


def test_the_first_error_of_a_newcomer_proposes_flags_that_fit(shop):
    shop.rows[0][1] = shop.rows[1][1] = "plaid"
    with pytest.raises(ValueError) as caught:
        shop.prepare(min_count=15, num_queries=2000, num_gallery=18000, num_validation=2000)
    message = str(caught.value)
    assert "rare value" in message and "--min_count=15" in message
    flags = dict(
        pair.removeprefix("--").split("=")
        for pair in message.split("These flags fit: ")[1].split(". ")[0].split()
    )
    names = {"num_queries", "num_gallery", "num_validation", "min_count"}
    assert flags.keys() == names
    dataset = shop.prepare(**{name: int(value) for name, value in flags.items()})
    assert dataset.num_examples("query") == int(flags["num_queries"])


def test_an_attribute_with_one_value_is_to_be_left_out(shop):
    for row in shop.rows:
        row[1] = "red"
    with pytest.raises(ValueError, match="'colour' has only the value 'red' in the whole table"):
        shop.prepare()


def test_an_attribute_on_which_all_rows_contradict_each_other_says_so(shop):
    shop.rows += [[*row[:1], f"{row[1]}ish", *row[2:]] for row in shop.rows]
    with pytest.raises(ValueError, match=r"colour.*contradict each other: colour 40\."):
        shop.prepare()


def test_two_preparations_of_one_name_do_not_meet(shop):
    with files.hold_lock(shop.data_dir / "catalogue" / ".shop.lock", "prepares catalogue/shop"):
        with pytest.raises(BlockingIOError, match="another process prepares catalogue/shop"):
            shop.prepare()
        shop.prepare(name="other")
    shop.prepare()
    assert sorted(p.name for p in (shop.data_dir / "catalogue").iterdir()) == ["other", "shop"]


def test_rows_kept_and_reported_are_the_rows_of_the_file(shop):
    shop.rows[3][4] = '6" heel'
    shop.rows[5] += ["", "surplus"]
    shop.rows[8] = shop.rows[7]
    del shop.rows[9][3:]
    options = shop.options()
    table = Path(options.csv)
    text = table.read_text().replace('"6"" heel"', '"6 inch heel')
    table.write_text(text)
    builder = reader.prepare(READER, options, shop.data_dir, show_progress=False)
    report = json.loads((Path(builder.data_dir) / summary.SUMMARY_FILE).read_text())
    assert report["rows"] == 40 == report["kept"] + sum(report["dropped"].values())
    assert report["dropped"] == {"repeated row": 1, "wrong number of cells": 1}
    shutil.rmtree(shop.data_dir)


def test_dense_splits_have_every_label(shop):
    for row in shop.rows[::4]:
        row[1] = ""
    sizes = {"num_queries": 3, "num_gallery": 4, "num_validation": 2}
    for how in ("id", "seed"):
        dataset = shop.prepare(dense_splits=True, split_by=how, name=f"shop_{how}", **sizes)
        for split in ("query", "gallery", "validation"):
            assert (dataset.labels(split) >= 0).all()
        assert sum(dataset.num_examples(split) for split in SPLITS) == 40
        assert (dataset.labels("train")[:, 0] < 0).sum() == 10
    products = shop.prepare(dense_splits=True, group_column="product", name="products", **sizes)
    used = [set(products.instance_ids(split)) for split in SPLITS]
    assert len(set.union(*used)) == sum(map(len, used))
    with pytest.raises(ValueError, match="--update does not go with --dense_splits: a new label"):
        shop.prepare({"update": True}, dense_splits=True, name="shop_id", **sizes)
    with pytest.raises(ValueError, match="images with a label of every attribute count here"):
        shop.prepare(dense_splits=True, name="other", num_queries=20)
