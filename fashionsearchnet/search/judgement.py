"""Which of the nearest images have what the edited query asks for, and what the others lack."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fashionsearchnet.attributes import (
    KEEP,
    MISSING,
    AttributeSpace,
    apply_manipulation,
    differs,
    predicted_values,
)
from fashionsearchnet.index.items import Neighbours


@dataclasses.dataclass(frozen=True)
class Query:
    """A query image and what is known of it.

    Attributes:
      name: its id or its file.
      image: encoded JPEG or PNG.
      labels: int32 `[A]`, -1 for missing; None for an image without labels.
    """

    name: str
    image: bytes
    labels: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a system reads off an image.

    Attributes:
      values: int32 `[A]`, the likeliest value of each attribute.
      probabilities: float32 `[A]`, of these values.
    """

    values: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, space: AttributeSpace, probabilities: np.ndarray) -> "Reading":
        """Returns the reading in the probabilities float32 `[C]` of all values."""
        values = predicted_values(space, probabilities)
        return cls(values, probabilities[np.array(space.offsets) + values])


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The answer to one search, judged.

    Attributes:
      query: the image.
      manipulation: int32 `[A]`, the wanted values, -1 to keep.
      reading: what the system reads off the query; None for a system that reads nothing.
      neighbours: the results.
      target: int32 `[A]`, what a result should have, -1 for missing.
      differing: for each result the attributes that keep it from matching.
      by_prediction: for each result whether nobody labelled it, so that what the system reads off
        its image was compared.
      judged_by: in words, what the results were compared with.
      asked: the attributes that a search by attribute is about; () for a search that edits.
    """

    query: Query
    manipulation: np.ndarray
    reading: Reading | None
    neighbours: Neighbours
    target: np.ndarray
    differing: tuple[tuple[int, ...], ...]
    by_prediction: tuple[bool, ...]
    judged_by: str
    asked: tuple[int, ...] = ()

    @property
    def edited(self) -> tuple[int, ...]:
        """The attributes that the edit changes."""
        return tuple(int(a) for a in np.flatnonzero(self.manipulation != KEEP))

    @property
    def subject(self) -> tuple[int, ...]:
        """The attributes that the search is about: those edited, or those asked for."""
        return self.edited or self.asked


def judge(
    query: Query,
    manipulation: np.ndarray,
    reading: Reading | None,
    neighbours: Neighbours,
    hit_rule: str | None = "identical",
) -> SearchResult:
    """Returns the neighbours of an edited query with what keeps each from matching.

    The target is the query's labels with the edit. A query that nobody labelled has what the system
    reads off it instead, and one without a reading has the edit alone.

    A result that nobody labelled is judged by what the system reads off its image, where the target
    states a value. The others are judged by their labels:

    * for a labelled query by the hit rule;
    * for a reading, an attribute that the edit keeps agrees if the label or the system's reading of
      the result is the target's: both images are read by one system, so that an image agrees with
      itself also where the system misreads it. A missing label is not held against a result: a
      classifier names a value of every attribute, even of those that a garment cannot have. An
      edited attribute goes by the label, and by the reading where there is none.

    Args:
      query: the image.
      manipulation: int32 `[A]`, the wanted values, -1 to keep.
      reading: what the system reads off the query, if it does.
      neighbours: the results.
      hit_rule: one of `attributes.HIT_RULES`, for queries and results with labels. With None a
        labelled query, too, has the reading where it lacks a label, and its edited attributes are
        judged as those of a reading.
    """
    labels, predicted = neighbours.labels, _predicted(neighbours)
    known, judged_by = _before_edit(query, reading, hit_rule)
    target = apply_manipulation(np.broadcast_to(known, manipulation.shape), manipulation)
    different = differs(target, labels, hit_rule or "identical")
    if reading is not None:
        is_read = _is_read(query, manipulation, hit_rule)
        by_reading = _differs_from_reading(target, manipulation, labels, predicted)
        different = np.where(is_read, by_reading, different)
    elif not _is_labelled(query):
        different = differs(target, labels, "labelled")
    by_prediction = (labels == MISSING).all(axis=1) & (predicted != MISSING).any(axis=1)
    different[by_prediction] = differs(target, predicted[by_prediction], "labelled")
    if by_prediction.any():
        judged_by += "; results without labels are judged by what is predicted for them"
    return SearchResult(
        query=query,
        manipulation=manipulation,
        reading=reading,
        neighbours=neighbours,
        target=target,
        differing=tuple(tuple(a for a, odd in enumerate(row) if odd) for row in different.tolist()),
        by_prediction=tuple(by_prediction.tolist()),
        judged_by=judged_by,
    )


def judge_attributes(
    query: Query,
    asked: Sequence[int],
    reading: Reading | None,
    neighbours: Neighbours,
    hit_rule: str | None = "identical",
) -> SearchResult:
    """Returns the neighbours by some attributes; a match agrees with the query in them.

    Args:
      query: the image.
      asked: the attributes, the weightiest first.
      reading: what the system reads off the query, if it does.
      neighbours: the results.
      hit_rule: see `judge`.
    """
    nothing = np.full(neighbours.labels.shape[-1], KEEP, np.int32)
    found = judge(query, nothing, reading, neighbours, hit_rule)
    differing = tuple(tuple(a for a in row if a in asked) for row in found.differing)
    words = found.judged_by.replace(", with the edit", "")
    return dataclasses.replace(
        found,
        differing=differing,
        judged_by=f"{words}; only what was asked for counts",
        asked=tuple(int(a) for a in asked),
    )


def _is_labelled(query: Query) -> bool:
    return query.labels is not None and bool((query.labels != MISSING).any())


def _before_edit(
    query: Query, reading: Reading | None, hit_rule: str | None
) -> tuple[np.ndarray | int, str]:
    """Returns what counts for the query before the edit, int32 `[A]`, and the words for it."""
    agrees = (
        "a result agrees by its label or by what is predicted for it, and a missing label is not "
        "compared"
    )
    if query.labels is None or not _is_labelled(query):
        if reading is None:
            return MISSING, "the edit alone: the query has no labels, and the system reads none"
        return reading.values, f"the attributes predicted for the query, with the edit; {agrees}"
    if hit_rule is not None:
        return query.labels, f"the labels of the query, with the edit (hit rule {hit_rule})"
    words = "the labels of the query, with the edit"
    if reading is None:
        return query.labels, words
    known = np.where(query.labels == MISSING, reading.values, query.labels)
    return known, f"{words}; where it has no label by what is predicted for it: there {agrees}"


def _is_read(query: Query, manipulation: np.ndarray, hit_rule: str | None) -> np.ndarray:
    """Returns bool `[A]`: the attributes that are judged as those of a reading."""
    if query.labels is None or not _is_labelled(query):
        return np.ones(manipulation.shape, bool)
    if hit_rule is not None:
        return np.zeros(manipulation.shape, bool)
    return (query.labels == MISSING) | (manipulation != KEEP)


def _predicted(found: Neighbours) -> np.ndarray:
    """Returns what the system reads off the results, int32 `[k, A]`, -1 where that is not known."""
    return np.full_like(found.labels, MISSING) if found.predicted is None else found.predicted


def _differs_from_reading(
    target: np.ndarray, manipulation: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Returns bool `[k, A]`: where labelled results differ from the reading of a query."""
    kept = (labels != target) & (labels != MISSING) & (predicted != target)
    edited = np.where(labels == MISSING, predicted, labels) != target
    return np.where(manipulation == KEEP, kept, edited)


def describe_difference(space: AttributeSpace, attribute: int, value: int, wanted: int) -> str:
    """Returns such as 'colour red, not blue'."""
    has, should = (value_words(space, attribute, v) for v in (value, wanted))
    return f"{space.names[attribute]} {has}, not {should}"


def value_words(space: AttributeSpace, attribute: int, value: int) -> str:
    """Returns the name of a value, or 'missing': 'none' is a value of some attributes."""
    return "missing" if value == MISSING else space.value_name(attribute, value)
