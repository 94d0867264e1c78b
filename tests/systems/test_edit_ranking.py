import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.systems.edit_ranking import EditRanking, main_directions
from fashionsearchnet.systems.fashionsearchnet_v2.manipulation import GlobalRepresentation

DIM = 4


@pytest.fixture
def layer(rng):
    layer = EditRanking()
    layer.build((None, 3, DIM))
    layer.attribute_weights.assign(rng.uniform(0.2, 2.0, (3, 3)))
    layer.projection.assign(rng.normal(size=(3, DIM, DIM)))
    return layer


def blocks(layer, representations):
    projected = np.einsum("bad,ade->bae", representations, layer.projection.numpy())
    return projected / np.linalg.norm(projected, axis=-1, keepdims=True)


def test_one_gallery_ranks_as_the_weighted_distance_of_each_edit_would(layer, rng):
    """The claim at the head of edit_ranking.py, against the plain sum."""
    queries, items = (rng.normal(size=(n, 3, DIM)).astype(np.float32) for n in (6, 50))
    gallery = layer.gallery(items, None).numpy()
    for attribute in range(3):
        edit = np.full((6, 3), -1, np.int32)
        edit[:, attribute] = 1
        query = layer.query(queries, tf.constant(edit)).numpy()
        found = ((query[:, None] - gallery[None]) ** 2).sum(axis=-1)
        weights = layer.attribute_weights.numpy()[attribute] ** 2
        apart = blocks(layer, queries)[:, None] - blocks(layer, items)[None]
        plain = (weights * (apart**2).sum(axis=-1)).sum(axis=-1)
        np.testing.assert_array_equal(found.argsort(axis=1), plain.argsort(axis=1))


def test_several_edits_average_their_weights(layer, rng):
    representations = rng.normal(size=(1, 3, DIM)).astype(np.float32)

    def query(*edited):
        edit = np.full((1, 3), -1, np.int32)
        edit[0, list(edited)] = 0
        return layer.query(representations, tf.constant(edit)).numpy()

    np.testing.assert_allclose(query(0, 2), (query(0) + query(2)) / 2, rtol=1e-5)
    np.testing.assert_allclose(query(), (query(0) + query(1) + query(2)) / 3, rtol=1e-5)


def test_a_new_layer_keeps_directions(rng):
    layer = EditRanking()
    representations = rng.normal(size=(5, 3, DIM)).astype(np.float32)
    layer.build(representations.shape)
    vectors = layer.gallery(representations, None).numpy().reshape(5, 3, DIM)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 6 / 3**0.5, rtol=1e-5)
    cosine = (vectors * representations).sum(axis=-1)
    cosine /= np.linalg.norm(vectors, axis=-1) * np.linalg.norm(representations, axis=-1)
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-5)


def test_main_directions_are_those_of_a_singular_value_decomposition(rng):
    representations = rng.normal(1.0, 2.0, (40, 3, DIM)).astype(np.float32)
    found = main_directions(representations, 2)
    assert found.shape == (3, DIM, 2) and found.dtype == np.float32
    for attribute in range(3):
        vectors = representations[:, attribute]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        _, _, directions = np.linalg.svd(vectors, full_matrices=False)
        for column, expected in zip(found[attribute].T, directions[:2], strict=True):
            expected = expected * np.sign(expected[np.abs(expected).argmax()])
            np.testing.assert_allclose(column, expected, atol=1e-4)


def test_blocks_as_wide_as_representations_are_only_rotated(rng):
    representations = rng.normal(size=(9, 3, DIM)).astype(np.float32)
    plain, rotated = EditRanking(), EditRanking(DIM)
    for layer in (plain, rotated):
        layer.build(representations.shape)
    rotated.start_from(representations)
    found, expected = (layer.gallery(representations, None).numpy() for layer in (rotated, plain))
    assert np.abs(found - expected).max() > 0.1
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=1e-4, atol=1e-4)


def test_narrow_blocks_keep_what_lies_in_few_directions(rng):
    """Representations of two directions out of four: blocks of two numbers lose nothing."""
    plane = rng.normal(size=(3, 2, DIM))
    representations = np.einsum("bae,aed->bad", rng.normal(size=(20, 3, 2)), plane)
    representations = representations.astype(np.float32)
    wide, narrow = EditRanking(), EditRanking(2)
    for layer in (wide, narrow):
        layer.build(representations.shape)
    narrow.start_from(representations)
    found, expected = (layer.gallery(representations, None).numpy() for layer in (narrow, wide))
    assert found.shape == (20, 3 * 2)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=1e-3, atol=1e-3)


def test_equation_7_with_weights_per_edit_takes_the_edited_attributes_row(rng):
    layer = GlobalRepresentation(6, edit_weights=True)
    representations = rng.normal(size=(2, 3, DIM)).astype(np.float32)
    layer.build(representations.shape)
    weights = rng.uniform(size=(3, 3)).astype(np.float32)
    layer.attribute_weights.assign(weights)
    edit = tf.constant([[-1, 1, -1], [0, -1, 2]])
    rows = np.stack([weights[1], (weights[0] + weights[2]) / 2])
    expected = (representations * rows[..., None]).reshape(2, -1) @ layer.projection.numpy()
    np.testing.assert_allclose(layer.query(representations, edit), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.gallery(representations, edit), expected, rtol=1e-4, atol=1e-5)


def test_normalised_representations_rank_by_direction(rng):
    layer = GlobalRepresentation(6, normalized=True)
    representations = rng.normal(size=(2, 3, DIM)).astype(np.float32)
    layer.build(representations.shape)
    nothing = tf.fill([2, 3], -1)
    longer = representations * np.array([1, 5, 0.2], np.float32)[:, None]
    np.testing.assert_allclose(
        layer.query(longer, nothing), layer.query(representations, nothing), rtol=1e-4, atol=1e-5
    )
