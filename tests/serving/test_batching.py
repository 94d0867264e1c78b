import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fashionsearchnet.serving.batching import Batcher, QueueClosed, QueueFull


class Doubler:
    """Doubles numbers in batches; `gate` holds it up, a negative number fails its batch."""

    def __init__(self):
        self.batches = []
        self.threads = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items):
        self.gate.wait(10)
        self.threads.add(threading.current_thread())
        self.batches.append(list(items))
        if min(items) < 0:
            raise ValueError(f"bad batch {items}")
        return [2 * item for item in items]


def with_batcher(scenario, **limits):
    """Runs `scenario(batcher, run)` on an event loop; returns the batches that were run."""
    run = Doubler()
    settings = {"max_batch_size": 4, "max_wait_ms": 20.0, "max_queue": 100} | limits
    settings.setdefault("company", lambda: 100)

    async def main():
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(run, executor, **settings)
            batcher.start()
            try:
                await asyncio.wait_for(scenario(batcher, run), 10)
            finally:
                run.gate.set()
                await batcher.close()

    asyncio.run(main())
    return run.batches


async def settle():
    """Lets every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_lone_item_waits_for_nobody():
    async def scenario(batcher, run):
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await batcher.submit(1) == 2
        assert loop.time() - start < 5

    assert with_batcher(scenario, max_wait_ms=8000.0, company=lambda: 1) == [[1]]


def test_items_that_arrive_together_share_batches_in_order():
    async def scenario(batcher, run):
        results = await asyncio.gather(*(batcher.submit(i) for i in range(10)))
        assert results == [2 * i for i in range(10)]
        assert threading.current_thread() not in run.threads

    assert with_batcher(scenario) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_full_batch_does_not_wait():
    async def scenario(batcher, run):
        await asyncio.gather(*(batcher.submit(i) for i in range(4)))

    assert with_batcher(scenario, max_wait_ms=60_000) == [[0, 1, 2, 3]]


def test_without_waiting_the_first_goes_alone_and_the_rest_collect_meanwhile():
    async def scenario(batcher, run):
        run.gate.clear()
        first = asyncio.create_task(batcher.submit(1))
        await settle()
        rest = [asyncio.create_task(batcher.submit(i)) for i in (2, 3)]
        await settle()
        assert len(batcher) == 2
        run.gate.set()
        assert await asyncio.gather(first, *rest) == [2, 4, 6]

    assert with_batcher(scenario, max_wait_ms=0) == [[1], [2, 3]]


def test_a_bad_item_fails_its_own_caller_only():
    async def scenario(batcher, run):
        results = await asyncio.gather(
            *(batcher.submit(i) for i in (1, -5, 3)), return_exceptions=True
        )
        assert results[0] == 2 and results[2] == 6
        assert str(results[1]) == "bad batch [-5]"
        assert await batcher.submit(4) == 8  # it goes on

    assert with_batcher(scenario) == [[1, -5, 3], [1], [-5, 3], [-5], [3], [4]]


def test_one_too_many_is_refused_at_once():
    async def scenario(batcher, run):
        run.gate.clear()
        running = asyncio.create_task(batcher.submit(0))
        await settle()
        waiting = [asyncio.create_task(batcher.submit(i)) for i in (1, 2)]
        await settle()
        with pytest.raises(QueueFull):
            await batcher.submit(3)
        run.gate.set()
        assert await asyncio.gather(running, *waiting) == [0, 2, 4]

    with_batcher(scenario, max_queue=2, max_wait_ms=0)


def test_a_cancelled_item_leaves_the_queue():
    async def scenario(batcher, run):
        run.gate.clear()
        running = asyncio.create_task(batcher.submit(0))
        await settle()
        leaving, staying = (asyncio.create_task(batcher.submit(i)) for i in (1, 2))
        await settle()
        leaving.cancel()
        await settle()
        assert len(batcher) == 1
        run.gate.set()
        assert await asyncio.gather(running, staying) == [0, 4]
        assert leaving.cancelled()

    assert with_batcher(scenario, max_wait_ms=0) == [[0], [2]]


def test_cancelling_while_the_batch_runs_harms_nobody():
    async def scenario(batcher, run):
        run.gate.clear()
        leaving, staying = (asyncio.create_task(batcher.submit(i)) for i in (1, 2))
        await asyncio.sleep(0.03)
        assert len(batcher) == 0
        leaving.cancel()
        await settle()
        run.gate.set()
        assert await staying == 4
        assert await batcher.submit(5) == 10

    assert with_batcher(scenario, max_wait_ms=1) == [[1, 2], [5]]


def test_closing_answers_everybody():
    async def scenario(batcher, run):
        run.gate.clear()
        running = asyncio.create_task(batcher.submit(0))
        await settle()
        waiting = asyncio.create_task(batcher.submit(1))
        await settle()
        await batcher.close()
        results = await asyncio.gather(running, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [QueueClosed, QueueClosed]
        with pytest.raises(QueueClosed):
            await batcher.submit(2)

    with_batcher(scenario, max_wait_ms=0)


@pytest.mark.parametrize("turns", range(5))
def test_it_closes_at_the_moment_when_an_item_arrives(turns):
    """Whatever the worker is about to hear first, the item or that it shall end."""

    async def scenario(batcher, run):
        callers = [asyncio.create_task(batcher.submit(1))]
        await settle()  # the worker waits for company
        callers.append(asyncio.create_task(batcher.submit(2)))
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(batcher.close(), 1)
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert {type(result) for result in results} <= {int, QueueClosed}

    with_batcher(scenario, max_wait_ms=1e4)
