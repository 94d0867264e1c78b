"""Anybody's catalogue: a CSV of attributes and a folder of images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.catalogue.table import TableColumns, TableFormat, read_table
from fashionsearchnet.data.catalogue.values import MISSING_CELLS
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import Record, unite_records
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogueOptions(PreparationOptions):
    """Options of the preparation of a catalogue.

    Attributes:
      csv: path of the table.
      images_dir: folder of the images; the names in the table are relative to it.
      image_column: header of the column of image files; a suffix such as .jpg may be left out.
      attributes: headers of the columns of attributes.
      min_count: values with fewer images than this are dropped with their records.
      encoding: of the table; '' for UTF-8.
      delimiter: between the table's cells.
      missing_cells: texts of a missing value in the table.
      group_column: header of the column of product ids; '' for none. The images of a product stay
        in one split.
      show_columns: headers of what a shop shows of an image, such as title, price and link.
      value_separator: stands between several values in a cell; the first one counts. '' for none.
      fold_case: whether values that differ in case only are one.
      ragged: what to do with rows that have more cells than the header; see TableFormat.
      max_dropped: the share of the rows that may be unusable, for any reason, in [0, 1].
    """

    csv: str
    images_dir: str
    image_column: str
    attributes: tuple[str, ...]
    min_count: int = 20
    encoding: str = ""
    delimiter: str = ","
    missing_cells: tuple[str, ...] = MISSING_CELLS
    group_column: str = ""
    show_columns: tuple[str, ...] = ()
    value_separator: str = ""
    fold_case: bool = False
    ragged: str = "drop"
    max_dropped: float = 1 / 3
    split_by: str = "id"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.attributes:
            raise ValueError("attributes must name at least one column of the table; got none.")
        check_range("min_count", self.min_count, 1)
        check_range("max_dropped", self.max_dropped, 0, 1)

    @property
    def columns(self) -> TableColumns:
        """The columns of the table that are read."""
        return TableColumns(
            image=self.image_column,
            attributes=self.attributes,
            group=self.group_column,
            shown=self.show_columns,
        )

    @property
    def format(self) -> TableFormat:
        """How the table is written."""
        return TableFormat(
            encoding=self.encoding,
            delimiter=self.delimiter,
            missing_cells=self.missing_cells,
            value_separator=self.value_separator,
            fold_case=self.fold_case,
            ragged=self.ragged,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options for JSON; the table as the hash of its bytes."""
        content = super().to_dict() | {
            "images_dir": str(Path(self.images_dir).expanduser().resolve()),
            "attributes": list(self.attributes),
            "missing_cells": list(self.missing_cells),
            "show_columns": list(self.show_columns),
        }
        del content["max_dropped"]  # it changes nothing in a data set that is prepared
        path = Path(content.pop("csv")).expanduser()
        digest = files.file_digest(path) if path.is_file() else ""
        return content | {"content of the csv": digest}


class Catalogue(PreparedBuilder):
    """Images of a catalogue and their attributes."""

    name = "catalogue"


def read(options: CatalogueOptions) -> Source:
    """Returns what the table says, one record per image file.

    Raises:
      FileNotFoundError, NotADirectoryError: if the table or the image folder does not exist.
      ValueError: if the table cannot be read.
    """
    folder = Path(options.images_dir).expanduser()
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; images_dir should hold the images.")
    table = read_table(Path(options.csv).expanduser(), options.columns, options.format)
    records = table.records
    keys = [str(Path(record.image)) for record in records]
    records, repeated, contradictions = unite_records(
        records, keys, options.attributes, "repeated row"
    )
    return Source(
        attributes=options.attributes,
        records=records,
        images_dir=folder,
        max_lost=1,
        cure="Choose image_column and images_dir so that the column's names are paths in it.",
        drops=[*table.drops, *repeated],
        notes=(*table.notes, *_notes_on_products(records, options.group_column)),
        contradictions=contradictions,
        min_count=options.min_count,
        max_dropped=options.max_dropped,
        num_rows=table.num_rows,
    )


def _notes_on_products(records: Sequence[Record], group_column: str) -> list[str]:
    """Returns how many records have no product, if a column names it."""
    number = sum(not record.group for record in records) if group_column else 0
    if not number:
        return []
    return [
        f"{group_column}: {number:,} images name no product; each counts as a product of its own"
    ]


READER = Reader(Catalogue, CatalogueOptions, read)
