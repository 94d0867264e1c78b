import asyncio
import logging
import resource

import pytest

from fashionsearchnet.serving import connections
from fashionsearchnet.serving.limits import Limits


@pytest.fixture
def set_to(monkeypatch):
    """Lists the limits of open files that were set; `limit(soft, hard)` sets them beforehand."""
    found = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: found.append(limit))
    found_limit = lambda soft, hard: monkeypatch.setattr(  # noqa: E731
        resource, "getrlimit", lambda kind: (soft, hard)
    )
    return found, found_limit


def test_the_limit_of_open_files_fits_the_connections(set_to, caplog):
    found, limit = set_to
    limit(1024, 4096)
    assert connections.fit_file_limit(Limits()).max_connections == 512
    assert connections.fit_file_limit(Limits(max_connections=2000)).max_connections == 2000
    assert found == [(2256, 4096)]
    limit(1024, resource.RLIM_INFINITY)
    assert connections.fit_file_limit(Limits(max_connections=9000)).max_connections == 9000
    limit(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert connections.fit_file_limit(Limits(max_connections=9000)).max_connections == 9000
    assert not caplog.records


def test_fewer_connections_where_the_system_allows_no_more_files(set_to, caplog):
    found, limit = set_to
    limit(256, 500)
    assert connections.fit_file_limit(Limits()).max_connections == 244
    assert found == [(500, 500)]
    assert "max_connections is 244, not 512" in caplog.records[0].getMessage()
    limit(100, 200)
    with pytest.raises(ValueError, match=r"at least 257 open files, .* may have 200. Raise"):
        connections.fit_file_limit(Limits())


def test_an_error_of_the_network_is_one_line_and_any_other_has_its_trace(caplog):
    class Loop(asyncio.BaseEventLoop):
        def default_exception_handler(self, context):
            logging.getLogger("asyncio").error("with a trace")

    for error in (OSError(24, "Too many open files"), ValueError("a bug")):
        connections._log_briefly(Loop(), {"message": "accept failed", "exception": error})
    first, second = caplog.records
    assert (first.getMessage(), first.exc_info) == ("accept failed: Too many open files", None)
    assert second.getMessage() == "with a trace"
