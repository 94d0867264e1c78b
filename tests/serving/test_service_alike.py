"""Searches for items alike in some attributes."""

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")

from page_fixtures import SPACE, UNLABELLED, FakeModel, client_of, item_id, item_values, picture

ITEM = 4  # green, v-neck, brand E


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with client_of(tmp_path_factory.mktemp("service") / "index", FakeModel()) as client:
        yield client


def found(response) -> dict:
    assert response.status_code == 200, response.text
    return response.json()


def test_the_service_says_that_it_can(client):
    assert found(client.get("/v1/attributes"))["finds_alike"] is True


@pytest.mark.parametrize("by_upload", [False, True])
def test_only_what_was_asked_for_counts(client, by_upload):
    values = item_values(ITEM)
    if by_upload:
        files = {"image": ("photo.png", picture(values), "image/png")}
        answer = found(client.post("/v1/search", data={"like": "neckline", "k": 20}, files=files))
    else:
        fields = {"item": item_id(ITEM), "like": "neckline", "k": 20}
        answer = found(client.get("/v1/search", params=fields))
    assert answer["like"] == {"neckline": 1.0} and answer["edits"] == {}
    results = answer["results"]
    assert len(results) == 20 and answer["total"] == (60 if by_upload else 59)
    necklines = [result["attributes"]["neckline"] for result in results]
    is_v_neck = [neckline == "v-neck" for neckline in necklines]
    assert is_v_neck == sorted(is_v_neck, reverse=True) and sum(is_v_neck) in (19, 20)
    for result in results:
        assert result["matches"] == (not result["differing"])
        assert set(result["differing"]) <= {"neckline"}
    # Among those that are equally alike, the others decide.
    assert results[0]["attributes"]["colour"] == "green"
    assert "only what was asked for counts" in answer["judged_by"]


def test_weights_filters_pages_and_products(client):
    fields = {"item": item_id(ITEM), "like": ["neckline:3", "colour"], "k": 5}
    first = found(client.get("/v1/search", params=fields))
    assert first["like"] == {"colour": 1.0, "neckline": 3.0}
    both = found(client.get("/v1/search", params={**fields, "k": 10}))["results"]
    second = found(client.get("/v1/search", params={**fields, "offset": 5}))
    assert [r["id"] for r in first["results"] + second["results"]] == [r["id"] for r in both]
    red = found(client.get("/v1/search", params={**fields, "filter": "colour=red"}))
    assert {r["attributes"]["colour"] for r in red["results"]} == {"red"}
    single = {**fields, "one_per_product": True, "k": 50}
    products = [r["product"] for r in found(client.get("/v1/search", params=single))["results"]]
    known = [product for product in products if product]
    assert len(known) == len(set(known))


def test_a_correction_counts_as_known(client):
    files = {"image": ("photo.png", picture([0, 1.4, 2, 0]), "image/png")}  # v-neck or boat
    fields = {"like": "neckline", "correct": "neckline=boat", "k": 10}
    answer = found(client.post("/v1/search", data=fields, files=files))
    assert {r["attributes"]["neckline"] for r in answer["results"]} == {"boat"}
    assert answer["results"][0]["distance"] == 0.0
    assert answer["target"]["neckline"] == "boat"


def test_items_without_labels_go_by_what_is_read(client):
    files = {"image": ("photo.png", picture(item_values(UNLABELLED)), "image/png")}
    fields = {"like": [name for name in SPACE.names], "k": 5}
    answer = found(client.post("/v1/search", data=fields, files=files))
    assert item_id(UNLABELLED) in [result["id"] for result in answer["results"]]
