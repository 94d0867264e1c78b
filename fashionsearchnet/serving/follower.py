"""The service follows its index: what another process commits is searched without a restart.

A request keeps the state with which it began, so that a reload drops nothing. The images of items
that the last reload removed stay reachable: a page that shows them has no holes. A state that
cannot be opened changes nothing; the service goes on with the one it has, and says so.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.image_store import ImageStore
from fashionsearchnet.serving.monitoring import Metrics

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE = 60.0  # seconds between attempts to open a state that cannot be opened


class Follower:
    """The current state of an index. Use it on the event loop.

    Attributes:
      index: the state that requests should use; take it once for each request.
      problem: why the state on disk is not the one that is served, or ''.
    """

    def __init__(
        self,
        index: GalleryIndex,
        check: Callable[[GalleryIndex], None],
        poll_seconds: float,
        metrics: Metrics,
    ) -> None:
        """Begins with an open index.

        Args:
          index: an open one.
          check: raises a ValueError for an index that the service cannot use.
          poll_seconds: how often to look for another state.
          metrics: count the reloads.
        """
        self.index, self.problem = index, ""
        self._check, self._poll_seconds, self._metrics = check, poll_seconds, metrics
        self._removed: dict[str, str] = {}  # id -> SHA-256 of its image, of the last reload
        self._failures = 0
        self._wanted = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "index")
        metrics.watch_index(lambda: self.index, lambda: bool(self.problem))

    def look_now(self) -> None:
        """Makes `follow` open the index again at once."""
        self._wanted.set()

    async def follow(self) -> None:
        """Looks for another state again and again, until it is cancelled."""
        while True:
            longest = max(_LONGEST_PAUSE, self._poll_seconds)
            pause = min(self._poll_seconds * 2.0 ** min(self._failures, 20), longest)
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            is_wanted = self._wanted.is_set()
            self._wanted.clear()
            await self._look(is_wanted)

    async def close(self) -> None:
        """Ends the thread that opens states."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def removed_image(self, item: str) -> bytes | None:
        """Returns the image of an item that the last reload removed, or None. Reads a file."""
        digest = self._removed.get(item)
        if not digest:
            return None
        try:
            return ImageStore(self.index.directory / "images").get(digest)
        except OSError:  # two commits later the file is gone
            return None

    async def _look(self, is_wanted: bool) -> None:
        """Opens the state on disk if it is another one, or if somebody wants that."""
        loop, problem = asyncio.get_running_loop(), ""
        try:
            is_current = await loop.run_in_executor(self._thread, self.index.is_current)
            if is_wanted or not is_current:
                fresh, removed = await loop.run_in_executor(self._thread, self._open)
                self.index, self._removed = fresh, removed
                self._metrics.count_reload("loaded")
                _LOG.info("the index is at state %s with %d items", fresh.state, len(fresh))
        except (OSError, ValueError) as error:
            problem = str(error)
            self._failures += 1
            self._metrics.count_reload("failed")
            if problem != self.problem:
                _LOG.error("the index cannot be reloaded: %s", problem)
        else:
            self._failures = 0
        self.problem = problem

    def _open(self) -> tuple[GalleryIndex, dict[str, str]]:
        """Returns the state on disk, and the images of the items that it has no longer."""
        former = self.index
        fresh = GalleryIndex.open(former.directory)
        self._check(fresh)
        removed = {
            name: former.items[name].digest for name in former.ids if name not in fresh.items
        }
        fresh.values  # noqa: B018  (makes the table's columns here, not in the first request)
        fresh.engine.prepare()
        return fresh, removed
