"""Fills an index from a stream of images. A run that was killed goes on where it was."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item

_COMMIT_SHARE = 0.1  # of the time may go into commits, which write all vectors again

Encode = Callable[[Sequence[bytes]], np.ndarray]


@dataclasses.dataclass
class Counts:
    """How many items were added, replaced, and skipped because the index has them."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0


def add_images(
    index: GalleryIndex,
    encode: Encode,
    items: Iterable[Item],
    *,
    total: int,
    batch_size: int = 64,
    commit_every: int = 2000,
) -> Counts:
    """Encodes and puts all items that the index does not hold, and commits.

    Args:
      index: of the model that `encode` belongs to; see `GalleryIndex.check_model`.
      encode: encoded images -> vectors float32 `[number, dim]`.
      items: with images and different ids.
      total: their number, for the progress bar.
      batch_size: images encoded at a time, at least 1.
      commit_every: new items between two commits; more where commits would take over a tenth of
        the time. A run that is killed loses what came after the last commit.
    """
    counts = Counts()
    pending, commit_seconds, committed_at = 0, 0.0, time.monotonic()
    with tqdm(total=total, desc="indexing", unit="image", smoothing=0.05) as progress:
        for batch in _batches(_missing(index, items, counts, progress), batch_size):
            replaced = sum(item.id in index for item in batch)
            index.put(batch, encode([item.image or b"" for item in batch]))
            counts.replaced += replaced
            counts.added += len(batch) - replaced
            progress.update(len(batch))
            pending += len(batch)
            is_affordable = time.monotonic() - committed_at > commit_seconds / _COMMIT_SHARE
            if pending >= commit_every and is_affordable:
                start = time.monotonic()
                index.commit()
                committed_at = time.monotonic()
                pending, commit_seconds = 0, committed_at - start
    if pending:
        index.commit()
    return counts


def _missing(
    index: GalleryIndex, items: Iterable[Item], counts: Counts, progress: tqdm
) -> Iterator[Item]:
    for item in items:
        if index.holds(item):
            counts.skipped += 1
            progress.update(1)
        else:
            yield item


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
