"""The values in a table's cells: one spelling each, missing ones recognized."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from fashionsearchnet.attributes import plain_text

# Compared without case and outer spaces.
MISSING_CELLS = (
    *("", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "null", "none", "nil", "missing"),
    *("-", "--", "\N{EN DASH}", "\N{EM DASH}", "?", "unknown", "undefined", "unspecified"),
    *("not available", "not applicable", "#name?", "#ref!", "#value!"),
)
_SEPARATORS = "|;/,"  # that a cell with several values may have
_LEAST_SEVERAL = 0.01  # the share of cells with several values from which a note proposes the flag
_NUM_LISTED = 6


@dataclasses.dataclass(frozen=True)
class ReadValues:
    """The values of the rows of a table.

    Attributes:
      values: one tuple per row, '' for missing.
      notes: what a user should know about them.
    """

    values: list[tuple[str, ...]]
    notes: tuple[str, ...]


def plain_name(cell: str) -> str:
    """Returns the name of an image without what nobody sees around it."""
    return cell.strip().strip("\ufeff\u200b\u200e\u200f\u2060").strip()


def read_values(
    attributes: Sequence[str],
    cells: Sequence[Sequence[str]],
    missing_cells: Sequence[str],
    separator: str = "",
    fold_case: bool = False,
) -> ReadValues:
    """Returns the values of cells: one spelling for texts that look alike, '' for missing.

    Args:
      attributes: names of the A attributes.
      cells: rows of A texts.
      missing_cells: texts of a missing value, compared without case.
      separator: between several values in a cell: the first one counts; '' for none.
      fold_case: whether values that differ in case only are one, in the most frequent spelling.
    """
    missing = {plain_text(cell).casefold() for cell in missing_cells}
    columns, notes = [], []
    for index, name in enumerate(attributes):
        column = _Column(name, [row[index] for row in cells], missing, separator)
        columns.append(column.folded() if fold_case else column.values)
        notes += column.notes(fold_case)
    return ReadValues([tuple(row) for row in zip(*columns, strict=True)], tuple(notes))


class _Column:
    """The cells of one attribute."""

    def __init__(self, name: str, cells: Sequence[str], missing: set[str], separator: str) -> None:
        self.name, self.separator = name, separator
        self.words: collections.Counter = collections.Counter()  # of missing values
        self.several: collections.Counter = collections.Counter()
        self.spellings: dict[str, set[str]] = collections.defaultdict(set)
        found = {cell: self._read(cell, missing) for cell in set(cells)}
        for cell in cells:
            value = found[cell]
            parts = self._parts(cell)
            if not value and cell.strip():
                self.words[plain_text(cell)] += 1
            elif len(set(parts)) > 1:
                self.several[plain_text(cell)] += 1
            if value and not separator:
                self.spellings[value].add(cell.strip())
        self.values = [found[cell] for cell in cells]

    def _parts(self, cell: str) -> list[str]:
        """Returns the values of a cell, at least one text."""
        if not self.separator:
            return [plain_text(cell)]
        parts = [plain_text(part) for part in cell.split(self.separator)]
        return [part for part in parts if part] or [""]

    def _read(self, cell: str, missing: set[str]) -> str:
        parts = [part for part in self._parts(cell) if part.casefold() not in missing]
        return parts[0] if parts else ""

    def folded(self) -> list[str]:
        """Returns the values, those that differ in case only in their most frequent spelling."""
        name = self._fold()
        return [name.get(value, value) for value in self.values]

    def _fold(self) -> Mapping[str, str]:
        """Returns the spelling that replaces another one."""
        counts = collections.Counter(value for value in self.values if value)
        groups = collections.defaultdict(list)
        for value in sorted(counts):
            groups[value.casefold()].append(value)
        return {
            value: max(group, key=lambda spelling: counts[spelling])
            for group in groups.values()
            if len(group) > 1
            for value in group
        }

    def notes(self, fold_case: bool) -> list[str]:
        """Returns what became of cells that do not stand for themselves."""
        notes = []
        if self.words:
            notes.append(f"{self.name}: missing by their word: {_counts(self.words)}")
        odd = {v: s for v, s in self.spellings.items() if s != {v}}
        if odd:
            examples = ", ".join(
                f"{value} ({', '.join(sorted(map(ascii, found)))})"
                for value, found in list(odd.items())[:_NUM_LISTED]
            )
            notes.append(f"{self.name}: one value from texts that look alike: {examples}")
        folded = {old: new for old, new in self._fold().items() if old != new}
        if folded and fold_case:
            listed = ", ".join(f"{old} is {new}" for old, new in list(folded.items())[:_NUM_LISTED])
            notes.append(f"{self.name}: values that differed in case only: {listed}")
        elif folded:
            listed = ", ".join(f"{old} and {new}" for old, new in list(folded.items())[:3])
            notes.append(f"{self.name}: {listed} differ in case only; --fold_case makes them one")
        return notes + self._notes_on_several()

    def _notes_on_several(self) -> list[str]:
        if self.separator:
            if not self.several:
                return []
            return [
                f"{self.name}: cells with several values, the first of which counts: "
                f"{_counts(self.several)}"
            ]
        counts = collections.Counter(value for value in self.values if value)
        for separator in _SEPARATORS:
            several = {
                value: count
                for value, count in counts.items()
                if separator in value
                and all(plain_text(part) in counts for part in value.split(separator))
            }
            number = sum(several.values())
            if number and number >= _LEAST_SEVERAL * len(self.values):
                return [
                    f"{self.name}: {number:,} cells seem to hold several values, such as "
                    f"{max(several, key=lambda value: several[value])!r}; "
                    f"--value_separator='{separator}' takes the first"
                ]
        return []


def _counts(counter: collections.Counter) -> str:
    """Returns the most frequent texts with their numbers, and how many there are in all."""
    top = ", ".join(f"{text} {count:,}" for text, count in counter.most_common(_NUM_LISTED))
    rest = len(counter) - _NUM_LISTED
    return f"{top} and {rest} more texts" if rest > 0 else top
