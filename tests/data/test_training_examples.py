"""The order of training examples: a function of seed and step, shared among replicas."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from stored_numbers import IMAGE_INPUT, SIDE, labels, numbers_of

from fashionsearchnet.data.preprocess import as_input


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
    orders = {tuple(training(dataset, 9, seed=seed)[0].ravel()) for seed in (0, 1)}
    assert len({tuple(first.ravel()), *orders}) == 3


def test_making_the_examples_leaves_the_seed_of_others_alone(dataset):
    tf.random.set_seed(5)
    expected = tf.random.uniform([3])
    tf.random.set_seed(5)
    training(dataset, 1)
    np.testing.assert_array_equal(tf.random.uniform([3]), expected)


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


def test_an_empty_slice(dataset):
    with pytest.raises(ValueError, match="is empty; nothing to train on"):
        training(dataset, split="train[:0]")
    with pytest.raises(ValueError, match="is empty"):
        dataset.labels("train[:0]")
