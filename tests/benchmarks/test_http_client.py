import contextlib
import socket
import threading

import numpy as np
import pytest

from fashionsearchnet.benchmarks.http_client import Client, search_form

OK = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Other: a: b\r\n"
    b"server-timing: upload;dur=0.25, total;dur=3.50\r\n\r\nhello"
)
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"


@contextlib.contextmanager
def answering(*answers):
    """Yields the address of a server with these answers on one connection, and what it received."""
    received: list[bytes] = []

    def serve():
        connection, _ = server.accept()
        with connection:
            for answer in answers:
                received.append(connection.recv(1 << 16))
                connection.sendall(answer[:40])  # an answer may arrive in pieces
                connection.sendall(answer[40:])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", received
        thread.join(10)


def test_one_request_after_the_other():
    with (
        answering(OK, OK) as (address, received),
        contextlib.closing(Client(address)) as client,
    ):
        form = search_form(b"picture")
        for body in (b"", form):
            stages = client.ask(client.request("POST", "/v1/search", body))
            assert stages == {"upload": 0.25, "total": 3.5}
    head = b"POST /v1/search HTTP/1.1\r\nHost: " + address.encode() + b"\r\n"
    assert received[0] == head + b"\r\n"
    assert received[1].startswith(head + b"Content-Type: multipart/form-data; boundary=")
    assert received[1].endswith(f"Content-Length: {len(form)}\r\n\r\n".encode() + form)


@pytest.mark.parametrize(("answers", "words"), [((BUSY,), "503 .*busy"), ((b"",), "closed")])
def test_other_answers_are_errors(answers, words):
    with (
        answering(*answers) as (address, _),
        contextlib.closing(Client(address)) as client,
        pytest.raises(OSError, match=words),
    ):
        client.ask(client.request("GET", "/healthz", b""))


def test_a_form_holds_the_image_and_the_edit():
    image = bytes(np.arange(256, dtype=np.uint8))
    body = search_form(image, "colour=red")
    assert image in body and b'name="set"\r\n\r\ncolour=red\r\n' in body
    assert b'name="set"' not in search_form(image)
