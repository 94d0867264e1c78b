"""Which rows of a catalogue are used: options, checks of table and images, attribute space.

Order of operations: read the table; unite rows of one file name; refuse a table with too few rows
for the splits; check every image; unite identical files (by the hash of their bytes); drop rows
without any label; drop rare values with their rows (counted once, over the images left by then).
"""

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm

from fashionsearchnet import files
from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.checks import check_range
from fashionsearchnet.data import image_files
from fashionsearchnet.data.catalogue import table as catalogue_table
from fashionsearchnet.data.catalogue.table import Contradiction, Drop, Row
from fashionsearchnet.data.image_files import CheckedImage, ImageLimits, ImageProblem
from fashionsearchnet.data.preparation import splits
from fashionsearchnet.data.preparation.options import PreparationOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogueOptions(PreparationOptions):
    """What to make of which catalogue.

    Attributes:
      csv: path of the table.
      images_dir: folder to which the names in the table are relative.
      image_column: header of the column of image files; a suffix such as .jpg may be left out.
      attributes: headers of the columns of attributes.
      min_count: values with fewer images than this are dropped with their rows.
      encoding: of the table; '' for UTF-8.
      delimiter: between the table's cells.
      missing_cells: what stands for a missing value in the table.
    """

    csv: str
    images_dir: str
    image_column: str
    attributes: tuple[str, ...]
    min_count: int = 20
    encoding: str = ""
    delimiter: str = ","
    missing_cells: tuple[str, ...] = catalogue_table.MISSING_CELLS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.attributes:
            raise ValueError("attributes must name at least one column of the table; got none.")
        check_range("min_count", self.min_count, 1)

    def to_dict(self) -> dict[str, Any]:
        """Returns what the data set depends on, for JSON; the table as the hash of its bytes."""
        content = super().to_dict() | {
            "images_dir": str(Path(self.images_dir).expanduser().resolve()),
            "attributes": list(self.attributes),
            "missing_cells": list(self.missing_cells),
        }
        path = Path(content.pop("csv")).expanduser()
        digest = files.file_digest(path) if path.is_file() else ""
        return content | {"content of the csv": digest}


@dataclasses.dataclass(frozen=True)
class Selection:
    """The rows of a catalogue that are used, their files and labels, and what became of the rest.

    Attributes:
      rows: the rows kept, in the order of the table.
      paths: the file of each row.
      images: what is known of each file.
      space: the attribute space.
      labels: int32 `[rows, attributes]`, -1 for missing.
      drops: the rows that are not used, by line.
      contradictions: what identical images disagreed on.
    """

    rows: list[Row]
    paths: list[Path]
    images: list[CheckedImage]
    space: AttributeSpace
    labels: np.ndarray
    drops: list[Drop]
    contradictions: list[Contradiction]


def select(options: CatalogueOptions, show_progress: bool = True) -> Selection:
    """Returns the rows to use, by the order of operations above.

    Raises:
      FileNotFoundError, NotADirectoryError: if the table or the image folder does not exist.
      ValueError: if the table cannot be read, has too few rows for the splits (said before any
        image is read), or too little of it can be used.
    """
    folder = Path(options.images_dir).expanduser()
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; images_dir should hold the images.")
    names = options.attributes
    rows, drops = catalogue_table.read_table(
        Path(options.csv).expanduser(),
        options.image_column,
        names,
        options.encoding,
        options.delimiter,
        options.missing_cells,
    )
    keys = [str(Path(row.image)) for row in rows]
    rows, repeated, contradictions = catalogue_table.unite_rows(rows, keys, names, "repeated row")
    splits.check_sizes(len(rows), options.split_sizes)
    rows, paths, images, unusable = _check_images(rows, folder, options.limits, show_progress)
    by_line = {r.line: (p, i) for r, p, i in zip(rows, paths, images, strict=True)}
    digests = [image.digest for image in images]
    rows, twins, more = catalogue_table.unite_rows(rows, digests, names, "identical file")
    rows, unlabelled = catalogue_table.drop_unlabelled(rows)
    drops += [*repeated, *unusable, *twins, *unlabelled]
    try:
        rows, rare = catalogue_table.drop_rare_values(rows, names, options.min_count)
    except ValueError as error:  # images that cannot be used may be the cause
        raise ValueError(f"{error} Dropped before: {_count_kinds(drops)}.") from error
    space = catalogue_table.attribute_space(rows, names)
    return Selection(
        rows=rows,
        paths=[by_line[row.line][0] for row in rows],
        images=[by_line[row.line][1] for row in rows],
        space=space,
        labels=catalogue_table.encode_values(rows, space),
        drops=sorted([*drops, *rare], key=lambda drop: drop.row.line),
        contradictions=[*contradictions, *more],
    )


def _check_images(
    rows: Sequence[Row], folder: Path, limits: ImageLimits, show_progress: bool
) -> tuple[list[Row], list[Path], list[CheckedImage], list[Drop]]:
    """Returns the rows with a usable image, their files, what is known of them, and the others."""
    found, drops = [], []
    for row in rows:
        try:
            found.append((row, image_files.find_file(folder, row.image)))
        except ImageProblem as problem:
            drops.append(Drop(row, problem.kind, str(problem)))
    checked = image_files.check_images([path for _, path in found], limits)
    bar = tqdm.tqdm(
        checked, "Checking images", len(found), unit=" images", disable=not show_progress
    )
    kept = []
    for (row, path), image in zip(found, bar, strict=True):
        if image.problem:
            drops.append(Drop(row, image.kind, image.problem))
        else:
            kept.append((row, path, image))
    if not kept:
        raise ValueError(_no_image(folder, drops))
    kept_rows, paths, images = (list(column) for column in zip(*kept, strict=True))
    return kept_rows, paths, images, drops


def _no_image(folder: Path, drops: Sequence[Drop]) -> str:
    """Returns the message for a catalogue without a usable image."""
    present = ", ".join(path.name for path in sorted(folder.iterdir())[:3]) or "nothing"
    return (
        f"none of the {len(drops)} images of the table can be used ({_count_kinds(drops)}); the "
        f"first: line {drops[0].row.line}, {drops[0].reason}. {folder} holds {present} and so on. "
        "Choose image_column and images_dir so that the column's names are paths in the folder."
    )


def _count_kinds(drops: Sequence[Drop]) -> str:
    """Returns how many rows were dropped for which reason, as text."""
    kinds = collections.Counter(drop.kind for drop in drops)
    return ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) or "none"
