"""DARN: photos of upper-body clothes from shops, the paper's 9 attributes with 179 values.

[Huang15] J. Huang et al., "Cross-domain Image Retrieval with a Dual Attribute-aware Ranking
Network", ICCV 2015. The authors published addresses of images. Many are gone (the paper has
272,711 images, ASEN 214,619). The format of the authors' own label files could not be verified. Two
layouts are read:

* plain: `labels.csv` with the columns `image` and the nine attributes, the paths relative to
  `images/`; a cell is the name or number of a value, and blank or -1 for a missing label;
* ASEN's (see `preparation.asen_lists`), the only public copy of the labels whose format is known.
  It counts 185 values.
"""

import dataclasses
from pathlib import Path

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.catalogue.table import TableColumns, TableFormat, read_table
from fashionsearchnet.data.catalogue.values import MISSING_CELLS
from fashionsearchnet.data.preparation import asen_lists, source_files
from fashionsearchnet.data.preparation.options import PAPER_SPLITS, SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import Record, count_values
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder

_LABELS, _IMAGES = "labels.csv", "images/"
# [Huang15] as a public survey of data sets counts it: 179. ASEN's copy has one value more of each
# attribute but category, and color, where it has one less.
_NUM_VALUES = {
    "category": 20,
    "button": 12,
    "color": 56,
    "length": 6,
    "pattern": 27,
    "shape": 10,
    "collar": 25,
    "sleeve_length": 7,
    "sleeve_shape": 16,
}


# Of ASEN's copy, in the order of the attributes' numbers there.
_ASEN_NUM_VALUES = {
    "category": 20,
    "button": 13,
    "color": 55,
    "length": 7,
    "pattern": 28,
    "shape": 11,
    "collar": 26,
    "sleeve_length": 8,
    "sleeve_shape": 17,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DarnOptions(SourceOptions):
    """Options of the preparation of DARN.

    Attributes:
      asen_splits: take the splits of ASEN's lists, in place of splits by seed.
    """

    asen_splits: bool = False


class Darn(PreparedBuilder):
    """DARN: photos of upper-body clothes from shops, 9 attributes with 179 values."""

    name = "darn"


def read(options: DarnOptions) -> Source:
    """Returns what the files say, in either layout.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for a format that is neither layout.
    """
    folder = Path(options.source_dir).expanduser()
    space = asen_lists.numbered_space(_ASEN_NUM_VALUES)
    if options.asen_splits:
        return asen_lists.read_with_splits(folder, space, "DARN", several_values=True, max_lost=1)
    if (folder / asen_lists.MARKER).is_file() and not (folder / _LABELS).is_file():
        source_files.check_folder(folder, asen_lists.FILES, "ASEN's copy of DARN")
        records, notes = asen_lists.read(folder, space, several_values=True)
        notes = ["ASEN's copy of the labels: 185 values where the papers have 179", *notes]
        return Source(
            space=space, records=records, images_dir=folder, max_lost=1, notes=tuple(notes)
        )
    what = f"DARN in the plain layout (or in ASEN's, with {', '.join(asen_lists.FILES)})"
    source_files.check_folder(folder, [_LABELS, _IMAGES], what)
    records = _read_records(folder / _LABELS)
    space = _attribute_space(folder / _LABELS, records)
    note = "the format of the authors' label files is not public: the values are those of your file"
    return Source(
        space=space, records=records, images_dir=folder / _IMAGES, max_lost=1, notes=(note,)
    )


def _read_records(path: Path) -> list[Record]:
    columns = TableColumns(image="image", attributes=tuple(_NUM_VALUES))
    how = TableFormat(missing_cells=(*MISSING_CELLS, "-1"), fill_short=False)
    table = read_table(path, columns, how)
    if table.drops:
        first = table.drops[0]
        raise ValueError(f"{path} line {first.record.line}: {first.reason}.")
    lines = [record.line for record in table.records]
    source_files.check_unique(path, [record.image for record in table.records], lines)
    return table.records


def _attribute_space(path: Path, records: list[Record]) -> AttributeSpace:
    """Returns the values that occur, numbers in their order.

    Raises:
      ValueError: if an attribute has more values than were published, or fewer than two.
    """
    values = {}
    for name, counts in count_values(records, list(_NUM_VALUES)).items():
        if len(counts) > _NUM_VALUES[name]:
            raise ValueError(
                f"{path}: {name} has {len(counts)} values, such as {', '.join(list(counts)[:5])}; "
                f"DARN has {_NUM_VALUES[name]}. Is that another column?"
            )
        if len(counts) < 2:
            raise ValueError(
                f"{path}: {name} holds {', '.join(counts) or 'missing labels'} only, where DARN "
                f"has {_NUM_VALUES[name]} values; each of the nine columns must hold at least "
                "two. Is the file complete?"
            )
        values[name] = sorted(counts, key=_number_or_name)
    return AttributeSpace.from_dict(values)


def _number_or_name(value: str) -> tuple[bool, int]:
    """Returns what sorts numbers by size, and names behind them in their order."""
    return (False, int(value)) if value.isdecimal() else (True, 0)


_COUNTS = {"images": 272_711, "attributes": 9, "values": 179}  # of the paper
READER = Reader(Darn, DarnOptions, read, _COUNTS | PAPER_SPLITS)
