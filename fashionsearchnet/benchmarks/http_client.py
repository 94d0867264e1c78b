"""A client that takes little time: it shares its cores, and their caches, with the service."""

import socket

_BOUNDARY = "fashionsearchnet-benchmark"


class Client:
    """One connection to a service; it sends one request after the other."""

    def __init__(self, address: str) -> None:
        """Connects to a host and port."""
        host, _, port = address.rpartition(":")
        self._address = address
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = self._socket.makefile("rb")

    def request(self, method: str, path: str, body: bytes) -> bytes:
        """Returns the bytes of a request; `body` is a form of `search_form`, or empty."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._address}\r\n"
        if body:
            head += f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
            head += f"Content-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode() + body

    def ask(self, request: bytes) -> dict[str, float]:
        """Sends a request and reads the answer; returns the milliseconds of its stages.

        Raises:
          OSError: for another status than 200, or none.
        """
        self._socket.sendall(request)
        status, fields = self._received.readline(), dict[bytes, bytes]()
        if not status:
            raise OSError("the service closed the connection.")
        while (line := self._received.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        content = self._received.read(int(fields[b"content-length"]))
        if status.split()[1] != b"200":
            raise OSError(f"the service answered {status!r}: {content[:300]!r}")
        entries = fields[b"server-timing"].decode().split(", ")
        pairs = (entry.split(";dur=") for entry in entries)
        return {name: float(duration) for name, duration in pairs}

    def close(self) -> None:
        """Closes the connection."""
        self._received.close()
        self._socket.close()


def search_form(image: bytes, edit: str = "") -> bytes:
    """Returns a multipart form with the image, and an edit like colour=red."""
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    form = f'{head}"set"\r\n\r\n{edit}\r\n' if edit else ""
    form += f'{head}"image"; filename="image"\r\nContent-Type: application/octet-stream\r\n\r\n'
    return form.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
