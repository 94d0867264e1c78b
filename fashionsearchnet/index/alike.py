"""Search for items alike in some attributes, by what the system reads off their images.

The score of an item is the weighted mean, over the attributes that count, of the probability that
it shows the same value as the query: sum_v q(v) p(v), where q is the query's and p the item's. An
item with a label of the attribute has p = 1 for that value. Items with the same score are ordered
by the sum of these probabilities over the other attributes; of those the earlier comes first.
"""

from collections.abc import Mapping

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.index.arrays import check_is_read, check_vectors
from fashionsearchnet.index.filters import AllowedValues, item_filter
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import ItemTable, Neighbours
from fashionsearchnet.index.nearest import first_of_groups, neighbours_at


def search_alike(
    index: GalleryIndex,
    query: np.ndarray,
    k: int,
    weights: Mapping[str, float],
    filters: AllowedValues | None = None,
    must: AllowedValues | None = None,
    one_per_group: bool = False,
) -> Neighbours:
    """Returns the K items most alike to a query, or as many as there are.

    Args:
      index: of the gallery.
      query: float32 `[C]`, a probability of each value, of all attributes.
      k: at least 1.
      weights: attribute name -> weight above 0, at least one; the other attributes count for equal
        scores only.
      filters: see `GalleryIndex.search`.
      must: see `GalleryIndex.search`.
      one_per_group: see `GalleryIndex.search`.

    Returns:
      The items; their distances are 1 less the score, from 0 to 1.

    Raises:
      ValueError: for a bad query, K or weight, an unknown attribute or value, listing those that
        exist, or an index of an earlier version.
    """
    space, items = index.space, index.items
    (query,) = check_vectors("query", query[None], space.total_values)
    check_range("k", k, 1)
    check_is_read(f"the index {index.directory}", index.blocks.is_complete)
    probabilities = index.blocks.probabilities(items.keys, space.total_values)
    asked = _weights(space, weights)
    chosen = item_filter(space, items, filters or {}, must or {})
    allowed = np.arange(len(items)) if chosen is None else np.flatnonzero(chosen.mask)
    each = [_agreement(space, items, probabilities, query, a) for a in range(len(asked))]
    scores = (asked @ np.stack(each))[allowed] / asked.sum()
    others = ((asked == 0.0) @ np.stack(each))[allowed]
    order = _best(scores, others, len(allowed) if one_per_group else k)
    if one_per_group:
        order = order[first_of_groups(items, allowed[order])]
    order = order[:k]
    return neighbours_at(items, allowed[order], np.maximum(1.0 - scores[order], 0.0))


def _weights(space: AttributeSpace, weights: Mapping[str, float]) -> np.ndarray:
    """Returns the weight of each attribute, float32 `[A]`, 0 for those that do not count."""
    if not weights:
        raise ValueError("the search by attribute must name an attribute; got none.")
    asked = np.zeros(space.num_attributes, np.float32)
    for name, weight in weights.items():
        if not (np.isfinite(weight) and weight > 0.0):
            raise ValueError(f"the weight of {name!r} must be finite and above 0; got {weight}.")
        asked[space.attribute_index(name)] = weight
    return asked


def _agreement(
    space: AttributeSpace,
    items: ItemTable,
    probabilities: np.ndarray,
    query: np.ndarray,
    attribute: int,
) -> np.ndarray:
    """Returns the probability that each item has the query's value, float32 `[n]`."""
    start, number = space.offsets[attribute], space.num_values[attribute]
    wanted = query[start : start + number]
    # Not by a product of matrices: its threads wait for each other where other programs use a core.
    found = np.einsum("nv,v->n", probabilities[:, start : start + number], wanted)
    labels = items.values[:, attribute]
    return np.where(labels == MISSING, found, wanted[labels]).astype(np.float32)


def _best(scores: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """Returns the positions of the k largest scores and of their equals, the best first."""
    candidates = np.arange(len(scores))
    if k < len(scores):
        least = -np.partition(-scores, k - 1)[k - 1]
        candidates = np.flatnonzero(scores >= least)
    return candidates[np.lexsort((-others[candidates], -scores[candidates]))]
