"""From the keys and distances of an engine to the nearest items, or one item of each product."""

from collections.abc import Sequence

import numpy as np

from fashionsearchnet.index.engines import Engine, ItemFilter
from fashionsearchnet.index.items import ItemTable, Neighbours
from fashionsearchnet.index.parts import Part

_DEEPER = 4  # times as many items, while those found are of too few groups


def nearest_items(
    engine: Engine,
    items: ItemTable,
    queries: np.ndarray,
    k: int,
    chosen: ItemFilter | None,
    one_per_group: bool,
    parts: Sequence[Part] = (),
) -> list[Neighbours]:
    """Returns the K nearest items of each query, or as many as there are.

    Args:
      engine: holds the vectors of the items.
      items: all items.
      queries: float32 `[B, dim]`.
      k: at least 1.
      chosen: which items may be returned; None for all.
      one_per_group: whether of each group only the nearest item counts.
      parts: of the vectors, if only these count.
    """
    allowed = len(items) if chosen is None else int(np.count_nonzero(chosen.mask))
    if not allowed or not len(queries):
        none = Neighbours([], np.empty(0, np.float32), items.values[:0], items.predicted[:0], [])
        return [none] * len(queries)
    depth = min(k, allowed)
    while True:
        distances, keys = engine.search(queries, depth, chosen, parts)
        positions = np.searchsorted(items.keys, keys)
        rows = [row[there] for row, there in zip(positions, keys >= 0, strict=True)]
        ranks = [_ranks(items, row, k, one_per_group) for row in rows]
        if depth == allowed or min(map(len, ranks)) >= min(k, depth):
            break
        depth = min(allowed, _DEEPER * depth)
    return [
        neighbours_at(items, row[rank], distance[rank])
        for row, rank, distance in zip(rows, ranks, distances, strict=True)
    ]


def first_of_groups(items: ItemTable, positions: np.ndarray) -> np.ndarray:
    """Returns where in `positions` the first item of each group stands, int64, ascending."""
    _, first = np.unique(items.groups[positions], return_index=True)
    return np.sort(first)


def _ranks(items: ItemTable, positions: np.ndarray, k: int, one_per_group: bool) -> np.ndarray:
    """Returns the ranks of the first K items, or of the first items of the first K groups."""
    if not one_per_group:
        return np.arange(min(k, len(positions)))
    return first_of_groups(items, positions)[:k]


def neighbours_at(items: ItemTable, positions: np.ndarray, distances: np.ndarray) -> Neighbours:
    """Returns the items at positions int64 `[k]`, with their distances float32 `[k]`."""
    ids = [items.ids[position] for position in positions]
    return Neighbours(
        ids=ids,
        distances=distances,
        labels=items.values[positions],
        predicted=items.predicted[positions],
        groups=[items.group(name) for name in ids],
    )
