"""Counts and times of the service, for Prometheus."""

from collections.abc import Callable, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class State(Sized, Protocol):
    """One state of an index: its length, and its name, digits."""

    @property
    def state(self) -> str:
        """The name."""


class Metrics:
    """The measurements of one app."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fashionsearchnet_requests",
            "Answers, by method, route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._request_seconds = self._histogram(
            "request_seconds", "Time from a request's head to its whole answer.", "route", _SECONDS
        )
        self._batch_sizes = self._histogram(
            "batch_size", "Images per forward pass.", "signature", _IMAGES
        )
        self._pass_seconds = self._histogram(
            "pass_seconds", "Time of a forward pass, decoding included.", "signature", _SECONDS
        )
        self._index_seconds = Histogram(
            "fashionsearchnet_index_seconds",
            "Time of a search of the index.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._queue_lengths = Gauge(
            "fashionsearchnet_queue_length",
            "Images that wait for a forward pass.",
            ("signature",),
            registry=self._registry,
        )
        self._under_way = Gauge(
            "fashionsearchnet_model_requests_under_way",
            "Requests that need the model and are not answered yet.",
            registry=self._registry,
        )
        self._index_state = self._gauge("index_state", "Number of the index state that is served.")
        self._index_items = self._gauge("index_items", "Items of that state.")
        self._index_behind = self._gauge(
            "index_behind", "1 if another state is on disk and cannot be opened; see /readyz."
        )
        self._reloads = Counter(
            "fashionsearchnet_index_reloads",
            "Attempts to open another state of the index: loaded or failed.",
            ("result",),
            registry=self._registry,
        )
        self._found = Counter(
            "fashionsearchnet_cache_lookups",
            "Images whose forward pass was spared (hit) or not (miss), by signature.",
            ("signature", "result"),
            registry=self._registry,
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answer. `route` is a template such as /v1/items/{id}/image, never a path."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_pass(self, signature: str, batch_size: int, seconds: float) -> None:
        """Counts one forward pass."""
        self._batch_sizes.labels(signature).observe(batch_size)
        self._pass_seconds.labels(signature).observe(seconds)

    def count_index_search(self, seconds: float) -> None:
        """Counts one search of the index."""
        self._index_seconds.observe(seconds)

    def watch_queue(self, signature: str, length: Callable[[], int]) -> None:
        """Reports what `length` returns whenever the metrics are read."""
        self._queue_lengths.labels(signature).set_function(length)

    def watch_under_way(self, number: Callable[[], int]) -> None:
        """Reports the number of model requests under way whenever the metrics are read."""
        self._under_way.set_function(number)

    def watch_index(self, index: Callable[[], State], is_behind: Callable[[], bool]) -> None:
        """Reports the state of the index whenever the metrics are read."""
        self._index_state.set_function(lambda: int(index().state or 0))
        self._index_items.set_function(lambda: len(index()))
        self._index_behind.set_function(is_behind)

    def count_reload(self, result: str) -> None:
        """Counts an attempt to open another state of the index, "loaded" or "failed"."""
        self._reloads.labels(result).inc()

    def count_lookup(self, signature: str, is_hit: bool) -> None:
        """Counts an image that needs a forward pass unless the cache has its outputs."""
        self._found.labels(signature, "hit" if is_hit else "miss").inc()

    def text(self) -> bytes:
        """Returns everything in Prometheus's text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"fashionsearchnet_{name}", text, registry=self._registry)

    def _histogram(self, name: str, text: str, label: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            f"fashionsearchnet_{name}", text, (label,), buckets=buckets, registry=self._registry
        )
