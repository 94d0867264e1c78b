"""Reads the CSV of a catalogue."""

import codecs
import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fashionsearchnet.checks import suggestion
from fashionsearchnet.data.preparation.records import Drop, Record

MISSING_CELLS = ("", "na", "n/a", "nan", "null")  # compared without case and outer spaces


def read_table(
    path: str | os.PathLike[str],
    image_column: str,
    attributes: Sequence[str],
    encoding: str = "",
    delimiter: str = ",",
    missing_cells: Sequence[str] = MISSING_CELLS,
) -> tuple[list[Record], list[Drop]]:
    """Returns one record per row of a CSV file, and the rows that cannot be used.

    Args:
      path: a CSV file with a header. Blank lines are skipped.
      image_column: header of the column with the names of the image files.
      attributes: headers of the columns to take as attributes.
      encoding: of the file; '' for UTF-8, with or without a byte order mark.
      delimiter: between cells, one character.
      missing_cells: texts of a missing value, compared without case.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: for a wrong encoding, a column that is missing or occurs twice (the message
        lists the columns), a table without rows, or a file that is not CSV.
    """
    text = _read_text(Path(path), encoding)
    if len(delimiter) != 1:
        raise ValueError(
            f"the delimiter must be one character, such as ',' or ';'; got {delimiter!r}."
        )
    lines = _read_cells(path, text, delimiter)
    header = [cell.strip() for cell in next(lines, (0, []))[1]]
    columns = _find_columns(path, header, [image_column, *attributes], delimiter)
    missing = {cell.strip().lower() for cell in missing_cells}
    records, drops = [], []
    for line, row in lines:
        image, *cells = [row[c].strip() if c < len(row) else "" for c in columns]
        record = Record(line, image, tuple("" if c.lower() in missing else c for c in cells))
        if len(row) != len(header):
            reason = f"{len(row)} cells where the header has {len(header)}"
            reason += "; is a quotation mark open?"
            drops.append(Drop(record, "wrong number of cells", reason))
        elif not image:
            drops.append(Drop(record, "no image name", f"column {image_column!r} is blank"))
        else:
            records.append(record)
    if not records:
        raise ValueError(f"{path} has no usable row below its header ({len(drops)} unusable).")
    return records, drops


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


def _read_cells(
    path: str | os.PathLike[str], text: str, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yields (line at which it begins, cells) of each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{path} is not CSV from line {line} on ({error}); is a quotation mark left open?"
            ) from error
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def _find_columns(
    path: str | os.PathLike[str], header: list[str], wanted: list[str], delimiter: str
) -> list[int]:
    """Returns the index of each wanted column, or raises an error that lists the columns."""
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
