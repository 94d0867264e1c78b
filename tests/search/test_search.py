import cv2
import numpy as np
import pytest
from evaluation_fakes import MEANS, SPACE, FakeDataset, FakeSystem

from fashionsearchnet.attributes import parse_manipulation
from fashionsearchnet.search import search
from fashionsearchnet.systems.features import extract_features


@pytest.fixture(scope="module")
def gallery():
    dataset, system = FakeDataset(missing=False), FakeSystem()
    return dataset, system, extract_features(system, dataset, "gallery")


def test_query_of_the_data_set_is_judged_by_its_labels(gallery):
    dataset, system, features = gallery
    labels = dataset.labels("gallery")
    query = search.query_from_dataset(dataset, "query", "query4")
    assert query.labels is not None
    np.testing.assert_array_equal(query.labels, dataset.labels("query")[4])
    manipulation = parse_manipulation(SPACE, ["colour=blue", "size=large"])
    results = search.search(system, query, manipulation, features, labels, k=60)
    assert results.target.tolist() == [2, 1, query.labels[2]]
    np.testing.assert_array_equal(results.predicted, query.labels)
    assert (results.confidence > 0.8).all()
    assert sorted(results.positions) == list(range(60))
    num_hits = (labels == results.target).all(axis=1).sum()
    assert num_hits > 0
    for rank, position in enumerate(results.positions):
        expected = tuple(np.flatnonzero(labels[position] != results.target))
        assert results.differing[rank] == expected
        assert (not results.differing[rank]) == (rank < num_hits)
    assert "labels of the query" in results.judged_by


def test_image_from_outside_is_judged_by_what_is_predicted(gallery, tmp_path):
    dataset, system, features = gallery
    picture = np.full((16, 16, 3), round(MEANS[0]), np.uint8)
    cv2.imwrite(str(tmp_path / "query.png"), picture)
    query = search.query_from_file(tmp_path / "query.png")
    assert query.labels is None
    manipulation = parse_manipulation(SPACE, ["shape=disc"])
    labels = dataset.labels("gallery")
    results = search.search(system, query, manipulation, features, labels, k=3)
    assert results.predicted.tolist() == [0, 0, 0]
    assert results.target.tolist() == [0, 0, 1]
    assert results.differing[0] == ()
    assert "predicted" in results.judged_by


def test_missing_labels_against_a_prediction():
    target, edit = np.array([1, 0, 1]), np.array([-1, -1, 1])
    labels = np.array([[1, -1, 1], [1, 0, -1], [0, -1, 1]])
    assert search.differences_from_prediction(target, labels, edit) == ((), (2,), (0,))


def test_hit_rules_against_labels():
    target, labels = np.array([1, -1, 1]), np.array([[1, 0, 1], [0, -1, 1]])
    assert search.differences_from_labels(target, labels, "identical") == ((1,), (0,))
    assert search.differences_from_labels(target, labels, "labelled") == ((), (0,))


def test_stored_images_come_in_the_order_asked_for():
    dataset = FakeDataset()
    data = search.stored_images(dataset, "gallery", [9, 2, 9])
    assert data[0] == data[2]
    for position, picture in zip((9, 2), data, strict=False):
        expected = np.round(dataset.pixels("gallery")[position] + np.array(MEANS))
        np.testing.assert_array_equal(search.decode(picture)[..., ::-1], expected)


def test_unknown_query_id_names_some():
    with pytest.raises(ValueError, match=r"no image 'qery3' .did you mean query3..; it has 12"):
        search.query_from_dataset(FakeDataset(), "query", "qery3")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "missing|unreadable"), (b"", "empty file"), (b"a,b\n1,2\n", "not an image")],
)
def test_bad_image_files_give_one_message(tmp_path, content, problem):
    path = tmp_path / "query.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"query.jpg cannot be the query image: ({problem})"):
        search.query_from_file(path)


def test_truncated_image_gives_one_message(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="cannot be the query image: damaged image"):
        search.query_from_file(tmp_path / "cut.jpg")
