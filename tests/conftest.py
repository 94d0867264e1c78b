"""What all tests share: TensorFlow set up before anything imports it, and small data."""

import os

from fashionsearchnet import command

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
command.prepare_tensorflow()

import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset

from fashionsearchnet.attributes import AttributeSpace

# Two logical CPU devices stand in for two GPUs. It must be said before TensorFlow first looks.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Files that take longest come first, so that no process is left with one of them at the end.
_LONG = ("test_demo.py", "test_stages.py", "test_service_process.py", "test_export.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests of long files to the front; the order is kept otherwise."""
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else 99)


@pytest.fixture
def space() -> AttributeSpace:
    """Three attributes of 3, 2 and 4 values."""
    return SPACE


@pytest.fixture
def fake_dataset() -> FakeDataset:
    """Colour patches in memory; see `fakes.FakeDataset`."""
    return FakeDataset()


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same in every test."""
    return np.random.default_rng(0)
