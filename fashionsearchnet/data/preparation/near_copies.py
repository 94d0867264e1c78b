"""Finds copies of a picture that were saved again: other bytes, another size, the same picture."""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

_HASH_SIDE = 8
_SIDE = 12  # of a miniature
_LEAST_STEP = 2  # of 255 between two means: less is noise
_NUM_BANDS = 8  # of 16 bits each: hashes that differ in fewer bits share a band
_MAX_BITS = 7  # of 128 by which the hashes of copies may differ
_MAX_DIFFERENCE = 2.0  # of 255: the root mean square between the miniatures of copies
_MAX_ASPECT = 0.02  # by which the ratios of the sides of copies may differ
_WINDOW = 64  # images of one band that each image is compared with; bounds the time


@dataclasses.dataclass(frozen=True)
class Miniature:
    """What is kept of a picture to recognize its copies.

    Attributes:
      pixels: uint8 `[12, 12, 3]`, the means of a grid.
      hash: uint8 `[16]`, 128 bits: whether each of 8 x 8 means of the picture in grey is lighter
        than the one to its left, and than the one above.
      aspect: width by height.
    """

    pixels: np.ndarray
    hash: np.ndarray
    aspect: float


def miniature(image: np.ndarray) -> Miniature:
    """Returns the miniature of uint8 RGB `[h, w, 3]`."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (_HASH_SIDE + 1, _HASH_SIDE + 1)
    means = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.int16)
    steps = np.stack([means[:-1, 1:], means[1:, :-1]]) - means[:-1, :-1]
    bits = steps > _LEAST_STEP
    return Miniature(
        pixels=cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA),
        hash=np.packbits(bits.reshape(-1)),
        aspect=image.shape[1] / image.shape[0],
    )


def find_near_copies(miniatures: Sequence[Miniature]) -> list[tuple[int, int]]:
    """Returns the pairs (first, second) of pictures that are copies of each other, in order.

    Two pictures are copies if their hashes differ in at most 7 of 128 bits and their miniatures
    by at most 2 of 255. Among more than 64 pictures that share a part of their hash, each is
    compared with the 64 that follow it in the order of the whole hash only.
    """
    if len(miniatures) < 2:
        return []
    hashes = np.stack([m.hash for m in miniatures])
    pixels = np.stack([m.pixels for m in miniatures]).reshape(len(miniatures), -1)
    words = hashes.view(np.uint64)
    aspects = np.array([m.aspect for m in miniatures])
    found: set[tuple[int, int]] = set()
    for band in range(_NUM_BANDS):
        for one, other in _candidates(words, hashes, band):
            near = np.abs(aspects[one] / aspects[other] - 1) <= _MAX_ASPECT
            one, other = one[near], other[near]
            apart = pixels[one].astype(np.float32) - pixels[other]
            same = np.sqrt((apart**2).mean(axis=1)) <= _MAX_DIFFERENCE
            found |= set(zip(one[same].tolist(), other[same].tolist(), strict=True))
    return sorted(found)


def _candidates(
    words: np.ndarray, hashes: np.ndarray, band: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the pairs that share a band of their hashes and differ in few bits, the lower first.

    Args:
      words: uint64 `[n, 2]`, the hashes.
      hashes: uint8 `[n, 16]`, the same.
      band: which 16 bits.
    """
    keys = hashes[:, 2 * band : 2 * band + 2].astype(np.int64) @ np.array([256, 1])
    order = np.lexsort((*words.T, keys))
    for step in range(1, min(_WINDOW, len(order) - 1) + 1):
        one, other = order[:-step], order[step:]
        same = keys[one] == keys[other]
        if not same.any():
            return
        one, other = one[same], other[same]
        near = np.bitwise_count(words[one] ^ words[other]).sum(axis=1) <= _MAX_BITS
        yield np.minimum(one, other)[near], np.maximum(one, other)[near]
