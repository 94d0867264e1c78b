"""Images by position: the same by every cache, whose size is said beforehand."""

import functools
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from stored_numbers import IMAGE_INPUT, SIDE, seen

from fashionsearchnet.choices import CACHES
from fashionsearchnet.data import image_cache, pipeline
from fashionsearchnet.data.example_table import mapped
from fashionsearchnet.data.preprocess import Pixels, as_input, load_image
from fashionsearchnet.networks.image_input import ImageInput


def test_images_are_loaded_by_position(dataset):
    load = dataset.image_loader("train", IMAGE_INPUT)
    expected = np.concatenate(seen(dataset, "train"))
    drawn = tf.data.Dataset.from_tensors((np.array([4, 4, 0], np.int32), [False, True, False]))
    (found,) = drawn.map(lambda *given: as_input(load(*given), IMAGE_INPUT))
    assert found.shape == (3, SIDE, SIDE, 3) and found.dtype == tf.float32
    np.testing.assert_array_equal(found[0], expected[4])
    np.testing.assert_array_equal(found[1], expected[4][:, ::-1])
    np.testing.assert_array_equal(found[2], expected[0])


def plain_examples(dataset, image_input, steps, batch, seed, flip):
    """The first steps by the plain way: whole examples are shuffled, then decoded one by one."""
    encoded = dataset._records("train").cache()
    num = dataset.num_examples("train")

    def epoch_order(epoch):
        tf.random.set_seed(seed + 1)
        return encoded.shuffle(num, seed=epoch, reshuffle_each_iteration=False)

    def load(index, example):
        image = load_image(example["image"], image_input)
        mirrored = tf.random.stateless_uniform([], [seed, index]) < 0.5
        image = tf.where(mirrored & flip, image[:, ::-1], image)
        return {"image": image, "attributes": example["attributes"]}

    examples = tf.data.Dataset.range(9).flat_map(epoch_order).enumerate()
    return list(examples.map(load).batch(batch).take(steps).as_numpy_iterator())


@pytest.fixture(scope="module")
def plain(dataset):
    """The first seven steps by the plain way, as an input sees them, for all caches."""
    return functools.cache(lambda seen_by: plain_examples(dataset, seen_by, 7, 7, 4, True))


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize(
    ("size", "pixels", "fit"),
    [
        (8, "exact", "pad"),
        (5, "exact", "crop"),
        (5, "rounded", "pad"),
        (5, "rounded", "stretch"),
    ],
)
def test_whatever_the_cache_a_network_sees_what_the_plain_way_gives(
    data_dir, tmp_path, plain, cache, size, pixels, fit
):
    seen_by = ImageInput(size, fit, "bgr", (9.0, 8.0, 7.0), (1.0, 3.0, 0.7), pixels)
    dataset = pipeline.open_dataset(data_dir, "catalogue/numbers", cache, tmp_path)
    keeps = (size, fit) == (8, "pad")  # of 8 x 6 pixels
    arguments: dict[str, Any] = {"global_batch_size": 7, "seed": 4, "flip": True}
    if cache == "decoded" and pixels == "exact" and not keeps:
        with pytest.raises(ValueError, match="--cache=decoded keeps whole numbers"):
            dataset.training_examples("train", seen_by, **arguments)
        return
    examples = dataset.training_examples("train", seen_by, **arguments)
    assert isinstance(examples.element_spec["image"], Pixels) == (keeps or pixels == "rounded")
    for found, wanted in zip(examples.take(7), plain(seen_by), strict=True):
        # bit by bit
        np.testing.assert_array_equal(as_input(found["image"], seen_by), wanted["image"])
        np.testing.assert_array_equal(found["attributes"], wanted["attributes"])


def test_decoded_images_are_written_once_for_all_runs(data_dir, tmp_path, capsys):
    seen_by = ImageInput(6, pixels="rounded")
    for _ in range(2):
        dataset = pipeline.open_dataset(data_dir, "catalogue/numbers", "decoded", tmp_path)
        dataset.image_loader("train", seen_by)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == 23 * 6 * 6 * 3
    said = capsys.readouterr().err
    assert said.count("--cache=decoded writes 23 decoded images to a file: 2.5 kB, ") == 1
    assert f"{path}. The disk has " in said and " of free space." in said
    dataset.image_loader("query", seen_by)
    dataset.image_loader("train", ImageInput(5, pixels="rounded"))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("length", [100, 4_000])
def test_decoded_images_of_another_length_are_written_again(data_dir, tmp_path, length):
    seen_by = ImageInput(6, pixels="rounded")
    dataset = pipeline.open_dataset(data_dir, "catalogue/numbers", "decoded", tmp_path)
    dataset.image_loader("train", seen_by)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes((whole + whole)[:length])
    dataset.image_loader("train", seen_by)
    assert path.read_bytes() == whole


def test_a_cache_that_does_not_fit_is_refused(data_dir, tmp_path, monkeypatch):
    seen_by = ImageInput(6, pixels="rounded")
    monkeypatch.setattr(image_cache, "free_memory", lambda: 2_000)
    encoded = pipeline.open_dataset(data_dir, "catalogue/numbers", "encoded")
    message = (
        r"--cache=encoded keeps the files' bytes of 23 images in memory: \d\.\d kB\. "
        r"It may take 1\.6 kB, which is 80% of the memory that is free\. Close other programs"
    )
    with pytest.raises(ValueError, match=message):
        encoded.image_loader("train", seen_by)
    usage = shutil.disk_usage(tmp_path)._replace(free=2_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    decoded = pipeline.open_dataset(data_dir, "catalogue/numbers", "decoded", tmp_path)
    message = (
        r"--cache=decoded writes 23 decoded images to a file: 2\.5 kB\. "
        rf"The disk of {tmp_path} has 2\.0 kB of free space\. Free some, choose a --cache_dir"
    )
    with pytest.raises(ValueError, match=message):
        decoded.image_loader("train", seen_by)
    assert not list(tmp_path.glob("*.uint8"))


def test_a_mapped_file_takes_no_memory_but_what_is_read(tmp_path):
    """Not when it is opened, nor when a pipeline starts: a copy of this one fits nowhere."""
    path, shape = tmp_path / "large", [1000, 2_000_000_000]
    with open(path, "wb") as file:
        file.truncate(shape[0] * shape[1])  # a hole: it takes no space on the disk
        file.seek(7 * shape[1])
        file.write(b"\x05\x06")
    stored = mapped(path, shape)
    rows = tf.data.Dataset.from_tensor_slices(tf.constant([7, 8]))

    def first_three(row):
        assert stored().shape == shape  # in a graph, too
        return stored()[row, :3]

    found = rows.map(first_three, num_parallel_calls=2).prefetch(2)
    np.testing.assert_array_equal(list(found), [[5, 6, 0], [0, 0, 0]])


def test_free_memory_is_some():
    assert 10_000_000 < image_cache.free_memory() < 10**14


def test_the_size_in_memory_is_said_beforehand(data_dir, capsys):
    dataset = pipeline.open_dataset(data_dir, "catalogue/numbers", "encoded")
    dataset.image_loader("train", IMAGE_INPUT)
    said = capsys.readouterr().err
    assert "--cache=encoded keeps the files' bytes of 23 images in memory: " in said
    assert " of free memory.\n" in said


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 kB"), (2_484, "2.5 kB"), (1_500_000, "1.5 MB"), (38_654_000_000, "39 GB")],
)
def test_sizes_are_readable(size, text):
    assert image_cache._readable(size) == text
