"""FashionAI: photos of women's clothes; each is labelled for one of 8 attributes with 54 values.

X. Zou et al., "FashionAI: A Hierarchical Dataset for Fashion Understanding", CVPRW 2019. Two
layouts are read:

* ASEN's lists (see `preparation.asen_lists`) in a folder FashionAI beside `meta.json`, with their
  splits;
* the original rows, `Annotations/*.csv`: `Images/<attribute>_labels/<image>.jpg,
  <attribute>_labels,nnnnnynn`, a letter per value: y for yes, m for maybe, n for no. The splits are
  by seed then.

An image says nothing of the other attributes, so no edit of it can be checked: the data set is for
retrieval by attribute.
"""

from pathlib import Path

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation import asen_lists, source_files
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.preparation.reader import Reader
from fashionsearchnet.data.preparation.records import Drop, Record
from fashionsearchnet.data.preparation.source import Source
from fashionsearchnet.data.preparation.storing import PreparedBuilder

_LISTS, _ROWS = "FashionAI", "Annotations"
_SUFFIX = "_labels"  # of an attribute in the original rows
# In the order of the attributes' numbers in ASEN's lists.
_NUM_VALUES = {
    "skirt_length": 6,
    "sleeve_length": 9,
    "coat_length": 8,
    "pant_length": 6,
    "collar_design": 5,
    "lapel_design": 5,
    "neckline_design": 10,
    "neck_design": 5,
}
_INVISIBLE = "invisible"  # the first value of each attribute


class FashionAI(PreparedBuilder):
    """FashionAI: photos of women's clothes, each labelled for one of 8 attributes."""

    name = "fashionai"


def read(options: SourceOptions) -> Source:
    """Returns what the files say, in either layout.

    Raises:
      OSError: if a folder or file is missing; the message names it and lists what is there.
      ValueError: naming file and line, for a format that is neither layout.
    """
    folder = Path(options.source_dir).expanduser()
    if (folder / _LISTS / asen_lists.MARKER).is_file():
        space = asen_lists.read_space(folder / asen_lists.META, _LISTS, _NUM_VALUES)
        return asen_lists.read_with_splits(folder / _LISTS, space, "FashionAI")
    lists = f"{_LISTS}/{asen_lists.MARKER} and {asen_lists.META}"
    what = f"FashionAI in its original rows (or in ASEN's lists, with {lists})"
    source_files.check_folder(folder, [f"{_ROWS}/", "Images/"], what)
    return _read_rows(folder)


def _read_rows(folder: Path) -> Source:
    """Returns what the original rows say."""
    paths = sorted((folder / _ROWS).glob("*.csv"))
    if not paths:
        found = source_files.list_folder(folder / _ROWS)
        raise FileNotFoundError(f"{folder / _ROWS} must hold tables *.csv; found {found}.")
    space = AttributeSpace.from_dict(
        {
            name: [_INVISIBLE, *(f"value_{v:02}" for v in range(1, num))]
            for name, num in _NUM_VALUES.items()
        }
    )
    records: list[Record] = []
    drops: list[Drop] = []
    for path in paths:
        for line, text in enumerate(source_files.read_lines(path), 1):
            record, problem = _read_row(path, line, text, space)
            if problem:
                drops.append(Drop(record, "no single value", problem))
            else:
                records.append(record)
    images = [record.image for record in records]
    source_files.check_unique(folder / _ROWS, images, place="row")
    return Source(
        space=space,
        records=records,
        images_dir=folder,
        max_lost=0.01,
        drops=drops,
        notes=("the original rows: values have numbers, and the splits are by seed",),
    )


def _read_row(path: Path, line: int, text: str, space: AttributeSpace) -> tuple[Record, str]:
    """Returns the image of a row with its label, and why it cannot be used; '' if it can.

    Raises:
      ValueError: if it is no row of FashionAI.
    """
    cells = [cell.strip() for cell in text.split(",")]
    names = [name + _SUFFIX for name in space.names]
    if len(cells) != 3 or cells[1] not in names:
        raise ValueError(
            f"{path} line {line} must be <image>,<attribute>,<letters> with an attribute of "
            f"{', '.join(names)}; got {text[:80]!r}."
        )
    attribute = names.index(cells[1])
    number, letters = space.num_values[attribute], cells[2]
    if len(letters) != number or set(letters) - set("ynm"):
        raise ValueError(
            f"{path} line {line}: {cells[1]} must have {number} letters y, n or m, one per value; "
            f"got {letters[:40]!r}."
        )
    values = [""] * space.num_attributes
    problem = ""
    if letters.count("y") == 1:
        values[attribute] = space.values[attribute][letters.index("y")]
    else:
        problem = f"{letters} has {letters.count('y')} values with y; one is needed"
    return Record(line, cells[0], tuple(values)), problem


_COUNTS = {"attributes": 8, "values": 54}  # of ASEN's copy
READER = Reader(FashionAI, SourceOptions, read, _COUNTS)
