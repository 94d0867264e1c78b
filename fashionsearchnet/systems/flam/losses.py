"""The losses of [Shin19] (M. Shin, S. Park, T. Kim, BMVC 2019): pure functions, float32.

B is the number of images, A that of attributes, C that of all their values, k the width of an
embedding. Embeddings and dictionary vectors are unit vectors, so that their dot product is the
cosine.
"""

from collections.abc import Sequence

import tensorflow as tf

_WORST = -4.0  # below any cosine


def dictionary_triplet_losses(
    embeddings: tf.Tensor,
    dictionary: tf.Tensor,
    labels: tf.Tensor,
    num_values: Sequence[int],
    margin: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns both triplet losses of [Shin19] Eq. 2, each for every image and attribute.

    l(f, f+, f-) = max(0, dist(f, f+) - dist(f, f-) + margin) with dist = 1 - cosine (Eq. 1).
    Negatives are the images of the batch that show another value, and their dictionary vectors.
    Each loss is the mean over all of them, which a negative drawn at random has on average.

    Args:
      embeddings: float32 `[B, A, k]`, unit vectors.
      dictionary: float32 `[C, k]`, unit vectors.
      labels: int32 `[B, A]`, -1 for missing.
      num_values: of each attribute.
      margin: as a difference of cosines.

    Returns:
      by_dictionary: float32 `[B, A]`: the anchor is the dictionary vector of the image's value,
        the positive the image.
      by_image: float32 `[B, A]`: the anchor is the image, the positive that dictionary vector.
      valid: bool `[B, A]`, where both exist; both are zero elsewhere.
    """
    first, second, valid = [], [], []
    for a, block in enumerate(tf.split(dictionary, list(num_values))):
        own_vectors = tf.gather(block, tf.maximum(labels[:, a], 0))  # [B, k]
        # Row i, column j: image i and the dictionary vector of image j's value.
        cosines = tf.matmul(embeddings[:, a], own_vectors, transpose_b=True)  # [B, B]
        known = labels[:, a] >= 0
        others = known[:, None] & known[None, :] & (labels[:, a, None] != labels[None, :, a])
        own = tf.linalg.diag_part(cosines)[:, None]
        first.append(_mean_where(tf.nn.relu(tf.transpose(cosines) - own + margin), others))
        second.append(_mean_where(tf.nn.relu(cosines - own + margin), others))
        valid.append(tf.reduce_any(others, axis=1))
    return tf.stack(first, axis=1), tf.stack(second, axis=1), tf.stack(valid, axis=1)


def _mean_where(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the counted values of each row, float32 `[B]`; zero without any."""
    shares = tf.cast(counted, tf.float32)
    number = tf.maximum(tf.reduce_sum(shares, axis=1), 1.0)
    return tf.reduce_sum(values * shares, axis=1) / number


def partners(
    embeddings: tf.Tensor,
    values: tf.Tensor,
    attribute: tf.Tensor,
    seed: tf.Tensor,
    *,
    online_sampling: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns x- of each x: an image of the batch with another value of the edited attribute.

    With online sampling ([Shin19] Sec. 4.1) it is the one with the smallest sum of cosine
    distances in the embedding spaces of all other attributes; else it is drawn at random.

    Args:
      embeddings: float32 `[B, A, k]`, unit vectors.
      values: int32 `[B, A]`, what the images show.
      attribute: int32 `[B]`, the edited one.
      seed: int32 `[2]` of the draw.
      online_sampling: which of both.

    Returns:
      positions: int64 `[B]`.
      exists: bool `[B]`, whether the batch has such an image.
    """
    # As float32: where a graph transposes integers, oneDNN logs an error on some CPUs.
    shown = tf.cast(values, tf.float32)
    of_pair = tf.transpose(tf.gather(shown, attribute, axis=1))  # [B, B]: of edit i, image j
    own = tf.gather(shown, attribute, batch_dims=1)  # [B]
    allowed = of_pair != own[:, None]
    if online_sampling:
        cosines = tf.einsum("iak,jak->ija", embeddings, embeddings)  # [B, B, A]
        edited = tf.one_hot(attribute, embeddings.shape[1])  # [B, A]
        scores = tf.einsum("ija,ia->ij", cosines, 1.0 - edited)
    else:
        scores = tf.random.stateless_uniform(tf.shape(allowed), seed)
    scores = tf.where(allowed, scores, scores.dtype.min)
    return tf.argmax(scores, axis=1), tf.reduce_any(allowed, axis=1)


def real_or_made_loss(scores_of_real: tf.Tensor, scores_of_made: tf.Tensor) -> tf.Tensor:
    """Returns what a discriminator minimises of [Shin19] Eq. 3, elementwise.

    -log D(x) - log(1 - D(x~)) with D = sigmoid(score); the D that the paper's second term lacks is
    put back.
    """
    return tf.nn.softplus(-scores_of_real) + tf.nn.softplus(scores_of_made)


def passes_as_real_loss(scores_of_made: tf.Tensor) -> tf.Tensor:
    """Returns -log D(x~), elementwise: what a generator minimises, the non-saturating Eq. 3."""
    return tf.nn.softplus(-scores_of_made)


def matching_loss(found: tf.Tensor, wanted: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Returns the squared norm of [Shin19] Eq. 4 for each image, float32 `[B]`.

    Args:
      found: float32 `[B, A, k]`, the discriminator's f.
      wanted: float32 `[B, A, k]`, what the embedders give.
      counted: float32 `[B, A]`: 1 for the attributes that take part.
    """
    return tf.reduce_sum(tf.reduce_sum(tf.square(found - wanted), axis=-1) * counted, axis=-1)


def hardest_triplet_losses(
    features: tf.Tensor, items: tf.Tensor, margin: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the triplet loss of pairs of images that show the same item (Eq. 1).

    Args:
      features: float32 `[2 B, dim]`, unit vectors; image i and image i + B show the same item.
      items: int32 `[2 B]`, equal for images of one item.
      margin: as a difference of cosines.

    Returns:
      losses: float32 `[2 B]`; the negative is the nearest image of another item. Zero without one.
      in_order: float32 `[2 B]`, 1 where the positive is nearer than that.
    """
    half = tf.shape(features)[0] // 2
    positives = tf.reduce_sum(features * tf.roll(features, half, axis=0), axis=-1)
    cosines = tf.matmul(features, features, transpose_b=True)
    others = items[:, None] != items[None, :]
    negatives = tf.reduce_max(tf.where(others, cosines, _WORST), axis=1)
    in_order = tf.cast(positives > negatives, tf.float32)
    return tf.nn.relu(negatives - positives + margin), in_order
