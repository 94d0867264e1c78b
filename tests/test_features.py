import numpy as np
import pytest
import tensorflow as tf
from fakes import FakeDataset

from fashionsearchnet.features import extract_features


class Brightness:
    """A system as far as the extraction goes."""

    image_size = 6
    channel_means = (1.0, 2.0, 3.0)

    def __init__(self):
        self.traces = 0

    def image_features(self, images):
        self.traces += 1
        mean = tf.reduce_mean(images, axis=[1, 2])
        return {"embedding": mean[:, None], "dark": mean[:, 0] < 0}


@pytest.mark.parametrize("batch_size", [1, 5, 12, 50])
def test_features_of_a_split_come_in_stored_order(batch_size):
    dataset = FakeDataset()
    system = Brightness()
    features = extract_features(system, dataset, "query", batch_size)
    means = np.array([dataset.render("query", i, 6).mean(axis=(0, 1)) for i in range(12)])
    assert features["embedding"].shape == (12, 1, 3) and features["dark"].dtype == bool
    np.testing.assert_allclose(features["embedding"][:, 0], means - [1, 2, 3], atol=1e-3)
    np.testing.assert_array_equal(features["dark"], means[:, 0] < 1)
    assert system.traces == 1


def test_a_split_or_a_batch_without_images():
    dataset = FakeDataset(sizes={"train": 4, "query": 0})
    with pytest.raises(ValueError, match=r"'query' of fake/1\.0\.0 is empty"):
        extract_features(Brightness(), dataset, "query")
    with pytest.raises(ValueError, match="batch_size must be at least 1; got 0"):
        extract_features(Brightness(), dataset, "train", 0)
