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


def judged(found, edit, labels=None, read=None, hit_rule="identical", predicted=None):
    """Judges results with these labels for a query with `labels`, off which `read` is read."""
    found = np.array(found, np.int32)
    predicted = np.full_like(found, -1) if predicted is None else np.array(predicted, np.int32)
    ids = [f"item{i}" for i in range(len(found))]
    neighbours = Neighbours(ids, np.arange(len(found), dtype=np.float32), found, predicted)
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


def test_a_result_that_nobody_labelled_is_judged_by_prediction():
    found, predicted = [[-1, -1, -1], [-1, -1, -1], [1, -1, 1]], [[1, 0, 1], [0, 0, 1], [0, 0, 0]]
    # The query is labelled: missing does not equal missing where the image was read.
    result = judged(found, [1, -1, -1], labels=[0, -1, 1], predicted=predicted)
    assert result.differing == ((), (0,), ())
    assert result.by_prediction == (True, True, False)
    assert "results without labels are judged by what is predicted" in result.judged_by
    # Nobody labelled the query either: its reading counts, not that both have no labels.
    unlabelled = {"labels": [-1, -1, -1], "read": [2, 0, 1], "predicted": predicted}
    result = judged(found, [1, -1, -1], **unlabelled)
    assert result.target.tolist() == [1, 0, 1]
    assert result.differing == ((), (0,), ())
    # An index that does not know what the images show cannot say it of them.
    result = judged(found[:2], [1, -1, -1], labels=[0, -1, 1])
    assert (result.differing, result.by_prediction) == (((0, 2), (0, 2)), (False, False))
    assert "without labels" not in result.judged_by


def test_an_image_that_the_system_misreads_matches_itself():
    labels, misread = [0, 1, 1], [2, 1, 0]
    result = judged([labels], [-1, -1, -1], read=misread, predicted=[misread])
    assert result.differing == ((),)
    # Another garment, of which the system reads the same colour, agrees by its label too.
    others = [[2, 1, 1], [1, 1, 1]]
    result = judged(others, [-1, -1, -1], read=misread, predicted=[[0, 1, 0], [1, 1, 0]])
    assert result.differing == ((), (0,))
    # What the user asks for goes by the label, and by the prediction where there is none.
    others = [[0, 1, 1], [-1, 1, 1], [-1, 1, 1]]
    result = judged(others, [1, -1, -1], read=misread, predicted=[[1, 1, 0], [1, 1, 0], [0, 1, 0]])
    assert result.differing == ((0,), (), (0,))


def test_without_a_hit_rule_one_reading_decides_what_is_shown_and_what_is_judged():
    # The query's size has no label: it is what the system reads, 1, for the chip and the target.
    found = [[0, 1, 1], [0, 0, 1], [0, -1, 1], [2, 1, 1]]
    predicted = [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 1]]
    result = judged(
        found, [-1, -1, -1], labels=[0, -1, 1], read=[2, 1, 0], hit_rule=None, predicted=predicted
    )
    assert result.target.tolist() == [0, 1, 1]
    assert result.differing == ((), (1,), (), (0,))
    assert "where it has no label" in result.judged_by
    # What is asked for goes by the label, and by the prediction where there is none.
    result = judged(
        [[-1, 1, 1], [-1, 1, 1], [0, 1, 1]],
        [1, -1, -1],
        labels=[0, 1, 1],
        read=[2, 1, 0],
        hit_rule=None,
        predicted=[[1, 0, 0], [0, 0, 0], [1, 0, 0]],
    )
    assert result.differing == ((), (0,), (0,))


def test_no_results():
    assert judged(np.empty((0, 3)), [0, -1, -1], labels=[1, 1, 1]).differing == ()


def test_the_query_is_not_its_own_neighbour():
    one_hot = np.eye(3, dtype=np.int32)
    found = Neighbours(["a", "b", "c"], np.arange(3.0), one_hot, 2 * one_hot)
    first = found.first(2, without="a")
    assert first.ids == ["b", "c"] and first.distances.tolist() == [1, 2]
    assert first.labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert first.predicted is not None and first.predicted.tolist() == [[0, 2, 0], [0, 0, 2]]
    assert found.first(2).ids == found.first(2, without="x").ids == ["a", "b"]


def test_a_reading_is_the_likeliest_value_of_each_attribute():
    reading = Reading.of(SPACE, np.array([0.2, 0.1, 0.7, 0.6, 0.4, 0.5, 0.5], np.float32))
    assert reading.values.tolist() == [2, 0, 0]
    np.testing.assert_allclose(reading.probabilities, [0.7, 0.6, 0.5])


def test_a_missing_value_is_not_called_none():
    assert describe_difference(SPACE, 0, 0, 2) == "colour red, not blue"
    assert describe_difference(SPACE, 1, -1, 1) == "size missing, not large"
