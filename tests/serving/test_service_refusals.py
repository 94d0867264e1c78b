"""Bad requests: each is refused in the same form, and the service goes on."""

import io
import logging

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from service_fakes import FakeIndex, FakeModel, picture, png_bomb

from fashionsearchnet.serving.app import create_app
from fashionsearchnet.serving.limits import Limits

GIF = b"GIF89a\x20\x00\x20\x00\x80\x00\x00" + bytes(100)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
AVIF = b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf" + bytes(100)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
JPEG = cv2.imencode(".jpg", NOISE)[1].tobytes()
LIMITS = Limits(max_upload_bytes=50_000, max_k=50)
MULTIPART = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(FakeModel(), FakeIndex(), LIMITS)) as client:
        yield client


def refused(response, status: int, code: str) -> str:
    """Checks the form of a refusal; returns its message."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["code"] == code
    assert error["message"].endswith(".") and len(error["message"]) < 2000
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    return error["message"]


BAD_IMAGES = {
    "empty": (b"", 422, "empty_image", "no bytes"),
    "text": (b"colour,sleeve\nred,long\n", 415, "unsupported_image", "JPEG, PNG, WebP or BMP"),
    "gif": (GIF, 415, "unsupported_image", "it is GIF; JPEG, PNG, WebP or BMP files are read"),
    "heic": (HEIC, 415, "unsupported_image", "iPhone photos; JPEG, PNG, WebP or BMP files"),
    "avif": (AVIF, 415, "unsupported_image", "it is AVIF; JPEG, PNG, WebP or BMP files are read"),
    "tiff": (b"II*\0" + bytes(60), 415, "unsupported_image", "it is TIFF; JPEG, PNG, WebP or BMP"),
    "svg": (b"<svg onload='alert(1)'/>", 415, "unsupported_image", "JPEG, PNG, WebP or BMP"),
    "cut": (JPEG[: len(JPEG) // 2], 422, "damaged_image", "truncated"),
    "header only": (JPEG[:10], 422, "damaged_image", "within its header"),
    "bomb": (png_bomb(), 413, "image_too_large", "30000 x 30000 pixels"),
    "tiny": (picture(side=4), 422, "image_too_small", "shorter side must have 16"),
}


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/search", "/v1/explain"])
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images(client, path, name):
    data, status, code, words = BAD_IMAGES[name]
    response = client.post(path, files={"image": ("photo.jpg", data, "image/jpeg")})
    assert words in refused(response, status, code)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/search", "/v1/explain"])
def test_fields_in_the_address_of_an_upload(client, path):
    """They would be dropped: the search would answer without its edit."""
    files = {"image": ("photo.jpg", JPEG, "image/jpeg")}
    response = client.post(f"{path}?set=colour=red", files=files)
    message = refused(response, 422, "misplaced_field")
    assert "'set' stands in the address" in message and "fields: image" in message


def test_an_animated_gif_is_told_what_to_send(client):
    response = client.post("/v1/predict", files={"image": ("a.gif", GIF, "image/gif")})
    message = refused(response, 415, "unsupported_image")
    assert "Send one whole JPEG, PNG, WebP or BMP file" in message


BAD_PARAMETERS = [
    ({"set": "colour"}, "malformed_pair", "attribute=value, such as colour=red; got 'colour'"),
    ({"set": "x" * 600}, "malformed_pair", "set must read attribute=value"),
    ({"set": "color=red"}, "unknown_attribute", "did you mean colour"),
    ({"set": "neckline=vneck"}, "unknown_value", "did you mean v-neck"),
    ({"set": ["colour=red", "colour=blue"]}, "duplicate_edit", "set twice"),
    ({"filter": "neckline=boot"}, "unknown_value", "did you mean boat"),
    ({"must": "neckline=boot"}, "unknown_value", "did you mean boat"),
    ({"like": "color"}, "unknown_attribute", "did you mean colour"),
    ({"like": "colour:0"}, "malformed_weight", "must be a number above 0; got '0'"),
    ({"like": ["colour", "colour:2"]}, "duplicate_like", "named twice"),
    ({"like": "colour", "set": "colour=red"}, "like_and_set", "leave out 'set'"),
    ({"like": "colour"}, "no_search_alike", "Build it again with tools/build_index.py"),
    ({"rerank": "5"}, "no_readings", "Build it again with tools/build_index.py"),
    ({"rerank": "51"}, "invalid_parameter", "rerank may be at most 50; got 51"),
    ({"must": "boat"}, "malformed_pair", "'must' must read attribute=value"),
    ({"filter": "<b>=1"}, "unknown_attribute", "no attribute '<b>'"),
    ({"k": "0"}, "invalid_parameter", "greater than or equal to 1; got '0'"),
    ({"k": "-3"}, "invalid_parameter", "k should be"),
    ({"k": "1000000"}, "invalid_parameter", "k may be at most 50; got 1000000"),
    ({"k": "many"}, "invalid_parameter", "got 'many'"),
]


@pytest.mark.parametrize(("parameters", "code", "words"), BAD_PARAMETERS)
def test_bad_parameters_in_url_and_form(client, parameters, code, words):
    by_url = client.get("/v1/search", params={"item": "item-0", **parameters})
    assert words in refused(by_url, 422, code)
    files = {"image": ("photo.png", picture(), "image/png")}
    by_form = client.post("/v1/search", data=parameters, files=files)
    assert words in refused(by_form, 422, code)


def test_unknown_parameters_are_not_ignored(client):
    response = client.get("/v1/search", params={"item": "item-0", "sett": "colour=red"})
    message = refused(response, 422, "invalid_parameter")
    assert "no parameter 'sett' (did you mean set?); parameters: item, set, correct" in message
    message = refused(client.get("/v1/counts?must=colour=red"), 422, "invalid_parameter")
    assert message == "there is no parameter 'must'; parameters: filter."
    assert client.head("/v1/items?must=x").status_code == 422
    files = {"image": ("photo.png", picture(), "image/png")}
    response = client.post("/v1/search", data={"sett": "colour=red"}, files=files)
    assert "did you mean set" in refused(response, 422, "unknown_field")
    refused(client.post("/v1/predict", data={"k": "3"}, files=files), 422, "unknown_field")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"limit": 0}, "limit should be"),
        ({"limit": 51}, "at most 50; got 51"),
        ({"offset": -1}, "offset should be"),
        ({"offset": 10**13}, "offset should be"),
        ({"filter": "colour=pink"}, "no value 'pink'"),
    ],
)
def test_bad_pages(client, parameters, words):
    response = client.get("/v1/items", params=parameters)
    assert words in refused(response, 422, response.json()["error"]["code"])


@pytest.mark.parametrize("name", ["nobody", "..%2F..%2Fetc%2Fpasswd%00", "%3Cscript%3E", "%FF", ""])
def test_unknown_items(client, name):
    refused(client.get(f"/v1/items/{name}/image"), 404, "unknown_item")


def test_unknown_query_items(client):
    for path in ("/v1/search", "/v1/explain"):
        refused(client.get(path, params={"item": "../../../etc/shadow"}), 404, "unknown_item")
    message = refused(client.get("/v1/search", params={"item": "imageless"}), 404, "no_image")
    assert "upload it instead" in message
    refused(client.get("/v1/items/imageless/image"), 404, "no_image")


def test_a_search_has_one_query(client):
    files = {"image": ("photo.png", picture(), "image/png")}
    both = client.post("/v1/search", data={"item": "item-0"}, files=files)
    assert "got both" in refused(both, 422, "one_query")
    assert "got neither" in refused(client.get("/v1/search"), 422, "one_query")
    neither = client.post("/v1/search", files=[("k", (None, "3"))])
    assert "got neither" in refused(neither, 422, "one_query")
    assert "item is missing" in refused(client.get("/v1/explain"), 422, "invalid_parameter")


def test_misused_form_fields(client):
    text = client.post("/v1/predict", files=[("image", (None, "red"))])
    assert "must be a file" in refused(text, 422, "wrong_field")
    file = client.post("/v1/search", files={"item": ("a.txt", b"item-0", "text/plain")})
    assert "must be text" in refused(file, 422, "wrong_field")
    twice = client.post("/v1/search", files=[("k", (None, "3")), ("k", (None, "4"))])
    assert "once only" in refused(twice, 422, "repeated_field")
    for address in ("search?item=item-0&k=3&k=4", "items?limit=2&limit=3"):
        response = client.get(f"/v1/{address}")
        assert "once only" in refused(response, 422, "repeated_field")
    two = [("image", ("a.png", picture(), "image/png"))] * 2
    assert "Too many files" in refused(client.post("/v1/predict", files=two), 400, "malformed_form")


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"", "", 415, "unsupported_content_type"),
        (b"{}", "application/json", 415, "unsupported_content_type"),
        (b"image=x", "application/x-www-form-urlencoded", 415, "unsupported_content_type"),
        (picture(), "image/png", 415, "unsupported_content_type"),
        (b"", MULTIPART, 422, "missing_image"),
        (b"--y\r\n\r\nred\r\n--y--", MULTIPART, 400, "malformed_form"),
        (b"--x\r\n\r\nred\r\n--x--", MULTIPART, 400, "malformed_form"),
        (b"--x--", "multipart/form-data", 400, "malformed_form"),
        (
            b"\xff\xfe",
            "multipart/form-data; boundary=\xe9".encode("latin-1"),
            400,
            "malformed_form",
        ),
    ],
)
def test_bad_bodies(client, content, content_type, status, code):
    response = client.post("/v1/predict", content=content, headers={"Content-Type": content_type})
    refused(response, status, code)


def test_a_form_that_no_file_needs_says_how_to_ask(client):
    response = client.post("/v1/search", data={"item": "item-0"})
    assert "send a GET request with item=ID" in refused(response, 415, "unsupported_content_type")


def test_a_long_text_field_is_refused(client):
    response = client.post("/v1/search", files=[("set", (None, "x" * 20_000))])
    assert "a text field may have 10,000 bytes" in refused(response, 400, "malformed_form")


def test_too_many_bytes_are_refused_while_they_arrive(client):
    data = picture() + bytes(200_000)
    announced = client.post("/v1/predict", files={"image": ("a.png", data, "image/png")})
    assert "50,000 bytes" in refused(announced, 413, "upload_too_large")
    just = picture() + bytes(60_000)
    response = client.post("/v1/predict", files={"image": ("a.png", just, "image/png")})
    refused(response, 413, "upload_too_large")
    sent = 0

    def endless():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while sent < 2_000_000:
            sent += 10_000
            yield bytes(10_000)

    headers = {"Content-Type": MULTIPART}
    chunked = client.post("/v1/predict", content=endless(), headers=headers)
    refused(chunked, 413, "upload_too_large")


def test_paths_and_methods_that_do_not_exist(client):
    refused(client.get("/v1/nothing"), 404, "not_found")
    refused(client.get("/static/../app.py"), 404, "not_found")
    refused(client.get("/static/%2e%2e/app.py"), 404, "not_found")
    response = client.delete("/v1/search")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert client.options("/v1/predict").headers["allow"] == "POST"


def test_a_fault_tells_its_id_and_nothing_else(caplog):
    class Broken(FakeIndex):
        def search(self, queries, k, filters=None, must=None, one_per_group=False):
            raise RuntimeError("secret path /home/somebody")

    with TestClient(create_app(FakeModel(), Broken())) as client, caplog.at_level(logging.ERROR):
        response = client.get("/v1/search", params={"item": "item-0"})
        message = refused(response, 500, "internal_error")
        assert client.get("/healthz").status_code == 200
    assert "secret" not in response.text and "Traceback" not in response.text
    assert response.headers["x-request-id"] in message
    assert f"request {response.headers['x-request-id']} failed: GET /v1/search" in caplog.text
    assert "secret path" in caplog.text


def test_a_search_engine_that_does_not_answer_is_503():
    class Away(FakeIndex):
        def search(self, queries, k, filters=None, must=None, one_per_group=False):
            raise OSError("no server")

    with TestClient(create_app(FakeModel(), Away())) as client:
        response = client.get("/v1/search", params={"item": "item-0"})
    refused(response, 503, "index_unavailable")
    assert response.headers["retry-after"] == "1"


def test_a_model_that_cannot_run_is_never_ready():
    class Broken(FakeModel):
        def predict(self, images):
            raise RuntimeError("no kernel")

    with TestClient(create_app(Broken(), FakeIndex())) as client:
        while (response := client.get("/readyz")).json()["error"]["code"] == "starting":
            pass
        assert "no kernel" in refused(response, 503, "broken")


def test_an_index_of_another_model_is_refused():
    class Other(FakeModel):
        fingerprint = "another"

    with pytest.raises(ValueError, match="another model"):
        create_app(Other(), FakeIndex())


@pytest.mark.parametrize("name", ["max_k", "max_queue", "max_batch_size", "max_upload_bytes"])
def test_limits_that_nothing_could_keep(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        Limits(**{name: 0})


def test_after_all_that_it_still_answers(client):
    files = {"image": ("photo.jpg", io.BytesIO(JPEG), "image/jpeg")}
    assert client.post("/v1/predict", files=files).status_code == 200


def test_head_is_get_without_the_body(client):
    for path in ("/healthz", "/v1/items?limit=3", "/v1/items/item-0/image", "/", "/metrics"):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-type"] == whole.headers["content-type"]
        if path != "/metrics":
            assert head.headers["content-length"] == str(len(whole.content))
    response = client.head("/v1/predict")
    assert response.status_code == 405 and response.headers["allow"] == "POST"
    assert client.head("/v1/items/none/image").status_code == 404
    assert 'method="HEAD",route="/healthz",status="200"' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("search.example.com", True),
        ("SEARCH.example.com:8000", True),
        ("a.b.shop.example", True),
        ("shop.example", False),
        ("evilshop.example", False),
        ("search.example.com.evil.example", False),
        ("[::1]:8000", True),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_only_allowed_hosts_are_answered(host, is_answered):
    hosts = ["search.example.com", "*.shop.example", "[::1]"]
    app = create_app(FakeModel(), FakeIndex(), allowed_hosts=hosts)
    with TestClient(app) as client:
        answer = client.get("/v1/attributes", headers={"Host": host})
        assert answer.status_code == (200 if is_answered else 400)
        if not is_answered:
            assert "--allowed_hosts" in refused(answer, 400, "unknown_host")
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
