"""A gallery for the tests of the index."""

import pytest
from index_fakes import DIM, create, make_items, random_values


@pytest.fixture
def gallery(tmp_path, rng):
    """60 items, committed; with their vectors and values."""
    vectors, values = rng.normal(size=(60, DIM)).astype("f4"), random_values(rng, 60)
    index = create(tmp_path / "index")
    index.put(make_items(values, images=True), vectors)
    index.commit()
    return index, vectors, values
