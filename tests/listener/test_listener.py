"""The listener as a whole: places taken together or not at all, and drained."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import loads
from gateway.config.model import Address, Listen, UnixAddress, listen_at
from gateway.listener.acceptor import Binding
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.listener.opening import open_place
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.support.client import Client, get, refuses
from tests.support.deadline import until, within
from tests.support.gateway import configuration

ANY = listen_at("127.0.0.1:0")


def listener() -> Listener:
    return Listener(generation(), publish=lambda record: None, report_bug=lambda *bug: None)


def generation(**options: Any) -> Generation:
    """One that answers 404 to whatever is asked."""
    options["routes"] = [{"name": "only", "path": "/only", "upstream": "main"}]
    loaded = loads(configuration("http://127.0.0.1:1", **options), "gateway.yaml", registry=Registry())
    return Generation(build_plan(loaded, Registry()), {})


async def bound(listen: Listen, directory: Path = Path()) -> Binding:
    return Binding(listen, await open_place(listen, directory), None)


def let_go(*bindings: Binding) -> None:
    for binding in bindings:
        binding.opening.close()


async def test_each_place_is_accepted_from_until_it_is_drained(tmp_path: Path) -> None:
    made = listener()
    bindings = [await bound(listen, tmp_path) for listen in (ANY, ANY, Listen(unix="weir.sock"))]
    await made.accept_from(bindings)
    first, second, unix = (binding.opening.place for binding in bindings)
    assert isinstance(first, Address) and isinstance(second, Address)
    assert 0 < first.port != second.port > 0
    assert unix == UnixAddress(str(tmp_path / "weir.sock"))
    for place in (first, second, unix):
        async with await Client.connect(place):
            pass
    await made.drain(5.0)
    let_go(*bindings)
    assert [await refuses(place) for place in (first, second, unix)] == [True, True, True]
    assert list(tmp_path.iterdir()) == []


async def test_other_places_take_the_place_of_the_former_and_what_is_the_same_goes_on(tmp_path: Path) -> None:
    made = listener()
    stays, goes = await bound(ANY), await bound(Listen(unix="old.sock"), tmp_path)
    await made.accept_from([stays, goes])
    acceptor = made.acceptors[0]
    async with await Client.connect(goes.opening.place) as client:
        comes = await bound(Listen(unix="new.sock"), tmp_path)
        await made.accept_from([comes, stays])
        let_go(goes)
        assert made.acceptors[1] is acceptor
        assert await refuses(goes.opening.place)
        for place in (stays.opening.place, comes.opening.place):
            async with await Client.connect(place) as other:
                assert (await other.ask(get("/"))).status == 404
        assert (await client.ask(get("/"))).status == 404
    await made.drain(5.0)
    let_go(stays, comes)


async def test_what_cannot_be_accepted_from_leaves_all_as_it_was(tmp_path: Path) -> None:
    made = listener()
    stays, broken, other = await bound(ANY), await bound(ANY), await bound(ANY)
    await made.accept_from([stays])
    let_go(broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await made.accept_from([other, broken])
    async with await Client.connect(stays.opening.place) as client:
        assert (await client.ask(get("/"))).status == 404
    assert [acceptor.binding for acceptor in made.acceptors] == [stays]
    await made.drain(5.0)
    let_go(stays, other)


async def test_connections_obey_the_limits_of_the_generation_in_force() -> None:
    made = listener()
    binding = await bound(ANY)
    await made.accept_from([binding])
    async with await Client.connect(binding.opening.place) as client:
        assert (await client.ask(get("/", "X-A: 1", "X-B: 2"))).status == 404
        former = made.put_in_force(generation(limits={"header_count": 2}))
        assert former.active == 0
        assert (await client.ask(get("/", "X-A: 1", "X-B: 2"))).status == 431
    await made.drain(5.0)
    let_go(binding)


async def test_connections_are_counted_and_a_drain_waits_for_none_that_is_idle() -> None:
    made = listener()
    binding = await bound(ANY)
    await made.accept_from([binding])
    async with await Client.connect(binding.opening.place) as client:
        await until(lambda: made.connection_count == 1, "the connection is counted")
        assert made.active_count == 0
        assert await within(made.drain(5.0), "the drain ends")
        await client.ended()
    assert made.connection_count == 0
    let_go(binding)


async def test_a_drain_cuts_off_what_does_not_end() -> None:
    made = listener()
    binding = await bound(ANY)
    await made.accept_from([binding])
    async with await Client.connect(binding.opening.place) as client:
        await client.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: any(c._head for c in made._connections), "the head has begun")
        assert await within(made.drain(0.05), "the drain ends") is False
        await client.rest()
    await until(lambda: made.connection_count == 0, "the connection is gone")
    let_go(binding)
