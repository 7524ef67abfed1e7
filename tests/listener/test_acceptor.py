"""Connections refused before HTTP are counted one by one, and told now and then. By sockets: tests/wire/."""

import asyncio

import pytest
import structlog

from gateway.config.model import Address
from gateway.listener.acceptor import TOLD_EVERY, Refusals

PLACE = Address("127.0.0.1", 8443)


async def test_a_flood_is_one_line_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    refusals = Refusals(loop)
    clock = [now]
    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(refusals, "_now", lambda: clock[0])
        for _ in range(5):
            refusals.add("tls_failed", PLACE, "192.0.2.7", "http request")
        refusals.add("proxy_timeout", PLACE, "192.0.2.8")
        clock[0] += TOLD_EVERY
        refusals.add("tls_failed", PLACE, "192.0.2.9", "no shared cipher")
    assert refusals.counts["tls_failed"] == 6
    assert [(line["reason"], line["peer"], line["times"]) for line in logs] == [
        ("tls_failed", "192.0.2.7", 1),
        ("proxy_timeout", "192.0.2.8", 1),
        ("tls_failed", "192.0.2.9", 5),
    ]
    assert logs[0]["listen"] == "127.0.0.1:8443"
