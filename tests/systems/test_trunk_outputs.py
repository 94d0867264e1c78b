"""The outputs of frozen trunks: computed once, found again, and never taken for others."""

import dataclasses
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet.data import preprocess
from fashionsearchnet.systems import trunk_outputs as module
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.features import extract_features
from fashionsearchnet.systems.trunk_outputs import features_of_split, trunk_outputs

HEADS: dict[str, Any] = {"hidden_dims": (8,), "representation_dim": 8, "global_dim": 6}


def build(variant="full", **settings) -> FashionSearchNetV2:
    keras.utils.set_random_seed(0)
    given = network(normalization="batch", training="frozen", **settings)
    return FashionSearchNetV2(SPACE, variant=variant, **HEADS, **given)


@pytest.fixture
def computed(monkeypatch):
    """The names of what was computed rather than found."""
    found: list[str] = []
    compute = module._compute

    def counted(system, dataset, split, mirrored, dtype):
        found.append(f"{split} {'mirrored' if mirrored else 'upright'}")
        return compute(system, dataset, split, mirrored, dtype)

    monkeypatch.setattr(module, "_compute", counted)
    return found


def images_of(dataset, model):
    return tf.concat(list(dataset.images("train", model.image_input)), axis=0)


@pytest.mark.parametrize("variant", ["full", "ours_pooled"])
def test_they_are_what_the_trunk_gives(variant, tmp_path):
    model, dataset = build(variant), FakeDataset()
    found = trunk_outputs(model, dataset, "train", tmp_path, flip=True)
    images = images_of(dataset, model)
    assert found.mirrored is not None
    for stored, seen in ((found.upright, images), (found.mirrored, images[:, :, ::-1])):
        assert stored.dtype == np.float16
        np.testing.assert_allclose(stored, model.trunk(seen), rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(found.labels, dataset.labels("train"))
    np.testing.assert_array_equal(np.concatenate(list(found.parts(7))), found.upright)


def test_they_are_computed_once(computed, tmp_path):
    model, dataset = build(), FakeDataset()
    first = trunk_outputs(model, dataset, "train", tmp_path)
    assert first.mirrored is None
    again = trunk_outputs(build(), dataset, "train", tmp_path, flip=True)
    np.testing.assert_array_equal(again.upright, first.upright)
    assert computed == ["train upright", "train mirrored"]
    facts = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert sorted(each["made_from"]["mirrored"] for each in facts) == [False, True]
    assert facts[0]["dataset"] == dataset.name


def change_weights(model):
    variable = model.trunk.variables[0]
    variable.assign(variable + 1e-3)
    return model


class OtherPictures(FakeDataset):
    """The same ids and labels, other pixels: a data set that was prepared again."""

    def encoded_images(self, split):
        return super().encoded_images(split).map(lambda data: data + b" ")


@pytest.mark.parametrize(
    ("model", "dataset", "split"),
    [
        (lambda: change_weights(build()), FakeDataset, "train"),
        (lambda: build(mean=(1.0, 2.0, 3.0)), FakeDataset, "train"),
        (lambda: build(image_size=44), FakeDataset, "train"),
        (lambda: build("ours_pooled"), FakeDataset, "train"),
        (build, OtherPictures, "train"),
        (build, lambda: FakeDataset(seed=1), "train"),
        (build, FakeDataset, "validation"),
    ],
    ids=["weights", "input", "size", "pooled", "pictures", "labels", "split"],
)
def test_others_are_never_taken(model, dataset, split, computed, tmp_path):
    trunk_outputs(build(), FakeDataset(), "train", tmp_path)
    trunk_outputs(model(), dataset(), split, tmp_path)
    assert computed == ["train upright", f"{split} upright"]


@pytest.mark.parametrize("keep", [0, 60, -100])
def test_a_damaged_file_is_refused(keep, tmp_path):
    trunk_outputs(build(), FakeDataset(), "train", tmp_path)
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*Delete .* and run the same"):
        trunk_outputs(build(), FakeDataset(), "train", tmp_path)


def test_a_file_of_other_facts_is_refused(tmp_path):
    trunk_outputs(build(), FakeDataset(), "train", tmp_path)
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    content["made_from"]["weights"] = "0" * 16
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="other facts beside it"):
        trunk_outputs(build(), FakeDataset(), "train", tmp_path)


def test_outputs_that_float16_cannot_hold_are_refused(tmp_path):
    model = build()
    for variable in model.trunk.variables:
        if variable.name == "gamma":
            variable.assign(variable * 1e5)
    with pytest.raises(ValueError, match="outputs of trunk alexnet must be below 65504 to be stor"):
        trunk_outputs(model, FakeDataset(), "train", tmp_path)
    assert not list(tmp_path.glob("*"))


def test_half_of_the_images_are_mirrored(tmp_path):
    model, dataset = build("ours_pooled"), FakeDataset()
    found = trunk_outputs(model, dataset, "train", tmp_path, flip=True)
    outputs = found.of(np.arange(4, dtype=np.int32), np.array([False, True, False, True]))
    assert found.mirrored is not None
    np.testing.assert_array_equal(outputs[::2], found.upright[:4:2])
    np.testing.assert_array_equal(outputs[1::2], found.mirrored[1:4:2])


@pytest.mark.parametrize("variant", ["full", "ours_pooled"])
def test_features_by_way_of_stored_outputs_are_those_of_the_images(variant, computed, tmp_path):
    model, dataset = build(variant), FakeDataset()
    wanted = extract_features(model, dataset, "query")
    for _ in range(2):  # computed, then found
        found = features_of_split(model, dataset, "query", tmp_path, batch_size=7)
        assert found.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)
    other = build("rank" if variant == "full" else "full_pooled")  # on the same trunk
    features_of_split(other, dataset, "query", tmp_path)
    assert computed == ["query upright"]
    (stored,) = tmp_path.glob("*.npy")
    assert np.load(stored).dtype == np.float32


def test_a_trunk_that_learns_stores_nothing(computed, tmp_path):
    keras.utils.set_random_seed(0)
    model, dataset = FashionSearchNetV2(SPACE, **HEADS, **network()), FakeDataset()
    found = features_of_split(model, dataset, "query", tmp_path)
    assert len(found["embedding"]) == dataset.num_examples("query")
    assert not computed and not list(tmp_path.iterdir())


def test_outputs_to_train_on_are_other_files_than_outputs_to_measure_on(computed, tmp_path):
    model, dataset = build(), FakeDataset()
    features_of_split(model, dataset, "train", tmp_path)
    trunk_outputs(model, dataset, "train", tmp_path)
    assert computed == ["train upright"] * 2 and len(list(tmp_path.glob("*.npy"))) == 2


def test_outputs_of_pixels_by_another_rule_are_other_files(computed, monkeypatch, tmp_path):
    dataset, model = FakeDataset(), build()
    model.image_input = dataclasses.replace(model.image_input, pixels="fast")
    for scale in (2.0, 1.125):
        monkeypatch.setattr(preprocess, "_LEAST_SCALES", {2: scale})
        features_of_split(model, dataset, "query", tmp_path)
    assert computed == ["query upright"] * 2
