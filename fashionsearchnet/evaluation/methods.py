"""What is measured: a system, and the baselines that stand beside it in every table.

A system is anything with the contract of WORKSPACE.md: `space`, `image_size`, `image_features`,
`query_embedding` and `gallery_embedding`. If its gallery representation depends on which
attributes are edited (one set of weights per manipulated attribute), it says so by an attribute
`gallery_depends_on_edit = True`; `gallery_embedding(features, manipulation)` is then called for
each set of attributes that is edited.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, AttributeSpace
from fashionsearchnet.index.exact import ExactIndex

Features = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Method:
    """One way of answering: embeds queries, and has an index of the gallery.

    Attributes:
      name: its row in the tables.
      embed: from query positions int `[B]` and manipulations int32 `[B, A]`, all of the same
        attributes, to float32 `[B, dim]`.
      index: from the edited attributes, ascending, to the index to search.
    """

    name: str
    embed: Callable[[np.ndarray, np.ndarray], np.ndarray]
    index: Callable[[tuple[int, ...]], ExactIndex]


def methods(
    system: Any, query_features: Features, gallery_features: Features, name: str = ""
) -> list[Method]:
    """Returns the measured rows: unedited query, predicted attributes, and last the system.

    Predicted attributes need the feature "logits"; a system without has no such row.
    """
    depends_on_edit = getattr(system, "gallery_depends_on_edit", False)

    # One is enough: manipulations come sorted by the edited attributes.
    @functools.lru_cache(maxsize=1)
    def index_of(edited: tuple[int, ...]) -> ExactIndex:
        return ExactIndex(gallery_embeddings(system, gallery_features, edited))

    @functools.lru_cache(maxsize=1)
    def unedited_of(edited: tuple[int, ...]) -> np.ndarray:
        return gallery_embeddings(system, query_features, edited)

    def index(edited: tuple[int, ...]) -> ExactIndex:
        return index_of(edited if depends_on_edit else ())

    def embed_unedited(queries: np.ndarray, manipulations: np.ndarray) -> np.ndarray:
        edited = tuple(np.flatnonzero(manipulations[0] != KEEP).tolist())
        return unedited_of(edited if depends_on_edit else ())[queries]

    found = [Method("unedited query", embed_unedited, index)]
    if "logits" in query_features:
        found.append(_predicted_attributes(system.space, query_features, gallery_features))
    embed_query = system_embedding(system.query_embedding, query_features)
    found.append(Method(name or system_name(system), embed_query, index))
    return found


def gallery_embeddings(
    system: Any, features: Features, edited: Sequence[int] = (), batch_size: int = 1024
) -> np.ndarray:
    """Returns the system's gallery representation of images, float32 `[number, dim]`.

    Args:
      system: a system.
      features: of `extract_features`.
      edited: the manipulated attributes; only systems whose gallery depends on them look.
      batch_size: images per step.
    """
    number = len(features["embedding"])
    rows = np.arange(number)
    if getattr(system, "gallery_depends_on_edit", False):
        edit = np.full((number, system.space.num_attributes), KEEP, np.int32)
        edit[:, list(edited)] = 0  # which value does not matter, only that there is one
        embed = system_embedding(system.gallery_embedding, features)
        batches = [
            embed(rows[i : i + batch_size], edit[i : i + batch_size])
            for i in range(0, number, batch_size)
        ]
    else:
        signature = _signature(features)
        function = tf.function(system.gallery_embedding, input_signature=[signature])
        batches = [
            function({k: tf.constant(v[i : i + batch_size]) for k, v in features.items()}).numpy()
            for i in range(0, number, batch_size)
        ]
    return np.concatenate(batches).astype(np.float32)


def system_embedding(
    function: Callable[..., Any], features: Features
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Returns `function(features, manipulation)` as a function of positions and manipulations."""
    manipulation = tf.TensorSpec([None, None], tf.int32)
    compiled = tf.function(function, input_signature=[_signature(features), manipulation])

    def embed(positions: np.ndarray, manipulations: np.ndarray) -> np.ndarray:
        gathered = {key: tf.constant(value[positions]) for key, value in features.items()}
        return compiled(gathered, tf.constant(manipulations, tf.int32)).numpy()

    return embed


def softmax_blocks(space: AttributeSpace, logits: np.ndarray) -> np.ndarray:
    """Returns the softmax of each attribute's block, float32 `[..., total_values]`."""
    probabilities = np.empty(logits.shape, np.float32)
    for offset, size in zip(space.offsets, space.num_values, strict=True):
        block = logits[..., offset : offset + size].astype(np.float32)
        exponential = np.exp(block - block.max(axis=-1, keepdims=True))
        exponential /= exponential.sum(axis=-1, keepdims=True)
        probabilities[..., offset : offset + size] = exponential
    return probabilities


def predicted_values(space: AttributeSpace, logits: np.ndarray) -> np.ndarray:
    """Returns the likeliest value of each attribute, int32 `[..., A]`."""
    blocks = zip(space.offsets, space.num_values, strict=True)
    return np.stack(
        [logits[..., start : start + size].argmax(axis=-1) for start, size in blocks], axis=-1
    ).astype(np.int32)


def edit_blocks(
    space: AttributeSpace, probabilities: np.ndarray, manipulations: np.ndarray
) -> np.ndarray:
    """Returns a copy with the blocks of edited attributes set to one-hot of the wanted value.

    Args:
      space: A attributes with C values in all.
      probabilities: float32 `[B, C]`.
      manipulations: int32 `[B, A]`, -1 to keep.
    """
    edited = probabilities.copy()
    for attribute, (offset, size) in enumerate(zip(space.offsets, space.num_values, strict=True)):
        rows = np.flatnonzero(manipulations[:, attribute] != KEEP)
        edited[rows, offset : offset + size] = 0.0
        edited[rows, offset + manipulations[rows, attribute]] = 1.0
    return edited


def system_name(system: Any) -> str:
    """Returns what the system's row is called: its variant's title, or else its name."""
    variant = getattr(system, "variant", None)
    return str(getattr(variant, "title", None) or getattr(system, "name", None) or "system")


def _predicted_attributes(
    space: AttributeSpace, query_features: Features, gallery_features: Features
) -> Method:
    """Returns the baseline that searches softmax outputs with edited blocks set to one-hot."""
    probabilities = softmax_blocks(space, query_features["logits"])
    index = ExactIndex(softmax_blocks(space, gallery_features["logits"]))

    def embed(queries: np.ndarray, manipulations: np.ndarray) -> np.ndarray:
        return edit_blocks(space, probabilities[queries], manipulations)

    return Method("predicted attributes", embed, lambda edited: index)


def _signature(features: Features) -> dict[str, tf.TensorSpec]:
    return {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in features.items()}
