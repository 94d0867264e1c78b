"""A data set that is stored once for all tests of this folder that read it."""

import pytest
import stored_numbers

from fashionsearchnet.data import pipeline


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """The folder of all data sets; it holds catalogue/numbers."""
    return stored_numbers.store(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def dataset(data_dir):
    """The pictures of numbers."""
    return pipeline.open_dataset(data_dir, "catalogue/numbers")
