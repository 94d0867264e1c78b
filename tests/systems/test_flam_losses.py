"""The losses of FLAM against hand-worked cases and slow loops."""

import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.systems.flam import losses
from fashionsearchnet.systems.flam.instance_stage import frequent_items


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_triplets_by_hand():
    """Two images of values 0 and 1 in the plane, dictionary vectors at 0 and 90 degrees."""
    embeddings = tf.constant([[[1.0, 0.0]], [[0.6, 0.8]]])
    dictionary = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    labels = tf.constant([[0], [1]])
    by_dictionary, by_image, valid = losses.dictionary_triplet_losses(
        embeddings, dictionary, labels, [2], 0.2
    )
    # d_0 with image 0 (cosine 1) against image 1 (0.6); d_1 with image 1 (0.8) against image 0 (0).
    np.testing.assert_allclose(by_dictionary, [[0.0], [0.0]], atol=1e-6)
    # Image 0: 1 against 0. Image 1: 0.8 to its own against 0.6 to the other: 0.6 - 0.8 + 0.2 = 0.
    np.testing.assert_allclose(by_image, [[0.0], [0.0]], atol=1e-6)
    by_dictionary, by_image, _ = losses.dictionary_triplet_losses(
        embeddings, dictionary, labels, [2], 0.9
    )
    np.testing.assert_allclose(by_dictionary, [[0.5], [0.1]], atol=1e-6)
    np.testing.assert_allclose(by_image, [[0.0], [0.7]], atol=1e-6)
    assert np.all(valid)


@pytest.mark.parametrize("seed", range(3))
def test_triplets_equal_slow_loops(seed):
    rng = np.random.default_rng(seed)
    sizes, batch, width, margin = (3, 2, 4), 9, 5, 0.3
    embeddings = unit(rng.normal(size=(batch, len(sizes), width)))
    dictionary = unit(rng.normal(size=(sum(sizes), width)))
    labels = rng.integers(-1, sizes, (batch, len(sizes))).astype(np.int32)
    labels[:, 1] = 1  # one value only: no negatives
    first, second = np.zeros(labels.shape), np.zeros(labels.shape)
    exists = np.zeros(labels.shape, bool)
    for a, start in enumerate(np.cumsum((0, *sizes[:-1]))):
        for i in range(batch):
            others = [j for j in range(batch) if labels[j, a] not in (-1, labels[i, a])]
            if labels[i, a] < 0 or not others:
                continue
            exists[i, a] = True
            own, e = dictionary[start + labels[i, a]], embeddings[:, a]
            near = own @ e[i]
            first[i, a] = np.mean([max(0, own @ e[j] - near + margin) for j in others])
            vectors = [dictionary[start + labels[j, a]] for j in others]
            second[i, a] = np.mean([max(0, e[i] @ d - near + margin) for d in vectors])
    found = losses.dictionary_triplet_losses(
        tf.constant(embeddings), tf.constant(dictionary), tf.constant(labels), sizes, margin
    )
    np.testing.assert_allclose(found[0], first, atol=1e-5)
    np.testing.assert_allclose(found[1], second, atol=1e-5)
    np.testing.assert_array_equal(found[2], exists)


def test_online_sampling_by_hand():
    """Attribute 0 is edited; attribute 1 says which image of another value resembles the query."""
    embeddings = np.zeros((4, 2, 2), np.float32)
    embeddings[:, 0] = [[1, 0], [1, 0], [0, 1], [0, 1]]
    embeddings[:, 1] = unit(np.array([[1.0, 0.0], [0.0, 1.0], [0.3, 1.0], [1.0, 0.2]]))
    values = tf.constant([[0, 0], [0, 1], [1, 1], [1, 0]])
    edited = tf.zeros(4, tf.int32)
    found, exists = losses.partners(
        tf.constant(embeddings), values, edited, tf.constant([0, 1]), online_sampling=True
    )
    np.testing.assert_array_equal(found, [3, 2, 1, 0])
    assert np.all(exists)


@pytest.mark.parametrize("online_sampling", [False, True])
def test_a_partner_shows_another_value(online_sampling, rng):
    embeddings = tf.constant(unit(rng.normal(size=(40, 3, 4))))
    values = rng.integers(0, 3, (40, 3)).astype(np.int32)
    values[:, 2] = 1
    attribute = rng.integers(0, 3, 40).astype(np.int32)
    found, exists = losses.partners(
        embeddings,
        tf.constant(values),
        tf.constant(attribute),
        tf.constant([3, 4]),
        online_sampling=online_sampling,
    )
    np.testing.assert_array_equal(exists, attribute != 2)
    for i in np.flatnonzero(attribute != 2):
        assert values[found[i], attribute[i]] != values[i, attribute[i]]
    if online_sampling:
        for i in np.flatnonzero(attribute != 2):
            a = attribute[i]
            others = [b for b in range(3) if b != a]
            apart = [
                sum(1 - float(np.dot(embeddings[i, b], embeddings[j, b])) for b in others)
                if values[j, a] != values[i, a]
                else np.inf
                for j in range(40)
            ]
            assert found[i] == np.argmin(apart)


def test_random_partners_are_uniform():
    values = tf.constant([[0], [1], [1], [1]])
    embeddings, attribute = tf.ones([4, 1, 1]), tf.zeros(4, tf.int32)
    drawn = [
        int(
            losses.partners(
                embeddings, values, attribute, tf.constant([7, step]), online_sampling=False
            )[0][0]
        )
        for step in range(300)
    ]
    counts = np.bincount(drawn, minlength=4)
    assert counts[0] == 0 and counts[1:].min() > 70


def test_adversarial_losses_by_hand():
    """A score of 0 says one half; both networks lose log 2 of what they care for."""
    zero = tf.zeros(2)
    np.testing.assert_allclose(losses.real_or_made_loss(zero, zero), 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(losses.passes_as_real_loss(zero), np.log(2), rtol=1e-6)
    real, made = np.array([2.0, -1.0]), np.array([0.5, 3.0])
    said_real, said_made = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-made))
    np.testing.assert_allclose(
        losses.real_or_made_loss(tf.constant(real), tf.constant(made)),
        -np.log(said_real) - np.log(1 - said_made),
        rtol=1e-6,
    )


def test_matching_is_the_squared_norm_of_what_counts(rng):
    found, wanted = rng.normal(size=(2, 5, 3, 4)).astype(np.float32)
    counted = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1]], np.float32)
    expected = [
        sum(np.sum((found[i, a] - wanted[i, a]) ** 2) for a in range(3) if counted[i, a])
        for i in range(5)
    ]
    np.testing.assert_allclose(losses.matching_loss(found, wanted, counted), expected, rtol=1e-5)


def test_triplets_of_items_by_hand():
    """Images 0 and 2 show item 0, images 1 and 3 item 1, in the plane."""
    features = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.0, 1.0]])
    items = tf.constant([0, 1, 0, 1])
    found, in_order = losses.hardest_triplet_losses(features, items, 0.1)
    # Cosines to the other image of the item: .6 1 .6 1; to the nearest other item: 0 .8 .8 .8.
    np.testing.assert_allclose(found, [0.0, 0.0, 0.3, 0.0], atol=1e-6)
    np.testing.assert_array_equal(in_order, [1, 1, 0, 1])


def test_items_of_the_batch_that_are_alone_have_no_negative():
    features = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    found, in_order = losses.hardest_triplet_losses(features, tf.constant([5, 5]), 0.2)
    np.testing.assert_array_equal(found, [0.0, 0.0])
    np.testing.assert_array_equal(in_order, [1, 1])


def test_frequent_items_are_classes():
    items = np.array([2, 0, 2, 1, 1, 2, 3])
    np.testing.assert_array_equal(frequent_items(items, 2), [0, -1, 0, 1, 1, 0, -1])
    np.testing.assert_array_equal(frequent_items(items, 9), [0, 2, 0, 1, 1, 0, 3])
    np.testing.assert_array_equal(frequent_items(items, 0), [-1] * 7)
