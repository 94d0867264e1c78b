import numpy as np
import pytest
from evaluation_fakes import SPACE

from fashionsearchnet.index.items import Neighbours
from fashionsearchnet.search.judgement import (
    Query,
    Reading,
    describe_difference,
    judge,
)


def judged(found, edit, labels=None, read=None, hit_rule="identical"):
    """Judges results with these labels for a query with `labels`, off which `read` is read."""
    found = np.array(found, np.int32)
    ids = [f"item{i}" for i in range(len(found))]
    neighbours = Neighbours(ids, np.arange(len(found), dtype=np.float32), found)
    query = Query("query", b"", None if labels is None else np.array(labels))
    reading = None if read is None else Reading(np.array(read), np.ones(3, np.float32))
    return judge(query, np.array(edit, np.int32), reading, neighbours, hit_rule)


def test_a_query_with_labels_is_judged_by_them():
    found = [[1, 0, 1], [0, -1, 1], [1, -1, 1]]
    result = judged(found, [1, -1, -1], labels=[0, -1, 1], read=[2, 1, 0])
    assert result.target.tolist() == [1, -1, 1] and result.edited == (0,)
    assert result.differing == ((1,), (0,), ())
    assert result.judged_by == "the labels of the query, with the edit (hit rule identical)"
    result = judged(found, [1, -1, -1], labels=[0, -1, 1], hit_rule="labelled")
    assert result.differing == ((), (0,), ())
    with pytest.raises(ValueError, match="hit_rule must be one of identical, labelled"):
        judged(found, [1, -1, -1], labels=[0, -1, 1], hit_rule="same")


def test_missing_labels_are_not_held_against_a_prediction():
    result = judged([[1, -1, 1], [1, 0, -1], [0, -1, 1]], [-1, -1, 1], read=[1, 0, 0])
    assert result.target.tolist() == [1, 0, 1]
    assert result.differing == ((), (2,), (0,))
    assert "predicted" in result.judged_by


def test_without_labels_and_prediction_only_the_edit_counts():
    result = judged([[0, 1, 1], [1, -1, -1]], [-1, -1, 1])
    assert result.target.tolist() == [-1, -1, 1]
    assert result.differing == ((), (2,))
    assert "edit alone" in result.judged_by


def test_no_results():
    assert judged(np.empty((0, 3)), [0, -1, -1], labels=[1, 1, 1]).differing == ()


def test_the_query_is_not_its_own_neighbour():
    found = Neighbours(["a", "b", "c"], np.arange(3.0), np.eye(3, dtype=np.int32))
    first = found.first(2, without="a")
    assert first.ids == ["b", "c"] and first.distances.tolist() == [1, 2]
    assert first.labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert found.first(2).ids == found.first(2, without="x").ids == ["a", "b"]


def test_a_reading_is_the_likeliest_value_of_each_attribute():
    reading = Reading.of(SPACE, np.array([0.2, 0.1, 0.7, 0.6, 0.4, 0.5, 0.5], np.float32))
    assert reading.values.tolist() == [2, 0, 0]
    np.testing.assert_allclose(reading.probabilities, [0.7, 0.6, 0.5])


def test_a_missing_value_is_not_called_none():
    assert describe_difference(SPACE, 0, 0, 2) == "colour red, not blue"
    assert describe_difference(SPACE, 1, -1, 1) == "size missing, not large"
