"""Log messages that an attack would repeat endlessly: one line a minute for each kind."""

import logging
import time

SECONDS = 60.0


class OnceAMinute(logging.Filter):
    """Lets one record of each kind through in a minute; the next one says how many it held back.

    A kind is the text of the message before its arguments are filled in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether the record is written."""
        kind, now = str(record.msg), time.monotonic()
        if now - self._last.get(kind, -SECONDS) < SECONDS:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        self._last[kind] = now
        held_back = self._held_back.pop(kind, 0)
        if held_back:
            record.msg = f"{kind} (and {held_back:,} more since the last message of this kind)"
        return True
