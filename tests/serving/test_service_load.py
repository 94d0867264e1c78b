"""Many requests at a time: shared passes, bounded queues, clients that are slow or go away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from service_fakes import GREEN, RED, FakeIndex, FakeModel, picture, running

from fashionsearchnet.serving.app import create_app

MULTIPART = b"multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'


def files(colour=RED):
    return {"image": ("photo.png", picture(colour), "image/png")}


async def until(condition) -> None:
    """Waits for a condition to hold, for at most 10 seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def held_up(client, model: FakeModel, waiting: int) -> AsyncIterator[None]:
    """Holds up the model with another search until as many requests of the block wait for it."""
    model.gate.clear()
    first = asyncio.create_task(client.get("/v1/search", params={"item": "item-5"}))
    await until(lambda: model.calls)
    yield
    await until(lambda: queue_length(client) == waiting)
    model.gate.set()
    assert (await first).status_code == 200


def queue_length(client) -> int:
    return len(client.app.state.service.passes._images)


def test_concurrent_requests_share_passes_and_get_their_own_answers():
    async def main():
        model = FakeModel()
        async with running(model, max_batch_size=8, cache_mb=0) as client:
            async with held_up(client, model, waiting=16):
                asking = [
                    asyncio.ensure_future(
                        client.post(
                            "/v1/search", files=files((RED, GREEN)[i % 2]), data={"k": i + 1}
                        )
                    )
                    for i in range(16)
                ]
            answers = await asyncio.gather(*asking)
        for i, answer in enumerate(answers):
            assert answer.status_code == 200
            assert answer.json()["target"]["colour"] == ("red", "green")[i % 2]
            assert len(answer.json()["results"]) == min(i + 1, 17)
        assert model.calls[1:] == [("query_features", 8)] * 2
        assert not model.edits  # they came with the pass

    asyncio.run(main())


def test_a_bad_image_fails_only_its_own_request():
    async def main():
        async with running(max_wait_ms=200) as client:
            bad = {"image": ("photo.png", picture()[:60], "image/png")}
            answers = await asyncio.gather(
                *(client.post("/v1/predict", files=f) for f in (files(), bad, files()))
            )
        assert [answer.status_code for answer in answers] == [200, 422, 200]

    asyncio.run(main())


def test_a_stored_image_that_fails_its_batch_fails_alone():
    async def main():
        model = FakeModel()
        async with running(model, cache_mb=0) as client:
            index = client.app.state.service.follower.index
            index._images["item-1"] = b"poison"
            async with held_up(client, model, waiting=3):
                asking = [
                    asyncio.ensure_future(client.get("/v1/search", params={"item": f"item-{i}"}))
                    for i in range(3)
                ]
            answers = await asyncio.gather(*asking)
        assert [answer.status_code for answer in answers] == [200, 500, 200]
        assert [size for _, size in model.calls[1:]] == [3, 1, 2, 1, 1]

    asyncio.run(main())


def test_the_event_loop_answers_while_the_model_is_busy():
    async def main():
        model = FakeModel()
        async with running(model) as client:
            model.gate.clear()
            search = asyncio.create_task(client.get("/v1/search", params={"item": "item-0"}))
            await until(lambda: model.calls)
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/v1/items")).status_code == 200
            assert not search.done()
            model.gate.set()
            assert (await search).status_code == 200

    asyncio.run(main())


def test_a_full_queue_says_when_to_try_again():
    async def main():
        model = FakeModel()
        async with running(model, max_batch_size=2, max_queue=3, max_wait_ms=0) as client:
            model.gate.clear()

            def get():
                return asyncio.create_task(client.get("/v1/search", params={"item": "item-0"}))

            first = get()
            await until(lambda: model.calls)
            waiting = [get() for _ in range(3)]
            await until(lambda: queue_length(client) == 3)
            refused = await get()
            assert 'queue_length{signature="image_features"} 3.0' in (
                (await client.get("/metrics")).text
            )
            model.gate.set()
            answers = await asyncio.gather(first, *waiting)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "too_many_requests"
        assert [answer.status_code for answer in answers] == [200] * 4

    asyncio.run(main())


def test_too_many_requests_are_refused_before_their_bodies_are_read():
    async def main():
        model = FakeModel()
        async with running(model, max_requests=1) as client:
            model.gate.clear()
            first = asyncio.create_task(client.post("/v1/predict", files=files()))
            await until(lambda: client.app.state.service._under_way == 1)
            refused = await client.post("/v1/predict", files=files())
            model.gate.set()
            assert (await first).status_code == 200
            assert (await client.post("/v1/predict", files=files())).status_code == 200
        assert refused.status_code == 503
        assert "at its limit of 1 requests. Try again" in refused.json()["error"]["message"]

    asyncio.run(main())


async def call(app, messages: asyncio.Queue, path="/v1/predict") -> list[dict]:
    """Returns what the app sends when it receives the messages of the queue."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"content-type", MULTIPART), (b"transfer-encoding", b"chunked")],
    }
    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    await app(scope, messages.get, send)
    return sent


def test_a_client_that_goes_away_leaves_the_queue():
    async def main():
        model = FakeModel()
        async with running(model, max_wait_ms=0) as client:
            model.gate.clear()
            first = asyncio.create_task(client.get("/v1/search", params={"item": "item-0"}))
            await until(lambda: model.calls)
            messages: asyncio.Queue = asyncio.Queue()
            body = PART + picture() + b"\r\n--x--\r\n"
            await messages.put({"type": "http.request", "body": body, "more_body": False})
            second = asyncio.create_task(call(client.app, messages, "/v1/search"))
            await until(lambda: queue_length(client) == 1)
            await messages.put({"type": "http.disconnect"})
            await second
            assert queue_length(client) == 0
            model.gate.set()
            await first
        assert model.calls == [("query_features", 1)]

    asyncio.run(main())


def test_a_client_that_goes_away_within_its_upload():
    async def main():
        async with running() as client:
            messages: asyncio.Queue = asyncio.Queue()
            await messages.put({"type": "http.request", "body": PART, "more_body": True})
            await messages.put({"type": "http.disconnect"})
            sent = await asyncio.wait_for(call(client.app, messages), 10)
            assert sent[0]["status"] == 499
            assert client.app.state.service._under_way == 0

    asyncio.run(main())


@pytest.mark.parametrize("limit", ["upload_seconds", "pause_seconds"])
def test_a_slow_upload_ends(limit):
    async def main():
        async with running(**{limit: 0.2}) as client:
            messages: asyncio.Queue = asyncio.Queue()
            await messages.put({"type": "http.request", "body": PART, "more_body": True})
            start = time.monotonic()
            sent = await asyncio.wait_for(call(client.app, messages), 10)
            assert sent[0]["status"] == 408
            assert b"upload_too_slow" in sent[1]["body"]
            assert 0.2 < time.monotonic() - start < 5

    asyncio.run(main())


def test_it_is_not_ready_before_the_model_has_run():
    async def main():
        model = FakeModel()
        model.gate.clear()
        app = create_app(model, FakeIndex())
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                starting = await client.get("/readyz")
                assert starting.status_code == 503
                assert starting.headers["retry-after"] == "1"
                assert (await client.get("/healthz")).status_code == 200
                model.gate.set()
                await app.state.service.warm.wait()
                assert (await client.get("/readyz")).status_code == 200
        assert {name for name, _ in model.calls} == {"query_features", "predict"}

    asyncio.run(main())


def test_stopping_answers_those_who_wait():
    async def main():
        model = FakeModel()
        async with running(model, max_wait_ms=0) as client:
            model.gate.clear()
            item = {"item": "item-0"}
            asking = [asyncio.create_task(client.get("/v1/search", params=item))]
            await until(lambda: model.calls)
            asking += [asyncio.create_task(client.get("/v1/search", params=item)) for _ in range(2)]
            await until(lambda: queue_length(client) == 2)
            closing = asyncio.create_task(client.app.state.service.close())
            answers = await asyncio.gather(*asking)
            model.gate.set()
            await closing
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].json()["error"]["code"] == "stopping"

    asyncio.run(main())
