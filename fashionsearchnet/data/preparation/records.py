"""Records of a data set: unites those of one image, drops rare values, encodes labels."""

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace, find_name

RARE_VALUE = "rare value"  # kind of a drop


@dataclasses.dataclass(frozen=True)
class Record:
    """What a source says of one image.

    Attributes:
      line: line of the file at which it stands, from 1.
      image: name of the image file.
      values: one text per attribute, '' for missing.
      group: the id of the product that it shows, '' if that is not known.
      columns: what else a shop shows of it, such as (("title", "Shirt"), ("price", "20")).
      box: the part of the picture to keep, in pixels of the upright image: left, top, right and
        bottom, the last two excluded; None for all of it.
    """

    line: int
    image: str
    values: tuple[str, ...]
    group: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    box: tuple[int, int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Drop:
    """A record that is not used: `kind` names the reason shortly, `reason` says it in full."""

    record: Record
    kind: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """Records of one image that disagree on an attribute, which becomes missing."""

    attribute: str
    values: tuple[str, ...]
    records: tuple[Record, ...]


def unite_records(
    records: Sequence[Record], keys: Sequence[str], attributes: Sequence[str], kind: str
) -> tuple[list[Record], list[Drop], list[Contradiction]]:
    """Returns one record per key, in the order of the first ones.

    The first record of a key stands for all. It takes the values that it lacks from the others.
    An attribute on which they disagree becomes missing, since nobody knows which value is right.

    Args:
      records: the records.
      keys: one per record; equal for records of one image, such as the hash of the file.
      attributes: names of the attributes.
      kind: the name of this reason in the summary, such as 'identical file'.

    Returns:
      The records kept, those dropped, and the contradictions found.
    """
    groups: dict[str, list[Record]] = {}
    for record, key in zip(records, keys, strict=True):
        groups.setdefault(key, []).append(record)
    kept, drops, contradictions = [], [], []
    for group in groups.values():
        choices = [
            tuple(dict.fromkeys(filter(None, cells)))
            for cells in zip(*(record.values for record in group), strict=True)
        ]
        united = tuple(choice[0] if len(choice) == 1 else "" for choice in choices)
        odd = [a for a, choice in zip(attributes, choices, strict=True) if len(choice) > 1]
        note = f"; they contradict each other on {', '.join(odd)}, now missing" if odd else ""
        product = next((record.group for record in group if record.group), "")
        kept.append(dataclasses.replace(group[0], values=united, group=product))
        reason = f"the same as {group[0].image} of line {group[0].line}{note}"
        drops += [Drop(record, kind, reason) for record in group[1:]]
        contradictions += [
            Contradiction(a, choice, tuple(group))
            for a, choice in zip(attributes, choices, strict=True)
            if len(choice) > 1
        ]
    return kept, drops, contradictions


def drop_unlabelled(
    records: Sequence[Record], keep: Collection[str] = ()
) -> tuple[list[Record], list[Drop]]:
    """Returns the records that have a value for some attribute or stand in `keep`, and the others.

    Args:
      records: of any images.
      keep: names of images to keep without a label.
    """
    why = ("no label", "all attributes are missing")
    kept = [record for record in records if any(record.values) or record.image in keep]
    left = [record for record in records if not any(record.values) and record.image not in keep]
    return kept, [Drop(record, *why) for record in left]


def drop_rare_values(
    records: Sequence[Record], attributes: Sequence[str], min_count: int
) -> tuple[list[Record], list[Drop]]:
    """Returns the records without rare values, and the others.

    A value is rare if fewer than `min_count` of `records` have it. All attributes are counted
    once, before any record is dropped: a value may lose records to the rare values of another
    attribute and end a little below `min_count`. A missing value is never rare.
    """
    counts = count_values(records, attributes)
    kept, drops = [], []
    for record in records:
        rare = [
            f"{attribute} {value!r} has {counts[attribute][value]} images"
            for attribute, value in zip(attributes, record.values, strict=True)
            if value and counts[attribute][value] < min_count
        ]
        if rare:
            reason = f"{', '.join(rare)}; the minimum is {min_count}"
            drops.append(Drop(record, RARE_VALUE, reason))
        else:
            kept.append(record)
    return kept, drops


def check_values(
    before: Sequence[Record], kept: Sequence[Record], attributes: Sequence[str], min_count: int
) -> None:
    """Raises a ValueError for an attribute with fewer than two values left.

    Args:
      before: all records.
      kept: those without rare values.
      attributes: their names.
      min_count: see `drop_rare_values`.
    """
    counts = count_values(before, attributes)
    for attribute, left in count_values(kept, attributes).items():
        if len(left) < 2:
            raise ValueError(_too_few_values(attribute, counts[attribute], len(kept), min_count))


def count_values(records: Sequence[Record], attributes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Returns the number of records of each value, `{attribute: {value: number}}`, sorted."""
    counts = {}
    for index, attribute in enumerate(attributes):
        found = collections.Counter(record.values[index] for record in records)
        counts[attribute] = {value: found[value] for value in sorted(found) if value}
    return counts


def list_counts(counts: Mapping[str, int], most: int | None = None) -> str:
    """Returns values with their numbers of images as text, the most frequent ones first.

    Args:
      counts: value -> number.
      most: how many values to name; the others are counted. None for all.
    """
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{value} {number:,}" for value, number in ordered[:most])
    rest = [number for _, number in ordered[len(ordered) if most is None else most :]]
    return f"{listed} and {len(rest):,} more values ({sum(rest):,})" if rest else listed


def attribute_space(records: Sequence[Record], attributes: Sequence[str]) -> AttributeSpace:
    """Returns the space of the values that occur, sorted by name."""
    counts = count_values(records, attributes)
    return AttributeSpace.from_dict({name: list(values) for name, values in counts.items()})


def encode_values(records: Sequence[Record], space: AttributeSpace) -> np.ndarray:
    """Returns the value index of each attribute of each record, int32 `[records, attributes]`."""
    indices = [{value: i for i, value in enumerate(values)} for values in space.values]
    encoded = np.full((len(records), space.num_attributes), MISSING, np.int32)
    for i, record in enumerate(records):
        encoded[i] = [k.get(v, MISSING) for k, v in zip(indices, record.values, strict=True)]
    return encoded


def decode_labels(
    images: Sequence[str], labels: np.ndarray, space: AttributeSpace, first_line: int = 1
) -> list[Record]:
    """Returns the records of images that stand line by line, `labels` as `encode_values` gives."""
    texts = [["", *values] for values in space.values]  # missing, -1, becomes index 0
    return [
        Record(line, image, tuple(texts[a][value + 1] for a, value in enumerate(row)))
        for line, (image, row) in enumerate(zip(images, labels.tolist(), strict=True), first_line)
    ]


def known_values(
    records: Sequence[Record], space: AttributeSpace
) -> tuple[list[Record], dict[str, dict[str, int]]]:
    """Returns records with the spelling of a space, and how often each unknown value occurs.

    A value that the space does not have becomes missing.
    """
    positions: list[dict[str, int | None]] = [
        {value: find_name(value, values) for value in {record.values[i] for record in records}}
        for i, values in enumerate(space.values)
    ]
    unknown: dict[str, dict[str, int]] = {}
    found = []
    for record in records:
        texts = []
        for name, values, known, value in zip(
            space.names, space.values, positions, record.values, strict=True
        ):
            position = known[value] if value else None
            texts.append("" if position is None else values[position])
            if value and position is None:
                counts = unknown.setdefault(name, {})
                counts[value] = counts.get(value, 0) + 1
        found.append(dataclasses.replace(record, values=tuple(texts)))
    return found, unknown


def _too_few_values(attribute: str, counts: dict[str, int], num_kept: int, min_count: int) -> str:
    """Returns the message for an attribute with fewer than two values left."""
    if len(counts) < 2:
        what = f"only the value {next(iter(counts))!r}" if counts else "no value"
        return (
            f"attribute {attribute!r} has {what} in the whole table, so there is nothing to "
            "change. Leave it out of --attributes."
        )
    top = sorted(counts.items(), key=lambda item: -item[1])[:3]
    frequent = ", ".join(f"{value!r} {count}" for value, count in top)
    return (
        f"attribute {attribute!r} has fewer than two values left in the {num_kept} images whose "
        f"values all have at least {min_count} images. Its most frequent values before: {frequent}"
        f" (of {len(counts)}). Ask for a smaller --min_count, or leave the attribute out."
    )
