"""Retrieval and localisation metrics, on NumPy arrays. Every rank counts from 1."""

from collections.abc import Sequence

import numpy as np

from fashionsearchnet.index.exact import cells_by_row

NO_HIT = np.iinfo(np.int32).max  # the rank of the first hit where there is none


def first_hit_ranks(distances: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Returns the rank of the nearest relevant item of each query, int32 `[queries]`.

    It is NO_HIT for a query without any; else 1 plus the number of items that come before it: those
    strictly closer, and those equally close that stand earlier in the gallery. Top-K for any K is
    then `ranks <= K`.

    Args:
      distances: float `[queries, gallery]`, lower is better, without NaN.
      relevant: bool `[queries, gallery]`.
    """
    rows, positions, first = cells_by_row(relevant)
    has_hit = np.diff(first, append=len(rows)) > 0
    if not has_hit.all():
        ranks = np.full(len(relevant), NO_HIT, np.int32)
        ranks[has_hit] = first_hit_ranks(distances[has_hit], relevant[has_hit])
        return ranks
    if not len(rows):
        return np.empty(0, np.int32)
    candidates = distances[rows, positions]
    nearest = np.minimum.reduceat(candidates, first)
    is_nearest = candidates == nearest[rows]
    # The first of equals, since positions ascend.
    position = positions[is_nearest][np.unique(rows[is_nearest], return_index=True)[1]]
    closer = np.count_nonzero(distances < nearest[:, None], axis=1)
    no_farther = np.count_nonzero(distances <= nearest[:, None], axis=1)
    for row in np.flatnonzero(no_farther > closer + 1):  # ties are rare
        earlier = distances[row, : position[row]]
        closer[row] += np.count_nonzero(earlier == nearest[row])
    return (1 + closer).astype(np.int32)


def ranking(distances: np.ndarray) -> np.ndarray:
    """Returns the positions of float32 distances `[queries, items]`, nearest first, int64.

    Of equal distances the earlier item comes first. It is faster than `index.exact.nearest`.
    """
    bits = distances.view(np.uint32)
    # The bits of floats sort as the floats do, once those of negative numbers are inverted.
    # With the position below them, one sort of whole numbers orders ties too.
    keys = np.where(bits >> 31, ~bits, bits | 0x80000000).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(bits.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def ndcg(relevance: np.ndarray, top_k: Sequence[int]) -> np.ndarray:
    """Returns NDCG@K for every K, float64 `[..., len(top_k)]`.

    DCG@K = sum over ranks r = 1..K of (2^relevance - 1) / log2(r + 1), divided by that of K items
    of relevance 1. The ideal is thus a gallery full of perfect answers, as in ADDE (Hou et al.,
    ICCV 2021), not the best order of this gallery.

    Args:
      relevance: float `[..., length]` in [0, 1], of the ranked items, nearest first.
      top_k: the Ks; a K above `length` counts the items there are.
    """
    relevance = np.asarray(relevance, np.float64)
    discount = 1.0 / np.log2(np.arange(relevance.shape[-1]) + 2.0)
    gained = np.cumsum((2.0**relevance - 1.0) * discount, axis=-1)
    ideal = np.cumsum(discount)
    last = np.minimum(np.asarray(top_k), relevance.shape[-1]) - 1
    return gained[..., last] / ideal[last]


def average_precision(relevant: np.ndarray) -> np.ndarray:
    """Returns the average precision of full rankings, float64 `[queries]`.

    The sum over the relevant items of the precision at their rank, divided by their number: the
    measure of ASEN and AG-MAN.

    Args:
      relevant: bool `[queries, items]`, whether the item at each rank is relevant, nearest first.

    Raises:
      ValueError: if a query has no relevant item.
    """
    rows, columns, first = cells_by_row(relevant)
    number = np.diff(first, append=len(rows))
    if not number.all():
        query = int(np.argmin(number))
        raise ValueError(f"query {query} has no relevant item, so it has no average precision.")
    if not len(rows):
        return np.empty(0)
    found = np.arange(len(rows)) - first[rows] + 1  # relevant items up to each relevant one
    return np.add.reduceat(found / (columns + 1), first) / number


def triplet_accuracy(relevant: np.ndarray, num_items: np.ndarray) -> np.ndarray:
    """Returns the share of relevant items before irrelevant ones, float64 `[queries]`.

    Exact: over all pairs of a relevant and an irrelevant item, not over a draw of them. It is the
    area under the ROC curve of the ranking, and 0.5 for a random order.

    Args:
      relevant: bool `[queries, items]`, nearest first, at least one relevant in each row.
      num_items: int `[queries]`, how many of the items count; those that do not stand last and
        are not relevant. At least one of those that count is not relevant.
    """
    rows, columns, first = cells_by_row(relevant)
    number = np.diff(first, append=len(rows))
    before = columns - (np.arange(len(rows)) - first[rows])  # irrelevant items before each
    wrong = np.add.reduceat(before, first) if len(rows) else np.empty(0)
    return 1.0 - wrong / (number * (num_items - number))


def expected_average_precision(num_relevant: np.ndarray, num_items: np.ndarray) -> np.ndarray:
    """Returns the expected average precision of a random order, float64 `[...]`.

    With R relevant items among n: (1 / n) [H_n + (R - 1) / (n - 1) (n - H_n)], where H_n is the
    n-th harmonic number. An item at rank i is relevant with probability R / n, and of the i - 1
    items before it (i - 1) (R - 1) / (n - 1) are expected to be.

    Args:
      num_relevant: int `[...]`, R, at least 1.
      num_items: int `[...]`, n, at least R.
    """
    n = np.asarray(num_items)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, n.max(initial=1) + 1))])[n]
    share = (np.asarray(num_relevant) - 1) / np.maximum(n - 1, 1)
    return (harmonic + share * (n - harmonic)) / n


def random_hit_rate(num_relevant: np.ndarray, num_items: int, k: int) -> np.ndarray:
    """Returns the probability that a random order has a relevant item among its first K, float64.

    1 - C(n - m, K) / C(n, K), as the product over i < K of (n - m - i) / (n - i): the chance that
    the next item is no hit either.

    Args:
      num_relevant: int `[...]`, m, each at most `num_items`.
      num_items: n, how many items are ranked.
      k: K; above n it counts as n.
    """
    distinct, inverse = np.unique(np.asarray(num_relevant), return_inverse=True)
    drawn = np.arange(min(k, num_items))
    misses = np.clip(num_items - distinct[:, None] - drawn, 0, None) / (num_items - drawn)
    return (1.0 - misses.prod(axis=1))[inverse].reshape(np.shape(num_relevant))


def differs_from_previous(rows: np.ndarray) -> np.ndarray:
    """Tells which of the rows `[n, m]` differ from the one before, bool `[n]`."""
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return is_new


def group_means(values: np.ndarray, groups: np.ndarray, num_groups: int) -> np.ndarray:
    """Returns the mean of `values` `[n]` in each group, float64 `[num_groups]`, NaN if empty."""
    sums = np.bincount(groups, weights=values, minlength=num_groups)
    counts = np.bincount(groups, minlength=num_groups)
    return np.divide(sums, counts, out=np.full(num_groups, np.nan), where=counts > 0)


def bootstrap_weights(num_clusters: int, num_resamples: int, seed: int) -> np.ndarray:
    """Draws how often each cluster occurs in each resample, float64 `[resamples, clusters]`."""
    generator = np.random.default_rng(seed)
    probabilities = np.full(num_clusters, 1.0 / num_clusters)
    return generator.multinomial(num_clusters, probabilities, num_resamples).astype(np.float64)


def bootstrap_group_means(
    values: np.ndarray,
    groups: np.ndarray,
    num_groups: int,
    clusters: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means of each resample: per group, and over all values.

    Whole clusters are drawn, not single values: the manipulations of one query image share the
    image, so drawing them one by one would make every interval too narrow.

    Args:
      values: float `[n]`.
      groups: int `[n]`, such as the manipulated attribute.
      num_groups: the number G of groups.
      clusters: int `[n]`, such as the query image, below the number of columns of `weights`.
      weights: float `[resamples, clusters]` of `bootstrap_weights`.

    Returns:
      float64 `[resamples, G]` (NaN where a resample holds no value of the group) and float64
      `[resamples]`.
    """
    cell = clusters.astype(np.int64) * num_groups + groups
    shape = (weights.shape[1], num_groups)
    sums = weights @ np.bincount(cell, values, weights.shape[1] * num_groups).reshape(shape)
    counts = weights @ np.bincount(cell, minlength=weights.shape[1] * num_groups).reshape(shape)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means, sums.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Returns the areas of boxes `[..., 4]` (ymin, xmin, ymax, xmax), 0 where a side is below 0."""
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return sides[..., 0] * sides[..., 1]


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns intersection over union of boxes `[..., 4]` (ymin, xmin, ymax, xmax), in [0, 1]."""
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    intersection = box_area(np.concatenate([low, high], axis=-1))
    union = box_area(boxes) + box_area(others) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def center_in_box(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tells whether the centre of each of `boxes` lies in that of `others`, bool `[...]`."""
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    return ((center >= others[..., :2]) & (center <= others[..., 2:])).all(axis=-1)
