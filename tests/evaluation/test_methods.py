import numpy as np
import pytest
from evaluation_fakes import SPACE, EditDependentSystem, FakeDataset, FakeSystem

from fashionsearchnet.evaluation import methods
from fashionsearchnet.systems.features import extract_features


def test_softmax_blocks_and_predicted_values():
    logits = np.random.default_rng(0).normal(0, 3, (5, 7)).astype(np.float32)
    logits[0, :3] = 900.0  # does not overflow
    probabilities = methods.softmax_blocks(SPACE, logits)
    for offset, size in zip(SPACE.offsets, SPACE.num_values, strict=True):
        block = np.exp(logits[1:, offset : offset + size])
        expected = block / block.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities[1:, offset : offset + size], expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities[0, :3], 1 / 3)
    values = methods.predicted_values(SPACE, logits)
    assert values[1].tolist() == [
        logits[1, :3].argmax(), logits[1, 3:5].argmax(), logits[1, 5:].argmax(),
    ]  # fmt: skip


def test_edit_blocks_changes_only_the_edited_block():
    probabilities = np.full((2, 7), 0.5, np.float32)
    edited = methods.edit_blocks(SPACE, probabilities, np.array([[2, -1, -1], [-1, 0, -1]]))
    np.testing.assert_array_equal(edited[0], [0, 0, 1, 0.5, 0.5, 0.5, 0.5])
    np.testing.assert_array_equal(edited[1], [0.5, 0.5, 0.5, 1, 0, 0.5, 0.5])
    assert (probabilities == 0.5).all()


def test_rows_and_what_they_embed():
    dataset, system = FakeDataset(), FakeSystem()
    queries, gallery = (extract_features(system, dataset, s, 5) for s in ("query", "gallery"))
    unedited, predicted, own = methods.methods(system, queries, gallery)
    assert [m.name for m in (unedited, predicted, own)] == [
        "unedited query", "predicted attributes", "fake",
    ]  # fmt: skip
    positions, edit = np.array([3, 3, 7]), np.array([[0, -1, -1], [1, -1, -1], [2, -1, -1]])
    np.testing.assert_array_equal(unedited.embed(positions, edit), queries["embedding"][positions])
    np.testing.assert_array_equal(own.embed(positions, edit)[:, :3], np.eye(3))
    np.testing.assert_array_equal(
        own.embed(positions, edit)[:, 3:], queries["embedding"][positions, 3:]
    )
    assert len(own.index((0,))) == len(predicted.index((1, 2))) == 60
    assert own.index((0,)) is unedited.index((1, 2))  # one index for all edits


def test_no_logits_no_predicted_attributes():
    dataset, system = FakeDataset(), FakeSystem()
    features = extract_features(system, dataset, "query")
    del features["logits"]
    assert [m.name for m in methods.methods(system, features, features)] == [
        "unedited query", "fake",
    ]  # fmt: skip


@pytest.mark.parametrize("edited", [[0], [1, 2]])
def test_gallery_that_depends_on_the_edit(edited):
    dataset, system = FakeDataset(), EditDependentSystem()
    features = extract_features(system, dataset, "gallery")
    embeddings = methods.gallery_embeddings(system, features, edited, batch_size=7)
    mask = np.repeat(np.isin(np.arange(3), edited), SPACE.num_values)
    np.testing.assert_array_equal(embeddings, features["embedding"] * mask)
    unedited, _, own = methods.methods(system, features, features)
    assert own.index((0,)) is not own.index((0, 1))
    index = own.index(tuple(edited))
    np.testing.assert_array_equal(
        index.squared_distances(embeddings).argmin(axis=1),
        methods.ExactIndex(embeddings).squared_distances(embeddings).argmin(axis=1),
    )
    edit = np.where(np.isin(np.arange(3), edited), 1, -1)[None]
    np.testing.assert_array_equal(unedited.embed(np.array([4]), edit), embeddings[[4]])


def test_system_names():
    class Variant:
        title = "Rank-L"

    system = FakeSystem()
    assert methods.system_name(system) == "fake"
    system.variant = Variant()
    assert methods.system_name(system) == "Rank-L"
    assert methods.system_name(object()) == "system"
