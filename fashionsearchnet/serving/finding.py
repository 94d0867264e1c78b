"""One page of the items nearest to a vector."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fashionsearchnet.index.agreement import likeliest_first
from fashionsearchnet.index.alike import search_alike
from fashionsearchnet.index.filters import AllowedValues
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item, Neighbours


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which items a search may return, and which page of them.

    Attributes:
      filters: the labels allowed, by attribute.
      must: the values allowed, by attribute; read off the image where there is no label.
      offset: items to skip.
      k: items of the page.
      one_per_product: whether of each product only the nearest item counts.
      rerank: so many of the nearest are put in the order of predicted agreement; 0 for none.
      like: by name, how much each attribute counts that results must have alike; if there are some,
        what the model reads off the images is compared in place of their vectors.
      leave_out: the id of the query in the gallery. It is no result, nor is its product where one
        item stands for each product. None for an upload.
    """

    filters: AllowedValues
    must: AllowedValues
    offset: int
    k: int
    one_per_product: bool
    rerank: int
    like: Mapping[str, float]
    leave_out: str | None


class Found(NamedTuple):
    """A page of a search.

    Attributes:
      neighbours: its items, nearest first.
      items: the same, with columns and product.
      total: how many items all pages hold.
    """

    neighbours: Neighbours
    items: list[Item]
    total: int


def find(
    index: GalleryIndex, query: np.ndarray, wanted: Wanted, target: np.ndarray | None = None
) -> Found:
    """Returns the wanted page of the items nearest to a query.

    Args:
      index: of the gallery.
      query: float32 `[dim]`, its vector; with `wanted.like` float32 `[C]`, probabilities of values.
      wanted: the items and the page.
      target: float32 `[C]`, how likely each value is wanted; for `wanted.rerank`.
    """
    own = wanted.leave_out
    depth = max(wanted.offset + wanted.k, wanted.rerank) + (own is not None)
    rules = (wanted.filters, wanted.must, wanted.one_per_product)
    if wanted.like:
        found = search_alike(index, query, depth, wanted.like, *rules)
    else:
        (found,) = index.search(query[None], depth, *rules)
    own_group = "" if own is None or not wanted.one_per_product else index.items.group(own)
    if target is not None:
        found = _likeliest_first(index, found.first(depth, own, own_group), target, wanted.rerank)
        own, own_group = None, ""
    found = found.first(wanted.k, own, own_group, wanted.offset)
    return Found(found, [index.get(name) for name in found.ids], _count(index, wanted))


def _likeliest_first(
    index: GalleryIndex, found: Neighbours, target: np.ndarray, number: int
) -> Neighbours:
    """Returns the neighbours with the first `number` in the order of predicted agreement."""
    keys = np.array([index.items[name].key for name in found.ids[:number]], np.int64)
    order = np.arange(len(found.ids))
    order[: len(keys)] = likeliest_first(index.space, target, index.blocks.readings(keys))
    return found.ranked(order)


def _count(index: GalleryIndex, wanted: Wanted) -> int:
    """Returns how many items the pages hold: those that pass, without the query."""
    passing = index.matching(wanted.filters, wanted.must, wanted.one_per_product)
    if wanted.leave_out is None:
        return len(passing)
    items = index.items
    own = np.searchsorted(items.keys, items[wanted.leave_out].key)
    if wanted.one_per_product:
        return len(passing) - int((items.groups[passing] == items.groups[own]).any())
    return len(passing) - int((passing == own).any())
