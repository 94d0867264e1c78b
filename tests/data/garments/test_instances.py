import itertools

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from fashionsearchnet.data.garments import builder as garments
from fashionsearchnet.data.garments.instances import sample_view
from fashionsearchnet.data.pipeline import open_dataset

SMALLEST = garments.InstancesConfig(
    name="few",
    image_size=32,
    num_train=3,
    num_validation=2,
    num_query=4,
    num_distractors=2,
    seed=1,
)
SHARED = ("values", "colour", "accent", "period", "phase", "stretch", "trim", "contrast")
VARIED = ("angle", "scale", "shift", "arms", "light", "background", "exposure", "noise_seed")


class Few(garments.Garments):
    """A class of its own: TFDS remembers the configurations of a class."""

    name = "few"
    BUILDER_CONFIGS = [SMALLEST]  # noqa: RUF012


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    tfds.disable_progress_bar()
    folder = tmp_path_factory.mktemp("data")
    Few(data_dir=str(folder), config="few").download_and_prepare(file_format="tfrecord")
    return open_dataset(folder, "few/few")


@pytest.mark.parametrize("garment", range(5))
def test_views_share_the_garment_and_differ_in_all_else(garment):
    views = [sample_view(5, garment, view) for view in range(4)]
    for one, other in itertools.combinations(views, 2):
        for name in SHARED:
            np.testing.assert_equal(getattr(one, name), getattr(other, name))
        for name in VARIED:
            assert getattr(one, name) != getattr(other, name), name
    again = sample_view(5, garment, 2)
    assert all(getattr(again, name) == getattr(views[2], name) for name in VARIED)


@pytest.mark.parametrize("garment", range(5))
def test_twins_share_the_values_and_differ_in_their_details(garment):
    one, other = sample_view(5, garment, 0), sample_view(5, 900 + garment, 0, twin=garment)
    np.testing.assert_array_equal(one.values, other.values)
    for name in ("colour", "period", "phase", "stretch"):
        assert getattr(one, name) != getattr(other, name)


def test_distractors_are_twins_of_query_garments():
    values = {g: SMALLEST.draw_example(g)["attributes"].tolist() for g in range(11)}
    # 3 to train, 2 to validate, 4 with queries, 2 distractors.
    assert values[9] == values[5] and values[10] == values[6]


@pytest.mark.parametrize("name", ["few", "instances", "instances_tiny"])
def test_splits_are_disjoint_in_garments_and_pictures(name):
    configs = [SMALLEST, *garments.Garments.BUILDER_CONFIGS]
    (config,) = [known for known in configs if known.name == name]
    pictures = config.pictures()
    everything = [picture for listed in pictures.values() for picture in listed]
    assert len(everything) == len(set(everything))
    of = {split: {garment for garment, _ in listed} for split, listed in pictures.items()}
    assert not (of["train"] | of["validation"]) & (of["gallery"] | of["query"])
    assert not of["train"] & of["validation"]
    assert of["query"] < of["gallery"]
    for garment in of["query"]:
        assert sum(g == garment for g, _ in pictures["query"]) in (1, 2)
    for split, garment_set in of.items():
        assert (
            len(garment_set)
            == {
                "train": config.num_train,
                "validation": config.num_validation,
                "query": config.num_query,
                "gallery": config.num_query + config.num_distractors,
            }[split]
        )


def test_sizes_of_the_instances():
    (config,) = [c for c in garments.Garments.BUILDER_CONFIGS if c.name == "instances"]
    sizes = {split: len(pictures) for split, pictures in config.pictures().items()}
    assert sizes == {"train": 6000, "validation": 600, "query": 600, "gallery": 3400}


def test_instance_ids_travel_with_the_set(dataset):
    for split, pictures in SMALLEST.pictures().items():
        ids = dataset.instance_ids(split)
        assert ids == [f"garment-{garment:06d}" for garment, _ in pictures]
        assert dataset.image_ids(split) == [
            f"{i}-{v}" for i, (_, v) in zip(ids, pictures, strict=True)
        ]
    assert dataset.instance_ids("gallery[:2]") == dataset.instance_ids("gallery")[:2]
    assert not dataset.queries_in_gallery and dataset.has_boxes


def test_no_image_of_the_gallery_equals_a_query(dataset):
    gallery = set(dataset.encoded_images("gallery").as_numpy_iterator())
    queries = set(dataset.encoded_images("query").as_numpy_iterator())
    assert len(gallery) == len(dataset.image_ids("gallery"))
    assert len(queries) == len(dataset.image_ids("query")) and not gallery & queries


def test_the_colour_of_a_garment_survives_its_views():
    """Pictures of one garment are nearer in the colour of their middle than those of others."""
    means = []
    for garment in range(12):
        for view in range(3):
            image = SMALLEST.draw_example(garment, view)["image"].read()
            pixels = np.asarray(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR))
            means.append(cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB)[12:20, 12:20].mean(axis=(0, 1)))
    distances = np.linalg.norm(np.array(means)[:, None] - np.array(means), axis=-1)
    shown = np.arange(36) // 3
    same = (shown[:, None] == shown) & ~np.eye(36, dtype=bool)
    assert distances[same].mean() < 0.8 * distances[shown[:, None] != shown].mean()
