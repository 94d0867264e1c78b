"""The flags that say how a shop's CSV is read: shared by prepare_data.py and build_index.py."""

from collections.abc import Sequence
from typing import Any

from absl import flags

from fashionsearchnet.data.catalogue.table import TableFormat
from fashionsearchnet.data.catalogue.values import MISSING_CELLS

FLAGS = flags.FLAGS
NAMES = (
    *("csv", "images_dir", "image_column", "encoding", "delimiter", "missing_cells"),
    *("value_separator", "ragged", "group_column", "show_columns"),
)


def define() -> None:
    """Defines the flags."""
    _define_table()
    _define_columns()


def _define_table() -> None:
    flags.DEFINE_string("csv", "", "Table of the images: a CSV file with a header.")
    flags.DEFINE_string(
        "images_dir", "", "Folder of the images; names in --image_column are relative to it."
    )
    flags.DEFINE_string(
        "image_column",
        "image",
        "Column of image files; names may leave out a suffix such as .jpg.",
    )
    flags.DEFINE_string(
        "encoding", "", "Encoding of the CSV, such as cp1252 or utf-16. Default: UTF-8."
    )
    flags.DEFINE_string(
        "delimiter", ",", "Character between the cells of the CSV; 'tab' for a tabulator."
    )
    flags.DEFINE_list(
        "missing_cells",
        list(MISSING_CELLS),
        "Texts of a missing value in the CSV, compared without case.",
    )
    flags.DEFINE_enum(
        "ragged",
        "drop",
        ["drop", "trim"],
        "Rows with more cells than the header: drop reports them; trim reads the surplus as a part "
        "of the last column, where a text has commas without quotation marks.",
    )


def _define_columns() -> None:
    flags.DEFINE_string(
        "value_separator",
        "",
        "Text between several values in a cell, such as | in Black|Red. The first value counts, in "
        "training and for hits.",
    )
    flags.DEFINE_string(
        "group_column",
        "",
        "Column of product ids, where a product has several images: they stay in one split, and an "
        "evaluation counts a product once.",
    )
    flags.DEFINE_list(
        "show_columns",
        [],
        "Columns that the search shows of an item, such as title,price,link. No model sees them.",
    )


def options() -> dict[str, Any]:
    """Returns the flags as options of a catalogue, without the path of the table."""
    return dict(
        images_dir=FLAGS.images_dir,
        image_column=FLAGS.image_column,
        encoding=FLAGS.encoding,
        delimiter="\t" if FLAGS.delimiter in ("tab", r"\t") else FLAGS.delimiter,
        missing_cells=tuple(FLAGS.missing_cells),
        value_separator=FLAGS.value_separator,
        ragged=FLAGS.ragged,
        group_column=FLAGS.group_column,
        show_columns=tuple(FLAGS.show_columns),
    )


def table_format(fold_case: bool = False) -> TableFormat:
    """Returns how the table of the flags is written."""
    return TableFormat(
        encoding=FLAGS.encoding,
        delimiter="\t" if FLAGS.delimiter in ("tab", r"\t") else FLAGS.delimiter,
        missing_cells=tuple(FLAGS.missing_cells),
        value_separator=FLAGS.value_separator,
        fold_case=fold_case,
        ragged=FLAGS.ragged,
    )


def check_unused(names: Sequence[str], cure: str) -> None:
    """Raises a ValueError if one of these flags is given, with the cure."""
    given = [name for name in names if FLAGS[name].present]
    if given:
        raise ValueError(f"--{given[0]} {cure}")
