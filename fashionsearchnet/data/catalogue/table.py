"""Reads the CSV of a catalogue, unites rows that show one image, and drops rare values."""

import codecs
import collections
import csv
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.checks import suggestion

MISSING_CELLS = ("", "na", "n/a", "nan", "null")  # compared without case and outer spaces


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
      line: line of the file at which it begins, from 1.
      image: what the image column says.
      values: one text per attribute, '' for missing.
    """

    line: int
    image: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Drop:
    """A row that is not used: `kind` names the reason in the summary, `reason` says it in full."""

    row: Row
    kind: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """Rows of one image that say different things about an attribute, which is missing then."""

    attribute: str
    values: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(
    path: str | os.PathLike[str],
    image_column: str,
    attributes: Sequence[str],
    encoding: str = "",
    delimiter: str = ",",
    missing_cells: Sequence[str] = MISSING_CELLS,
) -> tuple[list[Row], list[Drop]]:
    """Returns the rows of a CSV file, and those that cannot be used.

    Args:
      path: a CSV file with a header. Blank lines are skipped.
      image_column: header of the column with the names of the image files.
      attributes: headers of the columns to take as attributes.
      encoding: of the file; '' for UTF-8, with or without a byte order mark.
      delimiter: between cells, one character.
      missing_cells: what stands for a missing value, compared without case.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: for another encoding than the one named, a column that is missing or occurs
        twice (listing the columns), a table without rows, or one that is not CSV.
    """
    text = _read_text(Path(path), encoding)
    if len(delimiter) != 1:
        raise ValueError(
            f"the delimiter must be one character, such as ',' or ';'; got {delimiter!r}."
        )
    records = _read_records(path, text, delimiter)
    header = [cell.strip() for cell in next(records, (0, []))[1]]
    columns = _find_columns(path, header, [image_column, *attributes], delimiter)
    missing = {cell.strip().lower() for cell in missing_cells}
    rows, drops = [], []
    for line, record in records:
        cells = [record[c].strip() if c < len(record) else "" for c in columns]
        row = Row(line, cells[0], tuple("" if c.lower() in missing else c for c in cells[1:]))
        if len(record) != len(header):
            reason = f"{len(record)} cells where the header has {len(header)}"
            drops.append(Drop(row, "wrong number of cells", f"{reason}; is a quotation mark open?"))
        elif not row.image:
            drops.append(Drop(row, "no image name", f"column {image_column!r} is blank"))
        else:
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} has no usable row below its header ({len(drops)} unusable).")
    return rows, drops


def unite_rows(
    rows: Sequence[Row], keys: Sequence[str], attributes: Sequence[str], kind: str
) -> tuple[list[Row], list[Drop], list[Contradiction]]:
    """Returns one row per key, in the order of the first rows.

    The first row of a key stands for all. What it lacks it takes from the others; an attribute
    on which they contradict each other becomes missing, since nobody knows which one is right.

    Args:
      rows: the rows.
      keys: what says that rows show one image, such as the hash of the file; one per row.
      attributes: names of the attributes.
      kind: what rows with one key are, such as 'identical file', for the summary.

    Returns:
      The rows kept, those dropped, and the contradictions found.
    """
    groups: dict[str, list[Row]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, []).append(row)
    kept, drops, contradictions = [], [], []
    for group in groups.values():
        choices = [
            tuple(dict.fromkeys(filter(None, cells)))
            for cells in zip(*(row.values for row in group), strict=True)
        ]
        united = tuple(choice[0] if len(choice) == 1 else "" for choice in choices)
        odd = [a for a, choice in zip(attributes, choices, strict=True) if len(choice) > 1]
        note = f"; they contradict each other on {', '.join(odd)}, now missing" if odd else ""
        kept.append(dataclasses.replace(group[0], values=united))
        reason = f"the same as {group[0].image} of line {group[0].line}{note}"
        drops += [Drop(row, kind, reason) for row in group[1:]]
        contradictions += [
            Contradiction(a, choice, tuple(group))
            for a, choice in zip(attributes, choices, strict=True)
            if len(choice) > 1
        ]
    return kept, drops, contradictions


def drop_unlabelled(rows: Sequence[Row]) -> tuple[list[Row], list[Drop]]:
    """Returns the rows that have a value for some attribute, and the others."""
    drops = [Drop(r, "no label", "all attributes are missing") for r in rows if not any(r.values)]
    return [row for row in rows if any(row.values)], drops


def drop_rare_values(
    rows: Sequence[Row], attributes: Sequence[str], min_count: int
) -> tuple[list[Row], list[Drop]]:
    """Returns the rows without rare values, and the others.

    A value is rare if fewer than `min_count` of `rows` have it. This is counted once, for all
    attributes together: a value may lose some of its rows with the rare values of another
    attribute and end a little below `min_count`. Missing cells are no value.

    Raises:
      ValueError: if an attribute is left with fewer than two values, or no row is left.
    """
    counts = count_values(rows, attributes)
    kept, drops = [], []
    for row in rows:
        rare = [
            f"{attribute} {value!r} has {counts[attribute][value]} images"
            for attribute, value in zip(attributes, row.values, strict=True)
            if value and counts[attribute][value] < min_count
        ]
        if rare:
            reason = f"{', '.join(rare)}; at least {min_count} are asked for"
            drops.append(Drop(row, "rare value", reason))
        else:
            kept.append(row)
    for attribute, left in count_values(kept, attributes).items():
        if len(left) < 2:
            raise ValueError(_too_few_values(attribute, counts[attribute], len(kept), min_count))
    return kept, drops


def count_values(rows: Sequence[Row], attributes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Returns the number of rows of each value, `{attribute: {value: rows}}`, values sorted."""
    counts = {}
    for index, attribute in enumerate(attributes):
        found = collections.Counter(row.values[index] for row in rows)
        counts[attribute] = {value: found[value] for value in sorted(found) if value}
    return counts


def attribute_space(rows: Sequence[Row], attributes: Sequence[str]) -> AttributeSpace:
    """Returns the space of the values that occur, sorted by name."""
    counts = count_values(rows, attributes)
    return AttributeSpace.from_dict({name: list(values) for name, values in counts.items()})


def encode_values(rows: Sequence[Row], space: AttributeSpace) -> np.ndarray:
    """Returns the value index of each attribute of each row, int32 `[rows, attributes]`."""
    indices = [{value: i for i, value in enumerate(values)} for values in space.values]
    encoded = np.full((len(rows), space.num_attributes), MISSING, np.int32)
    for i, row in enumerate(rows):
        encoded[i] = [k.get(v, MISSING) for k, v in zip(indices, row.values, strict=True)]
    return encoded


def _read_text(path: Path, encoding: str) -> str:
    """Returns the text of a file, or says what to do about its encoding."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist or is not a file; it should be a CSV file.")
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError as error:
        raise ValueError(
            f"the encoding {encoding!r} is unknown; name one that Python knows, such as "
            "utf-8, cp1252, latin-1, utf-16, gb18030 or shift_jis."
        ) from error
    data = path.read_bytes()
    try:
        return data.decode(encoding or "utf-8").removeprefix("\ufeff")
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        is_utf16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        cure = "it looks like utf-16" if is_utf16 else "such as cp1252, latin-1 or shift_jis"
        raise ValueError(
            f"{path} is not {encoding or 'UTF-8'} at line {line} ({error}). "
            f"Name its encoding: {cure}."
        ) from error


def _read_records(
    path: str | os.PathLike[str], text: str, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yields (line at which it begins, cells) of each record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{path} is not CSV from line {line} on ({error}); is a quotation mark left open?"
            ) from error
        if record is None:
            return
        if any(cell.strip() for cell in record):
            yield line, record


def _find_columns(
    path: str | os.PathLike[str], header: list[str], wanted: list[str], delimiter: str
) -> list[int]:
    """Returns the index of each wanted column, or says which columns there are."""
    if not header:
        raise ValueError(f"{path} is empty; it should begin with a header.")
    for name in wanted:
        if header.count(name) != 1:
            fault = "occurs twice" if name in header else f"is missing{suggestion(name, header)}"
            hint = ""
            if len(header) == 1:
                hint = f" Is {delimiter!r} the right delimiter?"
            listed = ", ".join(header)
            raise ValueError(f"column {name!r} {fault} in {path}; columns: {listed}.{hint}")
        if wanted.count(name) > 1:
            raise ValueError(f"column {name!r} is asked for twice; name each column once.")
    return [header.index(name) for name in wanted]


def _too_few_values(attribute: str, counts: dict[str, int], num_kept: int, min_count: int) -> str:
    """Returns the message for an attribute of which fewer than two values are left."""
    top = sorted(counts.items(), key=lambda item: -item[1])[:3]
    frequent = ", ".join(f"{value!r} {count}" for value, count in top) or "none"
    return (
        f"attribute {attribute!r} has fewer than two values left in the {num_kept} images whose "
        f"values all have at least {min_count} images. Its most frequent values before: {frequent}"
        f" (of {len(counts)}). Ask for a smaller minimum count, or leave the attribute out."
    )
