import socket

import pytest

from fashionsearchnet.serving.server import listen


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine(host):
    with pytest.raises(OSError, match=f"cannot listen on {host}:0 .* Give --host a name"):
        listen(host, 0)


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="Stop the program that uses the port, or choose another"):
            listen("127.0.0.1", taken.getsockname()[1])
