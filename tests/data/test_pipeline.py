import collections
import itertools
import shutil
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from fakes import SPACE

from fashionsearchnet.choices import CACHES
from fashionsearchnet.data import image_cache, pipeline
from fashionsearchnet.data.preprocess import Pixels, as_input, load_image
from fashionsearchnet.networks.image_input import ImageInput

SIZES = {"train": 23, "validation": 6, "gallery": 9, "query": 4}
FIRST = {"train": 0, "validation": 23, "gallery": 29, "query": 38}
SIDE = 8
IMAGE_INPUT = ImageInput(SIDE, mean=(0.0, 0.0, 0.0))


def picture(number):
    """uint8 [8, 6, 3]: the number as a colour on the left, its double on the right."""
    image = np.zeros((8, 6, 3), np.uint8)
    image[:, :3], image[:, 3:] = number, 2 * number
    image[..., 1] = 7
    return image


def labels(number):
    return np.array([number % 3, number % 2 if number % 5 else -1, number % 4], np.int32)


class Numbers(tfds.core.GeneratorBasedBuilder):
    """Pictures of numbers; the attribute space stands in the metadata."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None
    space: dict[str, list[str]]

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "image_id": tfds.features.Text(),
                    "attributes": tfds.features.Tensor(shape=(3,), dtype=np.int32),
                    "boxes": tfds.features.Tensor(shape=(3, 4), dtype=np.float32),
                }
            ),
            metadata=tfds.core.MetadataDict(attribute_space=self.space),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SIZES}

    def _generate_examples(self, split):
        for number in range(FIRST[split], FIRST[split] + SIZES[split]):
            boxes = np.full((3, 4), -1.0, np.float32)
            boxes[0] = (0.0, 0.5, 1.0, 1.0)
            yield (
                number,
                {
                    "image": cv2.imencode(".png", picture(number)[..., ::-1])[1].tobytes(),
                    "image_id": f"number-{number}",
                    "attributes": labels(number),
                    "boxes": boxes,
                },
            )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    Numbers.space = SPACE.to_dict()
    config = tfds.download.DownloadConfig(num_shards=3)
    Numbers(data_dir=str(folder)).download_and_prepare(
        file_format="tfrecord", download_config=config
    )
    (folder / "catalogue").mkdir()
    (folder / "numbers").rename(folder / "catalogue" / "numbers")
    return folder


@pytest.fixture(scope="module")
def dataset(data_dir):
    return pipeline.open_dataset(data_dir, "catalogue/numbers")


def seen(dataset, split, image_input=IMAGE_INPUT, **kwargs):
    """What a network sees of a split, batch by batch."""
    batches = dataset.images(split, image_input, **kwargs)
    return [as_input(batch, image_input).numpy() for batch in batches]


def numbers_of(split):
    return list(range(FIRST[split], FIRST[split] + SIZES[split]))


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


def test_an_empty_slice(dataset):
    with pytest.raises(ValueError, match="is empty; nothing to train on"):
        training(dataset, split="train[:0]")
    with pytest.raises(ValueError, match="is empty"):
        dataset.labels("train[:0]")


def training(dataset, steps=0, split="train", batch=5, seed=3, **kwargs):
    """The numbers on the images of some steps, int [steps, batch], and the raw batches."""
    examples = dataset.training_examples(
        split,
        IMAGE_INPUT,
        global_batch_size=batch,
        seed=seed,
        **kwargs,
    )
    batches = [
        {
            "image": as_input(batch["image"], IMAGE_INPUT).numpy(),
            "attributes": batch["attributes"].numpy(),
        }
        for batch in examples.take(steps)
    ]
    return np.array([np.rint(b["image"][:, 4, 1, 0]) for b in batches], int), batches


def test_training_examples_keep_their_labels(dataset):
    numbers, batches = training(dataset, 12)
    assert numbers.shape == (12, 5)
    for row, batch in zip(numbers, batches, strict=True):
        assert batch["image"].dtype == np.float32 and batch["attributes"].dtype == np.int32
        np.testing.assert_array_equal(batch["attributes"], [labels(n) for n in row])


def test_every_epoch_has_each_example_once_in_an_order_of_its_own(dataset):
    order = training(dataset, 23)[0].ravel()  # five epochs of 23 in steps of 5
    epochs = order.reshape(5, 23)
    for epoch in epochs:
        assert sorted(epoch) == numbers_of("train")
    assert len({tuple(e) for e in epochs}) == 5
    assert not any((epoch == numbers_of("train")).all() for epoch in epochs)


def test_a_batch_larger_than_the_split(dataset):
    numbers, _ = training(dataset, 3, split="query", batch=10)
    counts = collections.Counter(numbers.ravel().tolist())
    assert set(counts) == set(numbers_of("query"))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("first_step", [1, 5, 23])
def test_a_resumed_run_sees_what_a_straight_one_would(dataset, first_step):
    straight, batches = training(dataset, first_step + 4, flip=True)
    resumed, again = training(dataset, 4, first_step=first_step, flip=True)
    np.testing.assert_array_equal(resumed, straight[first_step:])
    for one, other in zip(batches[first_step:], again, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["attributes"], other["attributes"])


def test_the_order_depends_on_the_seed_alone(dataset):
    first = training(dataset, 9)[0]
    tf.random.set_seed(99)  # somebody else's business
    np.testing.assert_array_equal(first, training(dataset, 9)[0])
    orders = {tuple(training(dataset, 9, seed=seed)[0].ravel()) for seed in (0, 1, 3)}
    assert len(orders) == 3
    assert tuple(first.ravel()) in orders


def test_making_the_examples_leaves_the_seed_of_others_alone(dataset):
    tf.random.set_seed(5)
    expected = tf.random.uniform([3])
    tf.random.set_seed(5)
    training(dataset, 1)
    np.testing.assert_array_equal(tf.random.uniform([3]), expected)


def test_images_are_loaded_by_position(dataset):
    load = dataset.image_loader("train", IMAGE_INPUT)
    expected = np.concatenate(seen(dataset, "train"))
    drawn = tf.data.Dataset.from_tensors((np.array([4, 4, 0], np.int32), [False, True, False]))
    (found,) = drawn.map(lambda *given: as_input(load(*given), IMAGE_INPUT))
    assert found.shape == (3, SIDE, SIDE, 3) and found.dtype == tf.float32
    np.testing.assert_array_equal(found[0], expected[4])
    np.testing.assert_array_equal(found[1], expected[4][:, ::-1])
    np.testing.assert_array_equal(found[2], expected[0])


def test_two_epochs_flip_differently_and_half_of_the_images(dataset):
    def flipped(image):  # the double stands on the left, or zero is zero
        return image[4, 1, 0] > image[4, 6, 0]

    _, batches = training(dataset, 46, split="train[1:]", batch=22, flip=True)
    rows = np.array([[flipped(image) for image in b["image"]] for b in batches])
    assert rows.mean() == pytest.approx(0.5, abs=0.05)
    assert len({tuple(row) for row in rows}) > 40
    by_number: dict[int, list[bool]] = {}
    for batch, row in zip(batches, rows, strict=True):
        for image, flip in zip(batch["image"], row, strict=True):
            by_number.setdefault(int(np.rint(image[4, 1:7, 0].min())), []).append(bool(flip))
    assert all(0 < sum(flips) < 46 for flips in by_number.values())
    _, unflipped = training(dataset, 5, split="train[1:]")
    assert not any(flipped(image) for batch in unflipped for image in batch["image"])


def test_flips_do_not_depend_on_the_batch_size(dataset):
    _, one = training(dataset, 20, batch=1, flip=True)
    _, all_at_once = training(dataset, 1, batch=20, flip=True)
    joined = np.concatenate([batch["image"] for batch in one])
    np.testing.assert_array_equal(joined, all_at_once[0]["image"])


@pytest.mark.parametrize(("pipelines", "replicas"), [(2, 2), (2, 4), (1, 2)])
def test_several_pipelines_share_every_batch(dataset, pipelines, replicas):
    steps, batch = 9, 8
    straight, _ = training(dataset, steps, batch=batch, first_step=2, flip=True)
    per_step = replicas // pipelines  # batches of a pipeline
    parts = []
    for number in range(pipelines):
        context = tf.distribute.InputContext(pipelines, number, replicas)
        numbers, _ = training(
            dataset, steps * per_step, batch=batch, first_step=2, flip=True, context=context
        )
        assert numbers.shape == (steps * per_step, batch // replicas)
        parts.append(numbers.reshape(steps, batch // pipelines))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), straight)


def test_the_pipeline_keeps_its_shapes(dataset):
    spec = dataset.training_examples("train", IMAGE_INPUT, global_batch_size=4, seed=0).element_spec
    assert spec["image"].values == tf.TensorSpec([4, SIDE, SIDE, 3], tf.uint8)
    assert spec["image"].place == tf.TensorSpec([4, 4], tf.int32)
    assert spec["attributes"].shape.as_list() == [4, 3]


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
    data_dir, tmp_path, cache, size, pixels, fit
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
    expected = plain_examples(dataset, seen_by, 7, 7, 4, True)
    for found, wanted in zip(examples.take(7), expected, strict=True):
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
    assert said.count("--cache=decoded: 23 images, 0 MB in") == 1
    dataset.image_loader("query", seen_by)
    dataset.image_loader("train", ImageInput(5, pixels="rounded"))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_cache_that_does_not_fit_is_refused(data_dir, tmp_path, monkeypatch):
    seen_by = ImageInput(6, pixels="rounded")
    monkeypatch.setattr(image_cache, "free_memory", lambda: 2_000)
    encoded = pipeline.open_dataset(data_dir, "catalogue/numbers", "encoded")
    with pytest.raises(ValueError, match=r"--cache=encoded needs 0 MB .* 0 MB are free"):
        encoded.image_loader("train", seen_by)
    usage = shutil.disk_usage(tmp_path)._replace(free=2_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    decoded = pipeline.open_dataset(data_dir, "catalogue/numbers", "decoded", tmp_path)
    with pytest.raises(ValueError, match=r"needs 0 MB in .* 0 MB are free\. Choose a --cache_dir"):
        decoded.image_loader("train", seen_by)
    assert not list(tmp_path.glob("*.uint8"))


def test_free_memory_is_some():
    assert 10_000_000 < image_cache.free_memory() < 10**14


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
