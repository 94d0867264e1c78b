"""Which of the nearest images have what the edited query asks for, and what the others lack."""

import dataclasses

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
      judged_by: in words, what the results were compared with.
    """

    query: Query
    manipulation: np.ndarray
    reading: Reading | None
    neighbours: Neighbours
    target: np.ndarray
    differing: tuple[tuple[int, ...], ...]
    judged_by: str

    @property
    def edited(self) -> tuple[int, ...]:
        """The attributes that the edit changes."""
        return tuple(int(a) for a in np.flatnonzero(self.manipulation != KEEP))


def judge(
    query: Query,
    manipulation: np.ndarray,
    reading: Reading | None,
    neighbours: Neighbours,
    hit_rule: str = "identical",
) -> SearchResult:
    """Returns the neighbours of an edited query with what keeps each from matching.

    The target is the query's labels with the edit. Without labels it is what the system reads, and
    then missing labels are not held against a result unless the edit asks for them: a classifier
    names a value of every attribute, even of those that a garment cannot have. A query with
    neither is judged by the edit alone.

    Args:
      query: the image.
      manipulation: int32 `[A]`, the wanted values, -1 to keep.
      reading: what the system reads off the query, if it does.
      neighbours: the results.
      hit_rule: one of `attributes.HIT_RULES`, for queries with labels.
    """
    found = neighbours.labels
    if query.labels is not None:
        target = apply_manipulation(query.labels, manipulation)
        different = differs(target, found, hit_rule)
        judged_by = f"the labels of the query, with the edit (hit rule {hit_rule})"
    elif reading is not None:
        target = apply_manipulation(reading.values, manipulation)
        different = (found != target) & ((found != MISSING) | (manipulation != KEEP))
        judged_by = (
            "the attributes predicted for the query, with the edit; "
            "attributes that a result has no label for are not compared"
        )
    else:
        target = apply_manipulation(np.full_like(manipulation, MISSING), manipulation)
        different = differs(target, found, "labelled")
        judged_by = "the edit alone: the query has no labels, and the system reads none"
    return SearchResult(
        query=query,
        manipulation=manipulation,
        reading=reading,
        neighbours=neighbours,
        target=target,
        differing=tuple(tuple(int(a) for a in np.flatnonzero(row)) for row in different),
        judged_by=judged_by,
    )


def describe_difference(space: AttributeSpace, attribute: int, value: int, wanted: int) -> str:
    """Returns such as 'colour red, not blue'."""
    has, should = (value_words(space, attribute, v) for v in (value, wanted))
    return f"{space.names[attribute]} {has}, not {should}"


def value_words(space: AttributeSpace, attribute: int, value: int) -> str:
    """Returns the name of a value, or 'missing': 'none' is a value of some attributes."""
    return "missing" if value == MISSING else space.value_name(attribute, value)
