"""Requests that arrive together share one forward pass."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Input = TypeVar("Input")
Output = TypeVar("Output")


class QueueFull(Exception):
    """The queue is at its limit."""


class QueueClosed(Exception):
    """The service is stopping."""


@dataclasses.dataclass(frozen=True)
class _Waiting(Generic[Input]):
    item: Input
    since: float  # seconds of the event loop's clock


class Batcher(Generic[Input, Output]):
    """Collects items and runs a function on several at a time, in a thread.

    While one batch runs, the next one collects: under load batches grow by themselves. The first
    item after a pause waits for others only while there are others that may come. An item whose
    caller is cancelled leaves the queue. Call all methods on the event loop that called `start`.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Input]], Sequence[Output]],
        executor: Executor,
        *,
        max_batch_size: int,
        max_wait_ms: float,
        max_queue: int,
        company: Callable[[], int],
    ) -> None:
        """Collects items for `run`, which takes 1 to `max_batch_size` and returns one result each.

        Args:
          run: called in the executor, never twice at a time. If it raises for several items, the
            batcher calls it for each half of them, and so on: a bad item fails only for its own
            caller, and costs the others little.
          executor: runs it.
          max_batch_size: items that start a batch at once.
          max_wait_ms: how long the oldest item waits for others.
          max_queue: items that may wait.
          company: the number of callers, those that wait included; nobody waits for more items.
        """
        self._run, self._executor = run, executor
        self._max_batch_size, self._max_queue = max_batch_size, max_queue
        self._max_wait, self._company = max_wait_ms / 1e3, company
        self._waiting: dict[asyncio.Future[Output], _Waiting[Input]] = {}  # oldest first
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """The number of items that wait for a batch."""
        return len(self._waiting)

    def start(self) -> None:
        """Starts to answer the queue."""
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Stops; callers that still wait get QueueClosed."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])
        for future in self._waiting:
            if not future.done():
                future.set_exception(QueueClosed())
        self._waiting.clear()

    async def submit(self, item: Input) -> Output:
        """Returns the result of one item.

        Raises:
          QueueFull: at once, if `max_queue` items wait.
          QueueClosed: if the batcher is closed or closing.
          Exception: what `run` raised for this item.
        """
        if self._worker is None:
            raise QueueClosed
        if len(self._waiting) >= self._max_queue:
            raise QueueFull
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Output] = loop.create_future()
        self._waiting[future] = _Waiting(item, loop.time())
        self._arrived.set()
        try:
            return await future
        finally:
            self._waiting.pop(future, None)

    async def _work(self) -> None:
        while True:
            self._arrived.clear()
            if not self._waiting:
                await self._arrived.wait()
            await self._wait_for_company()
            batch = {
                future: self._waiting.pop(future).item
                for future in list(self._waiting)[: self._max_batch_size]
            }
            if batch:
                await self._answer(batch)

    async def _wait_for_company(self) -> None:
        """Returns when a batch is full or has everybody, or its oldest item has waited enough."""
        loop = asyncio.get_running_loop()
        while 0 < len(self._waiting) < min(self._max_batch_size, self._company()):
            oldest = next(iter(self._waiting.values()))
            left = oldest.since + self._max_wait - loop.time()
            if left <= 0:
                return
            self._arrived.clear()
            try:
                # Python 3.11's wait_for can lose the cancellation of `close`, which then hangs.
                async with asyncio.timeout(left):
                    await self._arrived.wait()
            except TimeoutError:
                return

    async def _answer(self, batch: dict[asyncio.Future[Output], Input]) -> None:
        """Runs one batch and gives each caller its result."""
        loop = asyncio.get_running_loop()
        results: Sequence[Output | BaseException]
        try:
            results = await loop.run_in_executor(
                self._executor, self._run_isolated, list(batch.values())
            )
        except asyncio.CancelledError:
            for future in batch:
                if not future.done():
                    future.set_exception(QueueClosed())
            raise
        for future, result in zip(batch, results, strict=True):
            if future.done():  # its caller left while the batch ran
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _run_isolated(self, items: list[Input]) -> Sequence[Output | BaseException]:
        """Returns for each item its result or its exception."""
        try:
            return self._run(items)
        except Exception as error:
            if len(items) == 1:
                return [error]
            half = len(items) // 2
            return [*self._run_isolated(items[:half]), *self._run_isolated(items[half:])]
