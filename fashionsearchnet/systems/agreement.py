"""How likely two images show the same value of an attribute, as the product of two unit vectors.

A system that reads p(v) off one image and q(v) off another, each on its own, believes that both
show the same value with the probability sum_v p(v) q(v). To rank by it is to rank by the chance
that an image is relevant. The Euclidean distance between p and q does not: it adds |p|^2 and |q|^2,
so an image that the system is unsure of comes before one that it is sure of.

The product must not depend on the lengths of the vectors, so that an index by Euclidean distance
serves it, and several attributes can be added up. So each side gets a number that the other side
lacks: the query is [q, 0, sqrt(1 - |q|^2)], the gallery's image [p, sqrt(1 - |p|^2), 0].
"""

import tensorflow as tf


def agreement_queries(probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the vectors of queries, float32 `[B, V + 2]`, of length 1; see the module.

    Args:
      probabilities: float32 `[B, V]`, of the V values of an attribute; each row sums to 1.
    """
    rest = _rest(probabilities)
    return tf.concat([probabilities, tf.zeros_like(rest), rest], axis=-1)


def agreement_gallery(probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the vectors of gallery images, float32 `[B, V + 2]`, of length 1; see the module.

    Args:
      probabilities: float32 `[B, V]`, of the V values of an attribute; each row sums to 1.
    """
    rest = _rest(probabilities)
    return tf.concat([probabilities, rest, tf.zeros_like(rest)], axis=-1)


def _rest(probabilities: tf.Tensor) -> tf.Tensor:
    """Returns what a row lacks to length 1, float32 `[B, 1]`."""
    squares = tf.reduce_sum(tf.square(probabilities), axis=-1, keepdims=True)
    return tf.sqrt(tf.maximum(1.0 - squares, 0.0))
