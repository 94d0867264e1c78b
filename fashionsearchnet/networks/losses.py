"""Losses that two systems or more use: pure functions, float32, missing labels masked.

[Ak21] is the FashionSearchNet-v2 paper (Ak et al., 2021).
"""

from collections.abc import Sequence

import tensorflow as tf

# Under the square root of a squared distance: its gradient at zero is infinite, and two images
# with the same representation would end the run.
DISTANCE_EPSILON = 1e-12


def euclidean_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns the Euclidean distance over the last axis, float32, with a finite gradient."""
    difference = tf.cast(a, tf.float32) - tf.cast(b, tf.float32)
    return tf.sqrt(tf.reduce_sum(tf.square(difference), axis=-1) + DISTANCE_EPSILON)


def attribute_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, num_values: Sequence[int]
) -> tf.Tensor:
    """Returns -log p(label) per image and attribute, zero where the label is missing.

    [Ak21] Eq. 2 before the sums.

    Args:
      logits: float `[batch, sum(num_values)]`, one block per attribute.
      labels: int32 `[batch, attributes]`, -1 for missing.
      num_values: the size of each block.

    Returns:
      float32 `[batch, attributes]`.
    """
    blocks = tf.split(tf.cast(logits, tf.float32), list(num_values), axis=-1)
    losses = [
        tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels[:, a], 0), block)
        for a, block in enumerate(blocks)
    ]
    return tf.where(labels >= 0, tf.stack(losses, axis=1), 0.0)


def attribute_hits(
    logits: tf.Tensor, labels: tf.Tensor, num_values: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (correct predictions, labelled cells), two float32 scalars, for an accuracy."""
    blocks = tf.split(logits, list(num_values), axis=-1)
    predictions = tf.stack([tf.argmax(block, -1, labels.dtype) for block in blocks], axis=1)
    correct = tf.reduce_sum(tf.cast(predictions == labels, tf.float32))
    return correct, tf.reduce_sum(tf.cast(labels >= 0, tf.float32))


def soft_triplet_loss(positive_distance: tf.Tensor, negative_distance: tf.Tensor) -> tf.Tensor:
    """Returns d+ of [Ak21] Eq. 4, between 0 (good) and 1, elementwise.

    exp(p) / (exp(p) + exp(n)) = sigmoid(p - n), which does not overflow.
    """
    return tf.sigmoid(positive_distance - negative_distance)


def batch_ranking_loss(
    queries: tf.Tensor, candidates: tf.Tensor, relevant: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the softmax loss of each query's own candidate among all candidates of the batch.

    Eq. 4 of [Ak21] is a softmax over two distances. This is a softmax over the squared distances
    to all candidates. Among many candidates some are hard, without a rule for what hard is.

    Args:
      queries: float32 `[batch, dim]`.
      candidates: float32 `[n * batch, dim]`; that of query i is candidate i.
      relevant: bool `[batch, n * batch]`, which candidates show what the query asks for. Those
        beside its own are left out, since they are no mistakes.

    Returns:
      losses: float32 `[batch]`.
      first: bool `[batch]`, whether no candidate that is left is nearer than the query's own.
    """
    dots = tf.matmul(queries, candidates, transpose_b=True)
    # |q|^2 is the same for all candidates of a query and cancels.
    distances = tf.reduce_sum(tf.square(candidates), axis=-1) - 2.0 * dots
    own = tf.eye(tf.shape(queries)[0], tf.shape(candidates)[0], dtype=tf.bool)
    scores = tf.where(relevant & ~own, distances.dtype.min, -distances)
    labels = tf.range(tf.shape(queries, tf.int64)[0])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
    return losses, tf.argmax(scores, axis=-1) == labels


def region_triplet_loss(
    representations: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the soft triplet loss of every image and attribute, triplets drawn in the batch.

    "Triplets of regions", [Ak21] Eq. 6: for each attribute on its own, the positive is a random
    other image with the anchor's value and the negative a random image with another value.
    Missing labels take no part.

    Args:
      representations: float `[batch, attributes, dim]`, fc10.
      labels: int32 `[batch, attributes]`, -1 for missing.
      seed: int32 `[2]`; equal seeds draw equal triplets.

    Returns:
      losses: float32 `[batch, attributes]`, zero where no triplet exists.
      valid: bool `[batch, attributes]`, whether one does.
    """
    features = tf.cast(tf.transpose(representations, [1, 0, 2]), tf.float32)  # [A, B, D]
    # [A, B]. Not transposed: for integers oneDNN logs an error on CPUs without AVX-512.
    by_attribute = tf.stack([labels[:, a] for a in range(labels.shape[1])])
    anchor, other = by_attribute[:, :, None], by_attribute[:, None, :]
    labelled = (anchor >= 0) & (other >= 0)
    same = labelled & (anchor == other)
    same = tf.linalg.set_diag(same, tf.zeros_like(by_attribute, tf.bool))  # [A, B, B]
    different = labelled & (anchor != other)

    # One draw serves both: the two candidate sets are disjoint, so their choices stay independent.
    scores = tf.random.stateless_uniform(tf.shape(same), seed, minval=1e-6)
    positive = tf.argmax(tf.where(same, scores, 0.0), axis=-1)  # [A, B]
    negative = tf.argmax(tf.where(different, scores, 0.0), axis=-1)
    valid = tf.reduce_any(same, axis=-1) & tf.reduce_any(different, axis=-1)

    losses = soft_triplet_loss(
        euclidean_distance(features, tf.gather(features, positive, batch_dims=1)),
        euclidean_distance(features, tf.gather(features, negative, batch_dims=1)),
    )
    return tf.transpose(tf.where(valid, losses, 0.0)), tf.stack(tf.unstack(valid), axis=1)
