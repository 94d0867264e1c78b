"""Searches whose nearest results stand in the order of predicted agreement."""

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")

from page_fixtures import SPACE, FakeModel, client_of, item_id, picture

from fashionsearchnet.attributes import edit_blocks, parse_manipulation
from fashionsearchnet.index.agreement import AgreementCandidates

FIELDS = {"set": "colour=red", "k": 30}
UNSURE = picture([0.3, 1.4, 2, 0])  # between two values of two attributes


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with client_of(tmp_path_factory.mktemp("service") / "index", FakeModel()) as client:
        yield client


def searched(client, **fields) -> dict:
    files = {"image": ("photo.png", UNSURE, "image/png")}
    response = client.post("/v1/search", data=FIELDS | fields, files=files)
    assert response.status_code == 200, response.text
    return response.json()


def ids(answer) -> list[str]:
    return [result["id"] for result in answer["results"]]


def test_the_nearest_are_in_the_order_of_probability(client):
    nearest, ranked = searched(client), searched(client, rerank=20)
    assert (nearest["rerank"], ranked["rerank"]) == (0, 20)
    index = client.app.state.service.gallery.index
    read = index.blocks.readings(np.array([index.items[name].key for name in ids(nearest)[:20]]))
    reading = FakeModel().encode_query([UNSURE], np.full((1, SPACE.num_attributes), -1))[1]
    wanted = edit_blocks(SPACE, reading, parse_manipulation(SPACE, ["colour=red"])[None])
    likely = AgreementCandidates(SPACE, read).squared_distances(wanted)[0]
    order = np.argsort(likely, kind="stable")
    assert ids(ranked)[:20] == [ids(nearest)[rank] for rank in order] != ids(nearest)[:20]
    assert ids(ranked)[20:] == ids(nearest)[20:]  # the rest stay as they are
    distances = {result["id"]: result["distance"] for result in nearest["results"]}
    assert {result["id"]: result["distance"] for result in ranked["results"]} == distances


def test_pages_are_parts_of_one_order(client):
    whole = ids(searched(client, rerank=20))
    pages = [ids(searched(client, rerank=20, k=6, offset=offset)) for offset in range(0, 30, 6)]
    assert [name for page in pages for name in page] == whole


def test_a_gallery_item_is_not_its_own_result(client):
    fields = {"item": item_id(4), "rerank": 50, "k": 50}
    results = client.get("/v1/search", params=fields).json()["results"]
    assert len(results) == 50 and item_id(4) not in [result["id"] for result in results]


def test_what_cannot_be_ranked_so(client, monkeypatch):
    def refused(**fields) -> tuple[int, str]:
        answer = client.get("/v1/search", params={"item": item_id(4), "rerank": 5} | fields)
        return answer.status_code, answer.json()["error"]["code"]

    assert refused(like="colour") == (422, "like_and_rerank")
    assert refused(rerank=101) == (422, "invalid_parameter")
    assert refused(rerank=-1) == (422, "invalid_parameter")
    index = client.app.state.service.gallery.index
    monkeypatch.setattr(index, "label_blend", (0.5,) * SPACE.num_attributes)
    assert refused() == (422, "labels_and_rerank")
