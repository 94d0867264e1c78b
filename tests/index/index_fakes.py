"""Small galleries for the tests of the index."""

import numpy as np
from fakes import SPACE

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item

DIM = 8


def random_values(rng: np.random.Generator, number: int) -> np.ndarray:
    """Returns int32 `[number, A]`, some of them missing."""
    return rng.integers(-1, SPACE.num_values, (number, SPACE.num_attributes)).astype(np.int32)


def make_items(values: np.ndarray, first: int = 0, images: bool = False) -> list[Item]:
    """Returns items called item0, item1, ... with these values."""
    return [
        Item(f"item{i}", row, f"image of item{i}".encode() if images else None)
        for i, row in enumerate(values, start=first)
    ]


def create(directory, engine="flat", dim=DIM, **arguments) -> GalleryIndex:
    return GalleryIndex.create(
        directory, space=SPACE, fingerprint="0123456789abcdef", dim=dim, engine=engine, **arguments
    )


def nearest_of(queries, vectors, allowed, k) -> np.ndarray:
    """Returns the positions of the K nearest allowed vectors: slow, exact, ties to the first."""
    difference = queries[:, None].astype("f8") - vectors[None].astype("f8")
    distances = np.sqrt((difference**2).sum(axis=-1))
    distances[:, ~allowed] = np.inf
    return np.argsort(distances, axis=1, kind="stable")[:, : min(k, int(allowed.sum()))]
