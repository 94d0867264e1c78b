"""The accuracy of a classifier on features before and after an edit, against a slow count."""

import numpy as np
import pytest
import tensorflow as tf
from evaluation_fakes import SPACE, FakeDataset, FakeSystem

from fashionsearchnet.evaluation import ManipulationProtocol, make_plans
from fashionsearchnet.evaluation.edited_features import EditedAccuracy, measure_edited


class Editor(FakeSystem):
    """Edits features as it should, but for the second attribute, which it forgets to edit."""

    def query_embedding(self, features, manipulation):
        kept = tf.constant([False, True, False])
        return super().query_embedding(features, tf.where(kept, -1, manipulation))


class Classifier(FakeSystem):
    """Reads features; colour always as the first value."""

    def attribute_logits(self, features):
        rest = features["embedding"][:, SPACE.num_values[0] :]
        first = tf.tile([[1.0, 0.0, 0.0]], [tf.shape(rest)[0], 1])
        return tf.concat([first, rest], axis=1)


@pytest.mark.parametrize("most", [None, 5])
def test_it_counts_as_a_slow_one(most):
    dataset = FakeDataset()
    protocol = ManipulationProtocol(max_manipulations_per_attribute=most)
    found = measure_edited(Editor(), Classifier(), dataset, protocol)
    labels = dataset.labels("query")
    right: list[list[list[bool]]] = [[[] for _ in range(3)] for _ in range(3)]
    (plan,) = make_plans(dataset, [protocol])
    for query, edit in zip(plan.query, plan.edits, strict=True):
        a = int(np.flatnonzero(edit >= 0)[0])
        for b in range(3):
            wanted = edit[b] if b == a else labels[query, b]
            if wanted >= 0:
                read = 0 if b == 0 else labels[query, b] if b == 1 else wanted
                right[a][b].append(read == wanted)
    expected = [[np.mean(right[a][b]) for b in range(3)] for a in range(3)]
    np.testing.assert_allclose(found.edited, expected)
    assert found.edited[1, 1] == 0.0 and found.edited[2, 2] == 1.0
    assert found.num_edits.tolist() == [len(right[a][a]) for a in range(3)]
    first = labels[:, 0]
    np.testing.assert_allclose(found.original, [np.mean(first == 0), 1.0, 1.0])
    np.testing.assert_array_equal(found.num_queries, (labels >= 0).sum(axis=0))
    mean = np.mean([expected[a][a] - found.original[a] for a in range(3)])
    assert found.mean_difference == pytest.approx(mean)


def test_means_leave_out_what_cannot_be_counted():
    nan = float("nan")
    edited = np.array([[0.5, nan, 0.2], [nan, nan, nan], [0.4, 0.6, 1.0]])
    numbers = np.array([1, 0, 2])
    found = EditedAccuracy(("a", "b", "c"), np.array([0.1, nan, 0.5]), edited, numbers, numbers)
    assert found.mean_difference == pytest.approx(0.45)
    np.testing.assert_allclose(found.kept, [0.2, nan, 0.5])
    np.testing.assert_allclose(found.original_of_others, [0.5, 0.3, 0.1])
    assert found.to_dict()["edited"][1] == [None, None, None]


def test_a_system_that_reads_nothing_is_no_classifier():
    class Blind(FakeSystem):
        def attribute_logits(self, features):
            return None

    with pytest.raises(ValueError, match="blind reads no attributes, so it is no classifier"):
        measure_edited(Editor(), Blind(name="blind"), FakeDataset(), ManipulationProtocol())
