"""Shopping100k: product photos of clothes without a wearer, 12 attributes with 151 values.

[Ak18] K. E. Ak et al., "Efficient Multi-Attribute Similarity Learning Towards Attribute-based
Fashion Search", WACV 2018. The published archive holds `Attributes/<attribute>.txt`, one line
`<path below Images> <value>` per image with -1 for "not available", and `Images/`. It has 100,586
images where the papers say 101,021.
"""

import dataclasses
import functools
from pathlib import Path

from fashionsearchnet.attributes import MISSING, AttributeSpace
from fashionsearchnet.data.preparation import source_files
from fashionsearchnet.data.preparation.options import PAPER_SPLITS, SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder
from fashionsearchnet.data.shopping100k import adde
from fashionsearchnet.files import read_packaged_json

IMAGES = "Images"
_MAX_LOST = 0.01  # of an archive that holds its images: more is an incomplete extraction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shopping100kOptions(SourceOptions):
    """Options of the preparation of Shopping100k.

    Attributes:
      splits_dir: folder with the split files of ADDE (see `adde`); '' to split by seed.
    """

    splits_dir: str = ""


class Shopping100k(PreparedBuilder):
    """Shopping100k: product photos of clothes without a wearer, 12 attributes with 151 values."""

    name = "shopping100k"


@functools.cache
def attribute_space() -> AttributeSpace:
    """Returns the 12 attributes with their values in the order of the published ids."""
    return AttributeSpace.from_dict({n: a["values"] for n, a in _attributes().items()})


def read(options: Shopping100kOptions) -> Source:
    """Returns what the files of Shopping100k say, with the splits of ADDE if `splits_dir` is set.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for a row that is not as published, an id out of range, an
        image that occurs twice or not in every file.
    """
    folder = Path(options.source_dir).expanduser()
    if options.splits_dir:
        source_files.check_folder(folder, [f"{IMAGES}/"], "Shopping100k")
        splits_dir = Path(options.splits_dir).expanduser()
        return adde.read(splits_dir, folder / IMAGES, attribute_space())
    expected = [f"{IMAGES}/", *(f"Attributes/{a['file']}" for a in _attributes().values())]
    source_files.check_folder(folder, expected, "Shopping100k")
    return Source(
        space=attribute_space(),
        records=_read_records(folder / "Attributes"),
        images_dir=folder / IMAGES,
        max_lost=_MAX_LOST,
        notes=("the published archive has 100,586 images; the papers say 101,021",),
    )


def _read_records(folder: Path) -> list[Record]:
    """Returns one record per image, in the order of the first file; `line` is its line there."""
    columns: list[dict[str, str]] = []
    first = Path()
    for attribute in _attributes().values():
        path = folder / attribute["file"]
        column = _read_column(path, attribute["values"])
        if columns:
            source_files.check_same_images(path, column, first, columns[0])
        else:
            first = path
        columns.append(column)
    return [
        Record(line, image, tuple(column[image] for column in columns))
        for line, image in enumerate(columns[0], 1)
    ]


def _read_column(path: Path, values: list[str]) -> dict[str, str]:
    """Returns the value name of each image in one file, '' for -1."""
    pairs = []
    for line, text in enumerate(source_files.read_lines(path), 1):
        image, _, number = text.rpartition(" ")  # folder names may hold blanks
        if not image:
            raise ValueError(
                f"{path} line {line} must read '<path of the image> <value>'; got {text!r}."
            )
        top = len(values) - 1
        value = source_files.parse_integer(path, line, number, MISSING, top, "the value")
        pairs.append((image.strip(), "" if value == MISSING else values[value]))
    source_files.check_unique(path, (image for image, _ in pairs))
    return dict(pairs)


@functools.cache
def _attributes() -> dict[str, dict]:
    return read_packaged_json(__package__, "values.json")["attributes"]


_COUNTS = {"images": 101_021, "attributes": 12, "values": 151}  # of the paper
READER = Reader(Shopping100k, Shopping100kOptions, read, _COUNTS | PAPER_SPLITS)
