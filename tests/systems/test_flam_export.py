"""An export of FLAM gives what the system gives, on images and on vectors."""

from typing import Any
from unittest import mock

import flam_stages
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE

from fashionsearchnet.attributes import predicted_values, softmax_blocks
from fashionsearchnet.data import preprocess
from fashionsearchnet.export import saved_model as export
from fashionsearchnet.export.cases import sample_images
from fashionsearchnet.networks.backbones import VECTOR_TRUNK
from fashionsearchnet.networks.image_input import VectorInput, encode_vector
from fashionsearchnet.systems.flam.model import FLAM

EDITS = np.array([[-1, -1, -1], [2, -1, -1], [-1, 1, 3], [0, 0, 0]], np.int32)


def shaken(model: FLAM) -> FLAM:
    """Gives every network something to do."""
    rng = np.random.default_rng(3)
    for variable in model.editor.trainable_variables:
        variable.assign(variable.value + rng.normal(0.0, 0.1, variable.shape))
    return model


def exported(model: FLAM, folder):
    with mock.patch.object(export, "check_export", return_value={}):
        return tf.saved_model.load(str(export.export_system(model, folder))).signatures


def check_reading(outputs, logits) -> None:
    np.testing.assert_allclose(outputs["probabilities"], softmax_blocks(SPACE, logits), atol=1e-5)
    np.testing.assert_array_equal(outputs["values"], predicted_values(SPACE, logits))


@pytest.mark.parametrize(
    ("variant", "arguments"),
    [("m_os_adv", {}), ("ranked", {"several_edits": "at_once"})],
)
def test_an_export_on_images(tmp_path, variant, arguments):
    model = shaken(flam_stages.build_model(variant, **arguments))
    signatures, data = exported(model, tmp_path), sample_images(40)
    images = tf.stack(
        [preprocess.load_image(tf.constant(each), model.image_input) for each in data]
    )
    features, images_bytes = model.image_features(images), tf.constant(data)
    gallery = signatures["encode_gallery"](image_bytes=images_bytes)
    query = signatures["encode_query"](image_bytes=images_bytes, manipulation=tf.constant(EDITS))
    wanted = model.query_embedding(features, tf.constant(EDITS))
    np.testing.assert_allclose(gallery["embedding"], model.gallery_embedding(features), atol=1e-5)
    np.testing.assert_allclose(query["embedding"], wanted, atol=1e-5)
    np.testing.assert_allclose(query["embedding"][0], gallery["embedding"][0], atol=1e-6)
    check_reading(
        signatures["predict"](image_bytes=images_bytes), model.attribute_logits(features).numpy()
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_export_on_vectors(tmp_path, rng, metric):
    seen = VectorInput(flam_stages.DIM, metric=metric, features="some")
    sizes: dict[str, Any] = {"reader_dim": 16, "generator_dim": 24, "projection_dim": 0}
    model = shaken(FLAM(SPACE, image_input=seen, trunk=VECTOR_TRUNK, **sizes))
    vectors = (3.0 * rng.normal(size=(4, flam_stages.DIM))).astype(np.float32)
    model.vector_standardization.adapt([model.feature(tf.constant(vectors)).numpy()])
    signatures, edits = exported(model, tmp_path), tf.constant(EDITS)
    features = model.image_features(tf.constant(vectors))
    edited = signatures["edit_vectors"](vectors=tf.constant(vectors), manipulation=edits)
    wanted = model.query_embedding(features, edits).numpy()
    np.testing.assert_allclose(edited["embedding"], wanted, rtol=1e-4, atol=1e-5)
    length = 1.0 if metric == "euclidean" else np.linalg.norm(vectors[0])
    np.testing.assert_allclose(edited["embedding"][0], vectors[0] / length, rtol=1e-5)
    read = signatures["read_vectors"](vectors=tf.constant(vectors))
    check_reading(read, model.attribute_logits(features).numpy())
    data = tf.constant([encode_vector(vector) for vector in vectors])
    by_bytes = signatures["encode_query"](image_bytes=data, manipulation=edits)["embedding"]
    np.testing.assert_allclose(by_bytes, wanted, rtol=1e-4, atol=1e-5)
