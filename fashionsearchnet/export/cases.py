"""Calls of every signature with what the live system gives.

An export is checked by them, and brings them along as its warm-up requests.
"""

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace, predicted_values, softmax_blocks
from fashionsearchnet.export.decoding import load_encoded
from fashionsearchnet.export.signatures import FEATURE, ServedSystem
from fashionsearchnet.networks.image_input import ImageInput, VectorInput, encode_vector
from fashionsearchnet.systems.gallery_labels import beliefs_of
from fashionsearchnet.systems.system import System


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """What signatures take beside images: float32 but `edits`, int32.

    Attributes:
      edits: `[B, A]`, from few attributes of the first image to all of the last one.
      beliefs: `[B, C]`, of the labels that the edits name.
      weights: `[A]`, from 0 to 1: of attributes, and of a blend.
    """

    edits: np.ndarray
    beliefs: np.ndarray
    weights: np.ndarray


def live_cases(served: ServedSystem, images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Returns calls of every signature with what the live system gives, as `check.py` reads them.

    Args:
      served: the live system.
      images: encoded images or vectors, at least one.
    """
    system = served.system
    inputs = tf.stack([load_encoded(tf.constant(data), system.image_input) for data in images])
    arguments = _arguments(system.space, len(images))
    live = _live_outputs(served, inputs, arguments)
    return [
        *_cases_of_images(images, arguments, live),
        *(_cases_alike(images, arguments, live) if "attribute" in system.tasks else ()),
        *(_cases_of_vectors(inputs.numpy(), arguments, live) if _sees_vectors(system) else ()),
        *(_cases_of_blocks(images, arguments, live) if system.has_blocks else ()),
    ]


def _sees_vectors(system: System) -> bool:
    return isinstance(system.image_input, VectorInput)


def _arguments(space: AttributeSpace, number: int) -> _Arguments:
    edited = (np.arange(number)[:, None] + 1) * space.num_attributes // number
    last = np.array(space.num_values, np.int32) - 1
    edits = np.where(np.arange(space.num_attributes) < edited, last, KEEP).astype(np.int32)
    weights = np.linspace(0.0, 1.0, space.num_attributes, dtype=np.float32)
    return _Arguments(edits, beliefs_of(space, edits), weights)


def _live_outputs(served: ServedSystem, inputs: tf.Tensor, arguments: _Arguments) -> dict[str, Any]:
    """Returns by name what the system gives for inputs `[B, ...]`, as arrays."""
    system, weights = served.system, tf.constant(arguments.weights)

    # Traced, and on the CPU like the check: a rounding difference may move an attention's box.
    @tf.function(autograph=False)
    def run(pictures: tf.Tensor, manipulation: tf.Tensor) -> dict[str, Any]:
        with tf.device("CPU:0"), served.stored_weights():
            features = system.image_features(pictures)
            found = {
                "logits": system.attribute_logits(features),
                "gallery": system.gallery_embedding(features),
                "query": system.query_embedding(features, manipulation),
                "attention": system.attention(pictures) or {},
                "features": features,
            }
            if system.has_blocks:
                blocks = found["blocks"] = system.gallery_blocks(features)
                labelled = system.labelled_embedding(blocks, arguments.beliefs, arguments.weights)
                found["labelled"] = labelled
            if "attribute" in system.tasks:
                found["alike"] = system.alike_embedding(features)
                found["alike query"] = system.alike_query(features, weights)
            return found

    live = tf.nest.map_structure(np.asarray, run(inputs, tf.constant(arguments.edits)))
    live["probabilities"] = softmax_blocks(system.space, live["logits"])
    live["values"] = predicted_values(system.space, live["logits"])
    return live


def _cases_of_images(
    images: Sequence[bytes], arguments: _Arguments, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the calls that every system answers."""
    read, edit = {"probabilities": live["probabilities"]}, {"manipulation": arguments.edits}
    embedding = {"embedding": live["query"]}
    features = {FEATURE + name: value for name, value in live["features"].items()}
    attention = {name: live["attention"][name] for name in ("maps", "boxes") if live["attention"]}
    one_query = {name: value[-1:] for name, value in (embedding | read).items()}
    one_edit = {"manipulation": arguments.edits[-1:]}
    return [
        _case("encode_gallery", images, {}, {"embedding": live["gallery"]} | read),
        _case("encode_query", images, edit, embedding | read),
        _case("encode_query", images[-1:], one_edit, one_query),
        _case("predict", images, {}, read | {"values": live["values"]} | attention),
        _case("image_features", images, {}, read | features),
        _case("embed_query", [], edit | features, embedding),
        _case("query_features", images, edit, embedding | read | features),
    ]


def _cases_alike(
    images: Sequence[bytes], arguments: _Arguments, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the calls that compare images in some attributes."""
    weights = {"weights": arguments.weights}
    return [
        _case("encode_alike", images, {}, {"embedding": live["alike"]}),
        _case("query_alike", images, weights, {"embedding": live["alike query"]}),
    ]


def _cases_of_vectors(
    vectors: np.ndarray, arguments: _Arguments, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the calls that take vectors `[B, dim]` as numbers."""
    given, read = {"vectors": vectors}, {name: live[name] for name in ("probabilities", "values")}
    edit = {"manipulation": arguments.edits}
    return [
        _case("read_vectors", [], given, read),
        _case("edit_vectors", [], given | edit, {"embedding": live["query"]}),
    ]


def _cases_of_blocks(
    images: Sequence[bytes], arguments: _Arguments, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the calls of a gallery that uses labels."""
    blocks, read = {"blocks": live["blocks"]}, {"probabilities": live["probabilities"]}
    given = blocks | {"beliefs": arguments.beliefs, "blend": arguments.weights}
    return [
        _case("encode_blocks", images, {}, blocks | read),
        _case("embed_blocks", [], given, {"embedding": live["labelled"]}),
    ]


def _case(
    signature: str,
    images: Sequence[bytes],
    arrays: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Returns a call as JSON has it; see `check.py`."""
    return {
        "signature": signature,
        "images": [base64.b64encode(data).decode() for data in images],
        "arrays": {name: [array.dtype.name, array.tolist()] for name, array in arrays.items()},
        "outputs": {name: np.asarray(value).tolist() for name, value in outputs.items()},
    }


def sample_inputs(image_input: ImageInput, number: int = 4) -> list[bytes]:
    """Returns generated images, or the bytes of generated vectors, for a system with this input."""
    if not isinstance(image_input, VectorInput):
        return sample_images(image_input.size, number)
    vectors = np.random.default_rng(0).normal(size=(number, image_input.size))
    return [encode_vector(vector) for vector in vectors]


def sample_images(image_size: int, number: int = 4) -> list[bytes]:
    """Returns generated images of several shapes, JPEG and PNG, in colour and in grey."""
    images = []
    for position in range(number):
        rng = np.random.default_rng(position)
        height, width = image_size * 3 // 2, image_size * (position + 1) // 2
        coarse = rng.uniform(0, 255, (6, 5, 1 if position == 1 else 3))
        picture = tf.cast(tf.image.resize(coarse, [height, width]), tf.uint8)
        encode = tf.io.encode_png if position % 2 else tf.io.encode_jpeg
        images.append(encode(picture).numpy())
    return images
