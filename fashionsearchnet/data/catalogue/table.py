"""Reads the CSV of a catalogue: every row becomes a record, or is reported."""

import codecs
import collections
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from fashionsearchnet.attributes import plain_text
from fashionsearchnet.checks import check_choice, suggestion
from fashionsearchnet.data.catalogue import values
from fashionsearchnet.data.catalogue.rows import Row, split_rows
from fashionsearchnet.data.catalogue.values import MISSING_CELLS
from fashionsearchnet.data.preparation.records import Drop, Record

RAGGED = ("drop", "trim")
_DELIMITERS = ",;\t|"
_OTHER_FILES = {  # what a file begins with that is no CSV
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableColumns:
    """Which columns of a table are read, by their headers.

    Attributes:
      image: the names of the image files.
      attributes: the attributes.
      group: the ids of products; a product may have several images. '' for none.
      shown: what a shop shows beside the image, such as title, price and link.
    """

    image: str
    attributes: tuple[str, ...]
    group: str = ""
    shown: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which a row cannot be used."""
        return (self.image, *self.attributes, *([self.group] if self.group else []))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableFormat:
    """How a table is written.

    Attributes:
      encoding: '' for UTF-8, with or without a byte order mark.
      delimiter: between cells, one character. A first line such as `sep=;` wins.
      missing_cells: texts of a missing value, compared without case.
      value_separator: stands between several values in a cell; the first one counts. '' for none.
      fold_case: whether values that differ in case only are one.
      ragged: 'drop' to report rows with more cells than the header; 'trim' to read the surplus
        cells as a part of the last column, which must not be an attribute.
      fill_short: whether rows with fewer cells than the header lack blank ones at their end; else
        they are reported.

    Raises:
      ValueError: for a delimiter that is not one character, or another word for `ragged`.
    """

    encoding: str = ""
    delimiter: str = ","
    missing_cells: tuple[str, ...] = MISSING_CELLS
    value_separator: str = ""
    fold_case: bool = False
    ragged: str = "drop"
    fill_short: bool = True

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise ValueError(
                f"the delimiter must be one character, such as ',' or ';'; got {self.delimiter!r}."
            )
        check_choice("ragged", self.ragged, RAGGED)


@dataclasses.dataclass(frozen=True)
class Table:
    """What a table says.

    Attributes:
      records: one per usable row.
      drops: the other rows.
      num_rows: how many rows there are below the header, without blank ones.
      notes: what a user should know about the reading.
    """

    records: list[Record]
    drops: list[Drop]
    num_rows: int
    notes: tuple[str, ...]


def read_table(
    path: str | os.PathLike[str], columns: TableColumns, how: TableFormat = TableFormat()
) -> Table:
    """Returns the rows of a CSV file with a header.

    Every row that is not blank is in `records` or in `drops`.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: for a wrong encoding, a column that is missing or occurs twice (the message
        lists the columns), a table without a usable row, or a file that is not CSV.
    """
    path = Path(path)
    text, delimiter = _split_off_separator_line(_read_text(path, how.encoding), how.delimiter)
    rows = split_rows(text, delimiter, columns.image)
    first = next(rows, None)
    header = [] if first is None else first.cells
    reader = _TableReader(path, header, columns, delimiter, how)
    for row in rows:
        reader.take(row)
    table = reader.finish()
    if delimiter != how.delimiter:
        note = f"the first line of the table says that {delimiter!r} is its delimiter"
        return dataclasses.replace(table, notes=(note, *table.notes))
    return table


class _TableReader:
    """Turns the rows of a table into records."""

    def __init__(
        self,
        path: Path,
        header: list[str],
        columns: TableColumns,
        delimiter: str,
        how: TableFormat,
    ) -> None:
        self._path, self._columns, self._how = path, columns, how
        self._delimiter, self._num_columns = delimiter, len(header)
        wanted = [*columns.needed, *columns.shown]
        self._index = dict(
            zip(wanted, _find_columns(path, header, columns, delimiter), strict=True)
        )
        self._needed = [self._index[name] for name in columns.needed]
        self._seen: dict[str, list[int]] = collections.defaultdict(list)  # lines of odd rows
        self._rows: list[tuple[Row, list[str]]] = []
        self._trimmed: set[int] = set()
        self._drops: list[Drop] = []
        self._num_rows = 0

    def take(self, row: Row) -> None:
        """Reads a row."""
        if row.is_blank:
            self._seen["blank"].append(row.line)
            return
        self._num_rows += 1
        cells, problem = self._fit(row)
        stray = [name for name in self._columns.needed if self._index[name] in row.stray]
        if not problem and stray:
            problem = f"a quotation mark in column {stray[0]!r} does not close"
            self._drop(row, cells, "open quotation mark", problem)
        elif problem:
            self._drop(row, cells, "wrong number of cells", problem)
        elif not values.plain_name(cells[self._index[self._columns.image]]):
            self._drop(row, cells, "no image name", f"column {self._columns.image!r} is blank")
        else:
            if row.stray:
                self._seen["stray"].append(row.line)
            if row.num_lines > 1:
                self._seen["lines"].append(row.line)
            self._rows.append((row, cells))

    def finish(self) -> Table:
        """Returns the table."""
        self._drop_shifted()
        attributes = self._columns.attributes
        read = values.read_values(
            attributes,
            [[cells[self._index[name]] for name in attributes] for _, cells in self._rows],
            self._how.missing_cells,
            self._how.value_separator,
            self._how.fold_case,
        )
        records = [
            self._record(row, cells, found)
            for (row, cells), found in zip(self._rows, read.values, strict=True)
        ]
        self._check(records)
        drops = sorted(self._drops, key=lambda drop: drop.record.line)
        return Table(records, drops, self._num_rows, (*self._notes(), *read.notes))

    def _fit(self, row: Row) -> tuple[list[str], str]:
        """Returns a row's cells, as many as the header has, and why they cannot be used or ''."""
        num, cells = self._num_columns, row.cells
        if len(cells) < num:
            filled = cells + [""] * (num - len(cells))
            if not self._how.fill_short:
                return filled, f"{len(cells)} cells where the header has {num}"
            self._seen["short"].append(row.line)
            return filled, ""
        surplus = cells[num:]
        if not any(cell.strip() for cell in surplus):
            if surplus:
                self._seen["blank cells"].append(row.line)
            return cells[:num], ""
        problem = f"{len(cells)} cells where the header has {num}"
        if num - 1 in self._needed:
            return cells[:num], problem
        if self._how.ragged == "drop":
            self._seen["long"].append(row.line)
            return cells[:num], f"{problem}; --ragged=trim may read it"
        self._trimmed.add(row.line)
        return [*cells[: num - 1], self._delimiter.join(cells[num - 1 :])], ""

    def _drop_shifted(self) -> None:
        """Drops trimmed rows with a value that no whole row has: a delimiter came before it."""
        names = self._columns.attributes
        known: dict[str, set[str]] = {
            name: {
                plain_text(cells[self._index[name]])
                for row, cells in self._rows
                if row.line not in self._trimmed
            }
            for name in names
            if self._trimmed
        }
        kept = []
        for row, cells in self._rows:
            odd = [n for n in known if plain_text(cells[self._index[n]]) not in known[n]]
            if row.line in self._trimmed and odd:
                value = cells[self._index[odd[0]]].strip()
                reason = (
                    f"{len(row.cells)} cells where the header has {self._num_columns}, and "
                    f"{value!r} is no {odd[0]} of any whole row"
                )
                self._drop(row, cells, "wrong number of cells", reason)
                self._trimmed.discard(row.line)
            else:
                kept.append((row, cells))
        self._rows = kept

    def _record(self, row: Row, cells: Sequence[str], found: tuple[str, ...]) -> Record:
        columns = self._columns
        group = plain_text(cells[self._index[columns.group]]) if columns.group else ""
        if group.lower() in {cell.strip().lower() for cell in self._how.missing_cells}:
            group = ""
        shown = tuple((name, cells[self._index[name]].strip()) for name in columns.shown)
        image = values.plain_name(cells[self._index[columns.image]])
        return Record(row.line, image, found, group, shown)

    def _drop(self, row: Row, cells: Sequence[str], kind: str, reason: str) -> None:
        image = values.plain_name(cells[self._index[self._columns.image]])
        blank = ("",) * len(self._columns.attributes)
        self._drops.append(Drop(Record(row.line, image, blank), kind, reason))

    def _check(self, records: Sequence[Record]) -> None:
        if len(records) + len(self._drops) != self._num_rows:
            raise RuntimeError(
                f"{self._path}: {self._num_rows} rows became {len(records)} records and "
                f"{len(self._drops)} reports. This is a fault of the reader: report it."
            )
        if records:
            return
        what = ""
        if self._drops:
            kinds = collections.Counter(drop.kind for drop in self._drops)
            listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
            first = min(self._drops, key=lambda drop: drop.record.line)
            what = f": {listed}; the first: line {first.record.line}, {first.reason}"
        raise ValueError(f"{self._path} has no usable row below its header{what}.")

    def _notes(self) -> list[str]:
        self._seen["trimmed"] = sorted(self._trimmed)
        texts = {
            "blank": "{} blank",
            "blank cells": "{} with blank cells beyond the header, which are ignored",
            "short": "{} with fewer cells than the header; what they lack counts as blank",
            "long": "{} with more cells than the header, reported; --ragged=trim reads the surplus "
            "as a part of the last column",
            "trimmed": "{} with more cells than the header; the surplus belongs to the last column",
            "lines": "{} with a line break in a cell",
            "stray": "{} with a quotation mark that does not close, read as a character",
        }
        notes = []
        for kind, text in texts.items():
            lines = self._seen[kind]
            if lines:
                number = "1 row" if len(lines) == 1 else f"{len(lines):,} rows"
                notes.append(f"{text.format(number)} (the first: line {lines[0]})")
        return notes


def _read_text(path: Path, encoding: str) -> str:
    """Returns the text of a file, or raises an error that says how to name its encoding."""
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
    for magic, what in _OTHER_FILES.items():
        if data.startswith(magic):
            raise ValueError(
                f"{path} is {what}, not CSV. Save it as CSV first (in Excel: Save as, 'CSV UTF-8')."
            )
    try:
        return data.decode(encoding or "utf-8").removeprefix("\ufeff")
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        is_utf16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        cure = "it looks like utf-16" if is_utf16 else "such as cp1252, latin-1 or shift_jis"
        raise ValueError(
            f"{path} is not {encoding or 'UTF-8'} at line {line} ({error}). "
            f"Name its encoding (--encoding): {cure}."
        ) from error


def _split_off_separator_line(text: str, delimiter: str) -> tuple[str, str]:
    """Returns the text and its delimiter, without a first line like `sep=;`, which Excel writes.

    The line stays as a blank one, so that the numbers of the others stand.
    """
    found = re.match(r'"?sep=(.)"?[ \t]*(?=\r|\n|\Z)', text)
    return (text[found.end() :], found[1]) if found else (text, delimiter)


def _find_columns(
    path: Path, header: list[str], columns: TableColumns, delimiter: str
) -> list[int]:
    """Returns the index of each wanted column, or raises an error that lists the columns."""
    hint = _delimiter_hint(header, delimiter)
    header = [plain_text(cell) for cell in header]
    if not any(header):
        raise ValueError(f"{path} is empty; it should begin with a header.")
    found = []
    for name in (*columns.needed, *columns.shown):
        plain = plain_text(name)
        if header.count(plain) != 1:
            fault = "occurs twice" if plain in header else f"is missing{suggestion(plain, header)}"
            message = f"column {name!r} {fault} in {path}; columns: {', '.join(header)}.{hint}"
            if name == columns.image:
                message += (
                    " It names the items: choose it by --image_column, or for vectors by "
                    "--id_column."
                )
            raise ValueError(message)
        found.append(header.index(plain))
    for name in columns.needed:
        if columns.needed.count(name) > 1 and name != columns.group:
            raise ValueError(f"column {name!r} is asked for twice; name each column once.")
    return found


def _delimiter_hint(header: list[str], delimiter: str) -> str:
    """Returns a question about the delimiter, for a header that is one column."""
    if len(header) != 1:
        return ""
    other = max(_DELIMITERS.replace(delimiter, ""), key=header[0].count)
    if other in header[0]:
        shown = "tab" if other == "\t" else f"'{other}'"
        return f" Is {delimiter!r} the right delimiter? Try --delimiter={shown}."
    return f" Is {delimiter!r} the right delimiter?"
