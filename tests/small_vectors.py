"""Small files of vectors, with a table of labels."""

from pathlib import Path

import numpy as np

from fashionsearchnet.data.catalogue.table import TableColumns
from fashionsearchnet.data.vectors.preparation import VectorOptions
from fashionsearchnet.data.vectors.vector_files import VectorFile

COLOURS = ("red", "green", "blue")
SLEEVES = ("short", "long")
SIZE = 12


def vectors(number: int = 120, seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Returns vectors float32 `[number, SIZE]` that show their labels, ids, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, 3, number), rng.integers(0, 2, number)], axis=1)
    found = rng.normal(0, 0.3, (number, SIZE)).astype(np.float32)
    found[np.arange(number), labels[:, 0]] += 2
    found[np.arange(number), 3 + labels[:, 1]] += 2
    return found, [f"item{row:04}" for row in range(number)], labels


def write(folder: Path, number: int = 120, labelled: int = 100) -> VectorOptions:
    """Writes vectors, ids and labels, and returns the options to prepare them."""
    found, ids, labels = vectors(number)
    np.save(folder / "vectors.npy", found)
    (folder / "vectors.ids.txt").write_text("\n".join(ids) + "\n")
    rows = [f"{n},{COLOURS[c]},{SLEEVES[s]}" for n, (c, s) in zip(ids, labels, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["id,colour,sleeve", *rows[:labelled]]) + "\n")
    return VectorOptions(
        name="shop",
        file=VectorFile(str(folder / "vectors.npy")),
        csv=str(folder / "labels.csv"),
        columns=TableColumns(image="id", attributes=("colour", "sleeve")),
        min_count=5,
        num_queries=10,
        num_gallery=20,
        num_validation=10,
    )
