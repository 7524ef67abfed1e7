"""The listener as a whole: places taken together or not at all, and drained."""

import socket
from pathlib import Path

import pytest

from gateway.config.load import loads
from gateway.config.model import Address, Listen, Place, UnixAddress, listen_at
from gateway.listener.listener import Listener
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.support.client import Client
from tests.support.deadline import until, within
from tests.support.gateway import configuration

ANY = listen_at("127.0.0.1:0")


def listener() -> Listener:
    loaded = loads(configuration("http://127.0.0.1:1"), "gateway.yaml", registry=Registry())
    return Listener(
        build_plan(loaded, Registry()), {}, publish=lambda record: None, report_bug=lambda *bug: None
    )


async def refuses(place: Place) -> bool:
    try:
        (await Client.connect(place)).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


async def test_each_place_is_taken_and_told_with_its_port(tmp_path: Path) -> None:
    made = listener()
    bound = await made.start([ANY, ANY, Listen(unix="weir.sock")], directory=tmp_path)
    first, second, unix = bound
    assert isinstance(first, Address) and isinstance(second, Address)
    assert 0 < first.port != second.port > 0
    assert unix == UnixAddress(str(tmp_path / "weir.sock"))
    for place in bound:
        async with await Client.connect(place):
            pass
    await made.drain(5.0)
    assert [await refuses(place) for place in bound] == [True, True, True]
    assert list(tmp_path.iterdir()) == []


async def test_an_address_in_use_is_told_and_the_others_are_let_go(tmp_path: Path) -> None:
    made = listener()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (free,) = await made.start([ANY])
        made.stop_accepting()
        unix = Listen(unix=str(tmp_path / "weir.sock"))
        with pytest.raises(OSError, match="the address is in use") as caught:
            await made.start([listen_at(str(free)), unix, listen_at(f"127.0.0.1:{taken.getsockname()[1]}")])
        assert str(taken.getsockname()[1]) in str(caught.value)
    assert await within(refuses(free), "the first address is let go")
    assert list(tmp_path.iterdir()) == []
    await made.drain(5.0)


async def test_connections_are_counted_and_a_drain_waits_for_none_that_is_idle() -> None:
    made = listener()
    (place,) = await made.start([ANY])
    async with await Client.connect(place) as client:
        await until(lambda: made.connection_count == 1, "the connection is counted")
        assert made.active_count == 0
        assert await within(made.drain(5.0), "the drain ends")
        await client.ended()
    assert made.connection_count == 0


async def test_a_drain_cuts_off_what_does_not_end() -> None:
    made = listener()
    (place,) = await made.start([ANY])
    async with await Client.connect(place) as client:
        await client.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: any(c._head for c in made._connections), "the head has begun")
        assert await within(made.drain(0.05), "the drain ends") is False
        await client.rest()
    await until(lambda: made.connection_count == 0, "the connection is gone")
