"""What the model says of images: shared forward passes, and a memory for recent images."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2
import numpy as np

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.networks.image_input import ImageInput, VectorInput, encode_vector
from fashionsearchnet.serving import timing
from fashionsearchnet.serving.batching import Batcher, QueueClosed, QueueFull
from fashionsearchnet.serving.calls import Prediction, UndecodableImage
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.monitoring import Metrics
from fashionsearchnet.serving.recent import Key, Recent, key_of
from fashionsearchnet.serving.uploads import refusal

Item = TypeVar("Item")
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


@dataclasses.dataclass(frozen=True)
class Features:
    """What every edit of an image needs of it: the system's features, and probabilities `[C]`."""

    features: Mapping[str, np.ndarray]
    probabilities: np.ndarray


@dataclasses.dataclass(frozen=True)
class EditedFeatures:
    """The features of an image and its manipulation int32 `[A]`."""

    features: Mapping[str, np.ndarray]
    manipulation: np.ndarray


class Passes:
    """Answers on the event loop from threads that run the model.

    Forward passes have one thread: two at a time would share the same cores. Edits of features take
    a fraction of a pass and do not wait behind one: they have a thread of their own.
    """

    def __init__(
        self, model: ExportedModel, limits: Limits, metrics: Metrics, under_way: Callable[[], int]
    ) -> None:
        """Prepares the queues.

        Args:
          model: an export; one of an earlier version needs a forward pass for every edit.
          limits: of the queues and of the memory for recent images.
          metrics: count passes and images.
          under_way: the number of requests that may still join a batch or have done so.
        """
        self._model, self._limits, self._metrics = model, limits, metrics
        self._company = under_way
        self._model_thread = ThreadPoolExecutor(1, "model")
        self._edit_thread = ThreadPoolExecutor(1, "edits")
        self.recent = Recent(limits.cache_mb * 1e6)
        self._images = self._batcher("image_features", self._run_features, self._model_thread)
        self._edits = self._batcher("embed_query", self._run_edits, self._edit_thread, 0.0)
        self._queries = self._batcher("encode_query", self._run_queries, self._model_thread)
        self._predictions = self._batcher("predict", self._run_predictions, self._model_thread)

    @property
    def _batchers(self) -> tuple[Batcher, ...]:
        return self._images, self._edits, self._queries, self._predictions

    def start(self) -> None:
        """Opens the queues; call it on the event loop."""
        for batcher in self._batchers:
            batcher.start()

    async def warm_up(self) -> None:
        """Runs each signature, so that the first request does not wait for that."""
        await asyncio.get_running_loop().run_in_executor(self._model_thread, self._run_all)

    async def close(self) -> None:
        """Refuses new work, waits for the current passes, and ends the threads."""
        for batcher in self._batchers:
            await batcher.close()
        for executor in (self._model_thread, self._edit_thread):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)

    async def encode(self, image: bytes, manipulation: np.ndarray) -> Encoded:
        """Returns the edited query's vector; a recent image needs no forward pass."""
        if not self._model.gives_features:
            with timing.stage("pass"):
                return await self._submit(self._queries, EditedImage(image, manipulation))
        key = key_of("image_features", image)
        found = self._known(key)
        if found is not None:
            with timing.stage("edit"):
                edited = EditedFeatures(found.features, manipulation)
                return Encoded(await self._submit(self._edits, edited), found.probabilities)
        with timing.stage("pass"):
            found, embedding = await self._submit(self._images, EditedImage(image, manipulation))
        self._keep(key, found)
        return Encoded(embedding, found.probabilities)

    async def predict(self, image: bytes) -> Prediction:
        """Returns the prediction for one image, without the batch axis."""
        key = key_of("predict", image)
        found = self._known(key)
        if found is None:
            with timing.stage("pass"):
                found = await self._submit(self._predictions, image)
            self._keep(key, found)
        return found

    async def _submit(self, batcher: Batcher[Item, Result], item: Item) -> Result:
        """Returns the result of an item, or raises an ApiError."""
        try:
            return await batcher.submit(item)
        except QueueFull as error:
            raise busy(f"The queue is at its limit of {len(batcher)} images.") from error
        except QueueClosed as error:
            raise ApiError(
                503, "stopping", "the service is stopping. Try again shortly."
            ) from error
        except UndecodableImage as error:
            problem = ImageProblem("damaged image", "it is truncated or corrupt")
            raise refusal(problem, self._limits.max_pixels) from error

    def _known(self, key: Key) -> Any:
        """Returns the remembered output of a recent image, or None."""
        found = self.recent.get(key)
        self._metrics.count_lookup(key[0], found is not None)
        return found

    def _keep(self, key: Key, found: Features | Prediction) -> None:
        self.recent.put(key, found, _num_bytes(found))

    def _batcher(
        self,
        name: str,
        run: Callable[[Sequence], Sequence],
        executor: ThreadPoolExecutor,
        max_wait_ms: float | None = None,
    ) -> Batcher:
        def timed(items: Sequence) -> Sequence:
            start = time.perf_counter()
            results = run(items)
            self._metrics.count_pass(name, len(items), time.perf_counter() - start)
            return results

        batcher = Batcher(
            timed,
            executor,
            max_batch_size=self._limits.max_batch_size,
            max_wait_ms=self._limits.max_wait_ms if max_wait_ms is None else max_wait_ms,
            max_queue=self._limits.max_queue,
            company=self._company,
        )
        self._metrics.watch_queue(name, batcher.__len__)
        return batcher

    def _run_features(self, queries: Sequence[EditedImage]) -> list[tuple[Features, np.ndarray]]:
        """Returns for each image its features and the vector of the edited one.

        What is kept of an image is copied: a row alone would keep the whole batch in memory.
        """
        features, probabilities, embeddings = self._model.query_features(
            [query.image for query in queries], np.stack([query.manipulation for query in queries])
        )
        return [
            (
                Features(
                    {name: array[row].copy() for name, array in features.items()},
                    probabilities[row].copy(),
                ),
                embeddings[row],
            )
            for row in range(len(queries))
        ]

    def _run_edits(self, edits: Sequence[EditedFeatures]) -> list[np.ndarray]:
        names = edits[0].features
        stacked = {name: np.stack([edit.features[name] for edit in edits]) for name in names}
        return list(self._model.embed_query(stacked, np.stack([e.manipulation for e in edits])))

    def _run_queries(self, queries: Sequence[EditedImage]) -> list[Encoded]:
        manipulations = np.stack([query.manipulation for query in queries])
        outputs = self._model.encode_query([query.image for query in queries], manipulations)
        return [Encoded(*rows) for rows in zip(*outputs, strict=True)]

    def _run_predictions(self, images: Sequence[bytes]) -> list[Prediction]:
        batch = self._model.predict(images)
        return [
            Prediction(
                probabilities=batch.probabilities[row].copy(),
                values=batch.values[row].copy(),
                maps=None if batch.maps is None else batch.maps[row].copy(),
                boxes=None if batch.boxes is None else batch.boxes[row].copy(),
            )
            for row in range(len(images))
        ]

    def _run_all(self) -> None:
        """Runs what requests run, with the batch sizes of one client and of many."""
        sample = _sample(self._model.description.image_input)
        keep = np.full(self._model.space.num_attributes, KEEP, np.int32)
        for batch_size in {1, self._limits.max_batch_size}:
            queries = [EditedImage(sample, keep)] * batch_size
            self._run_predictions([sample] * batch_size)
            if self._model.gives_features:
                found = self._run_features(queries)
                self._run_edits([EditedFeatures(one.features, keep) for one, _ in found])
            else:
                self._run_queries(queries)


def _sample(image_input: ImageInput) -> bytes:
    """Returns an image, or the bytes of a vector, for a model with this input."""
    if isinstance(image_input, VectorInput):
        return encode_vector(np.ones(image_input.size))
    side = image_input.size
    return cv2.imencode(".png", np.full((side, side, 3), 127, np.uint8))[1].tobytes()


def _num_bytes(found: Features | Prediction) -> int:
    """Returns the memory of an output's arrays."""
    arrays = list(vars(found).values())
    if isinstance(found, Features):
        arrays = [*found.features.values(), found.probabilities]
    return sum(array.nbytes for array in arrays if array is not None)


def busy(reason: str) -> ApiError:
    """Returns the refusal of a request at a limit."""
    return ApiError(503, "too_many_requests", f"{reason} Try again in a second.")
