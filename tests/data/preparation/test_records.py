import numpy as np
import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.preparation import records
from fashionsearchnet.data.preparation.records import Record


def test_unite_records():
    found = [
        Record(2, "a", ("red", "")),
        Record(3, "b", ("blue", "shirt")),
        Record(4, "c", ("red", "skirt")),
        Record(5, "d", ("green", "skirt")),
    ]
    kept, drops, contradictions = records.unite_records(
        found, ["x", "y", "x", "x"], ["colour", "kind"], "identical file"
    )
    assert kept == [Record(2, "a", ("", "skirt")), found[1]]
    assert [drop.record.line for drop in drops] == [4, 5]
    assert "the same as a of line 2; they contradict each other on colour" in drops[0].reason
    assert [(c.attribute, c.values) for c in contradictions] == [("colour", ("red", "green"))]


def test_drop_rare_values_counts_once():
    names = ["colour", "kind"]
    texts = ["red shirt"] * 3 + ["blue shirt"] * 2 + ["blue skirt"] * 2 + ["red cape"]
    found = [Record(i, str(i), tuple(text.split())) for i, text in enumerate(texts)]
    found.append(Record(8, "8", ("", "skirt")))
    # Before any row is dropped: shirt 5, skirt 3, cape 1; red 4, blue 4.
    kept, _ = records.drop_rare_values(found, names, 4)
    with pytest.raises(ValueError, match="'kind' has fewer than two values left in the 5 images"):
        records.check_values(found, kept, names, 4)
    same = [Record(i, str(i), ("red", "shirt")) for i in range(3)]
    with pytest.raises(ValueError, match="'colour' has only the value 'red' in the whole table"):
        records.check_values(same, same, names, 1)
    kept, drops = records.drop_rare_values(found, names, 3)
    assert [drop.record.line for drop in drops] == [7]
    assert "kind 'cape' has 1 images; the minimum is 3" in drops[0].reason
    assert records.count_values(kept, names) == {
        "colour": {"blue": 4, "red": 3},
        "kind": {"shirt": 5, "skirt": 3},
    }
    space = records.attribute_space(kept, names)
    assert space.values == (("blue", "red"), ("shirt", "skirt"))
    labels = records.encode_values(kept, space)
    assert labels.dtype == np.int32
    assert labels[0].tolist() == [1, 0] and labels[-1].tolist() == [-1, 1]


def test_values_are_listed_by_their_number():
    counts = {"tan": 1, "red": 1_200, "blue": 3, "grey": 2}
    assert records.list_counts(counts) == "red 1,200, blue 3, grey 2, tan 1"
    assert records.list_counts(counts, 2) == "red 1,200, blue 3 and 2 more values (3)"
    assert records.list_counts(counts, 4) == records.list_counts(counts)


def test_decoded_labels_are_encoded_to_the_same():
    space = AttributeSpace.from_dict({"colour": ["red", "blue"], "kind": ["a", "b", "c"]})
    labels = np.array([[0, 2], [-1, 1], [1, -1]], np.int32)
    found = records.decode_labels(["x", "y", "z"], labels, space, first_line=3)
    assert found[1] == Record(4, "y", ("", "b"))
    np.testing.assert_array_equal(records.encode_values(found, space), labels)


def test_known_values_keeps_the_spelling_of_a_space():
    space = AttributeSpace.from_dict({"colour": ["Red", "blue"], "kind": ["a", "b"]})
    found = [Record(2, "x", ("red", "c")), Record(3, "y", ("", "a")), Record(4, "z", ("blue", "c"))]
    known, unknown = records.known_values(found, space)
    assert [record.values for record in known] == [("Red", ""), ("", "a"), ("blue", "")]
    assert unknown == {"kind": {"c": 2}}
