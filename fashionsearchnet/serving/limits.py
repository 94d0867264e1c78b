"""The limits of the service, each with the reason for its default."""

import dataclasses

from fashionsearchnet.checks import check_range

_LOWEST = {  # 1 for the others
    "max_wait_ms": 0.0,
    "upload_seconds": 0.1,
    "pause_seconds": 0.1,
    "header_seconds": 0.1,
    "index_poll_seconds": 0.05,
    "cache_mb": 0.0,
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one request, and of the number of requests at a time.

    Attributes:
      max_upload_bytes: of a request's body; photos of a phone have 2 to 8 MB.
      max_pixels: of an uploaded image, checked before it is decoded: 25 million take 75 MB.
      max_k: results of one search, and items of one page of the gallery.
      max_batch_size: requests that share one forward pass.
      max_wait_ms: how long a request waits for others to share its pass.
      max_queue: requests that wait for a pass; the service refuses more with 503.
      max_requests: requests that need the model and have no answer yet, counted from the first
        byte of the upload; the service refuses more with 503 before it reads their body.
      max_connections: open at a time; see `connections.py`.
      header_seconds: time for the head of a request to arrive.
      upload_seconds: time for a body to arrive.
      pause_seconds: between two pieces of a body: clients that stall must not hold the places of
        `max_requests` for long.
      index_poll_seconds: how often the service looks for another state of the index.
      cache_mb: megabytes for what the network found in recent images.
      shutdown_seconds: time for the last answers when the service stops.
    """

    max_upload_bytes: int = 10_000_000
    max_pixels: int = 25_000_000
    max_k: int = 100
    max_batch_size: int = 16
    max_wait_ms: float = 2.0
    max_queue: int = 64
    max_requests: int = 128
    max_connections: int = 512
    header_seconds: float = 10.0
    upload_seconds: float = 30.0
    pause_seconds: float = 3.0
    index_poll_seconds: float = 2.0
    cache_mb: float = 256.0
    shutdown_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Raises a ValueError for a limit below its lowest value."""
        for field in dataclasses.fields(self):
            low = _LOWEST.get(field.name, 1)
            check_range(field.name, getattr(self, field.name), low)
