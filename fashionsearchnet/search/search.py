"""One search: a query image, an edit, the nearest gallery images, and which of them match."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import KEEP, MISSING, AttributeSpace, apply_manipulation
from fashionsearchnet.checks import check_range, suggestion
from fashionsearchnet.data import image_files, preprocess
from fashionsearchnet.evaluation.methods import (
    Features,
    gallery_embeddings,
    predicted_values,
    softmax_blocks,
)
from fashionsearchnet.evaluation.protocol import count_differences
from fashionsearchnet.index.exact import ExactIndex

_LIMITS = image_files.ImageLimits()


@dataclasses.dataclass(frozen=True)
class Query:
    """A query image and what is known of it.

    Attributes:
      name: its id or its file.
      data: encoded JPEG or PNG.
      labels: int32 `[A]`, -1 for missing; None for an image from outside the data set.
    """

    name: str
    data: bytes
    labels: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Results:
    """The answer to one search.

    Attributes:
      positions: int64 `[k]` in the gallery, nearest first.
      distances: float32 `[k]`, Euclidean.
      predicted: int32 `[A]`, the system's own reading of the query.
      confidence: float32 `[A]`, the probability of each predicted value; in [0, 1].
      target: int32 `[A]`, what a result should have: the query's labels, or for an image from
        outside what is predicted, with the edit applied.
      differing: for each result the attributes that keep it from matching.
      judged_by: in words, what the results were compared with.
    """

    positions: np.ndarray
    distances: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    target: np.ndarray
    differing: tuple[tuple[int, ...], ...]
    judged_by: str


def query_from_file(path: str | os.PathLike[str]) -> Query:
    """Returns the query that an image file holds: JPEG, PNG, WebP or BMP.

    Raises:
      ValueError: if the file is missing, no image, damaged, or of an absurd size.
    """
    try:
        data = image_files.read_bytes(Path(path).expanduser())
        data, _ = image_files.normalize_image(data, _LIMITS)
    except image_files.ImageProblem as problem:
        raise ValueError(f"{path} cannot be the query image: {problem}.") from problem
    return Query(str(path), data)


def query_from_dataset(dataset: Any, split: str, image_id: str) -> Query:
    """Returns the query that a split of a data set holds under an id.

    Raises:
      ValueError: if there is none, with ids that there are.
    """
    ids = list(dataset.image_ids(split))
    if image_id not in ids:
        raise ValueError(
            f"split {split!r} of {dataset.name} has no image {image_id!r}"
            f"{suggestion(image_id, ids)}; it has {len(ids):,}, such as {', '.join(ids[:5])}."
        )
    position = ids.index(image_id)
    (data,) = stored_images(dataset, split, [position])
    return Query(image_id, data, np.asarray(dataset.labels(split))[position])


def stored_images(dataset: Any, split: str, positions: Sequence[int]) -> list[bytes]:
    """Returns the encoded images at these positions of a split, in the order asked for."""
    wanted = {int(position) for position in positions}
    found = {}
    records = dataset.encoded_images(split).take(max(wanted) + 1)
    for position, data in enumerate(records.as_numpy_iterator()):
        if position in wanted:
            found[position] = data
    return [found[int(position)] for position in positions]


def decode(data: bytes) -> np.ndarray:
    """Returns uint8 `[height, width, 3]`, RGB."""
    return preprocess.decode_image(tf.constant(data)).numpy()


def model_input(system: Any, data: bytes) -> tf.Tensor:
    """Returns the image as a batch of one, float32 `[1, image_size, image_size, 3]`."""
    image = preprocess.load_image(tf.constant(data), system.image_size, system.channel_means)
    return image[None]


def search(
    system: Any,
    query: Query,
    manipulation: np.ndarray,
    gallery_features: Features,
    gallery_labels: np.ndarray,
    *,
    k: int = 10,
    hit_rule: str = "identical",
) -> Results:
    """Returns the K gallery images nearest to the edited query.

    Args:
      system: with the feature "logits".
      query: the image.
      manipulation: int32 `[A]`, the wanted values, -1 to keep.
      gallery_features: of `features.extract_features`.
      gallery_labels: int32 `[gallery, A]`.
      k: how many, at least 1.
      hit_rule: of `protocol.HIT_RULES`, for queries with labels.
    """
    check_range("k", k, 1)
    features = system.image_features(model_input(system, query.data))
    embedding = system.query_embedding(features, tf.constant(manipulation[None], tf.int32))
    edited = np.flatnonzero(manipulation != KEEP)
    index = ExactIndex(gallery_embeddings(system, gallery_features, list(edited)))
    distances, positions = index.search(np.asarray(embedding), k)
    predicted, confidence = read_attributes(system.space, np.asarray(features["logits"])[0])
    known = predicted if query.labels is None else query.labels
    target = apply_manipulation(known, manipulation)
    found = gallery_labels[positions[0]]
    if query.labels is None:
        differing = differences_from_prediction(target, found, manipulation)
        judged_by = (
            "the attributes predicted for the query, with the edit; "
            "attributes that a result has no label for are not compared"
        )
    else:
        differing = differences_from_labels(target, found, hit_rule)
        judged_by = f"the labels of the query, with the edit (hit rule {hit_rule})"
    return Results(
        positions=positions[0],
        distances=distances[0],
        predicted=predicted,
        confidence=confidence,
        target=target,
        differing=differing,
        judged_by=judged_by,
    )


def read_attributes(space: AttributeSpace, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the likeliest values int32 `[A]` and their probabilities float32 `[A]`."""
    probabilities = softmax_blocks(space, logits)
    values = predicted_values(space, logits)
    return values, probabilities[np.array(space.offsets) + values]


def differences_from_labels(
    target: np.ndarray, labels: np.ndarray, hit_rule: str
) -> tuple[tuple[int, ...], ...]:
    """Returns for each of labels int `[k, A]` the attributes in which it misses the target."""
    return tuple(
        tuple(
            attribute
            for attribute in range(len(target))
            if count_differences(target[attribute, None], row[attribute, None], hit_rule)
        )
        for row in labels
    )


def differences_from_prediction(
    target: np.ndarray, labels: np.ndarray, manipulation: np.ndarray
) -> tuple[tuple[int, ...], ...]:
    """Returns the same for a predicted target.

    A classifier names a value of every attribute, even of those that a garment cannot have, so
    missing labels are not held against a result. Only what was asked for must be there.
    """
    different = (labels != target) & ((labels != MISSING) | (manipulation != KEEP))
    return tuple(tuple(int(a) for a in np.flatnonzero(row)) for row in different)
