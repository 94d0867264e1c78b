import cv2
import numpy as np
import pytest
from evaluation_fakes import MEANS, FakeDataset

from fashionsearchnet.search import queries


def test_queries_have_the_labels_of_the_data_set():
    dataset = FakeDataset()
    found = queries.queries_by_id(dataset, "query", ["query4", "query0"])
    assert [query.name for query in found] == ["query4", "query0"]
    np.testing.assert_array_equal([q.labels for q in found], dataset.labels("query")[[4, 0]])
    (again,) = queries.queries_at(dataset, "query", [4])
    assert (again.name, again.image) == ("query4", found[0].image)


def test_stored_images_come_in_the_order_asked_for():
    dataset = FakeDataset()
    data = queries.stored_images(dataset, "gallery", [9, 2, 9])
    assert data[0] == data[2]
    for position, picture in zip((9, 2), data, strict=False):
        expected = np.round(dataset.pixels("gallery")[position] + np.array(MEANS))
        np.testing.assert_array_equal(queries.decode(picture)[..., ::-1], expected)
    assert queries.stored_images(dataset, "gallery", []) == []


def test_unknown_query_id_names_some():
    with pytest.raises(ValueError, match=r"no image 'qery3' .did you mean query3..; it has 12"):
        queries.queries_by_id(FakeDataset(), "query", ["qery3"])


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "missing|unreadable"), (b"", "empty file"), (b"a,b\n1,2\n", "not an image")],
)
def test_bad_image_files_give_one_message(tmp_path, content, problem):
    path = tmp_path / "query.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"query.jpg cannot be the query image: ({problem})"):
        queries.query_from_file(path)


def test_truncated_image_gives_one_message(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="cannot be the query image: damaged image"):
        queries.query_from_file(tmp_path / "cut.jpg")
