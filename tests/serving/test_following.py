"""The service follows its index while requests go on."""

import asyncio
import shutil
import threading

import numpy as np
import pytest
from fakes import SPACE
from service_fakes import BLUE, GREEN, RED, FakeModel, picture, running

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item

COLOURS = (RED, GREEN, BLUE)


def put(index: GalleryIndex, *numbers: int, value: int | None = None) -> None:
    """Puts items `item-<number>`, each of the colour that its number names."""
    items = [
        Item(
            f"item-{n}",
            np.array([n % 3 if value is None else value, -1, -1], np.int32),
            picture(COLOURS[n % 3], side=16 + n),
        )
        for n in numbers
    ]
    vectors = np.array([np.eye(3)[n % 3] * (1 + n / 100) for n in numbers], np.float32)
    index.put(items, vectors)


@pytest.fixture
def index(tmp_path):
    made = GalleryIndex.create(
        tmp_path / "index", space=SPACE, fingerprint=FakeModel.fingerprint, dim=3
    )
    put(made, *range(12))
    made.commit()
    return made


def other(index: GalleryIndex) -> GalleryIndex:
    """Returns the index as another process opens it."""
    return GalleryIndex.open(index.directory)


async def state_becomes(client, state: str) -> dict:
    async with asyncio.timeout(20):
        while (ready := (await client.get("/readyz")).json())["index_state"] != state:
            await asyncio.sleep(0.02)
    return ready


def metric(text: str, name: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(f"fashionsearchnet_{name}")]
    return float(lines[0].split()[-1])


def test_three_commits_later_removed_items_are_gone_and_nothing_fails(index):
    async def main():
        async with running(index=GalleryIndex.open(index.directory), **FAST) as client:
            changing = other(index)
            for commit in range(3):
                changing.remove([f"item-{commit}"])
                put(changing, 20 + commit)
                changing.commit()
            ready = await state_becomes(client, changing.state)
            assert (ready["status"], ready["index_items"], ready["index_problem"]) == ("ok", 12, "")
            listed = (await client.get("/v1/items", params={"limit": 100})).json()["items"]
            ids = [item["id"] for item in listed]
            assert ids == changing.ids and "item-0" not in ids and "item-22" in ids
            for item in listed:
                assert (await client.get(item["image"])).status_code == 200
            found = await client.get("/v1/search", params={"item": "item-20", "k": 100})
            assert len(found.json()["results"]) == 11
            gone = await client.get("/v1/search", params={"item": "item-0"})
            assert gone.status_code == 404
            text = (await client.get("/metrics")).text
            assert metric(text, "index_state") == int(changing.state)
            assert metric(text, "index_items") == 12
            assert metric(text, "index_behind") == 0

    asyncio.run(main())


FAST = {"index_poll_seconds": 0.05}


def test_a_page_that_shows_a_removed_item_still_gets_its_image(index):
    async def main():
        async with running(index=GalleryIndex.open(index.directory), **FAST) as client:
            changing = other(index)
            shown = (await client.get("/v1/items/item-3/image")).content
            changing.remove(["item-3"])
            changing.commit()
            await state_becomes(client, changing.state)
            assert (await client.get("/v1/items/item-3/image")).content == shown
            for _ in range(2):
                put(changing, 30)
                changing.commit()
                await state_becomes(client, changing.state)
            gone = await client.get("/v1/items/item-3/image")
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_item")

    asyncio.run(main())


def test_images_that_vanish_between_two_looks_are_not_found_in_place_of_a_fault(index):
    async def main():
        opened = GalleryIndex.open(index.directory)
        async with running(index=opened, index_poll_seconds=1000) as client:
            shutil.rmtree(index.directory / "images")
            for path in ("/v1/items/item-1/image", "/v1/search?item=item-1"):
                answer = await client.get(path)
                assert answer.status_code == 404
                assert answer.json()["error"]["code"] == "image_unreadable"

    asyncio.run(main())


def test_requests_go_on_while_the_index_changes(index):
    async def main():
        opened = GalleryIndex.open(index.directory)
        async with running(index=opened, index_poll_seconds=0.05) as client:
            changing, statuses, stop = other(index), [], False

            def change():
                for number in range(12, 24):
                    put(changing, number)
                    changing.remove([f"item-{number - 11}"])
                    changing.commit()

            async def ask():
                while not stop:
                    answer = await client.get("/v1/search", params={"item": "item-0", "k": 30})
                    statuses.append(answer.status_code)
                    # One state: eleven others, none of them twice.
                    ids = [result["id"] for result in answer.json()["results"]]
                    assert len(set(ids)) == len(ids) == 11

            asking = [asyncio.create_task(ask()) for _ in range(4)]
            thread = threading.Thread(target=change)
            thread.start()
            await asyncio.to_thread(thread.join)
            await state_becomes(client, changing.state)
            stop = True
            await asyncio.gather(*asking)
            assert set(statuses) == {200} and len(statuses) > 20

    asyncio.run(main())


def test_a_state_that_cannot_be_opened_leaves_the_former_one(index, caplog):
    async def main():
        opened = GalleryIndex.open(index.directory)
        async with running(index=opened, **FAST) as client:
            before = opened.state
            changing = other(index)
            put(changing, 30)
            changing.commit()
            good = (index.directory / "states" / changing.state / "items.npz").read_bytes()
            path = index.directory / "states" / changing.state / "items.npz"
            path.write_bytes(good[:-9])
            client.app.state.service.follower.look_now()
            async with asyncio.timeout(20):
                while not (ready := (await client.get("/readyz")).json())["index_problem"]:
                    await asyncio.sleep(0.02)
            assert (ready["status"], ready["index_state"]) == ("ok", before)
            assert "items.npz is damaged" in ready["index_problem"]
            found = await client.get("/v1/search", params={"item": "item-0"})
            assert found.status_code == 200
            assert metric((await client.get("/metrics")).text, "index_behind") == 1
            path.write_bytes(good)
            client.app.state.service.follower.look_now()
            ready = await state_becomes(client, changing.state)
            assert ready["index_problem"] == ""

    asyncio.run(main())
    lines = [r.getMessage() for r in caplog.records if "cannot be reloaded" in r.getMessage()]
    assert len(lines) == 1


def test_an_index_of_another_model_is_not_taken(index):
    async def main():
        opened = GalleryIndex.open(index.directory)
        async with running(index=opened, **FAST) as client:
            shutil.rmtree(index.directory)
            GalleryIndex.create(index.directory, space=SPACE, fingerprint="f" * 16, dim=3)
            client.app.state.service.follower.look_now()
            async with asyncio.timeout(20):
                while not (ready := (await client.get("/readyz")).json())["index_problem"]:
                    await asyncio.sleep(0.02)
            assert "holds vectors of the model ffffffffffffffff" in ready["index_problem"]
            assert ready["index_items"] == 12

    asyncio.run(main())
