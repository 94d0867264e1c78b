import math

import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.networks import losses

NUM_VALUES = (3, 2, 4)


def random_labels(rng, batch, missing=0.2):
    labels = rng.integers(0, NUM_VALUES, (batch, len(NUM_VALUES)))
    labels[rng.random(labels.shape) < missing] = -1
    return labels.astype(np.int32)


def test_euclidean_distance(rng):
    a, b = rng.normal(size=(2, 4, 5, 7)).astype(np.float32)
    expected = np.sqrt(((a - b).astype(np.float64) ** 2).sum(axis=-1))
    np.testing.assert_allclose(losses.euclidean_distance(a, b), expected, rtol=1e-5)


def test_distances_are_float32_for_inputs_of_lower_precision():
    a, b = tf.constant([[300.0, 0.0]], tf.float16), tf.constant([[0.0, 400.0]], tf.float16)
    distance = losses.euclidean_distance(a, b)
    assert distance.dtype == tf.float32
    assert float(distance[0]) == pytest.approx(500.0)  # its square overflows float16


def test_the_gradient_at_zero_distance_is_finite():
    a = tf.Variable(tf.ones([3, 4]))
    with tf.GradientTape() as tape:
        distance = losses.euclidean_distance(a, tf.ones([3, 4]))
    np.testing.assert_array_equal(tape.gradient(distance, a), np.zeros([3, 4]))
    assert float(distance[0]) < 1e-5


@pytest.mark.parametrize("scale", [1.0, 200.0])  # exp(200) overflows float32
def test_attribute_cross_entropy_equals_a_loop(rng, scale):
    logits = (rng.normal(size=(12, 9)) * scale).astype(np.float32)
    labels = random_labels(rng, 12)
    result = losses.attribute_cross_entropy(logits, labels, NUM_VALUES).numpy()
    assert result.shape == (12, 3) and result.dtype == np.float32
    for i in range(12):
        offset = 0
        for a, size in enumerate(NUM_VALUES):
            block = logits[i, offset : offset + size].astype(np.float64)
            offset += size
            expected = 0.0
            if labels[i, a] >= 0:
                top = block.max()
                expected = top + math.log(np.exp(block - top).sum()) - block[labels[i, a]]
            assert result[i, a] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_missing_label_moves_nothing(rng):
    logits = tf.Variable(rng.normal(size=(5, 9)).astype(np.float32))
    labels = np.array([[-1, 1, 2]] * 5, np.int32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(losses.attribute_cross_entropy(logits, labels, NUM_VALUES))
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[:, :3] == 0).all() and (gradient[:, 3:] != 0).all()


def test_attribute_hits_equal_a_loop(rng):
    logits = rng.normal(size=(40, 9)).astype(np.float32)
    labels = random_labels(rng, 40)
    correct, labelled = losses.attribute_hits(logits, labels, NUM_VALUES)
    expected = 0
    for i in range(40):
        for a, (first, last) in enumerate([(0, 3), (3, 5), (5, 9)]):
            expected += int(np.argmax(logits[i, first:last]) == labels[i, a])
    assert float(correct) == expected
    assert float(labelled) == (labels >= 0).sum()


def test_soft_triplet_loss_is_equation_4():
    positive, negative = np.meshgrid(np.linspace(0, 5, 6), np.linspace(0, 5, 6))
    result = losses.soft_triplet_loss(tf.constant(positive), tf.constant(negative))
    expected = np.exp(positive) / (np.exp(positive) + np.exp(negative))
    np.testing.assert_allclose(result, expected)
    far = losses.soft_triplet_loss(tf.constant([1e4, 0.0]), tf.constant([0.0, 1e4]))
    np.testing.assert_array_equal(far, [1.0, 0.0])


def readable(batch, num_attributes):
    """Representations whose triplet loss tells which positive and negative were drawn.

    Every image lies on an axis of its own: its distance to the anchor 0 is a known number, and
    no difference of two of these numbers equals another.
    """
    distances = np.array([math.sqrt(2.0) * 0.05 * 1.35**i for i in range(batch)])
    points = np.diag(distances).astype(np.float32)  # [B, B]
    return np.repeat(points[:, None], num_attributes, axis=1)  # [B, A, B]


def drawn_pairs(points, loss, anchor):
    """The (positive, negative) pairs whose loss is `loss`, by trying all of them."""
    distances = np.linalg.norm(points - points[anchor], axis=-1)
    margins = distances[:, None] - distances[None, :]
    table = 1.0 / (1.0 + np.exp(-margins))
    return list(zip(*np.nonzero(np.abs(table - loss) < 2e-7), strict=True))


def test_region_triplets_share_the_value_and_their_negatives_do_not(rng):
    batch = 9
    labels = random_labels(rng, batch)
    representations = readable(batch, 3)
    draw = tf.function(losses.region_triplet_loss, autograph=False)
    seen: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for number in range(150):
        result, valid = draw(representations, labels, tf.constant([number, 7]))
        result, valid = result.numpy(), valid.numpy()
        for i in range(batch):
            for a in range(3):
                same = set(np.flatnonzero(labels[:, a] == labels[i, a])) - {i}
                other = np.flatnonzero((labels[:, a] >= 0) & (labels[:, a] != labels[i, a]))
                exists = bool(labels[i, a] >= 0 and same and len(other))
                assert valid[i, a] == exists
                if not exists:
                    assert result[i, a] == 0.0
                    continue
                pairs = drawn_pairs(representations[:, a], result[i, a], i)
                allowed = [(p, n) for p, n in pairs if p in same and n in other]
                assert allowed, (i, a, pairs)
                if len(pairs) == 1:
                    seen.setdefault((i, a), set()).add(pairs[0])
    assert seen
    for (i, a), pairs in seen.items():  # every candidate gets its turn
        positives = set(np.flatnonzero(labels[:, a] == labels[i, a])) - {i}
        negatives = set(np.flatnonzero((labels[:, a] >= 0) & (labels[:, a] != labels[i, a])))
        assert {p for p, _ in pairs} == positives
        assert {n for _, n in pairs} == negatives


def test_positives_and_negatives_are_drawn_alike(rng):
    labels = np.array([[0]] * 4 + [[1]] * 3, np.int32)
    representations = readable(7, 1)
    draw = tf.function(losses.region_triplet_loss, autograph=False)
    counts: dict[tuple[int, int], int] = {}
    for number in range(600):
        loss, _ = draw(representations, labels, tf.constant([3, number]))
        (pair,) = drawn_pairs(representations[:, 0], float(loss[0, 0]), 0)
        counts[pair] = counts.get(pair, 0) + 1
    assert set(counts) == {(p, n) for p in (1, 2, 3) for n in (4, 5, 6)}
    # 600 draws of 9 equal pairs: 66.7 each, deviation 7.7.
    assert all(35 < count < 100 for count in counts.values()), counts


def test_equal_seeds_draw_equal_triplets(rng):
    labels = random_labels(rng, 16)
    representations = rng.normal(size=(16, 3, 4)).astype(np.float32)
    first, second, other = (
        losses.region_triplet_loss(representations, labels, tf.constant(seed))[0].numpy()
        for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(
    "labels", [[[0], [0], [0]], [[0], [1], [2]], [[-1], [-1], [-1]], [[0], [-1], [1]], [[2]]]
)
def test_without_any_triplet_the_loss_is_zero_and_moves_nothing(labels):
    representations = tf.Variable(tf.ones([len(labels), 1, 4]))
    with tf.GradientTape() as tape:
        loss, valid = losses.region_triplet_loss(
            representations, tf.constant(labels, tf.int32), tf.constant([0, 0])
        )
        total = tf.reduce_sum(loss)
    assert not valid.numpy().any() and float(total) == 0.0
    np.testing.assert_array_equal(
        tape.gradient(total, representations), np.zeros((len(labels), 1, 4))
    )


def test_equal_representations_give_finite_gradients():
    labels = tf.constant([[0], [0], [1], [1]])
    representations = tf.Variable(tf.ones([4, 1, 8]))
    with tf.GradientTape() as tape:
        loss, valid = losses.region_triplet_loss(representations, labels, tf.constant([0, 0]))
    assert valid.numpy().all()
    np.testing.assert_allclose(loss, 0.5)
    assert np.isfinite(tape.gradient(loss, representations).numpy()).all()


def test_region_triplets_trace_with_an_unknown_batch_size(rng):
    signature = [
        tf.TensorSpec([None, 3, 4]),
        tf.TensorSpec([None, 3], tf.int32),
        tf.TensorSpec([2], tf.int32),
    ]
    traced = tf.function(losses.region_triplet_loss, input_signature=signature, autograph=False)
    for batch in (1, 6):
        loss, valid = traced(
            rng.normal(size=(batch, 3, 4)).astype(np.float32),
            random_labels(rng, batch),
            tf.constant([0, 1]),
        )
        assert loss.shape == valid.shape == (batch, 3)


def test_batch_ranking_loss_is_a_softmax_over_squared_distances(rng):
    queries = rng.normal(size=(3, 4)).astype(np.float32)
    candidates = rng.normal(size=(6, 4)).astype(np.float32)
    relevant = np.eye(3, 6, dtype=bool)
    relevant[0, 4] = True  # shows what query 0 asks for: no mistake, so not counted
    found, first = losses.batch_ranking_loss(queries, candidates, relevant)
    for i in range(3):
        others = [j for j in range(6) if j == i or not relevant[i, j]]
        squared = {j: ((queries[i] - candidates[j]) ** 2).sum() for j in others}
        total = sum(np.exp(-d) for d in squared.values())
        np.testing.assert_allclose(found[i], -np.log(np.exp(-squared[i]) / total), rtol=1e-4)
        assert bool(first[i]) == (min(squared, key=lambda j: squared[j]) == i)
