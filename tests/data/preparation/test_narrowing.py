"""Some attributes of a source, and the most frequent values of each."""

from pathlib import Path

import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation.narrowing import narrow
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.source import Source

CELLS = [
    ("red", "a", "x"),
    ("red", "b", ""),
    ("blue", "b", "y"),
    ("green", "c", "y"),
    ("", "b", "x"),
]


def source(**arguments):
    records = [Record(line, f"{line}.jpg", values) for line, values in enumerate(CELLS, 1)]
    return Source(records=records, images_dir=Path("images"), max_lost=0.0, **arguments)


SPACE = AttributeSpace.from_dict(
    {"colour": ["green", "blue", "red"], "kind": ["c", "b", "a"], "size": ["y", "x"]}
)


def test_frequent_values_in_the_order_of_the_source():
    found = narrow(source(space=SPACE), ("kind", "colour"), 2)
    # Kinds a and c are equally frequent; c comes first. So do green and blue.
    assert found.space is not None
    assert found.space.to_dict() == {"kind": ["c", "b"], "colour": ["green", "red"]}
    values = [record.values for record in found.records]
    assert values == [("", "red"), ("b", "red"), ("b", ""), ("c", "green"), ("b", "")]


def test_all_is_left_as_it_is():
    plain = source(space=SPACE)
    assert narrow(plain) is plain


def test_a_catalogue_has_the_values_that_occur():
    found = narrow(source(attributes=("colour", "kind", "size")), (), 2)
    assert found.space is None and found.attributes == ("colour", "kind", "size")
    assert {record.values[1] for record in found.records} == {"a", "b", ""}


@pytest.mark.parametrize(
    ("attributes", "top_values", "message"),
    [
        (("shape",), 0, "attributes must be one of colour, kind, size; got 'shape'"),
        (("kind", "kind"), 0, "attributes must differ; got kind, kind"),
        ((), 1, "top_values must be at least 2"),
    ],
)
def test_what_is_refused(attributes, top_values, message):
    with pytest.raises(ValueError, match=message):
        narrow(source(space=SPACE), attributes, top_values)


def test_listed_edits_need_all_attributes():
    with pytest.raises(ValueError, match=r"a source that brings manipulations.json"):
        narrow(source(space=SPACE, extras={"manipulations.json": []}), ("kind",))
