"""Images for a gallery, straight from a folder or from a table with a folder."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.data.catalogue.table import TableColumns, TableFormat, read_table
from fashionsearchnet.data.image_files import ImageLimits, normalize_image
from fashionsearchnet.data.image_headers import READABLE, ImageProblem, read_header
from fashionsearchnet.data.preparation import records
from fashionsearchnet.data.preparation.image_folder import ImageFolder
from fashionsearchnet.data.preparation.images import read_bytes


@dataclasses.dataclass(frozen=True)
class Addition:
    """An image, its labels, and what a shop says about it.

    Attributes:
      id: its name: the path below the folder, or as the table says.
      values: int32 `[A]`, -1 for missing.
      image: the encoded image, JPEG or PNG.
      columns: what a shop shows beside it.
      group: the id of its product, '' if that is not known.
    """

    id: str
    values: np.ndarray
    image: bytes
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    group: str = ""


class Report:
    """Prints lines on standard error, and counts those that say what is left out."""

    def __init__(self) -> None:
        self.num_left_out = 0

    def __call__(self, line: str) -> None:
        self.num_left_out += line.startswith("left out")
        print(line, file=sys.stderr)


def from_folder(
    folder: Path, num_attributes: int, report: Callable[[str], None]
) -> tuple[Iterator[Addition], int]:
    """Returns all images of a folder and its subfolders, without labels, and the number of files.

    Files go by their content, whatever their names say.

    Args:
      folder: of the images.
      num_attributes: the number A.
      report: takes a line for each file that is left out, with the reason; also for links to
        folders, which are not followed.

    Raises:
      NotADirectoryError: if there is no such folder.
      ValueError: if no file is an image.
    """
    paths = _files(folder, report)
    if not any(_is_image(path) for path in paths):
        raise ValueError(
            f"--images_dir={folder} holds no images: {len(paths):,} files, none of them "
            f"{READABLE}. Check the path."
        )
    values = np.full(num_attributes, MISSING, np.int32)

    def read() -> Iterator[Addition]:
        for path in paths:
            try:
                image = _read_image(path)
            except ImageProblem as problem:
                report(f"left out {path}: {problem}")
                continue
            name = path.relative_to(folder).as_posix()
            if any("\ud800" <= letter <= "\udfff" for letter in name):
                report(f"left out {str(path)!a}: its name is not UTF-8; rename the file")
                continue
            yield Addition(name, values, image)

    return read(), len(paths)


def from_table(
    csv: Path,
    folder: Path,
    columns: TableColumns,
    how: TableFormat,
    space: AttributeSpace,
    report: Callable[[str], None],
) -> tuple[Iterator[Addition], int]:
    """Returns the images that a table names, with their labels, and the number of rows.

    Args:
      csv: the table.
      folder: of the images.
      columns: of the table; its attributes are those of `space`, in its order.
      how: the table is written.
      space: the attributes of the model. A value that it does not have is a missing label.
      report: takes a line for each row that is left out, with the reason, and for each value that
        the model does not know.

    Raises:
      FileNotFoundError, NotADirectoryError: if the table or the folder does not exist.
      ValueError: if the table cannot be read.
    """
    _check_folder(folder)
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
    labels, images = records.encode_values(found, space), ImageFolder(folder)

    def read() -> Iterator[Addition]:
        for record, values in zip(found, labels, strict=True):
            try:
                image = _read_image(images.find(record.image))
            except ImageProblem as problem:
                report(f"left out line {record.line}, {record.image}: {problem}")
                continue
            yield Addition(record.image, values, image, dict(record.columns), record.group)

    return read(), len(found)


def _files(folder: Path, report: Callable[[str], None]) -> list[Path]:
    _check_folder(folder)
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.append(path)
        elif path.is_symlink():
            what = "folder, which is not followed" if path.is_dir() else "file that does not exist"
            report(f"left out {path}: a link to a {what}")
        elif not path.is_dir():
            report(f"left out {path}: it is no regular file")
    return found


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; --images_dir should hold the images.")


def _is_image(path: Path) -> bool:
    try:
        read_header(read_bytes(path))
    except ImageProblem:
        return False
    return True


def _read_image(path: Path) -> bytes:
    return normalize_image(read_bytes(path), ImageLimits())[0]
