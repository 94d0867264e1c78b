"""Anybody's catalogue: a CSV of attributes and a folder of images."""

import dataclasses
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.checks import check_range
from fashionsearchnet.data.catalogue.table import MISSING_CELLS, read_table
from fashionsearchnet.data.preparation.options import PreparationOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import unite_records
from fashionsearchnet.data.preparation.selection import Source
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
    """

    csv: str
    images_dir: str
    image_column: str
    attributes: tuple[str, ...]
    min_count: int = 20
    encoding: str = ""
    delimiter: str = ","
    missing_cells: tuple[str, ...] = MISSING_CELLS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.attributes:
            raise ValueError("attributes must name at least one column of the table; got none.")
        check_range("min_count", self.min_count, 1)

    def to_dict(self) -> dict[str, Any]:
        """Returns the options for JSON; the table as the hash of its bytes."""
        content = super().to_dict() | {
            "images_dir": str(Path(self.images_dir).expanduser().resolve()),
            "attributes": list(self.attributes),
            "missing_cells": list(self.missing_cells),
        }
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
    records, drops = read_table(
        Path(options.csv).expanduser(),
        options.image_column,
        options.attributes,
        options.encoding,
        options.delimiter,
        options.missing_cells,
    )
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
        drops=[*drops, *repeated],
        contradictions=contradictions,
        min_count=options.min_count,
    )


READER = Reader(Catalogue, CatalogueOptions, read)
