"""What the service answers when all is well."""

import base64
import inspect
import time
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from fakes import SPACE
from fastapi.testclient import TestClient
from service_fakes import BLUE, GREEN, ODD_IDS, RED, FakeIndex, FakeModel, picture

from fashionsearchnet.explain.overlays import map_on_image, overlay_map
from fashionsearchnet.serving import gallery_routes, health_routes, query_routes
from fashionsearchnet.serving.app import create_app


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(FakeModel(), FakeIndex())) as client:
        yield client


def upload(data: bytes, **fields):
    return {"files": {"image": ("photo", data, "image/png")}, "data": fields}


def answer_of(response) -> dict:
    assert response.status_code == 200, response.text
    return response.json()


def overlay_of(explained: dict) -> np.ndarray:
    """Returns the overlay, uint8 `[side, side, 4]`, RGB and opacity."""
    kind, _, data = explained["overlay"].partition(",")
    assert kind == "data:image/png;base64"
    content = np.frombuffer(base64.b64decode(data), np.uint8)
    decoded = np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED))
    return cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA)


def test_no_request_waits_for_a_thread_to_read_its_parameters():
    """FastAPI runs plain functions in threads, also those that routes depend on."""
    routers = (gallery_routes.router, health_routes.router, query_routes.router)
    routes = [route for router in routers for route in router.routes]
    depended = [one.call for route in routes for one in route.dependant.dependencies]  # type: ignore[attr-defined]
    assert len(depended) > len(routes) > 5
    assert all(map(inspect.iscoroutinefunction, depended))


def test_attributes_model_and_limits(client):
    answer = answer_of(client.get("/v1/attributes"))
    assert answer["attributes"][1] == {"name": "sleeve", "values": ["short", "long"]}
    assert answer["num_items"] == 17
    assert answer["model"] == {
        "system": "fake",
        "variant": "plain",
        "fingerprint": "0123456789abcdef",
        "takes": "images",
        "image_size": 32,
    }
    assert answer["limits"] == {
        "max_upload_bytes": 10_000_000,
        "max_pixels": 25_000_000,
        "max_k": 100,
        "max_depth": 10_000,
    }


def test_items_come_in_pages(client):
    answer = answer_of(client.get("/v1/items", params={"offset": 5, "limit": 2}))
    assert [item["id"] for item in answer["items"]] == ["item-5", "item-6"]
    assert answer["items"][0] == {
        "id": "item-5",
        "image": "/v1/items/item-5/image",
        "attributes": {"colour": "blue", "sleeve": "long", "neckline": "v-neck"},
        "predicted": {"colour": "blue", "sleeve": "short", "neckline": "round"},
        "columns": {},
        "product": None,
    }
    assert (answer["total"], answer["offset"], answer["limit"]) == (17, 5, 2)
    assert answer_of(client.get("/v1/items", params={"offset": 10**12}))["items"] == []


def test_items_filtered_alternatives_and_all_of_different_attributes(client):
    filters = ["colour=red", "colour = green", "sleeve=long"]
    answer = answer_of(client.get("/v1/items", params={"filter": filters}))
    assert [item["id"] for item in answer["items"]] == ["item-1", "item-3", "item-7", "item-9"]
    assert answer["total"] == 4
    assert answer["items"][0]["attributes"]["neckline"] is None


@pytest.mark.parametrize("item", ["item-0", *ODD_IDS])
def test_every_id_has_its_image(client, item):
    response = client.get(f"/v1/items/{quote(item, safe='')}/image")
    assert response.status_code == 200
    assert response.content.startswith(b"\x89PNG")
    assert response.headers["content-type"] == "image/png"
    tag = response.headers["etag"]
    again = client.get(response.request.url, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_prediction_of_an_upload(client):
    answer = answer_of(client.post("/v1/predict", **upload(picture(GREEN, ".jpg"))))
    colour, sleeve, neckline = answer["attributes"]
    assert (colour["name"], colour["value"]) == ("colour", "green")
    assert colour["probability"] > 0.9
    assert colour["values"][0]["value"] == "green"
    assert sleeve["values"] == [
        {"value": "short", "probability": 0.75},
        {"value": "long", "probability": 0.25},
    ]
    assert neckline["box"] == [0.25, 0.5, 0.5, 0.75]
    assert sum(value["probability"] for value in neckline["values"]) == pytest.approx(1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_formats(client, suffix):
    answer = answer_of(client.post("/v1/predict", **upload(picture(BLUE, suffix))))
    assert answer["attributes"][0]["value"] == "blue"


def test_search_by_item_is_judged_by_labels_and_leaves_the_item_out(client):
    parameters = {"item": "item-0", "set": "colour=blue", "k": 3}
    answer = answer_of(client.get("/v1/search", params=parameters))
    assert answer["query"]["item"] == "item-0"
    colour, _, neckline = answer["query"]["attributes"]
    assert (colour["value"], colour["label"], neckline["label"]) == ("red", "red", None)
    assert answer["edits"] == {"colour": "blue"}
    assert answer["target"] == {"colour": "blue", "sleeve": "short", "neckline": "round"}
    assert [result["id"] for result in answer["results"]] == ["item-11", "item-8", "item-5"]
    assert answer["results"][2] == {
        "id": "item-5",
        "distance": 0.05,
        "image": "/v1/items/item-5/image",
        "attributes": {"colour": "blue", "sleeve": "long", "neckline": "v-neck"},
        "predicted": {"colour": "blue", "sleeve": "short", "neckline": "round"},
        "columns": {},
        "product": None,
        "matches": False,
        "differing": ["sleeve"],  # the model reads the neckline of both alike
        "by_prediction": False,
    }
    assert "labels of the query" in answer["judged_by"]
    assert set(answer["took_ms"]) == {"total", "model", "index"}
    assert (answer["k"], answer["offset"], answer["total"]) == (3, 0, 16)


def test_no_result_is_the_query_itself(client):
    answer = answer_of(client.get("/v1/search", params={"item": "item-3", "k": 100}))
    ids = [result["id"] for result in answer["results"]]
    assert "item-3" not in ids and len(ids) == 16
    assert answer["edits"] == {} and ids[0] == "item-9"  # of its own colour
    for k in (1, 5):
        shorter = answer_of(client.get("/v1/search", params={"item": "item-3", "k": k}))
        assert [result["id"] for result in shorter["results"]] == ids[:k]


def test_search_by_upload_is_judged_by_the_prediction(client):
    answer = answer_of(
        client.post("/v1/search", **upload(picture(GREEN), set=["sleeve=long"], k="20"))
    )
    assert answer["query"]["item"] is None
    assert {attribute["label"] for attribute in answer["query"]["attributes"]} == {None}
    assert answer["target"] == {"colour": "green", "sleeve": "long", "neckline": "round"}
    by_id = {result["id"]: result for result in answer["results"]}
    assert by_id["item-1"]["matches"]  # without a label of the neckline, which nobody asked for
    assert by_id["item-4"]["differing"] == ["sleeve"]
    assert "predicted" in answer["judged_by"]


def test_items_that_nobody_labelled_are_judged_by_prediction():
    index = FakeIndex()
    index.values[[0, 3, 7]] = -1  # two red ones and a green one
    with TestClient(create_app(FakeModel(), index)) as client:
        for request in (
            client.get("/v1/search", params={"item": "item-0", "set": "colour=red", "k": 100}),
            client.get("/v1/search", params={"item": "item-6", "set": "colour=red", "k": 100}),
            client.post("/v1/search", **upload(picture(RED), k="100")),
        ):
            answer = answer_of(request)
            by_id = {result["id"]: result for result in answer["results"]}
            assert by_id["item-3"]["by_prediction"] and "colour" not in by_id["item-3"]["differing"]
            assert by_id["item-7"]["by_prediction"] and "colour" in by_id["item-7"]["differing"]
            assert not by_id["item-9"]["by_prediction"]
            assert "results without labels are judged by what is predicted" in answer["judged_by"]


def test_an_items_own_picture_matches_it_also_where_the_model_misreads_it():
    index = FakeIndex()
    index.values[9] = [1, 1, 3]  # labelled green, and looks red
    with TestClient(create_app(FakeModel(), index)) as client:
        answer = answer_of(client.post("/v1/search", **upload(picture(RED), k="1")))
        (itself,) = answer["results"]
        assert (itself["id"], itself["matches"], itself["differing"]) == ("item-9", True, [])
        chips = {reading["name"]: reading["value"] for reading in answer["query"]["attributes"]}
        assert answer["target"] == chips
        # By id: the chip shows the label, or else the reading, and so does the target.
        answer = answer_of(client.get("/v1/search", params={"item": "item-0"}))
        chips = {one["name"]: one["label"] or one["value"] for one in answer["query"]["attributes"]}
        assert answer["target"] == chips


def test_values_may_be_named_in_another_case(client):
    upper = {"item": "item-0", "set": "Colour=BLUE", "must": "SLEEVE=Long"}
    lower = {"item": "item-0", "set": "colour=blue", "must": "sleeve=long"}
    found = [answer_of(client.get("/v1/search", params=each)) for each in (upper, lower)]
    assert found[0]["edits"] == {"colour": "blue"}
    assert [r["id"] for r in found[0]["results"]] == [r["id"] for r in found[1]["results"]]


def forget_warm_up(client, model: FakeModel) -> None:
    while client.get("/readyz").status_code != 200:
        time.sleep(0.01)
    model.calls.clear()


def test_another_edit_of_a_recent_image_needs_no_forward_pass():
    model = FakeModel()
    with TestClient(create_app(model, FakeIndex())) as client:
        forget_warm_up(client, model)
        for colour in ("red", "blue", "green"):
            client.post("/v1/search", **upload(picture(GREEN), set=[f"colour={colour}"]))
            client.get("/v1/search", params={"item": "item-0", "set": f"colour={colour}"})
            client.post("/v1/predict", **upload(picture(GREEN)))
            client.get("/v1/explain", params={"item": "item-0"})
        assert sorted(model.calls) == [("predict", 1)] * 2 + [("query_features", 1)] * 2
        text = client.get("/metrics").text
    for result, number in (("hit", 4), ("miss", 2)):
        line = f'cache_lookups_total{{result="{result}",signature="image_features"}} {number}.0'
        assert line in text


def test_an_export_without_features_gives_the_same_answers():
    answers = []
    for gives_features in (True, False):
        model = FakeModel(gives_features=gives_features)
        with TestClient(create_app(model, FakeIndex())) as client:
            forget_warm_up(client, model)
            answer = answer_of(
                client.get("/v1/search", params={"item": "item-0", "set": "colour=blue"})
            )
            answers.append({key: value for key, value in answer.items() if key != "took_ms"})
            (call,) = model.calls
            assert call == ("query_features" if gives_features else "encode_query", 1)
    assert answers[0] == answers[1]


def test_an_answer_says_where_its_time_went(client):
    response = client.post("/v1/search", **upload(picture(BLUE, ".jpg", 40)))
    entries = dict(entry.split(";dur=") for entry in response.headers["server-timing"].split(", "))
    assert set(entries) == {"upload", "prepare", "pass", "index", "total"}
    times = {name: float(value) for name, value in entries.items()}
    assert 0 < sum(times.values()) - times["total"] <= times["total"] + 0.1
    again = client.post("/v1/search", **upload(picture(BLUE, ".jpg", 40), set=["colour=red"]))
    assert "edit;dur=" in again.headers["server-timing"]
    assert "pass;dur=" not in again.headers["server-timing"]


def test_search_by_form_with_an_item_equals_search_by_url(client):
    parameters = {"item": "item-1", "set": ["colour=red", "sleeve=long"], "k": "4"}
    by_url = answer_of(client.get("/v1/search", params=parameters))
    no_file = [(name, (None, value)) for name, value in [("item", "item-1"), ("k", "4")]]
    no_file += [("set", (None, value)) for value in parameters["set"]]
    by_form = answer_of(client.post("/v1/search", files=no_file))
    del by_url["took_ms"], by_form["took_ms"]
    assert by_form == by_url


def test_search_with_filters(client):
    parameters = {"item": "item-0", "filter": ["colour=green", "sleeve=long"]}
    answer = answer_of(client.get("/v1/search", params=parameters))
    assert {result["id"] for result in answer["results"]} == {"item-1", "item-7"}
    nobody = {"item": "item-0", "filter": ["colour=red", "neckline=square", "sleeve=short"]}
    assert answer_of(client.get("/v1/search", params=nobody))["results"] == []


def test_search_with_what_results_must_have(client):
    parameters = {"item": "item-0", "must": ["colour=green", "sleeve=long"]}
    by_url = answer_of(client.get("/v1/search", params=parameters))
    assert {result["id"] for result in by_url["results"]} == {"item-1", "item-7"}
    fields = [
        (name, (None, text)) for name in parameters for text in np.atleast_1d(parameters[name])
    ]
    by_form = answer_of(client.post("/v1/search", files=fields))
    assert by_form["results"] == by_url["results"]
    assert answer_of(client.get("/v1/attributes"))["uses_labels"] is False


def test_the_query_is_left_out_where_a_filter_keeps_it_away_too(client):
    parameters = {"item": "item-0", "filter": "colour=green", "k": 2}
    assert len(answer_of(client.get("/v1/search", params=parameters))["results"]) == 2


def test_explanations_of_item_and_upload(client):
    by_item = answer_of(client.get("/v1/explain", params={"item": "item-1"}))
    by_upload = answer_of(client.post("/v1/explain", **upload(picture(GREEN))))
    assert by_item == by_upload
    assert [a["name"] for a in by_item["attributes"]] == list(SPACE.names)
    first = by_item["attributes"][0]
    assert (first["value"], first["box"]) == ("green", [0.25, 0.5, 0.5, 0.75])


def test_an_overlay_laid_over_an_image_is_the_picture_of_explain(client):
    first = answer_of(client.get("/v1/explain", params={"item": "item-1"}))["attributes"][0]
    overlay = overlay_of(first)
    assert overlay.shape == (224, 224, 4)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (224, 224, 3), np.uint8)
    alpha = overlay[..., 3:] / 255
    shown = alpha * overlay[..., :3] + (1 - alpha) * image
    activation = np.zeros((4, 4))
    activation[1, 2] = 1
    expected = overlay_map(image, map_on_image(activation, 224))
    np.testing.assert_allclose(shown, expected, atol=2.5)
    assert overlay[200, 20, 3] == 0


@pytest.mark.parametrize(
    ("fit", "box", "seen"),
    [
        ("crop", (0.375, 0.5, 0.5, 0.625), (slice(56, 168), slice(56, 168))),
        ("stretch", (0.25, 0.5, 0.5, 0.625), (slice(0, 224), slice(56, 168))),
    ],
)
def test_boxes_and_overlays_follow_the_fit_of_the_model(fit, box, seen):
    """They are for the image in a square, whatever part of it the network sees."""
    tall = cv2.imencode(".png", np.zeros((64, 32, 3), np.uint8))[1].tobytes()
    with TestClient(create_app(FakeModel(fit=fit), FakeIndex())) as client:
        read = answer_of(client.post("/v1/predict", **upload(tall)))["attributes"][0]
        shown = answer_of(client.post("/v1/explain", **upload(tall)))["attributes"][0]
    assert read["box"] == shown["box"] == list(box)
    heat = overlay_of(shown)[..., 3]
    outside = np.ones(heat.shape, bool)
    outside[seen] = False
    assert heat[outside].max() == 0 and heat[seen].max() > 100


def test_a_system_without_attention_has_no_boxes_and_no_overlays():
    with TestClient(create_app(FakeModel(has_attention=False), FakeIndex())) as client:
        explained = answer_of(client.get("/v1/explain", params={"item": "item-1"}))
        predicted = answer_of(client.post("/v1/predict", **upload(picture())))
    assert {(a["box"], a["overlay"]) for a in explained["attributes"]} == {(None, None)}
    assert {a["box"] for a in predicted["attributes"]} == {None}


def test_health_and_metrics(client):
    assert answer_of(client.get("/healthz")) == {"status": "ok"}
    assert answer_of(client.get("/readyz")) == {
        "status": "ok",
        "index_state": "000001",
        "index_items": 17,
        "index_problem": "",
    }
    client.get("/v1/items/item-1/image")
    client.get("/nowhere/" + "x" * 50)
    text = client.get("/metrics").text
    images = 'route="/v1/items/{item}/image",status="200"'
    assert f'fashionsearchnet_requests_total{{method="GET",{images}}}' in text
    assert 'route="unknown",status="404"' in text and "nowhere" not in text
    assert 'fashionsearchnet_batch_size_bucket{le="1.0",signature="image_features"}' in text
    assert 'fashionsearchnet_queue_length{signature="predict"} 0.0' in text
    assert "fashionsearchnet_index_seconds_count" in text


def test_every_answer_has_an_id_and_security_headers(client):
    for path in ("/v1/attributes", "/nowhere", "/v1/items/item-1/image", "/"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "img-src 'self' data: blob:" in headers["content-security-policy"]
        assert len(headers["x-request-id"]) == 16
        assert headers["cache-control"]


def test_the_description_names_every_route_with_its_errors(client):
    document = answer_of(client.get("/openapi.json"))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"] and operation["description"], path
            assert "500" in operation["responses"], path
            assert "HTTPValidationError" not in str(operation), path
    search = document["paths"]["/v1/search"]["post"]
    assert {"400", "404", "408", "413", "415", "422", "503"} <= set(search["responses"])
    form = search["requestBody"]["content"]["multipart/form-data"]["schema"]
    parameters = ["item", "set", "correct", "like", "filter", "must", "k", "offset"]
    parameters += ["one_per_product", "rerank"]
    assert set(form["properties"]) == {"image", *parameters}
    names = [p["name"] for p in document["paths"]["/v1/search"]["get"]["parameters"]]
    assert names == parameters
