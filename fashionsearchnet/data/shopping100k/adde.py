"""The split files that ADDE publishes for Shopping100k, as an alternative to splits by seed.

[Hou21] Y. Hou et al., "Learning Attribute-driven Disentangled Representations for Interactive
Fashion Retrieval", ICCV 2021. A folder holds `attr_num.txt` (values per attribute),
`imgs_{train,test}.txt` (paths below `Images`), `labels_{train,test}.txt` (0/1 vectors, one block
per attribute, an empty block for a missing label), and the queries: `ref_test.txt` (line of the
image among the test images, from 0), `indfull_test.txt` (-1 for the value taken away, 1 for the one
put in its place) and `gt_test.txt` (the 0/1 vector asked for).

This is another protocol than the one of FashionSearchNet-v2: the gallery is all test images, the
queries among them; a query may add a value that its image lacks; the queries are listed and not
all that the gallery allows. The list is stored beside the data set as `manipulations.json`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.catalogue.table import Row
from fashionsearchnet.data.published import files
from fashionsearchnet.data.published.preparation import Source

MANIPULATIONS_FILE = "manipulations.json"
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
      folder: of the split files.
      images_dir: the folder `Images` of Shopping100k.
      space: its attribute space.

    Raises:
      OSError: if a folder or file is missing.
      ValueError: naming file and line, for files that are git-lfs pointers, belong to another
        data set, do not fit each other, or hold what they must not.
    """
    files.check_folder(folder, _FILES, "ADDE's split files")
    _check_counts(folder / "attr_num.txt", space)
    images, rows = {}, []
    for split in ("train", "test"):
        images[split] = files.read_lines(folder / f"imgs_{split}.txt")
        files.check_unique(folder / f"imgs_{split}.txt", images[split])
        rows += _read_rows(folder / f"labels_{split}.txt", images[split], space)
    both = set(images["train"]) & set(images["test"])
    if both:
        raise ValueError(
            f"{folder}: {len(both)} images are in imgs_train.txt and in imgs_test.txt, such as "
            f"{min(both)!r}; the splits must be disjoint."
        )
    references, manipulations = _read_queries(folder, images["test"], space)
    return Source(
        space=space,
        rows=rows,
        images_dir=images_dir,
        max_lost=0,
        fixed_splits={
            "train": images["train"],
            "gallery": images["test"],
            "query": list(dict.fromkeys(references)),
        },
        extras={MANIPULATIONS_FILE: manipulations},
        notes=(
            "ADDE's splits: the gallery is all test images, the queries among them, where "
            "FashionSearchNet-v2 keeps queries and gallery apart",
            f"{len(manipulations):,} queries are listed in {MANIPULATIONS_FILE}",
            "num_queries and num_gallery have no say here; validation is cut from train by seed",
        ),
    )


def _check_counts(path: Path, space: AttributeSpace) -> None:
    counts = " ".join(files.read_lines(path)).split()
    if counts != [str(count) for count in space.num_values]:
        raise ValueError(
            f"{path} should say how many values the attributes of Shopping100k have, "
            f"{' '.join(map(str, space.num_values))}; it says {' '.join(counts)[:60]}. Choose the "
            "folder splits/Shopping100k."
        )


def _read_rows(path: Path, images: Sequence[str], space: AttributeSpace) -> list[Row]:
    """Returns one row per image with the value names that its 0/1 vector says, '' for none."""
    vectors = _read_vectors(path, len(images), space, low=0)
    values = _values_of(path, vectors, space, 1)
    names = [["", *names] for names in space.values]  # missing, -1, becomes index 0
    return [
        Row(line, image, tuple(names[a][v + 1] for a, v in enumerate(row)))
        for line, (image, row) in enumerate(zip(images, values.tolist(), strict=True), 1)
    ]


def _read_vectors(path: Path, num_rows: int, space: AttributeSpace, low: int) -> np.ndarray:
    """Returns int8 `[num_rows, total_values]` of numbers between `low` and 1."""
    lines = files.read_lines(path)
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
    """Returns the image of each query, and the queries as `{"query": image, "set": {name: value}}`.

    Raises:
      ValueError: if a reference is no test image, an edit does not set exactly one attribute, or
        the target is not the reference with the edit applied.
    """
    path = folder / "ref_test.txt"
    references = [
        files.parse_integer(path, line, text, 0, len(images) - 1, "the line of a test image")
        for line, text in enumerate(files.read_lines(path), 1)
    ]
    path = folder / "indfull_test.txt"
    edits = _read_vectors(path, len(references), space, low=-1)
    wanted, removed = (_values_of(path, edits, space, mark) for mark in (1, -1))
    is_set, is_changed = wanted >= 0, (wanted >= 0) | (removed >= 0)
    wrong = np.flatnonzero((is_set.sum(axis=1) != 1) | (is_changed.sum(axis=1) != 1))
    if len(wrong):
        raise ValueError(
            f"{path} line {wrong[0] + 1}: a query must set one value of one attribute (1), and may "
            "take away (-1) the one it had before."
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
    attributes = is_set.argmax(axis=1)
    return names, [
        {"query": name, "set": {space.names[a]: space.values[a][row[a]]}}
        for name, a, row in zip(names, attributes, wanted, strict=True)
    ]
