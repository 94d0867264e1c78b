import itertools

import numpy as np
import pytest

from fashionsearchnet.attributes import (
    AttributeSpace,
    NameProblem,
    apply_manipulation,
    edit_blocks,
    one_hot_blocks,
    parse_manipulation,
    parse_pair,
    predicted_values,
    softmax_blocks,
)


def test_sizes_and_offsets(space):
    assert space.num_attributes == 3
    assert space.num_values == (3, 2, 4)
    assert space.total_values == 9
    assert space.offsets == (0, 3, 5)


def test_a_space_without_values():
    space = AttributeSpace.from_dict({"colour": [], "size": []})
    assert not space.has_values and (space.num_values, space.total_values) == ((0, 0), 0)
    assert AttributeSpace.from_dict({"colour": ["red", "green"]}).has_values


def test_a_space_of_one_attribute():
    space = AttributeSpace.from_dict({"colour": ["red", "green"]})
    assert (space.offsets, space.total_values) == ((0,), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "at least one attribute"),
        ({"colour": ["red"]}, "at least two values"),
        ({"colour": [], "size": ["S", "M"]}, "at least two values"),
        ({"colour": ["red", "red"]}, "'red' occurs twice"),
        ({"colour": ["red", " "]}, "non-empty"),
        ({"": ["red", "green"]}, "non-empty"),
        ({"size": [1, 2]}, "got 1"),
    ],
)
def test_a_space_that_cannot_be(content, message):
    with pytest.raises(ValueError, match=message):
        AttributeSpace.from_dict(content)


def test_names_and_values_of_unequal_length():
    with pytest.raises(ValueError, match="2 names and 1 lists"):
        AttributeSpace(("a", "b"), (("x", "y"),))


def test_a_space_survives_a_file(space, tmp_path):
    with_accents = AttributeSpace.from_dict({**space.to_dict(), "matière": ["coton", "黒"]})
    path = tmp_path / "folder" / "space.json"
    with_accents.save(path)
    assert AttributeSpace.load(path) == with_accents
    assert AttributeSpace.from_dict(space.to_dict()) == space


def test_files_that_hold_no_space(tmp_path):
    path = tmp_path / "space.json"
    with pytest.raises(FileNotFoundError, match=r"space\.json does not exist"):
        AttributeSpace.load(path)
    for text in ('["colour"]', '{"colour": "red"}', '{"colour": 3}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="map each attribute name to its list"):
            AttributeSpace.load(path)
    path.write_text('{"colour": ["re')
    with pytest.raises(ValueError, match="is not JSON"):
        AttributeSpace.load(path)


def test_the_fingerprint_tells_spaces_apart(space):
    content = space.to_dict()
    others = [
        dict(reversed(content.items())),
        {**content, "colour": ["green", "red", "blue"]},
        {**content, "colour": ["red", "green"]},
        {**content, "colour": ["red", "green", "blau"]},
        {"color" if k == "colour" else k: v for k, v in content.items()},
    ]
    prints = [AttributeSpace.from_dict(c).fingerprint for c in [content, *others]]
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 16 for p in prints)
    assert AttributeSpace.from_dict(content).fingerprint == space.fingerprint


def test_names_to_indices_and_back(space):
    assert space.attribute_index("sleeve") == 1
    assert space.value_index("neckline", "boat") == 2
    assert space.value_name(2, 2) == "boat"
    assert space.value_name(2, -1) == "-"


def test_misspelt_names_are_answered_with_a_suggestion(space):
    with pytest.raises(ValueError, match=r"did you mean colour\?.*colour, sleeve, neckline"):
        space.attribute_index("Color")
    with pytest.raises(ValueError, match=r"did you mean v-neck\?.*round, v-neck, boat, square"):
        space.value_index("neckline", "vneck")


def test_check_same_says_what_differs(space):
    content = space.to_dict()
    space.check_same(AttributeSpace.from_dict(content), "here", "there")
    cases = [
        ({**content, "fit": ["slim", "wide"]}, "'fit' is only in there"),
        ({k: v for k, v in content.items() if k != "sleeve"}, "'sleeve' is only in here"),
        ({**content, "sleeve": ["short", "none"]}, "'sleeve' differs in long, none"),
        ({**content, "sleeve": ["long", "short"]}, "'sleeve' differs in their order"),
        (dict(reversed(content.items())), "the order of the attributes"),
    ]
    for other, message in cases:
        with pytest.raises(ValueError, match=message):
            space.check_same(AttributeSpace.from_dict(other), "here", "there")


def test_edits_are_parsed(space):
    manipulation = parse_manipulation(space, ["neckline=v-neck", " colour = blue "])
    np.testing.assert_array_equal(manipulation, [2, -1, 1])
    assert manipulation.dtype == np.int32
    np.testing.assert_array_equal(parse_manipulation(space, []), [-1, -1, -1])


def test_an_edit_may_hold_an_equals_sign_in_its_value():
    space = AttributeSpace.from_dict({"dose": ["a=1", "a=2"]})
    np.testing.assert_array_equal(parse_manipulation(space, ["dose=a=2"]), [1])


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (["neckline"], "attribute=value.*got 'neckline'"),
        ([""], "attribute=value"),
        (["neck=v-neck"], "no attribute 'neck'"),
        (["neckline=v"], "no value 'v'"),
        (["neckline="], "no value ''"),
        (["colour=red", "colour=blue"], "set twice"),
        (["colour=red", "colour=red"], "set twice"),
    ],
)
def test_edits_that_cannot_be(space, edits, message):
    with pytest.raises(ValueError, match=message):
        parse_manipulation(space, edits)


def test_apply_manipulation_broadcasts():
    values = np.array([[0, 1, 2], [-1, 0, 3]])
    edited = apply_manipulation(values, np.array([-1, 1, -1]))
    np.testing.assert_array_equal(edited, [[0, 1, 2], [-1, 1, 3]])
    edits = np.array([[-1, -1, -1], [2, -1, -1]])
    np.testing.assert_array_equal(
        apply_manipulation(values[:, None], edits[None]),
        [[[0, 1, 2], [2, 1, 2]], [[-1, 0, 3], [2, 0, 3]]],
    )


def test_one_hot_blocks_of_every_combination(space):
    choices = [range(-1, size) for size in space.num_values]
    values = np.array(list(itertools.product(*choices)))
    flat = one_hot_blocks(space, values.reshape(4, 3, 5, 3))
    assert flat.shape == (4, 3, 5, 9) and flat.dtype == np.float32
    for row, vector in zip(values, flat.reshape(-1, 9), strict=True):
        expected = np.zeros(9)
        for offset, value in zip(space.offsets, row, strict=True):
            if value >= 0:
                expected[offset + value] = 1.0
        np.testing.assert_array_equal(vector, expected)


def test_softmax_blocks_and_predicted_values(space):
    logits = np.random.default_rng(0).normal(0, 3, (5, 9)).astype(np.float32)
    logits[0, :3] = 900.0  # does not overflow
    probabilities = softmax_blocks(space, logits)
    for offset, size in zip(space.offsets, space.num_values, strict=True):
        block = np.exp(logits[1:, offset : offset + size])
        expected = block / block.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities[1:, offset : offset + size], expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities[0, :3], 1 / 3)
    values = predicted_values(space, logits)
    assert values[1].tolist() == [
        logits[1, :3].argmax(), logits[1, 3:5].argmax(), logits[1, 5:].argmax(),
    ]  # fmt: skip


def test_edit_blocks_changes_only_the_edited_block(space):
    probabilities = np.full((2, 9), 0.5, np.float32)
    edited = edit_blocks(space, probabilities, np.array([[2, -1, -1], [-1, 0, -1]]))
    np.testing.assert_array_equal(edited[0], [0, 0, 1, *[0.5] * 6])
    np.testing.assert_array_equal(edited[1], [*[0.5] * 3, 1, 0, *[0.5] * 4])
    assert (probabilities == 0.5).all()


def test_names_are_found_in_other_spellings():
    colours = ["Red", "gr\u00fcn", "navy blue"]
    space = AttributeSpace.from_dict({"Colour": colours, "kind": ["a", "A"]})
    for name in ("red", " RED ", "Red\u200b", "r\u200bed"):
        assert space.value_index("colour", name) == 0
    assert space.value_index("Colour", "gru\u0308n") == 1
    assert space.value_index("COLOUR", "Navy  Blue") == 2
    # A name as it is written wins; where two differ in case only, no other spelling finds one.
    assert [space.value_index("kind", value) for value in ("a", "A")] == [0, 1]
    assert parse_pair(space, "colour=red") == (0, 0)
    space = AttributeSpace.from_dict({"kind": ["Ab", "aB"]})
    with pytest.raises(NameProblem, match="has no value 'ab'"):
        space.value_index("kind", "ab")
