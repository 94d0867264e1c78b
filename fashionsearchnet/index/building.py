"""Fills an index from a stream of images. After a kill, another run continues."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item, check_items

_MOST_ABSENT = 1 / 3  # of an index: more looks like a wrong source
_COMMIT_SHARE = 0.1  # of the time may go into commits, which write all vectors again


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What a model makes of N images; see `GalleryIndex.put`.

    Attributes:
      vectors: float `[N, dim]`.
      probabilities: float32 `[N, C]`, what it reads off them; None if it reads nothing.
      blocks: float32 `[N, A, block_dim]`; only for an index that uses labels.
    """

    vectors: np.ndarray
    probabilities: np.ndarray | None = None
    blocks: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """What a source has for an index.

    Attributes:
      items: to put, with images and different ids.
      total: their number, or more where some are left out.
      name: of the source, for messages.
      ids: of all items, where the source may be the whole gallery; None for a folder or a table.
    """

    items: Iterator[Item]
    total: int
    name: str
    ids: frozenset[str] | None = None

    def absent_in(self, index: GalleryIndex) -> list[str]:
        """Returns the ids of the items that the index has and this source has not."""
        return [] if self.ids is None else [name for name in index.ids if name not in self.ids]


def check_few(index: GalleryIndex, absent: Sequence[str], found: Found) -> None:
    """Raises a ValueError if more than a third of an index is absent from a source.

    Args:
      index: the index.
      absent: what `found.absent_in` returns.
      found: the source.
    """
    if len(absent) > _MOST_ABSENT * len(index):
        raise ValueError(
            f"--remove_absent would remove {len(absent):,} of the {len(index):,} items of "
            f"{index.directory}, since {found.name} does not have them; more than a third is "
            "refused, and nothing was changed. Is it the right --split, and is it complete? If so, "
            "build another index."
        )


class Encoder(Protocol):
    """The model of an index."""

    def encode(self, images: Sequence[bytes], values: np.ndarray) -> Encoded:
        """Returns what the index stores of encoded images with the labels int32 `[N, A]`."""

    def embed(
        self, blocks: np.ndarray, probabilities: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """Returns the vectors float32 `[N, dim]` of what is stored, with the labels `[N, A]`.

        Only for an index that uses labels.
        """


@dataclasses.dataclass
class Counts:
    """What became of the items.

    Attributes:
      added: that were new.
      replaced: whose image changed, or whose labels did in an index that does not use them.
      relabelled: whose labels changed in an index that uses them; no image was encoded.
      described: whose columns or group changed, and nothing else; no image was encoded.
      skipped: that the index had.
    """

    added: int = 0
    replaced: int = 0
    relabelled: int = 0
    described: int = 0
    skipped: int = 0


def add_images(
    index: GalleryIndex,
    encoder: Encoder,
    items: Iterable[Item],
    *,
    total: int,
    absent: Sequence[str] = (),
    batch_size: int = 64,
    commit_every: int = 2000,
) -> Counts:
    """Removes items, encodes and puts all that the index does not hold, and commits.

    Args:
      index: of the model that `encoder` belongs to; see `GalleryIndex.check_model`.
      encoder: the model.
      items: with images and different ids.
      total: their number, for the progress bar.
      absent: the ids of items to remove.
      batch_size: images encoded at a time, at least 1.
      commit_every: new items between two commits; more where commits would take over a tenth of
        the time. A killed run loses the items after the last commit.
    """
    counts = Counts()
    if absent:
        index.remove(absent)
    pending, commit_seconds, committed_at = 0, 0.0, time.monotonic()
    with tqdm(total=total, desc="indexing", unit="image", smoothing=0.05) as progress:
        for batch in _batches(_missing(index, items, counts, progress), batch_size):
            known, others = _by_image(index, batch)
            replaced = sum(item.id in index for item in others)
            _put(index, encoder, others)
            _put_again(index, encoder, known)
            counts.replaced += replaced
            counts.added += len(others) - replaced
            counts.relabelled += len(known)
            progress.update(len(batch))
            pending += len(batch)
            is_affordable = time.monotonic() - committed_at > commit_seconds / _COMMIT_SHARE
            if pending >= commit_every and is_affordable:
                start = time.monotonic()
                index.commit()
                committed_at = time.monotonic()
                pending, commit_seconds = 0, committed_at - start
    if pending or counts.described or absent:
        index.commit()
    return counts


def relabel(index: GalleryIndex, encoder: Encoder, ids: Sequence[str], values: np.ndarray) -> None:
    """Gives items other labels, and the vectors that follow from them; commit afterwards.

    No image goes through the network. The items move to the end of the order.

    Args:
      index: that uses labels.
      encoder: the model of the index.
      ids: different ids of items that exist.
      values: int32 `[number, A]`, their labels, -1 for missing.

    Raises:
      KeyError: for an id that does not exist.
      ValueError: for bad values, or an index that does not use labels.
    """
    items = [
        dataclasses.replace(index.get(name), values=row, image=index.image(name))
        for name, row in zip(ids, values, strict=True)
    ]
    _put_again(index, encoder, items)


def _by_image(index: GalleryIndex, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Returns the items whose blocks the index has, and the others."""
    uses_labels = index.label_blend is not None
    known = [uses_labels and index.shows(item) for item in items]
    rows = list(zip(items, known, strict=True))
    return [i for i, is_known in rows if is_known], [i for i, is_known in rows if not is_known]


def _put(index: GalleryIndex, encoder: Encoder, items: Sequence[Item]) -> None:
    """Puts items whose images have to be encoded."""
    if items:
        labels = np.stack([item.values for item in items])
        found = encoder.encode([item.image or b"" for item in items], labels)
        index.put(items, found.vectors, probabilities=found.probabilities, blocks=found.blocks)


def _put_again(index: GalleryIndex, encoder: Encoder, items: Sequence[Item]) -> None:
    """Puts items whose images the index knows, with the blocks that it has of them."""
    if items:
        blocks, probabilities = index.blocks_of([item.id for item in items])
        _, labels = check_items(index.space, items)
        vectors = encoder.embed(blocks, probabilities, labels)
        index.put(items, vectors, probabilities=probabilities, blocks=blocks)


def _missing(
    index: GalleryIndex, items: Iterable[Item], counts: Counts, progress: tqdm
) -> Iterator[Item]:
    for item in items:
        if not index.holds(item):
            yield item
            continue
        if index.items[item.id].is_described_as(item):
            counts.skipped += 1
        else:
            index.describe([item])
            counts.described += 1
        progress.update(1)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
