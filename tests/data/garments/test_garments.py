import dataclasses
import hashlib

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.garments import builder as garments
from fashionsearchnet.data.garments.scene import SPACE

SMALLEST = garments.GarmentsConfig(
    name="smallest",
    image_size=32,
    num_train=11,
    num_validation=3,
    num_gallery=6,
    num_query=2,
    seed=1,
)
SIZES = {"train": 11, "validation": 3, "gallery": 6, "query": 2}


@pytest.fixture(autouse=True)
def smallest_configuration(monkeypatch):
    tfds.disable_progress_bar()
    monkeypatch.setattr(garments.Garments, "BUILDER_CONFIGS", [SMALLEST])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def test_a_built_set_reads_back_in_order_with_equal_labels(data_dir):
    builder = garments.prepare(data_dir, "smallest")
    stored = tfds.builder_from_directory(builder.data_path)
    assert {name: split.num_examples for name, split in stored.info.splits.items()} == SIZES
    index = 0
    for split in SIZES:
        for example in tfds.as_numpy(stored.as_dataset(split=split)):
            drawn = SMALLEST.draw_example(index)
            assert example["image_id"].decode() == drawn["image_id"] == f"garments-{index:06d}"
            np.testing.assert_array_equal(example["attributes"], drawn["attributes"])
            np.testing.assert_array_equal(example["boxes"], drawn["boxes"])
            assert example["attributes"].dtype == np.int32
            assert example["boxes"].dtype == np.float32
            encoded = np.frombuffer(drawn["image"].read(), np.uint8)
            image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]
            # Red is red: two JPEG decoders differ by little.
            assert np.abs(example["image"].astype(int) - image).mean() < 3.0
            index += 1
    assert index == sum(SIZES.values())


def test_the_attribute_space_and_the_seed_travel_with_the_set(data_dir):
    builder = garments.prepare(data_dir, "smallest")
    metadata = tfds.builder_from_directory(builder.data_path).info.metadata
    assert AttributeSpace.from_dict(metadata["attribute_space"]) == SPACE
    assert metadata["seed"] == 1


def test_a_set_that_exists_is_not_drawn_again(data_dir, monkeypatch):
    garments.prepare(data_dir, "smallest")
    monkeypatch.setattr(garments, "draw", lambda *_: pytest.fail("drawn again"))
    garments.prepare(data_dir, "smallest")


def test_an_interrupted_build_leaves_no_half_set(tmp_path, monkeypatch):
    draw = garments.draw

    def stop_at_the_eighth(scene, size):
        if scene.noise_seed[1] == 7:
            raise KeyboardInterrupt
        return draw(scene, size)

    with monkeypatch.context() as patch:
        patch.setattr(garments, "draw", stop_at_the_eighth)
        with pytest.raises(KeyboardInterrupt):
            garments.prepare(tmp_path, "smallest")
    assert not list(tmp_path.rglob("*.tfrecord*"))
    builder = garments.prepare(tmp_path, "smallest")
    assert builder.info.splits["train"].num_examples == 11


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(OSError, match=r"garments/smallest below .*file.*choose another folder"):
        garments.prepare(occupied, "smallest")


def test_an_unknown_configuration_lists_those_that_exist(tmp_path):
    with pytest.raises(ValueError, match=r"one of smallest; got 'smalest' \(did you mean smalle"):
        garments.prepare(tmp_path, "smalest")


def test_configurations_differ_in_their_seeds_and_large_allows_the_papers_protocol(monkeypatch):
    monkeypatch.undo()
    everything = garments.Garments.BUILDER_CONFIGS
    assert len({config.seed for config in everything}) == 5
    configs = {c.name: c for c in everything if isinstance(c, garments.GarmentsConfig)}
    assert list(configs) == ["tiny", "small", "large", "large_framed"]
    # Two that differ in one thing show what it is for.
    framed = dataclasses.replace(configs["large_framed"], layout=configs["large"].layout)
    pictures = [config.draw_example(7)["image"].read() for config in (framed, configs["large"])]
    assert pictures[0] == pictures[1]
    large = configs["large"].split_sizes()
    assert large == {"train": 20000, "validation": 2000, "gallery": 18000, "query": 2000}
    assert configs["large"].layout != configs["small"].layout
    assert all(dataclasses.asdict(c)["image_size"] >= 64 for c in configs.values())


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("tiny", "067539e3a161e0d9"),
        ("small", "2f79068e7b6b0dc6"),
        ("large", "bc6a5b42c88955d4"),
        ("large_framed", "e662a639b38a24f5"),
    ],
)
def test_the_pictures_of_a_version_never_change(monkeypatch, name, digest):
    monkeypatch.undo()
    (config,) = [known for known in garments.Garments.BUILDER_CONFIGS if known.name == name]
    assert garments.Garments.VERSION == "1.1.0"
    # Labels and boxes stand for all: JPEG bytes depend on the build of OpenCV.
    examples = [config.draw_example(index) for index in (0, 19, 611)]
    content = b"".join(e["attributes"].tobytes() + e["boxes"].tobytes() for e in examples)
    assert hashlib.sha256(content).hexdigest()[:16] == digest
