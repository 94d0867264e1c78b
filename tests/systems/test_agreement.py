import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE
from small_networks import network

from fashionsearchnet.systems.agreement import agreement_gallery, agreement_queries
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2


@pytest.fixture
def probabilities(rng):
    """Twenty rows over four values: sure ones, and one that knows nothing."""
    drawn = rng.dirichlet([0.3] * 4, 18)
    return np.concatenate([drawn, np.eye(4)[:1], np.full((1, 4), 0.25)]).astype(np.float32)


def test_counted_by_hand():
    query, sure, unsure = np.array([[0.8, 0.2], [1.0, 0.0], [0.5, 0.5]], np.float32)[:, None]
    found = agreement_queries(query).numpy(), agreement_gallery(sure).numpy()
    np.testing.assert_allclose(found[0], [[0.8, 0.2, 0.0, np.sqrt(0.32)]], rtol=1e-6)
    np.testing.assert_array_equal(found[1], [[1.0, 0.0, 0.0, 0.0]])
    assert found[0] @ found[1].T == pytest.approx(0.8)
    assert found[0] @ agreement_gallery(unsure).numpy().T == pytest.approx(0.5)
    # By Euclidean distance of the probabilities the unsure image comes nearly as near.
    assert np.sum((query - unsure) ** 2) == pytest.approx(0.18)
    assert np.sum((query - sure) ** 2) == pytest.approx(0.08)


def test_products_are_probabilities_of_the_same_value(probabilities, rng):
    queries, gallery = (f(probabilities).numpy() for f in (agreement_queries, agreement_gallery))
    np.testing.assert_allclose(queries @ gallery.T, probabilities @ probabilities.T, atol=1e-6)
    for vectors in (queries, gallery):
        assert vectors.shape == (20, 6)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    # Two draws, one from each row, agree so often.
    first, second = (
        rng.choice(4, 4000, p=row / row.sum()) for row in probabilities[:2].astype("f8")
    )
    share = np.mean(first == second)
    assert share == pytest.approx(queries[0] @ gallery[1], abs=0.03)


@pytest.mark.parametrize("variant", ["ours", "full"])
def test_ours_ranks_by_agreement(variant, rng):
    system = FashionSearchNetV2(
        SPACE, variant=variant, hidden_dims=(10, 6), representation_dim=8, **network()
    )
    features = {
        "embedding": tf.constant(rng.normal(size=(5, 3, 8)), tf.float32),
        "logits": tf.constant(rng.normal(size=(5, SPACE.total_values)), tf.float32),
    }
    query, gallery = (f(features, 1) for f in (system.attribute_query, system.attribute_embedding))
    if variant == "full":
        np.testing.assert_array_equal(query, features["embedding"][:, 1])
        np.testing.assert_array_equal(gallery, query)
        return
    start, number = SPACE.offsets[1], SPACE.num_values[1]
    softmax = tf.nn.softmax(features["logits"][:, start : start + number]).numpy()
    np.testing.assert_allclose(query @ tf.transpose(gallery), softmax @ softmax.T, atol=1e-6)
