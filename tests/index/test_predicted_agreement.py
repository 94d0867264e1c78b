import math

import numpy as np
import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.index.agreement import AgreementCandidates, ReRanked, likeliest_first
from fashionsearchnet.index.exact import ExactIndex

SPACE = AttributeSpace(("colour", "sleeve"), (("red", "blue"), ("none", "short", "long")))


def readings(rng, number):
    blocks = [rng.dirichlet(np.ones(size), number) for size in SPACE.num_values]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def test_by_hand():
    gallery = np.array([[0.75, 0.25, 0.5, 0.5, 0.0]], np.float32)
    query = np.array([[1.0, 0.0, 0.0, 0.5, 0.5]], np.float32)  # red is wanted
    distance = AgreementCandidates(SPACE, gallery).squared_distances(query)
    assert distance[0, 0] == pytest.approx(-2 * math.log(0.75 * 0.25), rel=1e-5)


def test_it_is_the_probability_of_all_wanted_values(rng):
    queries, gallery = readings(rng, 7), readings(rng, 11)
    candidates = AgreementCandidates(SPACE, gallery)
    assert len(candidates) == 11
    expected = np.array(
        [
            [
                math.prod(
                    sum(float(q[v]) * float(g[v]) for v in range(start, start + size))
                    for start, size in zip(SPACE.offsets, SPACE.num_values, strict=True)
                )
                for g in gallery
            ]
            for q in queries
        ]
    )
    distances = candidates.squared_distances(queries)
    assert distances.dtype == np.float32
    np.testing.assert_allclose(np.exp(-0.5 * distances), expected, rtol=1e-4)


def test_a_value_that_no_image_shows_is_far_and_not_infinite():
    gallery = np.array([[1.0, 0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 1.0, 0.0, 0.0]], np.float32)
    query = np.array([[0.0, 1.0, 1.0, 0.0, 0.0]], np.float32)
    none, half = AgreementCandidates(SPACE, gallery).squared_distances(query)[0]
    assert half < none < np.inf


def test_the_likeliest_come_first(rng):
    gallery, (wanted,) = readings(rng, 11), readings(rng, 1)
    gallery[7] = gallery[3]  # the earlier of two equals stays the earlier
    likely = AgreementCandidates(SPACE, gallery).squared_distances(wanted[None])[0]
    order = likeliest_first(SPACE, wanted, gallery)
    assert (np.diff(likely[order]) >= 0).all() and sorted(order) == list(range(11))
    assert list(order).index(3) + 1 == list(order).index(7)
    assert len(likeliest_first(SPACE, wanted, gallery[:0])) == 0


def test_the_nearest_stand_in_the_order_of_the_second_ranking(rng):
    vectors, others = rng.normal(size=(9, 4)), rng.normal(size=(9, 3))
    queries, questions = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    first, second = ExactIndex(vectors), ExactIndex(others)
    joined = ReRanked(first, second, 4)
    assert (len(joined), joined.dim) == (9, 7)
    found = joined.squared_distances(np.concatenate([queries, questions], axis=1)).argsort(axis=1)
    near = first.squared_distances(queries).argsort(axis=1)
    by_second = second.squared_distances(questions)
    for row, ranking in enumerate(found):
        expected = sorted(near[row, :4], key=lambda item: by_second[row, item])
        assert ranking.tolist() == [*expected, *near[row, 4:]]
    whole = ReRanked(first, second, 100)
    found = whole.squared_distances(np.concatenate([queries, questions], axis=1)).argsort(axis=1)
    np.testing.assert_array_equal(found, by_second.argsort(axis=1))
