"""The manipulations to try: all that the gallery allows, or those that a data set lists.

[Ak21] (FashionSearchNet-v2) Sec. 4.4 changes a single attribute of a query image, and tries every
change that is available in the gallery. Beyond the paper, several attributes may change at once:
each set of attributes then takes the place of the single attribute. [Hou21] (ADDE) lists its
manipulations in a file instead.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from fashionsearchnet.attributes import HIT_RULES, KEEP, MISSING, apply_manipulation, differs
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.data.dataset import ListedEdits
from fashionsearchnet.evaluation.metrics import differs_from_previous
from fashionsearchnet.evaluation.tasks.manipulation.hits import (
    CHUNK_CELLS,
    Gallery,
    count_differences,
)

_MAX_GROUPS = 10_000  # sets of attributes; each has a mean and an interval of its own


@dataclasses.dataclass(frozen=True)
class Manipulations:
    """Changes of query images, sorted by group, then query, then wanted values.

    Attributes:
      query: int32 `[M]`, position of the image in the query split.
      edits: int32 `[M, A]`, the wanted values, -1 to keep.
      group: int32 `[M]`, which of `groups` is changed.
      groups: sets of attributes that get a value together.
      targets: int32 `[M, A]`, the labels wanted: those of the query with the edits applied.
      num_available: for each group how many there are in all, before the draw.
      num_added: how many of the M give a value to an attribute that the query lacks.
      removed: for each group the attributes that lose their value; only listed edits have any.
    """

    query: np.ndarray
    edits: np.ndarray
    group: np.ndarray
    groups: tuple[tuple[int, ...], ...]
    targets: np.ndarray
    num_available: tuple[int, ...]
    num_added: int
    removed: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.query)

    def group_names(self, attribute_names: Sequence[str]) -> tuple[str, ...]:
        """Names each group: 'colour', 'colour + sleeve', 'colour + no sleeve'."""
        removed = self.removed or ((),) * len(self.groups)
        return tuple(
            " + ".join(
                [attribute_names[a] for a in group] + [f"no {attribute_names[a]}" for a in gone]
            )
            or "no change"
            for group, gone in zip(self.groups, removed, strict=True)
        )


def enumerate_manipulations(
    query_labels: np.ndarray,
    gallery: Gallery,
    hit_rule: str = "identical",
    add_missing: bool = False,
    max_per_group: int | None = None,
    seed: int = 0,
    num_changes: int = 1,
) -> Manipulations:
    """Lists every change of `num_changes` attributes whose target exists in the gallery.

    Args:
      query_labels: int32 `[queries, A]`, -1 for missing.
      gallery: where targets must exist: some item is a hit.
      hit_rule: one of HIT_RULES.
      add_missing: also give values to attributes that the query lacks. Else only values that the
        query has are replaced.
      max_per_group: draw so many of each set of attributes at random; None for all, which may be
        millions where several attributes change. Only what is drawn is held in memory.
      seed: of the draw.
      num_changes: how many attributes change at once, 1 to A, all to other values.

    Raises:
      ValueError: if there is none, or an argument is out of range.
    """
    check_choice("hit_rule", hit_rule, HIT_RULES)
    if max_per_group is not None:
        check_range("max_per_group", max_per_group, 1)
    groups = _attribute_groups(query_labels.shape[1], num_changes)
    changes = functools.partial(
        _changes, query_labels, gallery.combinations, hit_rule, add_missing, num_changes
    )
    available = np.zeros(len(groups), np.int64)
    for rows in changes():
        available += np.bincount(rows[:, 0], minlength=len(groups))
    if not available.any():
        what = "one attribute" if num_changes == 1 else f"{num_changes} attributes at once"
        raise ValueError(
            f"no change of {what} of the {len(query_labels)} queries leads to a "
            f"combination that exists among the {len(gallery)} gallery images. Take a larger "
            "gallery or fewer attributes, or hit_rule 'labelled' if many labels are missing."
        )
    rows = _pick(changes(), available, _draw(available, max_per_group, seed))
    group, query, wanted = rows[:, 0], rows[:, 1], rows[:, 2:]
    edits = np.full((len(rows), query_labels.shape[1]), KEEP, np.int32)
    np.put_along_axis(edits, np.array(groups)[group], wanted, axis=1)
    known = query_labels[query]
    return Manipulations(
        query=query,
        edits=edits,
        group=group,
        groups=groups,
        targets=apply_manipulation(known, edits).astype(np.int32),
        num_available=tuple(available.tolist()),
        num_added=int(((known == MISSING) & (edits != KEEP)).any(axis=1).sum()),
    )


def listed_manipulations(query_labels: np.ndarray, listed: ListedEdits) -> Manipulations:
    """Sorts the edits that a data set lists into groups; `query_labels` are int32 `[queries, A]`.

    Every attribute is a group, as in the tables of the paper; edits that give several values, take
    a value away or change nothing form groups of their own behind them.
    """
    known, edits = query_labels[listed.query], listed.manipulation
    edited, number = edits != KEEP, edits.shape[1]
    removed = ~edited & (listed.target == MISSING) & (known != MISSING)
    changed = np.concatenate([edited, removed], axis=1)  # [M, 2 A]
    singles = np.eye(number, 2 * number, dtype=bool)
    others = [row for row in np.unique(changed, axis=0) if not (singles == row).all(axis=1).any()]
    kinds = np.array([*singles, *sorted(others, key=np.sum)])  # [G, 2 A]
    group = (changed[:, None] == kinds).all(axis=-1).argmax(axis=1).astype(np.int32)
    order = np.lexsort((*edits.T[::-1], listed.query, group))
    sets = [tuple(tuple(np.flatnonzero(half).tolist()) for half in k.reshape(2, -1)) for k in kinds]
    return Manipulations(
        query=listed.query[order].astype(np.int32),
        edits=edits[order].astype(np.int32),
        group=group[order],
        groups=tuple(edit for edit, _ in sets),
        targets=listed.target[order].astype(np.int32),
        num_available=tuple(np.bincount(group, minlength=len(kinds)).tolist()),
        num_added=int(((known == MISSING) & edited).any(axis=1).sum()),
        removed=tuple(gone for _, gone in sets),
    )


def _attribute_groups(num_attributes: int, num_changes: int) -> tuple[tuple[int, ...], ...]:
    """All sets of `num_changes` of the attributes 0, 1, ..., in lexicographic order."""
    check_range("num_changes", num_changes, 1, num_attributes)
    number = math.comb(num_attributes, num_changes)
    if number > _MAX_GROUPS:
        raise ValueError(
            f"num_changes {num_changes} of {num_attributes} attributes makes {number:,} sets of "
            f"attributes; at most {_MAX_GROUPS:,} can be measured. Change fewer at once."
        )
    return tuple(itertools.combinations(range(num_attributes), num_changes))


def _changes(
    query_labels: np.ndarray,
    combinations: np.ndarray,
    hit_rule: str,
    add_missing: bool,
    num_changes: int,
) -> Iterator[np.ndarray]:
    """Yields blocks of queries: int32 `[n, 2 + num_changes]`, sorted, none twice.

    A row holds the group, the position of the query and the wanted values of the group's
    attributes. A combination makes a target exist if it differs from the query in those attributes
    only, so each (query, combination) is compared once, by the number of differences.
    """
    # Under 'labelled' what the query lacks never differs, but may be given the combination's value.
    most_filled = num_changes if add_missing and hit_rule == "labelled" else 0
    size = max(1, CHUNK_CELLS // combinations.size)
    for start in range(0, len(query_labels), size):
        labels = query_labels[start : start + size]
        differences = count_differences(labels[:, None], combinations[None], hit_rule)  # [B, U]
        found = []
        for num_filled in range(most_filled + 1):
            query, column = np.nonzero(differences == num_changes - num_filled)
            own, other = labels[query], combinations[column]  # [P, A]
            changed = differs(own, other, hit_rule)
            lacking = other == MISSING if add_missing else (other == MISSING) | (own == MISSING)
            possible = ~(changed & lacking).any(axis=1)
            fillable = (own == MISSING) & (other != MISSING)
            for filled in map(list, itertools.combinations(range(own.shape[1]), num_filled)):
                kept = possible & fillable[:, filled].all(axis=1)
                edited = changed[kept]
                edited[:, filled] = True
                found.append(_change_rows(query[kept] + start, edited, other[kept], num_changes))
        yield _distinct_rows(np.concatenate(found))


def _change_rows(
    query: np.ndarray, edited: np.ndarray, wanted: np.ndarray, num_changes: int
) -> np.ndarray:
    """Returns the distinct rows of `_changes`, sorted.

    `query` is int `[P]`; `edited` bool `[P, A]`, with n = `num_changes` True in each row; `wanted`
    int `[P, A]`, read where edited.
    """
    number = edited.shape[1]
    attributes = np.nonzero(edited)[1].reshape(-1, num_changes)  # [P, n], ascending
    # The sets that follow one in lexicographic order share its first i attributes and have a
    # later one at place i: comb(number - 1 - attribute, n - i) of them.
    group = np.full(len(query), math.comb(number, num_changes) - 1)
    for i, column in enumerate(attributes.T):
        later = [math.comb(number - 1 - a, num_changes - i) if a >= i else 0 for a in range(number)]
        group -= np.array(later)[column]
    values = np.take_along_axis(wanted, attributes, axis=1)
    return _distinct_rows(np.column_stack([group, query, values]).astype(np.int32))


def _distinct_rows(rows: np.ndarray) -> np.ndarray:
    """Returns the rows in lexicographic order, without repeats."""
    rows = rows[np.lexsort(rows.T[::-1])]
    return rows[differs_from_previous(rows)]


def _draw(available: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """Draws at most so many of each group, bool `[available.sum()]`, counted group by group."""
    drawn = np.ones(available.sum(), bool)
    ends = np.cumsum(available)
    for group, (number, end) in enumerate(zip(available, ends, strict=True)):
        if most is not None and number > most:
            kept = np.random.default_rng((seed, group)).choice(number, most, replace=False)
            drawn[end - number : end] = False
            drawn[end - number + kept] = True
    return drawn


def _pick(blocks: Iterator[np.ndarray], available: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Collects the drawn rows of all blocks, sorted by group, then query, then wanted values."""
    following = np.cumsum(available) - available  # the number of each group's next row
    kept = []
    for rows in blocks:
        group = rows[:, 0]
        counts = np.bincount(group, minlength=len(available))
        first = np.cumsum(counts) - counts
        kept.append(rows[drawn[(following - first)[group] + np.arange(len(rows))]])
        following += counts
    picked = np.concatenate(kept)
    return picked[np.argsort(picked[:, 0], kind="stable")]
