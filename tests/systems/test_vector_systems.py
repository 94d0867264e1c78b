"""Systems on vectors that another model computed: a vector counts as an image."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE

from fashionsearchnet.data import preprocess
from fashionsearchnet.networks import backbones
from fashionsearchnet.networks.image_input import VectorInput, encode_vector
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.flam.model import FLAM

SIZE = 10
VECTORS = np.random.default_rng(0).normal(3, 2, (4, SIZE)).astype(np.float32)


def network(metric: str = "cosine") -> dict[str, Any]:
    """Returns the arguments `image_input` and `trunk`."""
    seen = VectorInput(SIZE, metric=metric, features="clip")
    return {"image_input": seen, "trunk": backbones.VECTOR_TRUNK}


def flam(metric: str = "cosine", variant: str = "m_os_adv") -> FLAM:
    """Returns a small FLAM that takes vectors as they are."""
    keras.utils.set_random_seed(0)
    return FLAM(
        SPACE,
        variant=variant,
        projection="pca",
        projection_dim=0,
        reader_dim=6,
        generator_dim=8,
        **network(metric),
    )


def edits(wanted: int) -> tf.Tensor:
    """Returns an edit of the second attribute, or none with -1."""
    return tf.constant([[-1, wanted, -1]] * len(VECTORS))


def test_euclidean_vectors_stay_as_they_are_until_they_are_edited():
    model = flam("euclidean")
    features = model.image_features(tf.constant(VECTORS))
    np.testing.assert_array_equal(model.gallery_embedding(features), VECTORS)
    np.testing.assert_array_equal(model.query_embedding(features, edits(-1)), VECTORS)
    assert not np.allclose(model.query_embedding(features, edits(1)), VECTORS)


def test_cosine_vectors_keep_their_direction():
    model = flam()
    features = model.image_features(tf.constant(VECTORS))
    directions = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    np.testing.assert_allclose(model.gallery_embedding(features), directions, rtol=1e-5)
    np.testing.assert_allclose(model.query_embedding(features, edits(-1)), directions, rtol=1e-5)
    edited = model.query_embedding(features, edits(1))
    np.testing.assert_allclose(np.linalg.norm(edited, axis=1), 1, rtol=1e-5)


def test_a_run_brings_its_input_back(tmp_path):
    model = flam("euclidean")
    registry.save_system(tmp_path, model, "manipulator", "vectors/shop")
    found = registry.load_complete_system(tmp_path)
    assert found.image_input == model.image_input
    features = model.image_features(tf.constant(VECTORS))
    np.testing.assert_allclose(
        found.query_embedding(features, edits(1)), model.query_embedding(features, edits(1))
    )


def test_our_variant_stands_on_vectors_too():
    model = FashionSearchNetV2(
        SPACE, variant="ours_pooled", hidden_dims=(8,), representation_dim=6, **network()
    )
    features = model.image_features(tf.constant(VECTORS))
    assert model.query_embedding(features, edits(1)).shape[0] == len(VECTORS)
    assert model.attribute_logits(features).shape == (len(VECTORS), SPACE.total_values)


def test_the_bytes_of_a_vector_are_what_a_network_sees():
    seen = VectorInput(SIZE)
    loaded = preprocess.load_image(tf.constant(encode_vector(VECTORS[0])), seen)
    np.testing.assert_array_equal(loaded, VECTORS[0])
    for vector, message in (
        (VECTORS[0][:-1], "a vector must have 10 numbers"),
        (VECTORS[0] * np.nan, "must hold finite numbers"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            preprocess.load_image(tf.constant(encode_vector(vector)), seen)


def test_the_trunk_of_vectors_has_no_weights():
    with pytest.raises(ValueError, match="trunk vectors is not pretrained"):
        backbones.pretrained_input(backbones.VECTOR_TRUNK, SIZE)
    built = backbones.build_backbone(backbones.VECTOR_TRUNK, SIZE)
    assert not built.model.variables
    with pytest.raises(ValueError, match="needs no pretrained network"):
        backbones.load_pretrained(built, "imagenet")
