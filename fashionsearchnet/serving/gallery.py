"""One state of the gallery, as one request sees it."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import numpy as np

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item
from fashionsearchnet.serving import timing
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.finding import Found, Wanted, find
from fashionsearchnet.serving.follower import Follower
from fashionsearchnet.serving.monitoring import Metrics
from fashionsearchnet.serving.quiet_log import OnceAMinute

_LOG = logging.getLogger(__name__)
_LOG.addFilter(OnceAMinute())

Result = TypeVar("Result")


class InThread(Protocol):
    """Runs a function in a thread and returns its result."""

    def __call__(
        self, function: Callable[..., Result], *arguments: object
    ) -> Awaitable[Result]: ...


class Gallery:
    """The items of one state of the index.

    Attributes:
      index: the state.
    """

    def __init__(self, follower: Follower, in_thread: InThread, metrics: Metrics) -> None:
        """Takes the state that is current now."""
        self.index: GalleryIndex = follower.index
        self._follower, self._in_thread, self._metrics = follower, in_thread, metrics

    async def item(self, name: str) -> Item:
        """Returns an item without its image; raises an ApiError if unknown."""
        try:
            return self.index.get(name)
        except KeyError as error:
            raise ApiError(
                404,
                "unknown_item",
                f"the gallery has no item {name[:200]!r}. Its items are at /v1/items.",
            ) from error

    async def image(self, name: str) -> bytes:
        """Returns the encoded image of an item; raises an ApiError if there is none.

        An item that the last change of the index removed has its image too: a page that shows it
        may ask for it a moment later.
        """
        if name not in self.index:
            removed = await self._in_thread(self._follower.removed_image, name)
            if removed is not None:
                return removed
        await self.item(name)
        try:
            data = await self._in_thread(self.index.image, name)
        except OSError as error:
            # Another process may have removed the item: the next look will tell.
            _LOG.error("an image of the index cannot be read: %s", error)
            raise ApiError(
                404,
                "image_unreadable",
                f"the stored file of item {name[:200]!r} cannot be read: the item was removed a "
                "moment ago, or the file is damaged; the log of the service names the file.",
            ) from error
        if data is None:
            raise ApiError(
                404,
                "no_image",
                f"the index stores no image or vector of item {name[:200]!r}; upload it instead, "
                "or build the index with it.",
            )
        return data

    async def nearest(
        self, query: np.ndarray, wanted: Wanted, target: np.ndarray | None = None
    ) -> Found:
        """Returns the page of items nearest to a query that is wanted; see `find`."""

        def search() -> Found:
            start = time.perf_counter()
            found = find(self.index, query, wanted, target)
            self._metrics.count_index_search(time.perf_counter() - start)
            return found

        try:
            with timing.stage("index"):
                return await self._in_thread(search)
        except OSError as error:
            _LOG.error("the index cannot be searched: %s", error)
            raise ApiError(
                503, "index_unavailable", "the search engine does not answer. Try again shortly."
            ) from error
