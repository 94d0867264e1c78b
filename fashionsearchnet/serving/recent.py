"""A bounded memory for the outputs of recent images, by the content of the image."""

import hashlib
import threading
from collections import OrderedDict
from typing import Any


class Recent:
    """A mapping that forgets what was not used for longest. Safe to share between threads."""

    def __init__(self, max_bytes: float) -> None:
        """Holds values of up to `max_bytes` in all; with 0 it keeps nothing."""
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._entries: OrderedDict[tuple[str, bytes], tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of values."""
        return len(self._entries)

    def get(self, kind: str, image: bytes) -> Any:
        """Returns the value of this kind for an image, or None."""
        key = _key(kind, image)
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, kind: str, image: bytes, value: Any, num_bytes: int) -> None:
        """Keeps a value of this kind for an image; it takes `num_bytes` of memory."""
        key = _key(kind, image)
        with self._lock:
            self._num_bytes -= self._entries.pop(key, (None, 0))[1]
            self._entries[key] = value, num_bytes
            self._num_bytes += num_bytes
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= self._entries.popitem(last=False)[1][1]


def _key(kind: str, image: bytes) -> tuple[str, bytes]:
    return kind, hashlib.sha256(image).digest()
