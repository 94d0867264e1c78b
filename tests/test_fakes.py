"""The data set that stands in for prepared ones must behave like them."""

import numpy as np
import tensorflow as tf
from fakes import COLOURS, GREY, SIZES, FakeDataset

from fashionsearchnet.networks.image_input import ImageInput


def test_quadrants_show_the_values():
    dataset = FakeDataset(missing=0.3)
    labels = dataset.labels("gallery")
    assert (labels == -1).any()
    for i, row in enumerate(labels):
        image = dataset.render("gallery", i, 20)
        for a, (y, x) in enumerate([(0, 0), (0, 10), (10, 0)]):
            colour = image[y : y + 10, x : x + 10].mean(axis=(0, 1))
            np.testing.assert_allclose(colour, GREY if row[a] < 0 else COLOURS[row[a]], atol=12)


def test_examples_resume_and_are_shared():
    dataset = FakeDataset()
    assert {split: dataset.num_examples(split) for split in SIZES} == SIZES

    def labels(first, steps, context=None):
        examples = dataset.training_examples(
            "train",
            ImageInput(4),
            global_batch_size=10,
            seed=1,
            first_step=first,
            context=context,
        )
        return np.array([b["attributes"] for b in examples.take(steps).as_numpy_iterator()])

    straight = labels(0, 9)  # 64 examples: an epoch ends within the seventh step
    np.testing.assert_array_equal(labels(5, 4), straight[5:])
    halves = [labels(0, 9, tf.distribute.InputContext(2, n, 2)) for n in range(2)]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), straight)
