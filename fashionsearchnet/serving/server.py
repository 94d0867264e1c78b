"""Runs the app in this process until a signal stops it."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from fashionsearchnet.serving import connections
from fashionsearchnet.serving.service import Service

_CURES = {
    errno.EADDRINUSE: "Stop the program that uses the port, or choose another --port.",
    errno.EACCES: "This user may not use the port. Choose a --port from 1024 on.",
}
_OTHER_HOST = (
    "Give --host a name or an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of "
    "its addresses."
)


def ignore_hangup() -> None:
    """Makes SIGHUP harmless until `run` takes it: by default it ends a process."""
    signal.signal(signal.SIGHUP, _ignore)


def listen(host: str, port: int) -> socket.socket:
    """Returns a bound socket; port 0 takes any free one.

    Raises:
      OSError: if the address is not of this machine, or the port in use or not allowed.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio sets TCP_NODELAY only where a socket names its protocol. Without it the second
        # write of an answer waits for the client's delayed acknowledgement, some 40 ms.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        cure = _CURES.get(error.errno or 0, _OTHER_HOST)
        raise OSError(
            f"cannot listen on {host}:{port} ({error.strerror or error}). {cure}"
        ) from error
    return bound


def run(app: FastAPI, bound: socket.socket, on_ready: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM, answers the requests under way, and returns.

    Args:
      app: of `create_app`.
      bound: of `listen`.
      on_ready: called with the URL when the service is ready.

    SIGHUP reloads the index.

    Raises:
      ValueError: if the model cannot be run, or this process may open too few files.
    """
    service: Service = app.state.service
    limits = connections.fit_file_limit(service.limits)
    host, port = bound.getsockname()[:2]
    url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=connections.protocol(limits),
        backlog=connections.BACKLOG,
        timeout_graceful_shutdown=round(limits.shutdown_seconds),
    )
    server = uvicorn.Server(config)

    async def announce() -> None:
        await service.warm.wait()
        if service.failure:
            server.should_exit = True
        elif not server.should_exit:
            on_ready(url)

    async def serve() -> None:
        connections.quieten()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.follower.look_now)
        announcing = asyncio.create_task(announce())
        await server.serve([bound])
        announcing.cancel()

    # The server stops on these signals, and then raises them again to end the process.
    handlers = {
        number: signal.signal(number, _ignore) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        asyncio.run(serve())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        bound.close()
    if service.failure:
        raise ValueError(service.failure)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Does nothing. It is a function because child processes would inherit SIG_IGN."""
