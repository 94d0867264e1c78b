"""What every request meets first.

`Observer` gives it an id, security headers, a count, and an answer after a fault too; it answers
HEAD as GET without the body. `AllowedHosts` refuses requests for other hosts.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fashionsearchnet.serving import timing
from fashionsearchnet.serving.errors import error_response
from fashionsearchnet.serving.monitoring import Metrics

_LOG = logging.getLogger(__name__)
_DRAIN_SECONDS = 1.0
_PROBES = ("/healthz", "/readyz")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


class Observer:
    """The outermost layer of the app; see the module."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, stages = time.perf_counter(), timing.begin()
        exchange = _Exchange(scope, receive, send, lambda: _timings(stages, start))
        method = scope["method"]
        scope = {**scope, "method": "GET" if method == "HEAD" else method}
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            # The answer hides the details; the log has them under the same id.
            _LOG.exception("request %s failed: %s %s", exchange.id, method, scope["path"])
            if exchange.status:  # half an answer is out: only breaking off tells the client
                raise
            response = error_response(
                500,
                "internal_error",
                f"the service failed; its log has the reason under request id {exchange.id}.",
            )
            await response(scope, exchange.receive, exchange.send)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.count_request(method, _route_of(scope), exchange.status, seconds)


class AllowedHosts:
    """Answers only requests whose header Host names one of these hosts.

    It protects people whose browser is made to ask this service under another name (DNS rebinding).
    Probes ask by address, so that /healthz and /readyz have no such rule.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """Takes names without a port; `*.example.com` means all below example.com."""
        self._app = app
        self._names = {host.lower() for host in hosts if not host.startswith("*.")}
        self._endings = tuple(host.lower()[1:] for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _PROBES:
            given = Headers(scope=scope).get("host", "")
            host = _without_port(given.lower())
            if host not in self._names and not (self._endings and host.endswith(self._endings)):
                response = error_response(
                    400,
                    "unknown_host",
                    f"this service does not answer for the host {given[:100]!r}; --allowed_hosts "
                    "of tools/serve.py lists the hosts.",
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    """Returns a Host header without its port; an IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host


def _timings(stages: dict[str, float], start: float) -> str:
    return timing.header(stages, time.perf_counter() - start)


def _route_of(scope: Scope) -> str:
    """Returns the template of a request's route."""
    route = getattr(scope.get("route"), "path_format", None)
    if route is None and scope["path"].startswith("/static/"):
        return "/static"
    return route or "unknown"


class _Exchange:
    """One request and its answer: the two channels of ASGI, observed."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, timings: Callable[[], str]
    ) -> None:
        self.id = uuid.uuid4().hex[:16]
        self.status = 0
        self._is_head = scope["method"] == "HEAD"
        headers = Headers(scope=scope)
        self._has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        # Reading the body of such a client would send it "100 Continue".
        self._waits_for_go = "expect" in headers
        self._receive, self._send, self._timings = receive, send, timings

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self._has_body = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers["X-Request-ID"] = self.id
            headers["Server-Timing"] = self._timings()
            headers.setdefault("Cache-Control", "no-cache")
            if self._has_body and not self._waits_for_go:
                await self._drain()
        elif self._is_head:
            message = {**message, "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        """Discards the rest of a refused upload, for a moment.

        If a server closes while the client still sends, the connection is reset, and many clients
        then do not read the answer.
        """
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._has_body:
                    await self.receive()
        except TimeoutError:
            pass
