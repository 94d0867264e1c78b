"""Query images, from files and from data sets."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from fashionsearchnet.checks import suggestion
from fashionsearchnet.data import preprocess
from fashionsearchnet.data.dataset import Dataset
from fashionsearchnet.data.image_files import ImageLimits, normalize_image
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation.images import read_bytes
from fashionsearchnet.search.judgement import Query


def query_from_file(path: str | os.PathLike[str]) -> Query:
    """Returns the query in an image file: JPEG, PNG, WebP or BMP.

    Raises:
      ValueError: if the file is missing, no image, damaged, or of an absurd size.
    """
    try:
        return Query(str(path), image_from_file(path))
    except ImageProblem as problem:
        raise ValueError(f"{path} cannot be the query image: {problem}.") from problem


def image_from_file(path: str | os.PathLike[str]) -> bytes:
    """Returns a JPEG or PNG that every model decodes, from a JPEG, PNG, WebP or BMP file.

    Raises:
      ImageProblem: if the file is missing, no image, damaged, or of an absurd size.
    """
    data = read_bytes(Path(path).expanduser())
    return normalize_image(data, ImageLimits())[0]


def queries_by_id(dataset: Dataset, split: str, image_ids: Sequence[str]) -> list[Query]:
    """Returns the images of these ids in a split, with their labels.

    Raises:
      ValueError: for an unknown id, with ids that exist.
    """
    ids = dataset.image_ids(split)
    for image_id in image_ids:
        if image_id not in ids:
            raise ValueError(
                f"split {split!r} of {dataset.name} has no image {image_id!r}"
                f"{suggestion(image_id, ids)}; it has {len(ids):,}, such as {', '.join(ids[:5])}."
            )
    return queries_at(dataset, split, [ids.index(image_id) for image_id in image_ids])


def queries_at(dataset: Dataset, split: str, positions: Sequence[int]) -> list[Query]:
    """Returns the images at these positions of a split, with their labels."""
    ids, labels = dataset.image_ids(split), dataset.labels(split)
    images = stored_images(dataset, split, positions)
    return [
        Query(ids[position], image, labels[position])
        for position, image in zip(positions, images, strict=True)
    ]


def stored_images(dataset: Dataset, split: str, positions: Sequence[int]) -> list[bytes]:
    """Returns the encoded images at these positions of a split, in this order."""
    wanted = {int(position) for position in positions}
    found = {}
    records = dataset.encoded_images(split).take(max(wanted, default=-1) + 1)
    for position, data in enumerate(records.as_numpy_iterator()):
        if position in wanted:
            found[position] = data
    return [found[int(position)] for position in positions]


def decode(data: bytes) -> np.ndarray:
    """Returns uint8 `[height, width, 3]`, RGB."""
    return preprocess.decode_image(tf.constant(data)).numpy()
