import itertools

import numpy as np
import pytest

from fashionsearchnet.attributes import HIT_RULES
from fashionsearchnet.data.dataset import ListedEdits
from fashionsearchnet.evaluation.tasks.manipulation import enumeration, hits
from fashionsearchnet.evaluation.tasks.manipulation.enumeration import (
    enumerate_manipulations,
    listed_manipulations,
)
from fashionsearchnet.evaluation.tasks.manipulation.hits import Gallery

# Two attributes: colour (0 red, 1 blue, 2 green), sleeve (0 short, 1 long; -1 trousers have none).
GALLERY = np.array([[0, 0], [1, 0], [1, 0], [1, 1], [2, -1], [0, -1]], np.int32)
QUERIES = np.array([[0, 0], [2, -1], [2, 1]], np.int32)


def as_set(manipulations):
    """Returns (query, attribute, value) of single changes."""
    attribute = manipulations.group
    value = manipulations.edits[np.arange(len(manipulations)), attribute]
    columns = (manipulations.query, attribute, value)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def edits_of(manipulations):
    """Returns (query, edits)."""
    return list(
        zip(manipulations.query.tolist(), map(tuple, manipulations.edits.tolist()), strict=True)
    )


def test_counted_by_hand_with_identical():
    # (0,0): colour -> blue exists, green short does not; sleeve -> red long does not.
    # (2,-1): colour -> red exists without sleeve; its sleeve is missing, so it is not replaced.
    # (2,1): colour -> blue long exists; sleeve -> green short does not.
    manipulations = enumerate_manipulations(QUERIES, Gallery(GALLERY), "identical")
    assert as_set(manipulations) == {(0, 0, 1), (1, 0, 0), (2, 0, 1)}
    np.testing.assert_array_equal(manipulations.targets, [[1, 0], [0, -1], [1, 1]])
    np.testing.assert_array_equal(manipulations.edits, [[1, -1], [0, -1], [1, -1]])
    assert manipulations.num_available == (3, 0)
    assert manipulations.num_added == 0
    gallery = Gallery(GALLERY)
    np.testing.assert_array_equal(
        gallery.num_relevant(manipulations.targets, "identical"), [2, 1, 1]
    )


def test_counted_by_hand_with_labelled():
    # (2,-1) states its colour only: red and blue exist, whatever the sleeve.
    manipulations = enumerate_manipulations(QUERIES, Gallery(GALLERY), "labelled")
    assert as_set(manipulations) == {(0, 0, 1), (1, 0, 0), (1, 0, 1), (2, 0, 1)}
    gallery = Gallery(GALLERY)
    np.testing.assert_array_equal(
        gallery.num_relevant(manipulations.targets, "labelled"), [2, 2, 3, 1]
    )
    np.testing.assert_array_equal(
        gallery.relevant(np.array([[0, -1]]), "labelled"), [[1, 0, 0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(
        gallery.relevant(np.array([[0, -1]]), "identical"), [[0, 0, 0, 0, 0, 1]]
    )


def test_adding_a_missing_value():
    queries = np.array([[1, -1]], np.int32)
    manipulations = enumerate_manipulations(queries, Gallery(GALLERY), add_missing=True)
    assert as_set(manipulations) == {(0, 0, 0), (0, 0, 2), (0, 1, 0), (0, 1, 1)}
    assert manipulations.num_added == 2
    assert enumerate_manipulations(queries, Gallery(GALLERY)).num_added == 0


def slow_manipulations(queries, gallery, num_values, hit_rule, add_missing, num_changes=1):
    """Returns (query, edits), in order, by trying every set of attributes and every value."""
    found = []
    for attributes in itertools.combinations(range(len(num_values)), num_changes):
        for q, labels in enumerate(queries):
            if not add_missing and any(labels[a] == -1 for a in attributes):
                continue
            choices = [sorted(set(range(num_values[a])) - {int(labels[a])}) for a in attributes]
            for wanted in itertools.product(*choices):
                edits, target = [-1] * len(num_values), labels.copy()
                for a, value in zip(attributes, wanted, strict=True):
                    edits[a] = target[a] = value
                if any(slow_is_hit(target, item, hit_rule) for item in gallery):
                    found.append((q, tuple(edits)))
    return found


def slow_is_hit(target, item, hit_rule):
    pairs = zip(target, item, strict=True)
    return all(t == i or (hit_rule == "labelled" and t == -1) for t, i in pairs)


@pytest.mark.parametrize("num_changes", [1, 2, 3])
@pytest.mark.parametrize(("hit_rule", "add_missing"), itertools.product(HIT_RULES, (False, True)))
def test_enumeration_equals_plain_loops(num_changes, hit_rule, add_missing, monkeypatch):
    monkeypatch.setattr(enumeration, "CHUNK_CELLS", 500)  # several blocks
    generator = np.random.default_rng(num_changes)
    num_values = (2, 3, 3, 2)
    draw = [np.maximum(generator.integers(-2, size, 50), -1) for size in num_values]
    labels = np.stack(draw, axis=1).astype(np.int32)
    queries, gallery = labels[:15], labels[15:]
    manipulations = enumerate_manipulations(
        queries, Gallery(gallery), hit_rule, add_missing, num_changes=num_changes
    )
    expected = slow_manipulations(queries, gallery, num_values, hit_rule, add_missing, num_changes)
    assert edits_of(manipulations) == expected
    counts = np.bincount(manipulations.group, minlength=len(manipulations.groups))
    assert counts.tolist() == list(manipulations.num_available)
    for group, edits in zip(manipulations.group, manipulations.edits, strict=True):
        assert manipulations.groups[group] == tuple(np.flatnonzero(edits >= 0))
    np.testing.assert_array_equal(
        manipulations.targets,
        np.where(manipulations.edits >= 0, manipulations.edits, queries[manipulations.query]),
    )
    added = (manipulations.edits >= 0) & (queries[manipulations.query] == -1)
    assert manipulations.num_added == added.any(axis=1).sum()
    assert add_missing == (manipulations.num_added > 0)

    relevant = Gallery(gallery).relevant(manipulations.targets, hit_rule)
    expected_hits = [
        [slow_is_hit(target, item, hit_rule) for item in gallery]
        for target in manipulations.targets
    ]
    np.testing.assert_array_equal(relevant, expected_hits)
    np.testing.assert_array_equal(
        Gallery(gallery).num_relevant(manipulations.targets, hit_rule), np.sum(expected_hits, 1)
    )
    share = hits.relevance(manipulations.targets[:, None], gallery[None], hit_rule)
    np.testing.assert_array_equal(share == 1.0, expected_hits)
    np.testing.assert_allclose(
        Gallery(gallery).mean_gain(manipulations.targets, hit_rule), (2**share - 1).mean(axis=1)
    )


def test_relevance_by_hand():
    target, items = np.array([[1, -1, 2]]), np.array([[1, -1, 0], [1, 3, 2], [0, 0, 0]])
    np.testing.assert_allclose(hits.relevance(target, items, "identical"), [2 / 3, 2 / 3, 0])
    np.testing.assert_allclose(hits.relevance(target, items, "labelled"), [1 / 2, 1, 0])


def test_two_changes_counted_by_hand():
    # (0,0) red short: blue long exists. (2,1) green long: red short and blue short exist.
    # (2,-1) has only one value to replace.
    manipulations = enumerate_manipulations(QUERIES, Gallery(GALLERY), num_changes=2)
    assert edits_of(manipulations) == [(0, (1, 1)), (2, (0, 0)), (2, (1, 0))]
    assert manipulations.groups == ((0, 1),)
    assert manipulations.group_names(("colour", "sleeve")) == ("colour + sleeve",)
    filled = enumerate_manipulations(QUERIES, Gallery(GALLERY), add_missing=True, num_changes=2)
    assert edits_of(filled) == [
        (0, (1, 1)), (1, (0, 0)), (1, (1, 0)), (1, (1, 1)), (2, (0, 0)), (2, (1, 0)),
    ]  # fmt: skip
    assert filled.num_added == 3


@pytest.mark.parametrize(("hit_rule", "add_missing"), [("identical", False), ("labelled", True)])
def test_a_draw_is_a_part_of_all_and_counts_all(hit_rule, add_missing, monkeypatch):
    labels = np.random.default_rng(0).integers(-1, 3, (80, 5)).astype(np.int32)
    gallery = Gallery(labels[20:])
    how = {"hit_rule": hit_rule, "add_missing": add_missing, "num_changes": 3}
    everything = enumerate_manipulations(labels[:20], gallery, **how)
    monkeypatch.setattr(enumeration, "CHUNK_CELLS", 700)  # the blocks do not matter to the draw
    drawn = enumerate_manipulations(labels[:20], gallery, max_per_group=2, seed=3, **how)
    assert drawn.groups == everything.groups == tuple(itertools.combinations(range(5), 3))
    assert drawn.num_available == everything.num_available
    counts = np.bincount(drawn.group, minlength=10)
    np.testing.assert_array_equal(counts, np.minimum(everything.num_available, 2))
    assert set(edits_of(drawn)) < set(edits_of(everything))
    keys = list(zip(drawn.group, edits_of(drawn), strict=True))
    assert keys == sorted(keys)
    other = enumerate_manipulations(labels[:20], gallery, max_per_group=2, seed=4, **how)
    assert edits_of(other) != edits_of(drawn)


def test_the_draw_of_single_changes_stays_what_published_figures_were_measured_with():
    labels = np.array(list(itertools.product(range(3), range(5))), np.int32)
    gallery = Gallery(labels)
    everything = enumerate_manipulations(labels, gallery)
    drawn = enumerate_manipulations(labels, gallery, max_per_group=4, seed=7)
    for attribute in range(2):
        members = np.flatnonzero(everything.group == attribute)
        kept = np.random.default_rng((7, attribute)).choice(len(members), 4, replace=False)
        expected = [edits_of(everything)[i] for i in members[np.sort(kept)]]
        assert [
            e for e, g in zip(edits_of(drawn), drawn.group, strict=True) if g == attribute
        ] == expected


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="hit_rule must be one of identical, labelled"):
        enumerate_manipulations(QUERIES, Gallery(GALLERY), "same")
    with pytest.raises(ValueError, match="no change of one attribute"):
        enumerate_manipulations(QUERIES[:1], Gallery(GALLERY[:1]))
    with pytest.raises(ValueError, match="no change of 2 attributes at once"):
        enumerate_manipulations(QUERIES[:1], Gallery(GALLERY[:1]), num_changes=2)
    with pytest.raises(ValueError, match="max_per_group must be at least 1"):
        enumerate_manipulations(QUERIES, Gallery(GALLERY), max_per_group=0)
    with pytest.raises(ValueError, match="num_changes must be between 1 and 2; got 3"):
        enumerate_manipulations(QUERIES, Gallery(GALLERY), num_changes=3)
    many = np.zeros((1, 40), np.int32)
    with pytest.raises(ValueError, match="num_changes 4 of 40 attributes makes 91,390 sets"):
        enumerate_manipulations(many, Gallery(many), num_changes=4)
    with pytest.raises(ValueError, match="gallery labels"):
        Gallery(np.empty((0, 2), np.int32))


def test_listed_edits_are_grouped_by_what_they_change():
    # Colour, sleeve; the last query has no sleeve.
    query_labels = np.array([[0, 0], [1, 1], [2, -1]], np.int32)
    edits = np.array([[-1, 1], [1, -1], [2, 0], [-1, -1], [-1, 0], [-1, -1], [0, -1]], np.int32)
    query = np.array([0, 0, 1, 1, 2, 0, 1], np.int32)
    target = np.array([[0, 1], [1, 0], [2, 0], [1, -1], [2, 0], [0, 0], [0, -1]], np.int32)
    listed = listed_manipulations(query_labels, ListedEdits(query, edits, target, "a list"))
    names = listed.group_names(("colour", "sleeve"))
    assert names == (
        "colour", "sleeve", "no change", "no sleeve", "colour + no sleeve", "colour + sleeve",
    )  # fmt: skip
    found = [(names[g], q) for g, q in zip(listed.group, listed.query, strict=True)]
    assert found == [
        ("colour", 0),
        ("sleeve", 0),
        ("sleeve", 2),
        ("no change", 0),
        ("no sleeve", 1),
        ("colour + no sleeve", 1),
        ("colour + sleeve", 1),
    ]
    assert listed.num_available == (1, 2, 1, 1, 1, 1)
    assert listed.num_added == 1  # a sleeve for the query without
    np.testing.assert_array_equal(listed.targets[0], [1, 0])
    np.testing.assert_array_equal(listed.edits[4], [-1, -1])  # what a removal says to a system
    assert listed.groups[-1] == (0, 1) and listed.groups[4] == (0,)
