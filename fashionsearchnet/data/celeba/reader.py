"""CelebA: faces with 40 binary attributes, grouped into the paper's 8 attributes with 21 values.

[Liu15] Z. Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015. Read from the
extracted files: `img_align_celeba/`, `list_attr_celeba.txt` (the number of images, the 40 names,
then `000001.jpg -1 1 ...`) and `list_eval_partition.txt` (`000001.jpg 0`), beside each other or in
the authors' folders `Img`, `Anno` and `Eval`. Kaggle's copy has the lists as CSV
(`list_attr_celeba.csv` with a header, `list_eval_partition.csv`) and the folder of images in a
folder of the same name; it is read too. The official partition is checked and not used: the
paper has its own splits. groups.json says how columns become groups, and which choices are the
paper's and which are ours.
"""

import functools
import itertools
from pathlib import Path

import numpy as np

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.options import PAPER_SPLITS, SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import decode_labels
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder
from fashionsearchnet.files import read_packaged_json

_IMAGES, _LABELS, _PARTITION = (
    "img_align_celeba/",
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
)
_AUTHORS_FOLDERS = {_IMAGES: "Img", _LABELS: "Anno", _PARTITION: "Eval"}
_NUM_COLUMNS = 40
_MAX_LOST = 0.01  # of an archive that holds its images: more is an incomplete extraction


class CelebA(PreparedBuilder):
    """CelebA: faces, 8 attributes with 21 values, grouped from 40 binary ones."""

    name = "celeba"


@functools.cache
def attribute_space() -> AttributeSpace:
    """Returns the groups as attributes."""
    return AttributeSpace.from_dict({name: list(values) for name, values in _groups().items()})


def read(options: SourceOptions) -> Source:
    """Returns what the files of CelebA say.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for a format that is not the published one.
    """
    folder = Path(options.source_dir).expanduser()
    images_dir, labels_path, partition_path = (folder / name for name in _names(folder))
    if (images_dir / images_dir.name).is_dir():  # as in Kaggle's copy
        images_dir = images_dir / images_dir.name
    images, columns, signs = _read_labels(labels_path)
    _check_partition(partition_path, labels_path, images)
    labels = _group(labels_path, columns, signs)
    return Source(
        space=attribute_space(),
        records=decode_labels(images, labels, attribute_space(), first_line=_first(labels_path)),
        images_dir=images_dir,
        max_lost=_MAX_LOST,
        notes=("the paper does not print the members of its groups; groups.json holds our choice",),
    )


def _names(folder: Path) -> list[str]:
    """Returns the names of the images' folder, the labels and the partition, once they exist.

    Raises:
      OSError: if one is missing.
    """
    names = list(_AUTHORS_FOLDERS)
    if any((folder / inner).is_dir() for inner in _AUTHORS_FOLDERS.values()):
        names = [f"{inner}/{name}" for name, inner in _AUTHORS_FOLDERS.items()]
    elif (folder / _LABELS).with_suffix(".csv").is_file() and not (folder / _LABELS).is_file():
        names = [name.replace(".txt", ".csv") for name in names]
    source_files.check_folder(folder, names, "CelebA")
    return names


def _first(path: Path) -> int:
    """Returns the line of the first image in a file of labels."""
    return 2 if path.suffix == ".csv" else 3


def _read_labels(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Returns the images, the names of the columns, and int8 `[images, columns]` of -1 and 1."""
    lines = [text.replace(",", " ") for text in source_files.read_lines(path)]
    if path.suffix == ".csv":
        columns = lines[0].split()[1:]
        number = ""
    else:
        columns = lines[1].split() if len(lines) > 1 else []
        number = lines[0]
    if len(columns) != _NUM_COLUMNS or not (number.isdecimal() or path.suffix == ".csv"):
        form = "a line that says the number of images and a line of" if number else "a header of"
        raise ValueError(
            f"{path} must begin with {form} {_NUM_COLUMNS} names; got {lines[0][:40]!r} and "
            f"{len(columns)} names."
        )
    first = _first(path)
    images, signs = [], []
    for line, text in enumerate(lines[first - 1 :], first):
        image, *cells = text.split()
        if len(cells) != _NUM_COLUMNS or not {"1", "-1"}.issuperset(cells):
            raise ValueError(
                f"{path} line {line} must be an image and {_NUM_COLUMNS} numbers, each 1 or -1; "
                f"got {len(cells)} numbers after {image!r}."
            )
        images.append(image)
        signs.append([1 if cell == "1" else -1 for cell in cells])
    if number and len(images) != int(number):
        raise ValueError(
            f"{path} says that it has {number} images but has {len(images)} rows; get it again."
        )
    source_files.check_unique(path, images, itertools.count(first))
    return images, columns, np.array(signs, np.int8)


def _check_partition(path: Path, labels_path: Path, images: list[str]) -> None:
    """Raises a ValueError unless the partition lists the labelled images, each once."""
    listed = []
    first = 2 if path.suffix == ".csv" else 1
    for line, text in enumerate(source_files.read_lines(path)[first - 1 :], first):
        image, _, part = text.replace(",", " ").partition(" ")
        source_files.parse_integer(path, line, part, 0, 2, "the partition")
        listed.append(image)
    source_files.check_unique(path, listed, itertools.count(first))
    source_files.check_same_images(path, listed, labels_path, images)


def _group(path: Path, columns: list[str], signs: np.ndarray) -> np.ndarray:
    """Returns the value of each group, int32 `[images, groups]`, -1 for none or several."""
    values = np.empty((len(signs), len(_groups())), np.int32)
    for index, (name, group) in enumerate(_groups().items()):
        missing = [column[1:] for column in group.values() if column[1:] not in columns]
        if missing:
            raise ValueError(f"{path} has no column {', '.join(missing)}, which {name} needs.")
        holds = np.stack(
            [signs[:, columns.index(c[1:])] == (1 if c[0] == "+" else -1) for c in group.values()],
            axis=1,
        )
        values[:, index] = np.where(holds.sum(axis=1) == 1, holds.argmax(axis=1), -1)
    return values


@functools.cache
def _groups() -> dict[str, dict[str, str]]:
    """Returns `{attribute: {value: sign and column}}`."""
    return read_packaged_json(__package__, "groups.json")["groups"]


_COUNTS = {"images": 202_599, "attributes": 8, "values": 21}  # of the paper
READER = Reader(CelebA, SourceOptions, read, _COUNTS | PAPER_SPLITS)
