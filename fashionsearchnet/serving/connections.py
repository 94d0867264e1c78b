"""Connections that a slow or hostile client cannot exhaust.

A connection whose request does not begin, or whose head does not end, is closed after
`Limits.header_seconds`. At `Limits.max_connections` the connection that has waited longest for the
head of a request makes room for the new one. If all are busy, the new one gets 503.
"""

import asyncio
import dataclasses
import logging
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.quiet_log import OnceAMinute

BACKLOG = 128  # connections that the kernel keeps until they are accepted, all at once
_OTHER_FILES = 128  # of TensorFlow, the index, images that are read
_LOG = logging.getLogger(__name__)
_LOG.addFilter(OnceAMinute())
_BUSY = (
    b'{"error": {"code": "too_many_connections", "message": "too many connections. Try again."}}'
)
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)


class GuardedConnection(H11Protocol):
    """A connection with a time for the head of a request, and a place among a limited number."""

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._is_leaving = False
        self._overdue: asyncio.TimerHandle | None = None
        self._waits_since = self.loop.time()
        self._start_timer()
        if len(self._others_staying()) >= self.limits.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        if not self._waits_for_head():
            self._stop_timer()
            self._waits_since = float("inf")
        elif self._overdue is None:  # the first bytes of another request on this connection
            self._start_timer()

    def on_response_complete(self) -> None:
        """See `H11Protocol`."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def _waits_for_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_timer(self) -> None:
        self._overdue = self.loop.call_later(self.limits.header_seconds, self._close_overdue)

    def _stop_timer(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close_overdue(self) -> None:
        self._overdue = None
        if self._waits_for_head():
            self._leave()
            _LOG.error(
                "closed a connection without a whole request head after %g seconds",
                self.limits.header_seconds,
            )

    def _others_staying(self) -> list["GuardedConnection"]:
        return [c for c in self.connections if c is not self and not c._is_leaving]  # type: ignore

    def _make_room(self) -> None:
        waiting = [c for c in self._others_staying() if c._waits_for_head()]
        _LOG.error("all %d connections are taken", self.limits.max_connections)
        if waiting:
            min(waiting, key=lambda connection: connection._waits_since)._leave()
            return
        self.transport.write(_REFUSAL)
        self._is_leaving = True
        self.transport.close()

    def _leave(self) -> None:
        """Gives the connection's place to another at once, also if the client reads nothing."""
        self._is_leaving = True
        self.transport.abort()


def protocol(limits: Limits) -> type[GuardedConnection]:
    """Returns the class of the connections of a server with these limits."""
    return type("Connection", (GuardedConnection,), {"limits": limits})


def fit_file_limit(limits: Limits) -> Limits:
    """Raises this process's limit of open files to what the connections need.

    Returns:
      The limits, with fewer connections if the system does not allow as many; it logs that.

    Raises:
      ValueError: if not even one connection fits.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = BACKLOG + _OTHER_FILES
    needed = limits.max_connections + others
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed <= others:
        raise ValueError(
            f"the service needs at least {others + 1} open files, and this process may have "
            f"{hard}. Raise the limit (ulimit -n)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _LOG.error(
            "max_connections is %d, not %d: this process may have %d open files (ulimit -n)",
            allowed - others,
            limits.max_connections,
            hard,
        )
    return dataclasses.replace(limits, max_connections=allowed - others)


def quieten() -> None:
    """Limits uvicorn's and asyncio's messages, which clients can cause, to one line a minute each.

    Call it on the event loop.
    """
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, OnceAMinute) for one in logger.filters):
            logger.addFilter(OnceAMinute())
    asyncio.get_running_loop().set_exception_handler(_log_briefly)


def _log_briefly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs an error of the network in one line, and any other error with its trace."""
    error = context.get("exception")
    if isinstance(error, OSError):
        _LOG.error(f"{context['message']}: {error.strerror or error}")
    else:
        loop.default_exception_handler(context)
