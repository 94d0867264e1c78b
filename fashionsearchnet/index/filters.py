"""Which items a search may return: by label, or by label and by prediction where there is none."""

from collections.abc import Collection, Mapping

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.index.engines import Choice, ItemFilter
from fashionsearchnet.index.items import ItemTable

AllowedValues = Mapping[str, Collection[str]]


def item_filter(
    space: AttributeSpace, items: ItemTable, filters: AllowedValues, must: AllowedValues
) -> ItemFilter | None:
    """Returns the items that pass; None where nothing is asked.

    Args:
      space: the attributes.
      items: all items.
      filters: attribute name -> names of the allowed values. An item must have the label of one of
        them for every attribute.
      must: the same, but an item without a label of the attribute passes if the value that the
        system read off its image is allowed.

    Raises:
      ValueError: for an unknown attribute or value, listing those that exist, or an empty list.
    """
    mask, choices = np.ones(len(items), bool), []
    for asked, by_prediction in ((filters, False), (must, True)):
        for name, allowed in asked.items():
            attribute, passes = _passes(space, name, allowed, "must" if by_prediction else "filter")
            labels = items.values[:, attribute]
            found, keys = passes[labels], np.empty(0, np.int64)
            if by_prediction:
                read = (labels == MISSING) & passes[items.predicted[:, attribute]]
                found, keys = found | read, items.keys[read]
            mask &= found
            values = tuple(np.flatnonzero(passes).tolist())
            choices.append(Choice(attribute, values, tuple(keys.tolist())))
    return ItemFilter(mask, tuple(choices)) if choices else None


def value_counts(
    space: AttributeSpace, items: ItemTable, filters: AllowedValues
) -> list[np.ndarray]:
    """Returns for each attribute how many items have each label, int64 `[values + 1]`.

    The last number counts items without a label. Items count that pass the filters of all other
    attributes: the numbers say what another choice for this attribute would let through.

    Args:
      space: the attributes.
      items: all items.
      filters: see `item_filter`.

    Raises:
      ValueError: see `item_filter`.
    """
    passing = {}
    for name, allowed in filters.items():
        attribute, passes = _passes(space, name, allowed, "filter")
        passing[attribute] = passes[items.values[:, attribute]]
    counts = []
    for attribute, size in enumerate(space.num_values):
        mask = np.ones(len(items), bool)
        for other, passed in passing.items():
            if other != attribute:
                mask &= passed
        labels = items.values[mask, attribute]
        counts.append(np.bincount(np.where(labels == MISSING, size, labels), minlength=size + 1))
    return counts


def _passes(
    space: AttributeSpace, name: str, allowed: Collection[str], what: str
) -> tuple[int, np.ndarray]:
    """Returns an attribute and which of its values pass, bool `[values + 1]`; the last: missing."""
    attribute = space.attribute_index(name)
    if isinstance(allowed, str) or not allowed:
        raise ValueError(
            f"the {what} of {name!r} must be a list of one or more values; got {allowed!r}."
        )
    passes = np.zeros(space.num_values[attribute] + 1, bool)
    passes[[space.value_index(name, value) for value in allowed]] = True
    return attribute, passes
