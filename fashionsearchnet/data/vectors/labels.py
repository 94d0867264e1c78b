"""What a table says of vectors that are added to an index: labels of a model's attributes."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.catalogue.table import TableColumns, TableFormat, read_table
from fashionsearchnet.data.preparation import records


@dataclasses.dataclass(frozen=True)
class Said:
    """What a table says of one id.

    Attributes:
      values: int32 `[A]`, -1 for missing.
      columns: what a shop shows beside it.
      group: the id of its product, '' if that is not known.
    """

    values: np.ndarray
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    group: str = ""


def read_labels(
    csv: Path,
    columns: TableColumns,
    how: TableFormat,
    space: AttributeSpace,
    report: Callable[[str], None],
) -> dict[str, Said]:
    """Returns what a table says, by id.

    Args:
      csv: the table.
      columns: of it; `image` is that of the ids, and the attributes are those of `space`.
      how: the table is written.
      space: the attributes of the model. A value that it does not have is a missing label.
      report: takes a line for each row that is left out, and for each value that is not known.

    Raises:
      FileNotFoundError: if there is no such table.
      ValueError: if it cannot be read.
    """
    table = read_table(csv, columns, how)
    rows, repeated, _ = records.unite_records(
        table.records, [record.image for record in table.records], space.names, "repeated row"
    )
    for drop in [*table.drops, *repeated]:
        report(f"left out line {drop.record.line}, {drop.record.image}: {drop.kind}: {drop.reason}")
    found, unknown = records.known_values(rows, space)
    for name, counts in unknown.items():
        listed = records.list_counts(counts)
        report(f"{name}: no label, since the model does not know the value: {listed}")
    labels = records.encode_values(found, space)
    return {
        record.image: Said(values, dict(record.columns), record.group)
        for record, values in zip(found, labels, strict=True)
    }
