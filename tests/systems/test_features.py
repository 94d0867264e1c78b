import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset

from fashionsearchnet.data.preprocess import Pixels
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.systems.features import extract_features, load_stored, store
from fashionsearchnet.systems.system import System
from fashionsearchnet.training import distribution


class Brightness(System):
    """A system as far as the extraction goes."""

    tasks = ()

    def __init__(self):
        super().__init__("brightness", SPACE, ImageInput(6, mean=(1.0, 2.0, 3.0)), {})
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


def test_images_come_to_the_device_that_computes(monkeypatch):
    """The second CPU stands in for a GPU; whole numbers become a network's input there."""

    class Whole(FakeDataset):
        def images(self, split, image_input, *, batch_size=64):
            images = super().images(split, image_input, batch_size=batch_size)
            return images.map(
                lambda batch: Pixels(
                    tf.cast(batch + image_input.mean, tf.uint8),
                    tf.tile([[0, 0, 6, 6]], [tf.shape(batch)[0], 1]),
                )
            )

    here = extract_features(Brightness(), Whole(), "query", 5)
    second = tf.config.list_logical_devices("CPU")[1].name
    monkeypatch.setattr(distribution, "compute_device", lambda: second)
    there = extract_features(Brightness(), Whole(), "query", 5)
    for name, values in here.items():
        np.testing.assert_array_equal(there[name], values)


def test_a_split_or_a_batch_without_images():
    dataset = FakeDataset(sizes={"train": 4, "query": 0})
    with pytest.raises(ValueError, match=r"'query' of fake/1\.0\.0 is empty"):
        extract_features(Brightness(), dataset, "query")
    with pytest.raises(ValueError, match="batch_size must be at least 1; got 0"):
        extract_features(Brightness(), dataset, "train", 0)


@pytest.fixture
def stored(tmp_path):
    """Features of the images of the fake data set, in a file."""
    features = np.random.default_rng(0).normal(size=(64, 3, 2)).astype(np.float32)
    path = tmp_path / "features.npy"
    store(path, np.split(features, [5, 40]), FakeDataset(), "train")
    return path, features


@pytest.mark.parametrize("mapped", [False, True])
def test_stored_features_are_those_that_came_in_batches(stored, tmp_path, mapped):
    path, features = stored
    found = load_stored(path, FakeDataset(), "train", "train_it", mapped=mapped)
    np.testing.assert_array_equal(found, features)
    assert isinstance(found, np.memmap) == mapped
    np.save(tmp_path / "whole.npy", features)
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()


def relabelled() -> FakeDataset:
    """The same images, one with another label."""
    dataset = FakeDataset()
    labels = dataset.labels("train")
    labels[3, 0] = (labels[3, 0] + 1) % 3
    return dataset


def renamed() -> FakeDataset:
    """As many images with the same labels, under other names."""
    dataset = FakeDataset()
    dataset.image_ids = lambda split: [f"other-{i}" for i in range(64)]
    return dataset


@pytest.mark.parametrize("dataset", [relabelled(), renamed(), FakeDataset(seed=1)])
def test_stored_features_of_other_images_or_labels_are_refused(stored, dataset):
    with pytest.raises(ValueError, match=r"'train' of fake/1.0.0 as it was then, .*--train_split"):
        load_stored(stored[0], dataset, "train", "train_it")


def test_stored_features_of_unknown_images_pass_by_their_number(stored):
    path, features = stored
    path.with_suffix(".json").unlink()
    np.testing.assert_array_equal(load_stored(path, relabelled(), "train", "train_it"), features)
    with pytest.raises(ValueError, match=r"holds 64 images, but split 'query' .* has 12"):
        load_stored(path, relabelled(), "query", "train_it")


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    ("name", "content"), [(".npy", b"rubbish"), (".json", b"{}"), (".json", b"[]")]
)
def test_stored_features_that_are_damaged_name_the_file_and_the_cure(stored, name, content, mapped):
    damaged = stored[0].with_suffix(name)
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{damaged.name} .*Train that run again by tools/"):
        load_stored(stored[0], FakeDataset(), "train", "train_it", mapped=mapped)
