"""The text files that DeepFashion publishes, and what its image paths say."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.source import Source

Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of a list.

    Attributes:
      number: of its line in the file, from 1.
      cells: its words.
    """

    number: int
    cells: tuple[str, ...]


def read_list(path: Path, header: Sequence[str]) -> list[Line]:
    """Returns the rows of a list: the number of rows, the names of the columns, then the rows.

    Args:
      path: of the file.
      header: the names that it must have.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: naming file and line, for another number of rows, other columns, or a row with
        another number of words.
    """
    lines = source_files.read_lines(path)
    found = lines[1].split() if len(lines) > 1 else []
    if not lines[0].isdecimal() or found != list(header):
        raise ValueError(
            f"{path} must begin with a line that says the number of rows and the line "
            f"{' '.join(header)!r}; got {lines[0][:40]!r} and {' '.join(found)[:80]!r}."
        )
    rows = [Line(number, tuple(text.split())) for number, text in enumerate(lines[2:], 3)]
    for row in rows:
        if len(row.cells) != len(header):
            raise ValueError(
                f"{path} line {row.number} must have {len(header)} words, "
                f"{' '.join(header)}; got {len(row.cells)}."
            )
    if len(rows) != int(lines[0]):
        raise ValueError(
            f"{path} says that it has {lines[0]} rows but has {len(rows)}; get it again."
        )
    return rows


def read_boxes(path: Path, header: Sequence[str]) -> dict[str, Box]:
    """Returns the box of each image: left, top, right and bottom in pixels.

    The file counts the last column and row of pixels in; the result does not.

    Args:
      path: of the file; its rows begin with the image and end with x_1, y_1, x_2, y_2.
      header: the names of its columns.

    Raises:
      ValueError: naming file and line, for a box that is no box, or an image that has two.
    """
    rows = read_list(path, header)
    source_files.check_unique(path, [r.cells[0] for r in rows], [r.number for r in rows])
    boxes = {}
    for row in rows:
        left, top, right, bottom = (
            source_files.parse_integer(path, row.number, text, 0, 100_000, name)
            for text, name in zip(row.cells[-4:], header[-4:], strict=True)
        )
        if right <= left or bottom <= top:
            raise ValueError(
                f"{path} line {row.number}: x_2 must be above x_1 and y_2 above y_1; got "
                f"{' '.join(row.cells[-4:])}."
            )
        boxes[row.cells[0]] = (left, top, right + 1, bottom + 1)
    return boxes


def check_split(path: Path, row: Line, splits: Sequence[str]) -> str:
    """Returns the last word of a row, which must be one of the splits.

    Raises:
      ValueError: naming file and line, for another word.
    """
    if row.cells[-1] not in splits:
        raise ValueError(
            f"{path} line {row.number}: evaluation_status must be one of {', '.join(splits)}; got "
            f"{row.cells[-1]!r}."
        )
    return row.cells[-1]


def kind_of(path: Path, number: int, image: str) -> tuple[str, str]:
    """Returns the two folders that say what an image shows: 'WOMEN' and 'Dresses'.

    Args:
      path: of the list, for messages.
      number: of the line, for messages.
      image: such as img/WOMEN/Dresses/id_00000002/02_1_front.jpg.

    Raises:
      ValueError: naming file and line, for a name of another form.
    """
    parts = image.split("/")
    if len(parts) != 5 or parts[0] != "img":
        raise ValueError(
            f"{path} line {number}: an image must read img/<group>/<category>/<item>/<file>; got "
            f"{image!r}."
        )
    return parts[1], parts[2]


def box_of(boxes: dict[str, Box], path: Path, image: str) -> Box:
    """Returns the box of an image, or raises a ValueError that names the file without it."""
    if image not in boxes:
        raise ValueError(f"{path} has no box for {image}; get the file again.")
    return boxes[image]


def boxed_source(
    folder: Path,
    partition: Path,
    boxes_path: Path,
    box_header: Sequence[str],
    places: Mapping[str, tuple[int, str, str]],
    attributes: tuple[str, str],
) -> Source:
    """Returns a benchmark whose images are cut to their box, with the authors' splits.

    Args:
      folder: of the benchmark.
      partition: the list that `places` comes from, for messages.
      boxes_path: the list of boxes.
      box_header: the names of its columns.
      places: the line, the item and the split (train, query or gallery) of each image.
      attributes: what the two folders of an image say.

    Raises:
      ValueError: naming file and line, for another format or an image without a box.
    """
    boxes = read_boxes(boxes_path, box_header)
    splits: dict[str, list[str]] = {"train": [], "query": [], "gallery": []}
    records = []
    for image, (number, item, split) in places.items():
        splits[split].append(image)
        kind, box = kind_of(partition, number, image), box_of(boxes, boxes_path, image)
        records.append(Record(number, image, kind, group=item, box=box))
    return Source(
        attributes=attributes,
        records=records,
        images_dir=images_dir(folder),
        max_lost=0.0,
        fixed_splits=splits,
        notes=(
            "the attributes are the folders of the images; the authors' attributes are not read",
        ),
    )


def images_dir(folder: Path) -> Path:
    """Returns the folder that `img` lies in: the authors have it in `Img`, others beside it."""
    nested = folder / "Img"
    return nested if (nested / "img").is_dir() else folder
