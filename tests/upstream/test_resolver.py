"""Lookups by a script: when a name is looked up, by whom, and what is used meanwhile."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.upstream.resolver import PATIENCE, PAUSE, ResolveError, Resolver, in_turn, system_lookup
from tests.support.deadline import until, within

MAX_AGE = 30.0


class Script:
    """Answers lookups: a list of addresses, a failure, or, for None, nothing until `answer` is called."""

    def __init__(self, *answers: list[str] | Exception | None) -> None:
        self._answers = list(answers)
        self._held: list[asyncio.Future[list[str]]] = []
        self.asked: list[str] = []
        self.now = 1000.0
        self.resolver = Resolver(self.lookup, clock=lambda: self.now)

    async def lookup(self, host: str) -> list[str]:
        self.asked.append(host)
        answer = self._answers.pop(0)
        if answer is None:
            held: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
            self._held.append(held)
            return await held
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, addresses: list[str]) -> None:
        self._held.pop(0).set_result(addresses)

    async def addresses(self, host: str = "api.test") -> tuple[str, ...]:
        return await within(self.resolver.addresses(host, MAX_AGE), f"the addresses of {host} are known")

    async def begun(self, lookups: int) -> None:
        await until(lambda: len(self.asked) == lookups, f"{lookups} lookups have begun")


def failing(text: str = "Name or service not known") -> socket.gaierror:
    return socket.gaierror(socket.EAI_NONAME, text)


async def test_an_answer_is_used_as_long_as_it_is_young_enough() -> None:
    script = Script(["192.0.2.1", "192.0.2.1", "2001:db8::1"], ["192.0.2.2"])
    assert script.resolver.known("api.test") == ()
    assert await script.addresses() == ("192.0.2.1", "2001:db8::1")
    script.now += MAX_AGE - 0.1
    assert await script.addresses() == ("192.0.2.1", "2001:db8::1")
    assert len(script.asked) == 1
    script.now += 0.1
    assert await script.addresses() == ("192.0.2.2",)
    assert script.asked == ["api.test", "api.test"]
    assert script.resolver.known("api.test") == ("192.0.2.2",)


async def test_names_are_known_apart() -> None:
    script = Script(["192.0.2.1"], ["192.0.2.2"])
    assert await script.addresses("a.test") == ("192.0.2.1",)
    assert await script.addresses("b.test") == ("192.0.2.2",)
    assert await script.addresses("a.test") == ("192.0.2.1",)


async def test_all_who_ask_at_once_wait_for_one_lookup_and_one_who_goes_takes_nobody_along() -> None:
    script = Script(None)
    waiting = [asyncio.ensure_future(script.addresses()) for _ in range(5)]
    await script.begun(1)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    script.answer(["192.0.2.1"])
    assert await asyncio.gather(*waiting[1:]) == [("192.0.2.1",)] * 4
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (failing(), "name or service not known"),
        ([], "no address"),
        (UnicodeError("label too long"), "label too long"),
    ],
)
async def test_a_name_that_never_had_an_address_is_a_failure_that_is_not_hammered(
    answer: list[str] | Exception, message: str
) -> None:
    script = Script(answer, ["192.0.2.1"])
    for _ in range(3):
        with pytest.raises(ResolveError, match=message):
            await script.addresses()
    assert len(script.asked) == 1
    script.now += PAUSE
    assert await script.addresses() == ("192.0.2.1",)


async def test_while_lookups_fail_the_last_answer_is_used_and_the_log_says_so_once() -> None:
    script = Script(["192.0.2.1"], failing(), failing("Try again"), ["192.0.2.1"])
    await script.addresses()
    script.now += MAX_AGE
    with capture_logs() as log:
        assert await script.addresses() == ("192.0.2.1",)
        assert await script.addresses() == ("192.0.2.1",)
        assert len(script.asked) == 2, "it is left alone for a while"
        script.now += PAUSE
        assert await script.addresses() == ("192.0.2.1",)
        script.now += PAUSE
        assert await script.addresses() == ("192.0.2.1",)
    assert len(script.asked) == 4
    assert log == [
        {
            "event": "name_not_resolved",
            "log_level": "warning",
            "name": "api.test",
            "error": "name or service not known",
            "using": ["192.0.2.1"],
        },
        {"event": "name_resolved_again", "log_level": "info", "name": "api.test"},
    ]


async def test_a_change_is_logged() -> None:
    script = Script(["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.1"], ["192.0.2.3"])
    with capture_logs() as log:
        for _ in range(3):
            await script.addresses()
            script.now += MAX_AGE
    assert [(line["event"], line["addresses"]) for line in log] == [("addresses_changed", ["192.0.2.3"])]


async def test_a_lookup_that_hangs_holds_nobody_up_who_has_addresses() -> None:
    script = Script(["192.0.2.1"], None)
    await script.addresses()
    script.now += MAX_AGE
    assert await script.addresses() == ("192.0.2.1",), "after a moment"
    script.now += PATIENCE
    await within(script.addresses(), "no wait at all once it has had its time", PATIENCE / 2)
    script.answer(["192.0.2.2"])
    await until(lambda: script.resolver.known("api.test") == ("192.0.2.2",), "the answer is taken")
    assert len(script.asked) == 2


async def test_a_refresh_asks_without_waiting_and_only_when_it_is_time() -> None:
    script = Script(["192.0.2.1"], ["192.0.2.2"])
    script.resolver.refresh("api.test", MAX_AGE)
    assert script.resolver.known("api.test") == ()
    await until(lambda: script.resolver.known("api.test") == ("192.0.2.1",), "the first answer is taken")
    script.resolver.refresh("api.test", MAX_AGE)
    script.now += MAX_AGE
    script.resolver.refresh("api.test", MAX_AGE)
    script.resolver.refresh("api.test", MAX_AGE)
    await until(lambda: script.resolver.known("api.test") == ("192.0.2.2",), "the second answer is taken")
    assert len(script.asked) == 2


async def test_the_system_knows_this_host() -> None:
    assert {"127.0.0.1", "::1"} & set(await system_lookup("localhost"))
    assert await system_lookup("192.0.2.1") == ["192.0.2.1"]
    resolver = Resolver()
    with pytest.raises(ResolveError):
        await resolver.addresses("a" * 64, MAX_AGE)


def test_addresses_take_turns_and_so_do_families() -> None:
    both = ["2001:db8::1", "192.0.2.1", "192.0.2.2", "2001:db8::2", "192.0.2.3"]
    assert in_turn(both, 0) == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]
    assert in_turn(both, 1) == ["2001:db8::2", "192.0.2.2", "2001:db8::1", "192.0.2.3", "192.0.2.1"]
    assert in_turn(["127.0.0.1", "::1"], 7) == ["127.0.0.1", "::1"]
    assert in_turn(["192.0.2.1"], 3) == ["192.0.2.1"]


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=8, unique=True), st.integers(0, 100))
def test_every_address_is_tried_once_and_each_comes_first_of_its_family(
    addresses: list[str], turn: int
) -> None:
    ordered = in_turn(addresses, turn)
    assert sorted(ordered) == sorted(addresses)
    family = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    firsts = {in_turn(addresses, number)[0] for number in range(turn, turn + len(family))}
    assert firsts == set(family)
