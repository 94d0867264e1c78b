"""Some attributes of a source only, and of each the most frequent values."""

import dataclasses
from collections.abc import Sequence

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_choice, check_range
from fashionsearchnet.data.preparation.records import count_values
from fashionsearchnet.data.preparation.source import Source


def narrow(source: Source, attributes: Sequence[str] = (), top_values: int = 0) -> Source:
    """Returns a source with these attributes and values; all other values are missing in it.

    [Shin19] trains and tests on three attributes of DARN and Shopping100k, and on the ten most
    frequent values of each.

    Args:
      source: what the files say.
      attributes: the names to keep, in this order; () for all.
      top_values: how many values of each attribute to keep, the first in the order of the source
        of those that are equally frequent; 0 for all.

    Raises:
      ValueError: for an attribute that the source has not or that is named twice, fewer than two
        values, or a source that lists edits, which name values.
    """
    if not attributes and not top_values:
        return source
    if source.extras:
        raise ValueError(
            f"attributes and top_values cannot be chosen for a source that brings "
            f"{', '.join(source.extras)}: its edits name all attributes and values. Leave them out."
        )
    chosen = tuple(attributes) or source.names
    for name in chosen:
        check_choice("attributes", name, source.names)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"attributes must differ; got {', '.join(chosen)}.")
    if top_values:
        check_range("top_values", top_values, 2)
    kept = _kept_values(source, chosen, top_values)
    columns = [source.names.index(name) for name in chosen]
    records = [
        dataclasses.replace(
            record,
            values=tuple(
                record.values[column] if record.values[column] in kept[name] else ""
                for name, column in zip(chosen, columns, strict=True)
            ),
        )
        for record in source.records
    ]
    if source.space is None:
        return dataclasses.replace(source, attributes=chosen, records=records)
    return dataclasses.replace(source, space=AttributeSpace.from_dict(kept), records=records)


def _kept_values(source: Source, chosen: Sequence[str], top_values: int) -> dict[str, list[str]]:
    """Returns the values to keep of each chosen attribute, in the order of the source."""
    counts = count_values(source.records, source.names)
    all_values = source.space.to_dict() if source.space else {n: list(counts[n]) for n in chosen}
    kept = {}
    for name in chosen:
        values = all_values[name]
        frequent = sorted(values, key=lambda value: -counts[name].get(value, 0))
        top = set(frequent[: top_values or None])
        kept[name] = [value for value in values if value in top]
    return kept
