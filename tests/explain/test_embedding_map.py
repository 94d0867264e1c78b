"""Embeddings in the plane: groups stay groups, and the picture is written."""

import dataclasses

import cv2
import numpy as np
import pytest

from fashionsearchnet.explain import embedding_map


def groups(rng, number=20):
    """Two directions, far apart, with a little noise."""
    centres = np.repeat([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], number, axis=0)
    return (centres + rng.normal(0.0, 0.02, centres.shape)).astype(np.float32)


def test_groups_stay_groups(rng):
    places = embedding_map.flatten(groups(rng))
    assert places.shape == (40, 2) and places.dtype == np.float32
    apart = np.linalg.norm(places[:, None] - places[None, :], axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    np.testing.assert_array_equal(nearest < 20, np.arange(40) < 20)
    np.testing.assert_array_equal(embedding_map.flatten(groups(np.random.default_rng(0))), places)


def test_too_few_vectors():
    with pytest.raises(ValueError, match="at least three vectors; got 2"):
        embedding_map.flatten(np.ones((2, 3), np.float32))


def test_the_picture_is_written(rng, tmp_path):
    vectors, values = groups(rng), np.repeat([0, -1], 20)
    panel = embedding_map.Panel("colour", vectors, vectors[:5], values, ("red", "blue"))
    edited = dataclasses.replace(panel, wanted=0)
    embedding_map.draw(tmp_path / "map.png", [panel, edited], "A title")
    picture = cv2.imread(str(tmp_path / "map.png"))
    assert picture is not None and picture.shape[1] > picture.shape[0] > 100 and picture.std() > 1
    # Only the panel of the edited attribute has red rings.
    blue, green, red = np.moveaxis(picture.astype(int), -1, 0)
    columns = np.flatnonzero(((red > 200) & (green < 60) & (blue < 60)).any(axis=0))
    assert len(columns) and columns.min() > picture.shape[1] / 2
