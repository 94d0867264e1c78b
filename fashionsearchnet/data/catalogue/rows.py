"""Splits the text of a CSV file into rows, and loses none where a quotation mark is left open.

A cell may stand in quotation marks ([RFC 4180]): it may then hold delimiters and line breaks, and
a mark within it is doubled. Real tables have stray marks too, such as the inch in `6" heel`. A
reader that trusts them takes all lines up to the next mark for one cell. Here a cell goes over
several lines only if that makes sense of the file: see `_is_one_row`.
"""

import bisect
import collections
import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import PurePath

from fashionsearchnet.attributes import plain_text

_MAX_LINES_COMPARED = 50  # of a cell over several lines; bounds the time for a damaged file
_LONGEST_LINE = 100_000  # characters that Python's own reader takes
_COMMON_SHARE = 0.1  # of the most frequent form of names: forms as frequent as this are common


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      line: of the file at which it begins, from 1.
      cells: its texts, without the quotation marks around them.
      num_lines: how many lines of the file it covers.
      stray: positions of cells whose quotation mark is read as a character, since it does not
        close.
    """

    line: int
    cells: list[str]
    num_lines: int = 1
    stray: tuple[int, ...] = ()

    @property
    def is_blank(self) -> bool:
        """Whether no cell holds anything."""
        return not any(cell.strip() for cell in self.cells)


def split_rows(text: str, delimiter: str, image_column: str) -> Iterator[Row]:
    """Yields the rows of a table, the header first, also the blank ones.

    Args:
      text: the content of the file.
      delimiter: between cells, one character.
      image_column: header of the column whose cells tell rows from running text.
    """
    splitter = _Splitter(text, delimiter)
    header = splitter.header()
    if header is None:
        return
    yield header
    names = [plain_text(cell) for cell in header.cells]
    if image_column in names:
        splitter.learn_names(names.index(image_column), header.line + header.num_lines - 1)
    line = header.line + header.num_lines
    while line <= len(splitter.lines):
        row = splitter.row(line, len(header.cells))
        yield row
        line += row.num_lines


class _Splitter:
    """The lines of a text, and where its quoted cells may end."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.lines = self.text.removesuffix("\n").split("\n")
        self._delimiter = delimiter
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        # A run of marks before a delimiter or a line break ends a quoted cell if it is odd: in an
        # even one, each mark is doubled.
        self._end = re.compile(f'"+(?= *(?:{re.escape(delimiter)}|\n|\\Z))')
        found = self._end.finditer(self.text)
        self._closers = [m.end() - 1 for m in found if (m.end() - m.start()) % 2]
        cell = f'(?:[^"{re.escape(delimiter)}]*|"(?:[^"]|"")*")'
        self._well_formed = re.compile(f"{cell}(?:{re.escape(delimiter)}{cell})*")
        self._image: int | None = None
        self._forms: set[tuple[str, bool, bool]] = set()

    def header(self) -> Row | None:
        """Returns the first row that is not blank, None if there is none."""
        for number, line in enumerate(self.lines, 1):
            if line.strip():
                return self.row(number, len(self._line_row(number).cells))
        return None

    def learn_names(self, column: int, last_line: int) -> None:
        """Learns from the lines below `last_line` how the names of images look."""
        self._image = column
        forms: collections.Counter = collections.Counter()
        for line in self.lines[last_line:]:
            cells = line.split(self._delimiter, column + 1)
            if len(cells) > column and cells[column].strip():
                forms[_form(cells[column])] += 1
        least = _COMMON_SHARE * max(forms.values(), default=0)
        self._forms = {form for form, count in forms.items() if count >= least}

    def row(self, line: int, num_cells: int) -> Row:
        """Returns the row that begins at a line, of a table with so many columns."""
        content = self.lines[line - 1]
        if '"' not in content:
            return Row(line, content.split(self._delimiter))
        if len(content) < _LONGEST_LINE and self._well_formed.fullmatch(content):
            cells = next(csv.reader([content], delimiter=self._delimiter))
            if len(cells) == num_cells:
                return Row(line, cells)
        quoted = self._quoted_row(line)
        if quoted is not None and quoted.num_lines == 1 and len(quoted.cells) == num_cells:
            return dataclasses.replace(quoted, stray=())
        alone = self._line_row(line)
        if len(alone.cells) != num_cells:
            plain = content.split(self._delimiter)
            if len(plain) == num_cells:
                stray = tuple(i for i, cell in enumerate(plain) if cell.count('"') % 2)
                alone = Row(line, plain, stray=stray)
        if quoted is None:
            return alone
        if quoted.num_lines == 1:
            return alone if len(alone.cells) == num_cells else quoted
        return quoted if self._is_one_row(quoted, num_cells) else alone

    def _is_one_row(self, row: Row, num_cells: int) -> bool:
        """Tells whether a row with a cell over several lines is one, and not several rows.

        It must have as many cells as the header, with every mark inside doubled. The lines that it
        covers must read as running text: not as rows with a name of an image.
        """
        if len(row.cells) != num_cells or row.stray:
            return False
        first, last = row.line + 1, row.line + row.num_lines - 1
        lines = range(first, min(last, first + _MAX_LINES_COMPARED - 1) + 1)
        num_delimiters = max(cell.count(self._delimiter) for cell in row.cells if "\n" in cell)
        if num_cells > 3 and num_delimiters >= (num_cells - 1) * (row.num_lines - 1):
            return False
        return 2 * sum(self._is_row(line, num_cells) for line in lines) < len(lines)

    def _is_row(self, line: int, num_cells: int) -> bool:
        """Tells whether a line on its own looks like a row."""
        cells = self._line_row(line).cells
        if self._image is None or self._image >= len(cells):
            return len(cells) == num_cells
        form = _form(cells[self._image])
        is_telling = bool(form[0]) or form[2]  # a suffix, or digits only
        return form in self._forms and (len(cells) == num_cells or is_telling)

    def _quoted_row(self, line: int) -> Row | None:
        """Returns the row as its quotation marks say; None if one is never closed.

        `stray` holds the cells with a mark inside that is not doubled.
        """
        cells: list[str] = []
        odd, position = [], self._starts[line - 1]
        while True:
            cell, position, is_clean = self._cell(position)
            if cell is None:
                return None
            if not is_clean:
                odd.append(len(cells))
            cells.append(cell)
            if position >= len(self.text) or self.text[position] == "\n":
                break
            position += 1
        num_lines = bisect.bisect_right(self._starts, position) - line + 1
        return Row(line, cells, max(1, num_lines), tuple(odd))

    def _cell(self, position: int) -> tuple[str | None, int, bool]:
        """Returns the cell at a position, the position behind it, and whether it is well formed."""
        text = self.text
        start = position
        while start < len(text) and text[start] == " ":
            start += 1
        if text.startswith('"', start):
            end = self._closing_mark(start)
            if end is None:
                return None, position, False
            inner = text[start + 1 : end]
            behind = end + 1
            while text.startswith(" ", behind):
                behind += 1
            return inner.replace('""', '"'), behind, '"' not in inner.replace('""', "")
        line_end = text.find("\n", position)
        line_end = len(text) if line_end < 0 else line_end
        end = text.find(self._delimiter, position, line_end)
        end = line_end if end < 0 else end
        return text[position:end], end, True

    def _closing_mark(self, start: int) -> int | None:
        """Returns the position of the mark that closes the cell opened at `start`, or None."""
        run = self._end.match(self.text, start)
        if run and (run.end() - start) % 2 == 0:  # such as "" or """"
            return run.end() - 1
        behind = start
        while self.text.startswith('"', behind):
            behind += 1
        found = bisect.bisect_left(self._closers, behind)
        return self._closers[found] if found < len(self._closers) else None

    def _line_row(self, line: int) -> Row:
        """Returns a line as a row of its own; a mark that does not close in it is a character."""
        position, end = self._starts[line - 1], self._starts[line] - 1
        cells: list[str] = []
        stray = []
        while True:
            cell, behind, _ = self._cell(position)
            if cell is None or behind > end:
                stray.append(len(cells))
                behind = self.text.find(self._delimiter, position, end)
                behind = end if behind < 0 else behind
                cell = self.text[position:behind]
            cells.append(cell)
            if behind >= end:
                return Row(line, cells, stray=tuple(stray))
            position = behind + 1


def _form(name: str) -> tuple[str, bool, bool]:
    """Returns how a name looks: its suffix, whether it has spaces, whether it is a number."""
    plain = name.strip().strip('"').strip()
    return PurePath(plain).suffix.lower(), " " in plain, plain.isdecimal()
