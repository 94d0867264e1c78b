"""What an export computes: the signatures of a SavedModel, from encoded images on.

For B images and A attributes with C values in all:

* `encode_gallery`: `image_bytes` string `[B]` (JPEG or PNG, B at least 1; `decoding.py` says what
  is done with their bytes) -> `embedding` float32 `[B, dim]`,
  `probabilities` float32 `[B, C]`, one softmax per attribute;
* `encode_query`, also `serving_default`: `image_bytes` and `manipulation` int32 `[B, A]` (the
  wanted value of each attribute, -1 to keep; any number at once) -> the same, where
  `probabilities` are those of the unedited images;
* `predict`: `image_bytes` -> `probabilities`, `values` int32 `[B, A]`, and from a system with
  `attention` also `maps` float32 `[B, A, h, w]` and `boxes` float32 `[B, A, 4]` (ymin, xmin, ymax,
  xmax in 0..1 of the network's input);
* `image_features`: `image_bytes` -> `probabilities` and `feature_<name>` `[B, ...]`, what any edit
  of the images needs of them;
* `embed_query`: `feature_<name>` and `manipulation` -> `embedding` as of `encode_query`. No image:
  another edit of an image needs this one only;
* `query_features`: `image_bytes` and `manipulation` -> `embedding`, `probabilities` and
  `feature_<name>`: the first edit of an image, and what the next one needs, in one pass.

From a system that answers the task "attribute" also:

* `encode_alike`: `image_bytes` -> `embedding` float32 `[B, dim]`, the vectors of a gallery for
  images alike in some attributes (`System.alike_embedding`);
* `query_alike`: `image_bytes` and `weights` float32 `[A]`, 0 for an attribute that does not count
  -> `embedding` float32 `[B, dim]`, those of queries (`System.alike_query`).

From a system on vectors that another model computed (`VectorInput`), whose `image_bytes` are the
float32 numbers of a vector in little endian, also the same without bytes:

* `edit_vectors`: `vectors` float32 `[B, size]` and `manipulation` -> `embedding`;
* `read_vectors`: `vectors` -> `probabilities` and `values`.

From a system with `has_blocks` also what a labelled gallery needs (`systems/gallery_labels.py`):

* `encode_blocks`: `image_bytes` -> `blocks` float32 `[B, A, block_dim]`, `probabilities`;
* `embed_blocks`: `blocks`, `beliefs` float32 `[B, C]` (one-hot for a label, else half of the
  probabilities) and `blend` float32 `[A]` -> `embedding` float32 `[B, dim]`. No image: a changed
  label needs this one only.
"""

from typing import Any

import keras
import tensorflow as tf

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.export.decoding import load_encoded
from fashionsearchnet.export.precision import reduce_weight
from fashionsearchnet.networks.image_input import VectorInput
from fashionsearchnet.systems.system import System

FEATURE = "feature_"  # begins the names of a system's features in signatures


class ServedSystem:
    """What the signatures compute, with weights of its own in the precision of the export.

    The system's variables are replaced by these while its methods are traced, so that no keras
    object gets into the SavedModel: the C++ loader does not find the variables of those
    (tensorflow#72963).
    """

    def __init__(self, system: System, precision: str) -> None:
        self.system = system
        self.precision = precision
        self.weights = [
            tf.Variable(
                reduce_weight(weight, precision),
                trainable=False,
                name=f"weight_{position}",
            )
            for position, weight in enumerate(system.weights)
        ]
        # Traced and stored once, for all signatures: decoding is half of what some compute.
        self._load_one = tf.function(
            lambda data: load_encoded(data, system.image_input),
            input_signature=[tf.TensorSpec([], tf.string)],
            autograph=False,
        )

    def stored_weights(self) -> keras.StatelessScope:
        """Returns a scope in which the system's layers see the weights of the export."""
        return keras.StatelessScope(
            [
                (weight, tf.cast(stored, weight.dtype))
                for weight, stored in zip(self.system.weights, self.weights, strict=True)
            ]
        )

    def encode_gallery(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        images = self._load(image_bytes)
        with self.stored_weights():
            features = self.system.image_features(images)
            embedding = self.system.gallery_embedding(features)
            probabilities = self._probabilities(features)
        return {"embedding": embedding, "probabilities": probabilities}

    def encode_query(self, image_bytes: tf.Tensor, manipulation: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        found = self.query_features(image_bytes, manipulation)
        return {name: found[name] for name in ("embedding", "probabilities")}

    def query_features(
        self, image_bytes: tf.Tensor, manipulation: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        with tf.control_dependencies(self._checks(tf.shape(image_bytes)[0], manipulation)):
            images = self._load(image_bytes)
        with self.stored_weights():
            features = self.system.image_features(images)
            embedding = self.system.query_embedding(features, manipulation)
            probabilities = self._probabilities(features)
        return {"embedding": embedding, "probabilities": probabilities, **_named(features)}

    def encode_alike(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        images = self._load(image_bytes)
        with self.stored_weights():
            features = self.system.image_features(images)
            return {"embedding": self.system.alike_embedding(features)}

    def query_alike(self, image_bytes: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        images = self._load(image_bytes)
        with self.stored_weights():
            features = self.system.image_features(images)
            return {"embedding": self.system.alike_query(features, weights)}

    def encode_blocks(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        images = self._load(image_bytes)
        with self.stored_weights():
            features = self.system.image_features(images)
            blocks = self.system.gallery_blocks(features)
            probabilities = self._probabilities(features)
        return {"blocks": blocks, "probabilities": probabilities}

    def embed_blocks(
        self, blocks: tf.Tensor, beliefs: tf.Tensor, blend: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        same_number = tf.debugging.assert_equal(
            tf.shape(beliefs)[0], tf.shape(blocks)[0], "beliefs must have one row per image."
        )
        with tf.control_dependencies([same_number]):
            blocks = tf.identity(blocks)
        with self.stored_weights():
            embedding = self.system.labelled_embedding(blocks, beliefs, blend)
        return {"embedding": embedding}

    def image_features(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        images = self._load(image_bytes)
        with self.stored_weights():
            features = self.system.image_features(images)
            probabilities = self._probabilities(features)
        return {"probabilities": probabilities, **_named(features)}

    def embed_query(
        self, features: dict[str, tf.Tensor], manipulation: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module. The features are named as the system does."""
        number = tf.shape(next(iter(features.values())))[0]
        with tf.control_dependencies(self._checks(number, manipulation)):
            manipulation = tf.identity(manipulation)
        with self.stored_weights():
            embedding = self.system.query_embedding(features, manipulation)
        return {"embedding": embedding}

    def predict(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        images = self._load(image_bytes)
        with self.stored_weights():
            features, attention = self.system.features_and_attention(images)
            logits = self._logits(features)
        maps = {name: attention[name] for name in ("maps", "boxes") if attention}
        return self._read(logits) | maps

    def edit_vectors(self, vectors: tf.Tensor, manipulation: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        with self.stored_weights():
            features = self.system.image_features(vectors)
        return self.embed_query(features, manipulation)

    def read_vectors(self, vectors: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature of that name; see the module."""
        with self.stored_weights():
            return self._read(self._logits(self.system.image_features(vectors)))

    def _read(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `probabilities` float32 `[B, C]` and `values` int32 `[B, A]` of logits."""
        values = [tf.argmax(block, -1, tf.int32) for block in self._blocks(logits)]
        return {"probabilities": self._softmax(logits), "values": tf.stack(values, axis=1)}

    def signatures(self) -> dict[str, Any]:
        """Returns the signatures as tf.functions of an unknown number of images."""
        images = tf.TensorSpec([None], tf.string, "image_bytes")
        number = self.system.space.num_attributes
        manipulation = tf.TensorSpec([None, number], tf.int32, "manipulation")
        encode_query = tf.function(
            self.encode_query, input_signature=[images, manipulation], autograph=False
        )
        image_features = tf.function(self.image_features, input_signature=[images], autograph=False)
        return {
            **(self._alike_signatures(images) if "attribute" in self.system.tasks else {}),
            **(self._label_signatures(images) if self.system.has_blocks else {}),
            **self._vector_signatures(manipulation),
            "encode_gallery": tf.function(
                self.encode_gallery, input_signature=[images], autograph=False
            ),
            "encode_query": encode_query,
            "image_features": image_features,
            "query_features": tf.function(
                self.query_features, input_signature=[images, manipulation], autograph=False
            ),
            "embed_query": self._embed_query_signature(image_features, manipulation),
            "predict": tf.function(self.predict, input_signature=[images], autograph=False),
            "serving_default": encode_query,
        }

    def _embed_query_signature(self, image_features: Any, manipulation: tf.TensorSpec) -> Any:
        """Returns `embed_query` for the features that `image_features` returns."""
        outputs = image_features.get_concrete_function().structured_outputs
        names = [name for name in outputs if name.startswith(FEATURE)]
        specs = [tf.TensorSpec(outputs[name].shape, outputs[name].dtype, name) for name in names]

        @tf.function(autograph=False, input_signature=[manipulation, *specs])
        def embed_query(manipulation: tf.Tensor, *features: tf.Tensor) -> dict[str, tf.Tensor]:
            given = zip(names, features, strict=True)
            return self.embed_query({n.removeprefix(FEATURE): f for n, f in given}, manipulation)

        return embed_query

    def _alike_signatures(self, images: tf.TensorSpec) -> dict[str, Any]:
        """Returns the signatures of the task "attribute"."""
        weights = tf.TensorSpec([self.system.space.num_attributes], tf.float32, "weights")
        return {
            "encode_alike": tf.function(
                self.encode_alike, input_signature=[images], autograph=False
            ),
            "query_alike": tf.function(
                self.query_alike, input_signature=[images, weights], autograph=False
            ),
        }

    def _vector_signatures(self, manipulation: tf.TensorSpec) -> dict[str, Any]:
        """Returns the signatures on vectors; {} for a system on images."""
        vector_input = self.system.image_input
        if not isinstance(vector_input, VectorInput):
            return {}
        vectors = tf.TensorSpec([None, vector_input.size], tf.float32, "vectors")
        return {
            "edit_vectors": tf.function(
                self.edit_vectors, input_signature=[vectors, manipulation], autograph=False
            ),
            "read_vectors": tf.function(
                self.read_vectors, input_signature=[vectors], autograph=False
            ),
        }

    def _label_signatures(self, images: tf.TensorSpec) -> dict[str, Any]:
        """Returns the signatures for a labelled gallery."""
        number, block_dim = self.system.space.num_attributes, self.system.prototypes().shape[1]
        inputs = [
            tf.TensorSpec([None, number, block_dim], tf.float32, "blocks"),
            tf.TensorSpec([None, self.system.space.total_values], tf.float32, "beliefs"),
            tf.TensorSpec([number], tf.float32, "blend"),
        ]
        return {
            "encode_blocks": tf.function(
                self.encode_blocks, input_signature=[images], autograph=False
            ),
            "embed_blocks": tf.function(self.embed_blocks, input_signature=inputs, autograph=False),
        }

    def _load(self, image_bytes: tf.Tensor) -> tf.Tensor:
        """string `[B]` -> float32 `[B, *image_input.shape]`."""
        some = tf.debugging.assert_positive(
            tf.size(image_bytes), "image_bytes must hold at least one encoded image."
        )
        with tf.control_dependencies([some]):
            image_bytes = tf.identity(image_bytes)
        return tf.map_fn(
            self._load_one,
            image_bytes,
            fn_output_signature=tf.TensorSpec(self.system.image_input.shape, tf.float32),
        )

    def _checks(self, num_images: tf.Tensor, manipulation: tf.Tensor) -> list[tf.Operation]:
        """Assertions on the arguments, for callers that send whatever they like."""
        sizes = tf.constant(self.system.space.num_values, tf.int32)
        return [
            tf.debugging.assert_equal(
                tf.shape(manipulation)[0],
                num_images,
                "manipulation must have one row per image.",
            ),
            tf.debugging.Assert(
                tf.reduce_all((manipulation >= KEEP) & (manipulation < sizes)),
                ["manipulation must be -1 or below the number of values", sizes, manipulation],
            ),
        ]

    def _logits(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        logits = self.system.attribute_logits(features)
        assert logits is not None  # `saved_model` exports no system without
        return logits

    def _probabilities(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._softmax(self._logits(features))

    def _blocks(self, logits: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(logits, list(self.system.space.num_values), axis=-1)

    def _softmax(self, logits: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.nn.softmax(block) for block in self._blocks(logits)], axis=-1)


def _named(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a system's features under the names that they have in signatures."""
    return {FEATURE + name: feature for name, feature in features.items()}
