import itertools

import numpy as np
import pytest

from fashionsearchnet import protocol
from fashionsearchnet.protocol import Gallery, enumerate_manipulations

# Two attributes: colour (0 red, 1 blue, 2 green), sleeve (0 short, 1 long; -1 trousers have none).
GALLERY = np.array([[0, 0], [1, 0], [1, 0], [1, 1], [2, -1], [0, -1]], np.int32)
QUERIES = np.array([[0, 0], [2, -1], [2, 1]], np.int32)


def as_set(manipulations):
    columns = (manipulations.query, manipulations.attribute, manipulations.value)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_counted_by_hand_with_identical():
    # (0,0): colour -> blue exists, green short does not; sleeve -> red long does not.
    # (2,-1): colour -> red exists without sleeve; its sleeve is missing, so it is not replaced.
    # (2,1): colour -> blue long exists; sleeve -> green short does not.
    manipulations = enumerate_manipulations(QUERIES, Gallery(GALLERY), "identical")
    assert as_set(manipulations) == {(0, 0, 1), (1, 0, 0), (2, 0, 1)}
    np.testing.assert_array_equal(manipulations.targets, [[1, 0], [0, -1], [1, 1]])
    np.testing.assert_array_equal(manipulations.encoded, [[1, -1], [0, -1], [1, -1]])
    assert manipulations.num_available == (3, 0)
    assert manipulations.num_added == 0
    gallery = Gallery(GALLERY)
    np.testing.assert_array_equal(
        gallery.num_relevant(manipulations.targets, "identical"), [2, 1, 1]
    )
    np.testing.assert_allclose(
        protocol.chance(manipulations, gallery, "identical", 2),
        [1 - (4 * 3) / (6 * 5), 2 / 6, 2 / 6],
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


def slow_manipulations(queries, gallery, num_values, hit_rule, add_missing):
    found = set()
    for q, labels in enumerate(queries):
        for a, size in enumerate(num_values):
            if labels[a] == -1 and not add_missing:
                continue
            for value in set(range(size)) - {labels[a]}:
                target = labels.copy()
                target[a] = value
                if any(slow_is_hit(target, item, hit_rule) for item in gallery):
                    found.add((q, a, value))
    return found


def slow_is_hit(target, item, hit_rule):
    pairs = zip(target, item, strict=True)
    return all(t == i or (hit_rule == "labelled" and t == -1) for t, i in pairs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("hit_rule", "add_missing"), itertools.product(protocol.HIT_RULES, (False, True))
)
def test_enumeration_equals_three_loops(seed, hit_rule, add_missing, monkeypatch):
    monkeypatch.setattr(protocol, "_CHUNK_CELLS", 60)  # several chunks
    generator = np.random.default_rng(seed)
    num_values = (2, 3, 4)
    draw = [generator.integers(-1, size, 50) for size in num_values]
    labels = np.stack(draw, axis=1).astype(np.int32)
    queries, gallery = labels[:15], labels[15:]
    manipulations = enumerate_manipulations(queries, Gallery(gallery), hit_rule, add_missing)
    expected = slow_manipulations(queries, gallery, num_values, hit_rule, add_missing)
    assert as_set(manipulations) == expected
    assert len(manipulations) == len(expected) == sum(manipulations.num_available)

    hits = Gallery(gallery).relevant(manipulations.targets, hit_rule)
    expected_hits = [
        [slow_is_hit(target, item, hit_rule) for item in gallery]
        for target in manipulations.targets
    ]
    np.testing.assert_array_equal(hits, expected_hits)
    np.testing.assert_array_equal(
        Gallery(gallery).num_relevant(manipulations.targets, hit_rule), np.sum(expected_hits, 1)
    )
    share = protocol.relevance(manipulations.targets[:, None], gallery[None], hit_rule)
    np.testing.assert_array_equal(share == 1.0, expected_hits)
    np.testing.assert_allclose(
        Gallery(gallery).mean_gain(manipulations.targets, hit_rule), (2**share - 1).mean(axis=1)
    )


def test_relevance_by_hand():
    target, items = np.array([[1, -1, 2]]), np.array([[1, -1, 0], [1, 3, 2], [0, 0, 0]])
    np.testing.assert_allclose(protocol.relevance(target, items, "identical"), [2 / 3, 2 / 3, 0])
    np.testing.assert_allclose(protocol.relevance(target, items, "labelled"), [1 / 2, 1, 0])


def test_sorted_by_attribute_then_query():
    labels = np.array(list(itertools.product(range(3), range(3))), np.int32)
    manipulations = enumerate_manipulations(labels, Gallery(labels))
    assert len(manipulations) == 9 * 4
    keys = np.stack([manipulations.attribute, manipulations.query, manipulations.value], axis=1)
    assert keys.tolist() == sorted(keys.tolist())


def test_draw_is_seeded_and_bounded():
    labels = np.array(list(itertools.product(range(3), range(5))), np.int32)
    gallery = Gallery(labels)

    def draw(seed):
        return enumerate_manipulations(labels, gallery, max_per_attribute=40, seed=seed)

    assert draw(1).num_available == (30, 60)
    assert np.bincount(draw(1).attribute).tolist() == [30, 40]
    assert as_set(draw(1)) == as_set(draw(1)) != as_set(draw(2))
    assert as_set(draw(1)) < as_set(enumerate_manipulations(labels, gallery))


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="hit_rule must be one of identical, labelled"):
        enumerate_manipulations(QUERIES, Gallery(GALLERY), "same")
    with pytest.raises(ValueError, match="no change of one attribute"):
        enumerate_manipulations(QUERIES[:1], Gallery(GALLERY[:1]))
    with pytest.raises(ValueError, match="max_per_attribute must be at least 1"):
        enumerate_manipulations(QUERIES, Gallery(GALLERY), max_per_attribute=0)
    with pytest.raises(ValueError, match="gallery labels"):
        Gallery(np.empty((0, 2), np.int32))
