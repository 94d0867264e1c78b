import logging

import pytest

from fashionsearchnet.serving import quiet_log
from fashionsearchnet.serving.quiet_log import OnceAMinute


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(quiet_log.time, "monotonic", lambda: now[0])
    return now


def test_one_line_a_minute_for_each_kind_of_message(caplog, clock):
    logger = logging.Logger("attacked")
    logger.addFilter(OnceAMinute())
    logger.addHandler(caplog.handler)
    for number in range(1000):
        logger.error("connection %d failed", number)
        logger.error("another message")
    assert [record.getMessage() for record in caplog.records] == [
        "connection 0 failed",
        "another message",
    ]
    clock[0] += 60
    logger.error("connection %d failed", 7)
    last = caplog.records[-1].getMessage()
    assert last == "connection 7 failed (and 999 more since the last message of this kind)"
    clock[0] += 60
    logger.error("connection %d failed", 8)
    assert caplog.records[-1].getMessage() == "connection 8 failed"
