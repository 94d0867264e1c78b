"""A prepared data set: its splits and labels, images in order, and the table beside the files."""

import itertools
import shutil
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from stored_numbers import IMAGE_INPUT, SIDE, SIZES, labels, numbers_of, seen

from fashionsearchnet.data import pipeline
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.networks.image_input import ImageInput


def test_an_opened_data_set_knows_itself(dataset, space):
    assert dataset.space == space
    assert dataset.name == "numbers/1.0.0"
    assert dataset.has_boxes
    assert {split: dataset.num_examples(split) for split in pipeline.SPLITS} == SIZES


@pytest.mark.parametrize("split", SIZES)
def test_labels_ids_and_images_come_in_the_same_order(dataset, split):
    numbers = numbers_of(split)
    assert dataset.image_ids(split) == [f"number-{n}" for n in numbers]
    found = dataset.labels(split)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [labels(n) for n in numbers])
    batches = seen(dataset, split, batch_size=5)
    assert [len(b) for b in batches[:-1]] == [5] * (len(batches) - 1)
    images = np.concatenate(batches)
    assert images.shape == (len(numbers), SIDE, SIDE, 3) and images.dtype == np.float32
    np.testing.assert_allclose(images[:, 4, 1, 0], numbers, atol=1e-4)
    np.testing.assert_allclose(images[:, 4, 6, 0], np.array(numbers) * 2, atol=1e-4)
    encoded = list(dataset.encoded_images(split).as_numpy_iterator())
    assert [int(tf.io.decode_png(e)[0, 0, 0]) for e in encoded] == numbers
    fingerprints = dataset.image_fingerprints(split)
    assert fingerprints.dtype == np.int64 and len(set(fingerprints)) == len(numbers)
    np.testing.assert_array_equal(fingerprints, Dataset.image_fingerprints(dataset, split))


def test_the_means_are_subtracted_and_the_padding_is_zero(dataset):
    (images,) = seen(dataset, "query", ImageInput(SIDE, mean=(1.0, 2.0, 3.0)))
    np.testing.assert_allclose(images[0, 3, 2], [38 - 1, 7 - 2, 38 - 3], atol=1e-4)
    np.testing.assert_array_equal(images[:, :, [0, -1]], np.zeros((4, 8, 2, 3)))


def test_channel_means_count_the_image_alone(dataset):
    numbers = np.array(numbers_of("train"))
    expected = [1.5 * numbers.mean(), 7.0, 1.5 * numbers.mean()]
    np.testing.assert_allclose(dataset.channel_means(), expected, atol=1e-3)


def test_boxes_lie_on_the_fitted_images(dataset):
    boxes = dataset.boxes("gallery", IMAGE_INPUT)
    assert boxes.shape == (9, 3, 4) and boxes.dtype == np.float32
    # 8 x 6 pixels with one column of padding on either side.
    np.testing.assert_allclose(boxes[:, 0], [[0.0, 0.5, 1.0, 0.875]] * 9)
    np.testing.assert_array_equal(boxes[:, 1:], np.full((9, 2, 4), -1.0))


def test_splits_never_share_an_image(dataset):
    ids = [name for split in SIZES for name in dataset.image_ids(split)]
    assert len(ids) == len(set(ids)) == sum(SIZES.values())


def test_slices_of_splits(dataset):
    train = dataset.image_ids("train")
    assert dataset.image_ids("train[:5]") == train[:5]
    assert dataset.num_examples("train[5:]") == 18
    assert dataset.image_ids("train[5:]") == train[5:]
    both = dataset.image_ids("validation+query")
    assert both == dataset.image_ids("validation") + dataset.image_ids("query")
    assert dataset.num_examples("validation[:50%]") == 3
    images = np.concatenate(seen(dataset, "train[20:]"))
    np.testing.assert_allclose(images[:, 4, 1, 0], [20, 21, 22], atol=1e-4)


@pytest.mark.parametrize("split", ["test", "", "train[", "train[:x]", "train+test"])
def test_unknown_splits_are_answered_with_those_that_exist(dataset, split):
    for ask in (
        dataset.num_examples,
        dataset.labels,
        dataset.encoded_images,
        lambda split: dataset.training_examples(split, IMAGE_INPUT, global_batch_size=2, seed=0),
    ):
        with pytest.raises(ValueError, match=r"has no split .*train.*validation.*gallery.*query"):
            ask(split)


def test_batches_of_images_end_with_a_smaller_one(dataset):
    sizes = [len(batch) for batch in seen(dataset, "train", batch_size=10)]
    assert sizes == [10, 10, 3]
    head = itertools.islice(dataset.images("train", IMAGE_INPUT, batch_size=10), 1)
    assert len(list(head)) == 1


def test_a_data_set_that_is_not_there(data_dir, tmp_path):
    message = (
        r"other holds no prepared data set\. These exist: catalogue/numbers\. Prepare it: .*other"
    )
    with pytest.raises(FileNotFoundError, match=message):
        pipeline.open_dataset(data_dir, "catalogue/other")
    with pytest.raises(FileNotFoundError, match="These exist: none"):
        pipeline.open_dataset(tmp_path / "nowhere", "catalogue/other")


def test_the_table_is_read_without_the_examples(data_dir, tmp_path):
    copy = tmp_path / "catalogue" / "numbers"
    shutil.copytree(data_dir / "catalogue" / "numbers", copy)
    (version,) = copy.iterdir()
    labels_before = pipeline.open_dataset(tmp_path, "catalogue/numbers").labels("train")
    for path in version.glob("*train.tfrecord*"):
        path.write_bytes(b"\0" * path.stat().st_size)  # of the same length: labels do not look
    dataset = pipeline.open_dataset(tmp_path, "catalogue/numbers")
    np.testing.assert_array_equal(dataset.labels("train"), labels_before)
    assert dataset.image_ids("train[3:5]") == ["number-3", "number-4"]
    load = dataset.image_loader("train", IMAGE_INPUT)
    with pytest.raises(tf.errors.InvalidArgumentError, match="stored images are damaged"):
        load(tf.constant([2]), tf.constant([False]))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half a file"])
def test_a_table_that_is_missing_or_damaged_is_made_again(data_dir, tmp_path, content):
    copy = tmp_path / "catalogue" / "numbers"
    shutil.copytree(data_dir / "catalogue" / "numbers", copy)
    (version,) = copy.iterdir()
    (version / "examples_query.npz").unlink(missing_ok=True)
    if content is not None:
        (version / "examples_query.npz").write_bytes(content)
    dataset = pipeline.open_dataset(tmp_path, "catalogue/numbers")
    np.testing.assert_array_equal(dataset.labels("query"), [labels(n) for n in numbers_of("query")])
    assert (version / "examples_query.npz").stat().st_size > 100


def test_where_no_table_can_be_stored_labels_are_read_all_the_same(data_dir, monkeypatch, capsys):
    dataset = pipeline.open_dataset(data_dir, "catalogue/numbers")
    (data_dir / "catalogue/numbers/1.0.0/examples_query.npz").unlink(missing_ok=True)
    monkeypatch.setattr("tempfile.mkstemp", mock.Mock(side_effect=PermissionError("read only")))
    assert len(dataset.labels("query")) == 4
    said = capsys.readouterr().err
    assert "cannot write" in said and "reads all images of split query for their labels" in said
