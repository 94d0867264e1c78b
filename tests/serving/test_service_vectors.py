"""The service where the model takes vectors that another model computed."""

import io

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")

from page_fixtures import FakeVectorModel, client_of, item_values


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with client_of(tmp_path_factory.mktemp("service") / "index", FakeVectorModel()) as client:
        yield client


def npy(numbers) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(numbers, np.float32))
    return file.getvalue()


def test_the_service_says_that_it_takes_vectors(client):
    model = client.get("/v1/attributes").json()["model"]
    assert (model["takes"], model["image_size"]) == ("vectors", 4)
    schema = client.get("/openapi.json").json()["components"]["schemas"]["Model"]
    assert schema["properties"]["takes"]["enum"] == ["images", "vectors"]
    assert "takes" in schema["required"]


@pytest.mark.parametrize("data", [npy([2, 2, 5, 1]), npy([[2, 2, 5, 1]]), b"[2, 2, 5, 1]"])
def test_a_posted_vector_finds_its_item(client, data):
    answer = client.post("/v1/search", files={"image": ("query.npy", data)}, data={"k": 1}).json()
    assert answer["query"]["attributes"][2]["value"] == "brand E"
    assert answer["results"][0]["id"] == "item-04"


def test_the_image_of_an_item_is_its_vector(client):
    vector = np.frombuffer(client.get("/v1/items/item-04/image").content, "<f4")
    np.testing.assert_array_equal(vector, np.add(item_values(4), 1))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (npy([1, 2, 3]), "must be one vector of 4 numbers"),
        (npy([1, 2, np.nan, 4]), "number 2 is nan"),
        (b"\x89PNG\r\n\x1a\n", "must be a .npy file or a JSON list of 4 numbers"),
    ],
)
def test_what_is_no_such_vector_is_refused(client, data, told):
    response = client.post("/v1/search", files={"image": ("query", data)})
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == "unusable_vector" and told in error["message"]
