"""Attribute memory and global representation: how an edit becomes a query vector."""

import keras
import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace

_BLOCK_LENGTH = 6.0  # of a normalised representation: about that of fc10 without it


class AttributeMemory(keras.layers.Layer):
    """M of [Ak21] Sec. 3.3: one prototype representation per attribute value.

    float32 `[total values, representation_dim]`. Zero until it is set to `class_means`.
    """

    def __init__(self, space: AttributeSpace, representation_dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.offsets = np.array(space.offsets, np.int32)
        self.memory = self.add_weight(
            shape=(space.total_values, representation_dim), initializer="zeros", name="memory"
        )

    def call(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns the representations with the manipulated attributes overwritten, g = t M.

        Args:
          representations: float32 `[batch, attributes, dim]`.
          manipulation: int32 `[batch, attributes]`, the wanted value or -1 to keep.
        """
        rows = tf.maximum(manipulation, 0) + self.offsets
        prototypes = tf.gather(self.memory.value, rows)  # [B, A, D]
        return tf.where((manipulation == KEEP)[..., None], representations, prototypes)


def class_means(
    space: AttributeSpace, representations: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Returns the mean representation of every attribute value, float32 `[total values, dim]`.

    [Ak21] Sec. 3.3: "features with the same attribute value are extracted from the training
    images and stored". A value that no image has gets its attribute's overall mean.

    Args:
      space: the attribute space.
      representations: float32 `[num, attributes, dim]`.
      values: int32 `[num, attributes]`, -1 for missing.
    """
    memory = np.zeros((space.total_values, representations.shape[-1]), np.float32)
    for a, (offset, size) in enumerate(zip(space.offsets, space.num_values, strict=True)):
        labelled = values[:, a] >= 0
        features, labels = representations[labelled, a], values[labelled, a]
        counts = np.bincount(labels, minlength=size)
        one_hot = (labels[None, :] == np.arange(size)[:, None]).astype(np.float32)
        sums = one_hot @ features
        fallback = features.mean(axis=0) if len(features) else np.zeros(features.shape[1:])
        means = sums / np.maximum(counts, 1)[:, None]
        memory[offset : offset + size] = np.where(counts[:, None] > 0, means, fallback)
    return memory


class GlobalRepresentation(keras.layers.Layer):
    """F of [Ak21] Eq. 7: [f_1 lambda_1, ..., f_A lambda_A] w_r.

    Maps float32 `[batch, attributes, dim]` to `[batch, global_dim]`. lambda starts at one and
    w_r as a random projection, which keeps distances in expectation: the training starts from
    what the concatenated representations give.
    """

    def __init__(
        self, global_dim: int, edit_weights: bool = False, normalized: bool = False, **kwargs
    ):
        """Prepares the layer.

        Args:
          global_dim: width r.
          edit_weights: one lambda per attribute and manipulated attribute, as the paper's words
            "depending on the attribute manipulation" can be read. The gallery then depends on
            which attributes are edited.
          normalized: bring each f_a to the same length first; not in the paper.
        """
        super().__init__(dtype="float32", **kwargs)
        self.global_dim = global_dim
        self.depends_on_edit = edit_weights
        self._normalized = normalized

    def build(self, input_shape) -> None:
        _, num_attributes, dim = input_shape
        shape = (num_attributes, num_attributes) if self.depends_on_edit else (num_attributes,)
        self.attribute_weights = self.add_weight(shape=shape, initializer="ones", name="lambda")
        self.projection = self.add_weight(
            shape=(num_attributes * dim, self.global_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.global_dim**-0.5),
            name="w_r",
        )

    def query(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns F_{I,t} of edited representations; manipulation int32 `[batch, attributes]`."""
        weights = self.attribute_weights
        if self.depends_on_edit:
            weights = edit_shares(manipulation) @ weights  # [B, A]
        if self._normalized:
            representations = equal_length(representations)
        return tf.matmul(flatten(representations * weights[..., None]), self.projection)

    def gallery(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns F_I; the manipulation matters only if the weights depend on it."""
        return self.query(representations, manipulation)


class Concatenation:
    """What the variants without a global representation rank: all representations in a row."""

    depends_on_edit = False

    def query(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns float32 `[batch, attributes * dim]`."""
        return flatten(representations)

    gallery = query


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
