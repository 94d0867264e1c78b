"""The global representation of [Ak21]: how edited representations become one vector."""

import keras
import tensorflow as tf

from fashionsearchnet.systems.edit_ranking import edit_shares, equal_length, flatten


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
        return self.merge(self.blocks(representations), manipulation)

    def blocks(self, representations: tf.Tensor) -> tf.Tensor:
        """Returns the representations that lambda weighs, float32 `[batch, attributes, dim]`."""
        return equal_length(representations) if self._normalized else representations

    def merge(self, blocks: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns Eq. 7 of blocks; manipulation int32 `[batch, attributes]`."""
        weights = self.attribute_weights
        if self.depends_on_edit:
            weights = edit_shares(manipulation) @ weights  # [B, A]
        return tf.matmul(flatten(blocks * weights[..., None]), self.projection)

    def gallery(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns F_I; the manipulation matters only if the weights depend on it."""
        return self.query(representations, manipulation)


class Concatenation:
    """What the variants without a global representation rank: all representations in a row."""

    depends_on_edit = False

    def query(self, representations: tf.Tensor, manipulation: tf.Tensor) -> tf.Tensor:
        """Returns float32 `[batch, attributes * dim]`."""
        return flatten(representations)

    gallery = merge = query

    def blocks(self, representations: tf.Tensor) -> tf.Tensor:
        """Returns the representations as they are."""
        return representations
