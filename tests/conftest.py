"""What all tests share: TensorFlow set up before anything imports it, and small data."""

import gc
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fashionsearchnet import command
from fashionsearchnet.attributes import AttributeSpace

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
# A process runs on each core. With a thread for each core in each process, FAISS, BLAS and t-SNE
# wait for each other in busy loops: a test of t-SNE took 35 times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
command.prepare_tensorflow()
# Tests trace many small functions anew on purpose; each would be a warning between the dots.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

# Files that take longest come first, so that no process is left with one of them at the end.
_LONG = (
    "test_stages.py",
    "test_conformance.py",
    "test_export.py",
    "test_service_process.py",
    "test_demo.py",
    "test_replicas.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Sets TensorFlow up in processes that run tests.

    pytest-xdist has another one, which only hands tests out; it starts seconds earlier without.
    """
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        gc.disable()  # until `pytest_collection_finish`: the modules of all tests stay to the end
        _set_up_tensorflow()


def _set_up_tensorflow() -> None:
    import tensorflow as tf

    # Two logical CPU devices stand in for two GPUs. It must be said before TensorFlow first looks.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    # TensorFlow 2.21 tunes the parallelism of a data set in a thread. That thread may miss the end
    # of an iterator, which then waits for the thread: some 0.3 seconds at the end of a training.
    iterate = tf.data.Dataset.__iter__

    def iterate_without_tuning(dataset: tf.data.Dataset) -> Iterator[Any]:
        options = tf.data.Options()
        options.autotune.enabled = False
        return iterate(dataset.with_options(options))

    tf.data.Dataset.__iter__ = iterate_without_tuning


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests of long files to the front; the order is kept otherwise."""
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else 99)


def pytest_collection_finish() -> None:
    """Searches for garbage among what tests make only, and less often.

    The search took a seventh of the CPU time: a function that TensorFlow traces is many objects.
    """
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture
def space() -> AttributeSpace:
    """Three attributes of 3, 2 and 4 values."""
    from fakes import SPACE

    return SPACE


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same in every test."""
    return np.random.default_rng(0)
