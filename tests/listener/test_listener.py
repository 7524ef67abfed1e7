"""Sockets of the listener: bound together or not at all, and drained."""

import socket

import pytest

from gateway.config.load import loads
from gateway.config.model import Address
from gateway.listener.listener import Listener
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.support.client import Client
from tests.support.deadline import until, within
from tests.support.gateway import configuration


def listener() -> Listener:
    loaded = loads(configuration("http://127.0.0.1:1"), "gateway.yaml", registry=Registry())
    return Listener(
        build_plan(loaded, Registry()), {}, publish=lambda record: None, report_bug=lambda *bug: None
    )


async def test_each_address_is_bound_and_told_with_its_port() -> None:
    made = listener()
    bound = await made.start([Address("127.0.0.1", 0), Address("127.0.0.1", 0)])
    assert len({address.port for address in bound}) == 2
    for address in bound:
        async with await Client.connect(address):
            pass
    await made.drain(5.0)


async def test_an_address_in_use_is_told_and_the_others_are_let_go() -> None:
    made = listener()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = await made.start([Address("127.0.0.1", 0)])
        made.stop_accepting()
        with pytest.raises(OSError, match="the address is in use") as caught:
            await made.start([free[0], Address("127.0.0.1", taken.getsockname()[1])])
        assert str(taken.getsockname()[1]) in str(caught.value)

    async def refused() -> bool:
        try:
            (await Client.connect(free[0])).close()
        except ConnectionRefusedError:
            return True
        return False

    assert await within(refused(), "the first address is let go")
    await made.drain(5.0)


async def test_connections_are_counted_and_a_drain_waits_for_none_that_is_idle() -> None:
    made = listener()
    (address,) = await made.start([Address("127.0.0.1", 0)])
    async with await Client.connect(address) as client:
        await until(lambda: made.connection_count == 1, "the connection is counted")
        assert made.active_count == 0
        assert await within(made.drain(5.0), "the drain ends")
        await client.ended()
    assert made.connection_count == 0


async def test_a_drain_cuts_off_what_does_not_end() -> None:
    made = listener()
    (address,) = await made.start([Address("127.0.0.1", 0)])
    async with await Client.connect(address) as client:
        await client.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: any(c._head for c in made._connections), "the head has begun")
        assert await within(made.drain(0.05), "the drain ends") is False
        await client.rest()
    await until(lambda: made.connection_count == 0, "the connection is gone")
