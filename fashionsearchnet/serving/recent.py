"""A bounded memory for the outputs of recent images, by the content of the image."""

import hashlib
import threading
from collections import OrderedDict
from typing import Any

ENTRY_BYTES = 1000  # that the objects of an entry take beside its value's own bytes

Key = tuple[str, bytes]


def key_of(kind: str, image: bytes) -> Key:
    """Returns the key of an output of an image; `kind` names the output, such as 'predict'."""
    return kind, hashlib.sha256(image).digest()


class Recent:
    """A mapping that forgets what was not used for longest. Safe to share between threads."""

    def __init__(self, max_bytes: float) -> None:
        """Holds entries of up to `max_bytes` in all; with 0 it keeps nothing."""
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._entries: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of values."""
        return len(self._entries)

    def get(self, key: Key) -> Any:
        """Returns a value, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Key, value: Any, num_bytes: int) -> None:
        """Keeps a value whose numbers, or text, take `num_bytes`; an entry has ENTRY_BYTES more."""
        taken = num_bytes + ENTRY_BYTES
        with self._lock:
            self._num_bytes -= self._entries.pop(key, (None, 0))[1]
            self._entries[key] = value, taken
            self._num_bytes += taken
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= self._entries.popitem(last=False)[1][1]
