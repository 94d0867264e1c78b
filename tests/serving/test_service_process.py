"""tools/serve.py in a process of its own, with a real export and a real index."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import httpx
import numpy as np
import pytest
from exported import export_tiny
from fakes import SPACE, FakeDataset

from fashionsearchnet.attributes import AttributeSpace, parse_manipulation
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item
from fashionsearchnet.serving.exported import ExportedModel

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
ODD_ID = "a/b c?d=e&f#g%2F\u00fc"
UPLOADS = 200
CONNECTIONS, OPEN_FILES = 220, 500
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
START_ALL = """
import functools, json, sys
sys.path.insert(0, "tools")
import serve
serve.ExportedModel = functools.cache(serve.ExportedModel)  # it takes seconds to load
for arguments in json.loads(sys.argv[1]):
    serve.FLAGS.unparse_flags()
    serve.FLAGS(["serve.py", *arguments])
    try:
        serve.main()
    except (ValueError, OSError) as error:
        print(json.dumps([type(error).__name__, str(error)]))
above = ("systems", "training", "evaluation", "export")
print(json.dumps([name for name in above if f"fashionsearchnet.{name}" in sys.modules]))
"""


def gallery_image(number: int) -> bytes:
    image = FakeDataset().render("gallery", number, 40)
    return cv2.imencode(".png", np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])[1].tobytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ExportedModel:
    return ExportedModel(export_tiny(tmp_path_factory.mktemp("export")))


@pytest.fixture(scope="module")
def index(model, tmp_path_factory) -> GalleryIndex:
    directory = tmp_path_factory.mktemp("index") / "demo"
    made = GalleryIndex.create(
        directory, space=model.space, fingerprint=model.fingerprint, dim=model.dim
    )
    labels = FakeDataset().labels("gallery")
    images = [gallery_image(number) for number in range(24)]
    ids = [*(f"item-{number}" for number in range(23)), ODD_ID]
    items = [Item(*row) for row in zip(ids, labels, images, strict=False)]
    made.put(items, model.encode_gallery(images)[0])
    made.commit()
    return made


@contextlib.contextmanager
def serving(model, index, *arguments: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Yields a process that is ready, and its address."""
    command = [sys.executable, "tools/serve.py", f"--export={model.directory.parent}"]
    command += [f"--index={index.directory}", "--port=0", *arguments]
    limited = ["bash", "-c", f'ulimit -n {OPEN_FILES} && exec "$@"', "_", *command]
    log = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115  (as long as the process)
    process = subprocess.Popen(
        limited, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=log, text=True
    )
    process.log = Path(log.name)  # type: ignore[attr-defined]
    killer = threading.Timer(300, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready: http://127.0.0.1:"), line
        yield process, line.split()[1]
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        log.close()


@pytest.fixture(scope="module")
def service(model, index):
    flags = ["--max_upload_mb=1", "--max_queue=32", f"--max_connections={CONNECTIONS}"]
    flags += ["--header_seconds=3", "--index_poll_seconds=1000"]
    with serving(model, index, *flags) as (process, url):
        with httpx.Client(base_url=url, timeout=60) as client:
            yield process, client


def test_it_finds_what_model_and_index_find(service, model, index):
    _, client = service
    assert client.get("/readyz").status_code == 200
    edits, k = ["colour=blue", "neckline=boat"], 5
    answer = client.get("/v1/search", params={"item": "item-3", "set": edits, "k": k}).json()
    manipulation = parse_manipulation(SPACE, edits)[None]
    embedding, _ = model.encode_query([gallery_image(3)], manipulation)
    (found,) = index.search(embedding, k + 1)
    ids = [item for item in found.ids if item != "item-3"][:k]
    assert [result["id"] for result in answer["results"]] == ids
    distances = dict(zip(found.ids, found.distances, strict=True))
    for result in answer["results"]:
        assert result["distance"] == pytest.approx(distances[result["id"]], abs=1e-3)


def test_an_explanation_of_a_real_model(service, model):
    _, client = service
    answer = client.get("/v1/explain", params={"item": ODD_ID}).json()
    prediction = model.predict([gallery_image(23)])
    for attribute, explained in enumerate(answer["attributes"]):
        values = model.space.values[attribute]
        assert explained["value"] == values[prediction.values[0, attribute]]
        assert explained["overlay"].startswith("data:image/png;base64,")
        np.testing.assert_allclose(explained["box"], prediction.boxes[0, attribute], atol=1e-5)


def test_an_odd_id_has_its_image_over_http(service):
    _, client = service
    response = client.get(f"/v1/items/{quote(ODD_ID, safe='')}/image")
    assert response.content == gallery_image(23)
    item = client.get("/v1/items", params={"offset": 23}).json()["items"][0]
    assert client.get(item["image"]).content == gallery_image(23)
    assert client.get("/v1/items/..%2f..%2fCURRENT/image").status_code == 404


def test_two_hundred_concurrent_uploads(service):
    process, client = service
    photo = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (300, 200, 3)))[1]
    bodies = [photo.tobytes(), photo.tobytes()[:500], b"no image"]

    async def upload_all() -> list[int]:
        limits = httpx.Limits(max_connections=UPLOADS)
        async with httpx.AsyncClient(
            base_url=client.base_url, limits=limits, timeout=60
        ) as uploading:
            answers = await asyncio.gather(
                *(
                    uploading.post("/v1/search", files={"image": ("a.jpg", bodies[i % 3])})
                    for i in range(UPLOADS)
                )
            )
        for answer in answers:
            assert answer.status_code == 200 or answer.json()["error"]["message"]
        return [answer.status_code for answer in answers]

    statuses = asyncio.run(upload_all())
    assert set(statuses[::3]) <= {200, 503} and 200 in statuses
    assert set(statuses[1::3]) <= {422, 503}
    assert set(statuses[2::3]) <= {415, 503}
    assert process.poll() is None
    files = {"image": ("a.jpg", bodies[0])}
    assert client.post("/v1/search", files=files).status_code == 200
    text = client.get("/metrics").text
    assert 'fashionsearchnet_queue_length{signature="encode_query"} 0.0' in text
    assert "fashionsearchnet_model_requests_under_way 0.0" in text


def test_a_client_can_read_why_its_upload_was_too_large(service):
    _, client = service
    response = client.post("/v1/predict", files={"image": ("a.jpg", bytes(30_000_000))})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "upload_too_large"


def test_connections_that_break_off_do_no_harm(service):
    _, client = service
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    for _ in range(5):
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            connection.sendall(head)
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b"400" in connection.recv(100)
    assert client.get("/healthz").status_code == 200


def median_ms(url: str, number: int = 50) -> float:
    """Returns the median of `number` requests, one after the other over one connection."""
    with httpx.Client(base_url=url, timeout=60) as client:
        seconds = []
        for _ in range(number + 5):
            start = time.perf_counter()
            assert client.get("/healthz").status_code == 200
            seconds.append(time.perf_counter() - start)
    return 1e3 * float(np.median(seconds[5:]))


@contextlib.contextmanager
def bare_uvicorn() -> Iterator[str]:
    """Yields the address of an app that does nothing, in a process of its own."""
    code = """
import asyncio, uvicorn
async def app(scope, receive, send):
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"ok"})
async def main():
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", http="h11")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def test_an_empty_request_waits_for_nothing(service):
    """Without TCP_NODELAY it takes 44 ms, some seventy times what bare uvicorn takes."""
    _, client = service
    with bare_uvicorn() as bare:
        for _ in range(3):  # other programs share the cores
            found, beside = median_ms(str(client.base_url)), median_ms(bare)
            if found < 10 and found / beside < 10:
                return
    pytest.fail(f"an empty request takes {found:.1f} ms, of bare uvicorn {beside:.1f} ms")


def half_open(client) -> socket.socket:
    connection = socket.create_connection((client.base_url.host, client.base_url.port), 20)
    connection.sendall(HALF_A_HEAD)
    return connection


def test_half_open_connections_do_not_stop_it(service):
    """More than the connections and the files that it may have."""
    process, client = service
    before = process.log.read_text().count("\n")
    slow = []
    for number in range(2 * OPEN_FILES):
        slow.append(half_open(client))
        if number % 50 == 0:
            answer = httpx.get(f"{client.base_url}healthz", timeout=10)
            assert answer.status_code == 200, number
    assert client.get("/v1/search", params={"item": "item-3"}).status_code == 200
    for connection in slow:
        connection.close()
    text = process.log.read_text()
    assert "all 220 connections are taken" in text
    assert text.count("\n") - before < 10, text[-2000:]
    assert process.poll() is None


def test_a_head_that_does_not_end_is_not_awaited(service):
    _, client = service
    start = time.monotonic()
    with half_open(client) as connection:
        for _ in range(100):  # a byte now and then does not help
            try:
                connection.sendall(b"x")
                connection.settimeout(0.1)
                if not connection.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert 1 < time.monotonic() - start < 9


def test_a_hangup_makes_it_look_for_another_state(service, model, index):
    process, client = service
    before = client.get("/readyz").json()
    changing = GalleryIndex.open(index.directory)
    image = gallery_image(30)
    changing.put(
        [Item("new", FakeDataset().labels("gallery")[30], image)], model.encode_gallery([image])[0]
    )
    changing.commit()
    assert client.get("/readyz").json() == before
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while client.get("/readyz").json()["index_state"] != changing.state:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.get("/v1/items/new/image").content == image
    assert "/v1/items/new/image" in client.get("/v1/items", params={"offset": 24}).text


def test_start_up_errors(model, index, tmp_path):
    export, indexed = f"--export={model.directory}", f"--index={index.directory}"
    space = AttributeSpace.from_dict({"colour": ["red", "blue"]})
    for name, made in {"other_space": (space, "0"), "other_model": (model.space, "0")}.items():
        GalleryIndex.create(
            tmp_path / name, space=made[0], fingerprint=made[1], dim=model.dim
        ).commit()
    shutil.copytree(index.directory, tmp_path / "damaged")
    for path in (tmp_path / "damaged" / "states").rglob("vectors.faiss"):
        path.write_bytes(path.read_bytes()[:100])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            ([f"--export={tmp_path}/none", indexed], "FileNotFoundError", "holds no export"),
            ([export, f"--index={tmp_path}/none"], "FileNotFoundError", "none"),
            ([export, f"--index={tmp_path}/other_space"], "ValueError", "attribute spaces"),
            ([export, f"--index={tmp_path}/other_model"], "ValueError", "vectors of the model 0"),
            ([export, f"--index={tmp_path}/damaged"], "ValueError", "vectors.faiss"),
            ([export, indexed, f"--port={port}"], "OSError", "choose another --port"),
            ([export, indexed, "--host=192.0.2.1"], "OSError", "Give --host"),
        ]
        arguments = [["--port=0", *case[0]] for case in cases]
        done = subprocess.run(
            [sys.executable, "-c", START_ALL, json.dumps(arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            env=ENV,
        )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases) + 1, done.stderr
    assert answers.pop() == [], "the service needs an export, never the training code"
    for (kind, message), (_, expected_kind, words) in zip(answers, cases, strict=True):
        assert kind == expected_kind and words in message


def test_a_signal_stops_it_cleanly(service):  # the last test, since it ends the service
    process, _ = service
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert time.monotonic() - start < 30
    assert process.stdout.read() == ""
