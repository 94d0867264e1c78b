"""The model and the index behind the routes: readiness, limits, threads."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import faiss
import numpy as np
from starlette.datastructures import UploadFile

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.networks.image_input import VectorInput
from fashionsearchnet.serving import timing
from fashionsearchnet.serving.calls import Prediction
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.follower import Follower
from fashionsearchnet.serving.gallery import Gallery
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.monitoring import Metrics
from fashionsearchnet.serving.passes import Encoded, Passes, busy
from fashionsearchnet.serving.recent import key_of
from fashionsearchnet.serving.uploads import is_ready, prepare_image, prepare_vector

_LOG = logging.getLogger(__name__)
_LARGE_INDEX = 1 << 28  # bytes of vectors; one core compares as many in about 20 ms
_HELPER_THREADS = 4  # decode uploads, search the index, draw overlays

Result = TypeVar("Result")


def _share_cores(index: GalleryIndex) -> None:
    """Makes this thread search a small index on one core.

    FAISS takes all cores for one query. That pays for large indexes only: where other programs kept
    both cores busy, a search of 129 MB took 111 ms with two threads and 13 ms with one.
    """
    if len(index) * index.dim * 4 < _LARGE_INDEX:
        faiss.omp_set_num_threads(1)


class Service:
    """Answers on the event loop; threads compute and read files.

    Attributes:
      model: the export.
      limits: of requests.
      metrics: of this service alone.
      follower: knows the current state of the index.
      passes: run the model.
      warm: set when the warm-up has ended.
      failure: why the model does not run, or ''.
    """

    def __init__(self, model: ExportedModel, index: GalleryIndex, limits: Limits) -> None:
        """Takes a model and an index of that model's vectors.

        Raises:
          ValueError: if the index holds vectors of another model or attribute space.
        """

        def check(found: GalleryIndex) -> None:
            found.check_model(model.fingerprint, model.space)

        check(index)
        self.model, self.limits = model, limits
        self.metrics = Metrics()
        self.warm = asyncio.Event()
        self.failure = ""
        self._helpers = ThreadPoolExecutor(
            _HELPER_THREADS, "helper", initializer=_share_cores, initargs=(index,)
        )
        self._under_way = 0
        self.follower = Follower(index, check, limits.index_poll_seconds, self.metrics)
        self.passes = Passes(model, limits, self.metrics, lambda: self._under_way)
        self.metrics.watch_under_way(lambda: self._under_way)

    def start(self) -> None:
        """Opens the queues; call it on the event loop."""
        self.passes.start()
        self._following = asyncio.create_task(self.follower.follow())

    async def warm_up(self) -> None:
        """Runs the model once and prepares the index, then sets `warm`.

        If that fails, `failure` says why.
        """
        try:
            await self.passes.warm_up()
            await self.in_thread(self.follower.index.engine.prepare)
        except Exception as error:
            _LOG.exception("the model cannot be run")
            self.failure = f"the model cannot be run ({error}). Export it again."
        self.warm.set()

    async def close(self) -> None:
        """Refuses new work, waits for the current forward pass, and ends the threads."""
        self._following.cancel()
        await self.passes.close()
        await self.follower.close()
        await asyncio.to_thread(self._helpers.shutdown, cancel_futures=True)

    @property
    def gallery(self) -> Gallery:
        """The gallery as it is now. A request takes it once and keeps it."""
        return Gallery(self.follower, self.in_thread, self.metrics)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Counts a request that needs the model, or raises an ApiError at the limit."""
        if self._under_way >= self.limits.max_requests:
            raise busy(f"The service is at its limit of {self.limits.max_requests} requests.")
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
        """Returns the upload as an image, or a vector, for the model; or raises an ApiError."""
        image_input = self.model.description.image_input
        with timing.stage("prepare"):
            data = await upload.read()
            await upload.close()
            if isinstance(image_input, VectorInput):
                return await self.in_thread(prepare_vector, data, image_input)
            if is_ready(data, self.limits.max_pixels):
                return data
            return await self.in_thread(self._prepared_image, data)

    def _prepared_image(self, data: bytes) -> bytes:
        """Returns an uploaded image for the model, prepared now or a while ago."""
        recent = self.passes.recent
        key = key_of("prepared", data)
        image = recent.get(key)
        if image is None:
            image = prepare_image(data, self.limits.max_pixels)
            recent.put(key, image, len(image))
        return image

    async def encode(self, image: bytes, manipulation: np.ndarray) -> Encoded:
        """Returns the edited query's vector."""
        return await self.passes.encode(image, manipulation)

    async def predict(self, image: bytes) -> Prediction:
        """Returns the prediction for one image, without the batch axis."""
        return await self.passes.predict(image)
