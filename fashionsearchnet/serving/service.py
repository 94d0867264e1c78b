"""The model and the index behind the routes: queues, threads, readiness."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import cv2
import numpy as np
from starlette.datastructures import UploadFile

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Neighbours
from fashionsearchnet.serving.batching import Batcher, QueueClosed, QueueFull
from fashionsearchnet.serving.calls import Prediction
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.monitoring import Metrics
from fashionsearchnet.serving.uploads import prepare_image

_LOG = logging.getLogger(__name__)
_HELPER_THREADS = 4  # decode uploads, search the index, draw overlays

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class EditedImage:
    """An encoded image and its manipulation int32 `[A]`."""

    image: bytes
    manipulation: np.ndarray


@dataclasses.dataclass(frozen=True)
class Encoded:
    """The vector of an edited query, `[dim]`, and the probabilities `[C]` of the unedited one."""

    embedding: np.ndarray
    probabilities: np.ndarray


class Service:
    """Answers on the event loop; threads compute and read files.

    The model has one thread: two forward passes at a time would share the same cores.

    Attributes:
      model: the export.
      index: holds vectors of this model.
      limits: of requests.
      metrics: of this service alone.
      warm: set when the warm-up has ended.
      failure: why the model does not run, or ''.
    """

    def __init__(self, model: ExportedModel, index: GalleryIndex, limits: Limits) -> None:
        """Takes a model and an index of that model's vectors.

        Raises:
          ValueError: if the index holds vectors of another model or attribute space.
        """
        index.check_model(model.fingerprint, model.space)
        self.model, self.index, self.limits = model, index, limits
        self.metrics = Metrics()
        self.warm = asyncio.Event()
        self.failure = ""
        self._model_thread = ThreadPoolExecutor(1, "model")
        self._helpers = ThreadPoolExecutor(_HELPER_THREADS, "helper")
        self._under_way = 0
        self._queries = self._batcher("encode_query", self._run_queries)
        self._predictions = self._batcher("predict", self._run_predictions)
        self.metrics.watch_under_way(lambda: self._under_way)

    def start(self) -> None:
        """Opens the queues; call it on the event loop."""
        self._queries.start()
        self._predictions.start()

    async def warm_up(self) -> None:
        """Runs the model once, then sets `warm`; if that fails, `failure` says why."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._model_thread, self._run_all)
        except Exception as error:
            _LOG.exception("the model cannot be run")
            self.failure = f"the model cannot be run ({error}). Export it again."
        self.warm.set()

    async def close(self) -> None:
        """Refuses new work, waits for the current forward pass, and ends the threads."""
        await self._queries.close()
        await self._predictions.close()
        for executor in (self._model_thread, self._helpers):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Counts a request that needs the model, or raises an ApiError at the limit."""
        if self._under_way >= self.limits.max_requests:
            raise _busy(f"The service is at its limit of {self.limits.max_requests} requests.")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Returns the result of a function that reads files or computes for a while."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._helpers, function, *arguments)

    async def prepared(self, upload: UploadFile) -> bytes:
        """Returns the upload as an image for the model, or raises an ApiError."""

        def prepare() -> bytes:
            with upload.file as file:
                return prepare_image(file.read(), self.limits.max_pixels)

        return await self.in_thread(prepare)

    async def labels(self, item: str) -> np.ndarray:
        """Returns the values int32 `[A]` of a gallery item; raises an ApiError if unknown."""
        try:
            return (await self.in_thread(self.index.get, item)).values
        except KeyError as error:
            raise ApiError(
                404,
                "unknown_item",
                f"the gallery has no item {item[:200]!r}. Its items are at /v1/items.",
            ) from error

    async def image(self, item: str) -> bytes:
        """Returns the encoded image of a gallery item; raises an ApiError if there is none."""
        await self.labels(item)
        data = await self.in_thread(self.index.image, item)
        if data is None:
            raise ApiError(
                404,
                "no_image",
                f"the index stores no image of item {item[:200]!r}; upload the image instead, or "
                "build the index with images.",
            )
        return data

    async def encode(self, image: bytes, manipulation: np.ndarray) -> Encoded:
        """Returns the edited query's vector, from a pass shared with others."""
        return await _submit(self._queries, EditedImage(image, manipulation))

    async def predict(self, image: bytes) -> Prediction:
        """Returns the prediction for one image, without the batch axis, from a shared pass."""
        return await _submit(self._predictions, image)

    async def nearest(
        self,
        embedding: np.ndarray,
        k: int,
        filters: dict[str, list[str]],
        must: dict[str, list[str]],
        leave_out: str | None,
    ) -> Neighbours:
        """Returns the k items nearest to a vector, without the item `leave_out`."""

        def search() -> Neighbours:
            start = time.perf_counter()
            more = 0 if leave_out is None else 1
            (found,) = self.index.search(embedding[None], k + more, filters, must)
            self.metrics.count_index_search(time.perf_counter() - start)
            return found.first(k, leave_out)

        try:
            return await self.in_thread(search)
        except OSError as error:
            _LOG.error("the index cannot be searched: %s", error)
            raise ApiError(
                503, "index_unavailable", "the search engine does not answer. Try again shortly."
            ) from error

    def _batcher(self, name: str, run: Callable[[Sequence], Sequence]) -> Batcher:
        def timed(items: Sequence) -> Sequence:
            start = time.perf_counter()
            results = run(items)
            self.metrics.count_pass(name, len(items), time.perf_counter() - start)
            return results

        batcher = Batcher(
            timed,
            self._model_thread,
            max_batch_size=self.limits.max_batch_size,
            max_wait_ms=self.limits.max_wait_ms,
            max_queue=self.limits.max_queue,
        )
        self.metrics.watch_queue(name, batcher.__len__)
        return batcher

    def _run_queries(self, queries: Sequence[EditedImage]) -> list[Encoded]:
        manipulations = np.stack([query.manipulation for query in queries])
        outputs = self.model.encode_query([query.image for query in queries], manipulations)
        return [Encoded(*rows) for rows in zip(*outputs, strict=True)]

    def _run_predictions(self, images: Sequence[bytes]) -> list[Prediction]:
        batch = self.model.predict(images)
        return [
            Prediction(
                probabilities=batch.probabilities[row],
                values=batch.values[row],
                maps=None if batch.maps is None else batch.maps[row],
                boxes=None if batch.boxes is None else batch.boxes[row],
            )
            for row in range(len(images))
        ]

    def _run_all(self) -> None:
        """Runs each signature once, so that the first request does not wait for that."""
        side = self.model.description.image_input.size
        grey = cv2.imencode(".png", np.full((side, side, 3), 127, np.uint8))[1].tobytes()
        keep = np.full(self.model.space.num_attributes, KEEP, np.int32)
        for batch_size in {1, self.limits.max_batch_size}:
            self._run_queries([EditedImage(grey, keep)] * batch_size)
            self._run_predictions([grey] * batch_size)


async def _submit(batcher: Batcher[object, Result], item: object) -> Result:
    try:
        return await batcher.submit(item)
    except QueueFull as error:
        raise _busy(f"The queue is at its limit of {len(batcher)} images.") from error
    except QueueClosed as error:
        raise ApiError(503, "stopping", "the service is stopping. Try again shortly.") from error


def _busy(reason: str) -> ApiError:
    return ApiError(503, "too_many_requests", f"{reason} Try again in a second.")
