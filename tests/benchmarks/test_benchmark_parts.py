import numpy as np
import pytest
import tensorflow as tf
from fakes import FakeDataset
from small_networks import network

from fashionsearchnet.benchmarks import device_checks, parts
from fashionsearchnet.data.preprocess import Pixels
from fashionsearchnet.training import distribution


class ItemDataset(FakeDataset):
    """Images with the same labels show the same item."""

    def instance_ids(self, split):
        return ["".join(map(str, row)) for row in self.labels(split)]


@pytest.mark.parametrize("name", parts.PARTS)
def test_each_part_runs_beside_its_trunk(name):
    setting = parts.Setting(ItemDataset(), network(), batch_size=6, num_values=(3, 2))
    part = parts.PARTS[name](setting)
    first, second = float(part.call()), float(part.call())
    assert np.isfinite(first) and np.isfinite(second)
    assert part.number == 6
    assert (part.bare is None) == (name in ("stage3", "flam_manipulator"))
    if part.bare is not None:
        assert np.isfinite(part.bare()) and part.trunk_operations > 1e5


def test_a_trunk_takes_as_many_operations_for_an_image_in_each_part():
    setting = parts.Setting(ItemDataset(), network(), batch_size=6, num_values=(3, 2))
    items, triplets = parts.item_step(setting), parts.triplet_step(setting)
    assert items.trunk_operations % 6 == 0
    assert items.name != triplets.name


def test_a_batch_lies_on_the_device_before_it_is_timed(monkeypatch):
    """The second CPU stands in for a GPU."""
    second = tf.config.list_logical_devices("CPU")[1].name
    monkeypatch.setattr(distribution, "compute_device", lambda: second)
    pixels = Pixels(tf.zeros([2, 3, 3, 3], tf.uint8), tf.zeros([2, 4], tf.int64))
    found = parts.on_device({"image": pixels, "attributes": tf.zeros([2, 3], tf.int64)})
    assert isinstance(found["image"], Pixels)
    assert {tensor.device[-5:] for tensor in tf.nest.flatten(found)} == {"CPU:1"}


def test_xla_compiles_a_part():
    setting = parts.Setting(ItemDataset(), network(), 6, jit_compile=True, num_values=(3, 2))
    assert np.isfinite(parts.global_step(setting).call())


def test_checks_of_a_device():
    found = dict(device_checks.check_all("/CPU:0", FakeDataset()))
    assert found["boxes against OpenCV"] == "all 384 the same"
    assert found["a step of stage 2 against the CPU"] == "0.0e+00 of the update apart"
    assert found["a resumed run against a straight one"] == "the same bit for bit"


def test_a_device_that_is_wrong_is_named(monkeypatch):
    product = tf.matmul
    monkeypatch.setattr(tf, "matmul", lambda a, b: product(a, b) * 1.001)
    with pytest.raises(ValueError, match=r"products on /CPU:0 are .* apart from the CPU's"):
        device_checks.check_products("/CPU:0")
    boxes = device_checks.opencv_boxes
    monkeypatch.setattr(device_checks, "opencv_boxes", lambda *a: np.maximum(boxes(*a), 1))
    with pytest.raises(ValueError, match=r"of 384 boxes on /CPU:0 differ from OpenCV's"):
        device_checks.check_boxes("/CPU:0")
