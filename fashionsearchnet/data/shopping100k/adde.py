"""The split files that ADDE publishes for Shopping100k, as an alternative to splits by seed.

[Hou21] Y. Hou et al., "Learning Attribute-driven Disentangled Representations for Interactive
Fashion Retrieval", ICCV 2021. A folder holds `attr_num.txt` (values per attribute),
`imgs_{train,test}.txt` (paths below `Images`), `labels_{train,test}.txt` (0/1 vectors, one block
per attribute, an empty block for a missing label), and the queries: `ref_test.txt` (line of the
image among the test images, from 0), `indfull_test.txt` (-1 for the value taken away, 1 for the
value put in) and `gt_test.txt` (the 0/1 vector of a hit).

The protocol differs from FashionSearchNet-v2's: the gallery is all test images, the queries among
them; an edit may also add a value to an image without one, or only take a value away; the edits are
listed, where FashionSearchNet-v2 tries all that the gallery allows. `manipulations.json` stores the
list beside the data set (see listed_edits).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.listed_edits import MANIPULATIONS_FILE
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.records import Record, decode_labels
from fashionsearchnet.data.preparation.source import Source

_FILES = (
    "attr_num.txt",
    "imgs_train.txt",
    "imgs_test.txt",
    "labels_train.txt",
    "labels_test.txt",
    "ref_test.txt",
    "indfull_test.txt",
    "gt_test.txt",
)


def read(folder: Path, images_dir: Path, space: AttributeSpace) -> Source:
    """Returns what the split files say: the images, their labels, and the published splits.

    Args:
      folder: of the split source_files.
      images_dir: the folder `Images` of Shopping100k.
      space: its attribute space.

    Raises:
      OSError: if a folder or file is missing.
      ValueError: naming file and line, for git-lfs pointers, files of another data set, files that
        do not fit each other, and a wrong format.
    """
    source_files.check_folder(folder, _FILES, "ADDE's split files")
    _check_counts(folder / "attr_num.txt", space)
    images, records = {}, []
    for split in ("train", "test"):
        images[split] = source_files.read_lines(folder / f"imgs_{split}.txt")
        source_files.check_unique(folder / f"imgs_{split}.txt", images[split])
        records += _read_records(folder / f"labels_{split}.txt", images[split], space)
    both = set(images["train"]) & set(images["test"])
    if both:
        raise ValueError(
            f"{folder}: {len(both)} images are in imgs_train.txt and in imgs_test.txt, such as "
            f"{min(both)!r}; the splits must be disjoint."
        )
    references, manipulations = _read_queries(folder, images["test"], space)
    return Source(
        space=space,
        records=records,
        images_dir=images_dir,
        max_lost=0,
        fixed_splits={
            "train": images["train"],
            "gallery": images["test"],
            "query": list(dict.fromkeys(references)),
        },
        extras={MANIPULATIONS_FILE: manipulations},
        notes=(
            "ADDE's splits: the gallery is all test images, the queries among them; "
            "FashionSearchNet-v2 keeps queries and gallery apart",
            f"{MANIPULATIONS_FILE} lists {len(manipulations):,} edits of queries",
            "num_queries and num_gallery have no effect; validation is cut from train by seed",
        ),
    )


def _check_counts(path: Path, space: AttributeSpace) -> None:
    counts = " ".join(source_files.read_lines(path)).split()
    if counts != [str(count) for count in space.num_values]:
        raise ValueError(
            f"{path} should say how many values the attributes of Shopping100k have, "
            f"{' '.join(map(str, space.num_values))}; it says {' '.join(counts)[:60]}. Choose the "
            "folder splits/Shopping100k."
        )


def _read_records(path: Path, images: Sequence[str], space: AttributeSpace) -> list[Record]:
    """Returns one record per image, from its 0/1 vector."""
    vectors = _read_vectors(path, len(images), space, low=0)
    return decode_labels(images, _values_of(path, vectors, space, 1), space)


def _read_vectors(path: Path, num_rows: int, space: AttributeSpace, low: int) -> np.ndarray:
    """Returns int8 `[num_rows, total_values]` of numbers between `low` and 1."""
    lines = source_files.read_lines(path)
    if len(lines) != num_rows:
        raise ValueError(
            f"{path} has {len(lines)} lines where {num_rows} belong to it: one per line of its "
            "partner file. Get the files again."
        )
    try:
        vectors = np.loadtxt(lines, dtype=np.int8, ndmin=2, comments=None)
    except ValueError as error:
        raise ValueError(f"{path} must hold vectors of integers, one per line: {error}.") from error
    if vectors.shape[1] != space.total_values:
        raise ValueError(
            f"{path} has vectors of {vectors.shape[1]} numbers; Shopping100k has "
            f"{space.total_values} values."
        )
    wrong = np.flatnonzero(((vectors < low) | (vectors > 1)).any(axis=1))
    if len(wrong):
        raise ValueError(f"{path} line {wrong[0] + 1}: numbers must lie between {low} and 1.")
    return vectors


def _values_of(path: Path, vectors: np.ndarray, space: AttributeSpace, mark: int) -> np.ndarray:
    """Returns which value of each attribute carries `mark`, int32 `[rows, attributes]`, -1: none.

    Raises:
      ValueError: if two values of one attribute carry it.
    """
    values = np.empty((len(vectors), space.num_attributes), np.int32)
    for attribute, (offset, size) in enumerate(zip(space.offsets, space.num_values, strict=True)):
        marked = vectors[:, offset : offset + size] == mark
        twice = np.flatnonzero(marked.sum(axis=1) > 1)
        if len(twice):
            raise ValueError(
                f"{path} line {twice[0] + 1}: {space.names[attribute]} has two values marked "
                f"{mark}; at most one is allowed."
            )
        values[:, attribute] = np.where(marked.any(axis=1), marked.argmax(axis=1), -1)
    return values


def _read_queries(
    folder: Path, images: Sequence[str], space: AttributeSpace
) -> tuple[list[str], list[dict[str, Any]]]:
    """Returns the image of each query, and the edits as listed_edits stores them.

    Raises:
      ValueError: if a reference is not a test image, an edit does not change exactly one
        attribute, or the target is not the reference with the edit applied.
    """
    path = folder / "ref_test.txt"
    references = [
        source_files.parse_integer(path, line, text, 0, len(images) - 1, "the line of a test image")
        for line, text in enumerate(source_files.read_lines(path), 1)
    ]
    path = folder / "indfull_test.txt"
    edits = _read_vectors(path, len(references), space, low=-1)
    wanted, removed = (_values_of(path, edits, space, mark) for mark in (1, -1))
    is_changed = (wanted >= 0) | (removed >= 0)
    wrong = np.flatnonzero(is_changed.sum(axis=1) != 1)
    if len(wrong):
        raise ValueError(
            f"{path} line {wrong[0] + 1}: an edit must change one attribute: put a value in (1), "
            "take one away (-1), or both."
        )
    path = folder / "gt_test.txt"
    targets = _read_vectors(path, len(references), space, low=0)
    labels = _read_vectors(folder / "labels_test.txt", len(images), space, low=0)
    wrong = np.flatnonzero((targets != labels[references] + edits).any(axis=1))
    if len(wrong):
        raise ValueError(
            f"{path} line {wrong[0] + 1}: the target must be the labels of the reference image "
            "plus the line of indfull_test.txt. Do the files belong together?"
        )
    names = [images[reference] for reference in references]
    edited = is_changed.argmax(axis=1)
    return names, [
        _edit(name, space, attribute, row[attribute])
        for name, attribute, row in zip(names, edited, wanted, strict=True)
    ]


def _edit(image: str, space: AttributeSpace, attribute: int, value: int) -> dict[str, Any]:
    """Returns an entry of `manipulations.json`; a `value` of -1 only takes the value away."""
    name = space.names[attribute]
    if value < 0:
        return {"query": image, "set": {}, "remove": [name]}
    return {"query": image, "set": {name: space.values[attribute][value]}}
