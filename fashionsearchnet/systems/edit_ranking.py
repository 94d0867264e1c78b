"""Beyond [Ak21]: one set of attribute weights per edit, and still one gallery vector per image.

Which attributes decide a search depends on what is changed: after "another colour" the category
must stay, after "another category" the colour says little. So lambda gets one row per manipulated
attribute a, and a gallery item g is ranked for a query q by

  d_a(q, g)^2 = sum_b lambda[a, b]^2 |q_b - g_b|^2.

Written like this, every edit needs a gallery of its own. But where all blocks have the same length
s, |q_b|^2 and |g_b|^2 are constants, and what is left of d_a^2 is

  constant - 2 sum_b lambda[a, b]^2 q_b . g_b,

which is, but for another constant of the query, the squared Euclidean distance between the
*weighted query* (lambda[a, b]^2 q_b) and the *plain* g. So the weights go into the query alone,
and one index by Euclidean distance serves all edits.
"""

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP

# Length of a whole gallery vector. It sets how sharp the ranking is before lambda has learned it.
_LENGTH = 6.0
_BLOCK_LENGTH = 6.0  # of a normalised representation: about that of fc10 without it


class EditRanking(keras.layers.Layer):
    """Maps local representations to blocks of equal length, weighted in the query by the edit.

    Takes float32 `[batch, attributes, dim]` and returns float32 `[batch, attributes * block_dim]`.
    Each attribute has a projection of its own: the w_r of Eq. 7 without what mixes attributes.
    """

    depends_on_edit = False

    def __init__(self, block_dim: int | None = None, **kwargs):
        """Prepares the layer.

        Args:
          block_dim: numbers per attribute in a vector; None for as many as a representation has.
        """
        super().__init__(**kwargs)
        self._block_dim = block_dim

    def build(self, input_shape) -> None:
        _, num_attributes, dim = input_shape
        self.attribute_weights = self.add_weight(
            shape=(num_attributes, num_attributes), initializer="ones", name="lambda"
        )
        identity = np.eye(dim, self._block_dim or dim, dtype=np.float32)
        start = np.tile(identity, (num_attributes, 1, 1))
        self.projection = self.add_weight(
            shape=start.shape, initializer=lambda shape, dtype: start, name="w_r"
        )

    def start_from(self, representations: np.ndarray) -> None:
        """Sets the projections to the `main_directions` of representations.

        With blocks as wide as representations, this only rotates: no distance changes.

        Args:
          representations: float32 `[number, attributes, dim]` of the training images.
        """
        self.projection.assign(main_directions(representations, self.projection.shape[-1]))

    def gallery(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of images as they are, whatever the edit."""
        return self.merge(self.blocks(representations), manipulation)

    def query(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of edited images.

        Args:
          representations: after the edit.
          manipulation: int32 `[batch, attributes]`. The squared weights of several edited
            attributes are averaged, as are those of all attributes where none is edited.
        """
        weights = edit_shares(manipulation) @ tf.square(self.attribute_weights)  # [B, A]
        return flatten(self.blocks(representations) * weights[..., None])

    def merge(self, blocks: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the gallery vectors of blocks, whatever the edit."""
        return flatten(blocks)

    def blocks(self, representations: tf.Tensor) -> tf.Tensor:
        """Returns float32 `[batch, attributes, dim]`, each block of the same length."""
        projected = tf.einsum("bad,ade->bae", representations, self.projection)
        return equal_length(projected, _LENGTH / projected.shape[1] ** 0.5)


def main_directions(representations: np.ndarray, number: int) -> np.ndarray:
    """Returns orthonormal directions that keep most of the directions of representations.

    They are the principal components of the representations brought to length one, without a
    mean taken off: blocks are compared by their angles to the origin.

    Args:
      representations: float32 `[images, attributes, dim]`.
      number: of directions, at most dim.

    Returns:
      float32 `[attributes, dim, number]`, the most important first. The largest entry of each is
      positive.
    """
    found = []
    for attribute in range(representations.shape[1]):
        vectors = representations[:, attribute].astype(np.float64)  # [images, dim]
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        _, directions = np.linalg.eigh(vectors.T @ vectors)  # the least important first
        kept = directions[:, ::-1][:, :number]  # [dim, number]
        largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=0)[None], axis=0)
        found.append(kept * np.sign(largest))
    return np.stack(found).astype(np.float32)


def edit_shares(manipulation: tf.Tensor) -> tf.Tensor:
    """Returns float32 `[batch, attributes]`: each edited attribute's share of an edit; sums to 1.

    Where nothing is edited all attributes have the same share.
    """
    edited = tf.cast(manipulation != KEEP, tf.float32)
    none = tf.reduce_all(manipulation == KEEP, axis=1, keepdims=True)
    edited = tf.where(none, 1.0, edited)
    return edited / tf.reduce_sum(edited, axis=1, keepdims=True)


def equal_length(representations: tf.Tensor, length: float = _BLOCK_LENGTH) -> tf.Tensor:
    """Returns `[..., dim]` with every representation brought to the same length."""
    return length * tf.math.l2_normalize(representations, axis=-1)


def flatten(representations: tf.Tensor) -> tf.Tensor:
    """`[batch, attributes, dim]` -> `[batch, attributes * dim]`."""
    _, num_attributes, dim = representations.shape
    return tf.reshape(representations, [-1, num_attributes * dim])
