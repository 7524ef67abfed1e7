"""What providers that ask over the network have in common: one question at a time, and a service left alone."""

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.option import BreakerOptions
from filters.token_auth.provider import Answer, Grant, Unavailable
from filters.token_auth.remote import MAX_WAIT, Memory, RemoteProvider, Trouble, segment, tellable
from gateway.api import Exchange, HttpAnswer, HttpError, Principal
from gateway.api.testing import FrozenServices, exchange
from tests.support.deadline import until

KNOWN = Grant(Principal(user_id="u1"))


class Oracle(RemoteProvider[str]):
    """Says what it is told to say."""

    kind = "oracle"

    def __init__(self, failures: int = 2) -> None:
        self.services = FrozenServices()
        super().__init__(
            self.services, "http://oracle.test", Memory(BreakerOptions(failures=failures, pause=10))
        )
        self.says: Answer | Exception = KNOWN
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self._question(token, lambda: self._ask(token), len(token), token)

    async def _ask(self, token: str) -> Answer:
        self.asked.append(token)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def answer(self, token: str = "t") -> Answer:
        answer = self.look_up(token, exchange())
        return await answer if isawaitable(answer) else answer

    def refused(self, answer: HttpAnswer) -> Trouble:
        return self._refused(answer)


async def test_one_question_for_all_who_ask_the_same() -> None:
    oracle = Oracle()
    oracle.gate = asyncio.Event()
    asking = [asyncio.ensure_future(oracle.answer(token)) for token in ("a", "a", "b")]
    await asyncio.sleep(0)
    oracle.gate.set()
    assert await asyncio.gather(*asking) == [KNOWN] * 3
    assert oracle.asked == ["a", "b"]


async def test_a_service_that_fails_is_left_alone_and_then_asked_once() -> None:
    oracle = Oracle()
    oracle.says = Trouble("it is unwell")
    assert [await oracle.answer(token) for token in ("a", "b", "c")] == [
        Unavailable(1),
        Unavailable(20),  # who has failed comes behind others
        Unavailable(10),
    ]
    assert oracle.asked == ["a", "b"]
    assert oracle.services.warnings[1] == (
        "oracle_unavailable",
        {"url": "http://oracle.test", "because": "it is unwell", "left_alone": True},
    )
    oracle.services.advance(10)
    oracle.says = KNOWN
    assert await oracle.answer("c") == KNOWN
    assert await oracle.answer("a") == KNOWN


@pytest.mark.parametrize("says", [Trouble("it answered 500"), HttpError("timeout"), HttpError("garbled")])
async def test_a_token_that_a_service_fails_for_keeps_nobody_else_out(says: Exception) -> None:
    oracle = Oracle()
    for number in range(20):
        oracle.says = says
        assert isinstance(await oracle.answer("bad"), Unavailable)
        oracle.says = KNOWN
        assert await oracle.answer(f"good{number}") == KNOWN
        oracle.services.advance(0.01)
    assert oracle.asked.count("bad") == 2
    oracle.says = says
    assert await oracle.answer("bad") == Unavailable(10)
    oracle.services.advance(10)
    oracle.says = KNOWN
    assert await oracle.answer("bad") == KNOWN


async def test_who_waits_in_vain_while_others_are_answered_keeps_nobody_out() -> None:
    oracle = Oracle()
    oracle.gate, oracle.says = asyncio.Event(), HttpError("timeout")
    waiting = [asyncio.ensure_future(oracle.answer(f"slow{number}")) for number in range(10)]
    await until(lambda: len(oracle.asked) == 10, "all are asked about")
    gate, oracle.gate = oracle.gate, None
    oracle.services.advance(1)
    oracle.says = KNOWN
    assert await oracle.answer("good") == KNOWN
    oracle.services.advance(1)
    oracle.says = HttpError("timeout")
    gate.set()
    assert await asyncio.gather(*waiting) == [Unavailable(1)] * 10
    oracle.says = KNOWN
    assert await oracle.answer("another") == KNOWN


async def test_one_who_asks_alone_is_enough_to_see_that_nobody_listens() -> None:
    oracle = Oracle()
    oracle.says = HttpError("connect")
    assert [await oracle.answer() for _ in range(3)] == [Unavailable(1), Unavailable(10), Unavailable(10)]
    assert len(oracle.asked) == 2
    assert oracle.left_alone


@pytest.mark.parametrize("reason", ["busy", "closed"])
async def test_a_service_that_was_not_asked_is_not_thought_unwell(reason: str) -> None:
    oracle = Oracle(failures=1)
    oracle.says = HttpError(reason)
    assert await oracle.answer() == Unavailable(1)
    oracle.says = KNOWN
    assert await oracle.answer() == KNOWN


@pytest.mark.parametrize(
    ("says", "size", "opens"),
    [
        (HttpError("connect"), 4000, True),
        (HttpError("timeout"), 4000, True),
        (HttpError("broken"), 2000, True),
        (HttpError("broken"), 4000, False),
        (HttpError("garbled"), 2000, True),
        (HttpError("garbled"), 4000, False),
        (HttpError("too_large"), 2000, False),
        (Trouble("it answered 502"), 2000, True),
        (Trouble("it answered 502"), 4000, False),
    ],
)
async def test_what_a_token_may_have_brought_about_keeps_nobody_out(
    says: Exception, size: int, opens: bool
) -> None:
    oracle = Oracle(failures=1)
    oracle.says = says
    for letter in "ab":
        assert isinstance(await oracle.answer(letter * size), Unavailable)
    oracle.says = KNOWN
    assert (await oracle.answer() == KNOWN) == (not opens)


@pytest.mark.parametrize("says", [HttpError("broken"), HttpError("too_large"), Trouble("it answered 502")])
async def test_who_brings_about_trouble_takes_no_turn_of_a_service_that_is_back(says: Exception) -> None:
    oracle = Oracle(failures=1)
    oracle.says = HttpError("connect")
    assert isinstance(await oracle.answer(), Unavailable)
    oracle.services.advance(600)
    for _ in range(5):
        oracle.says = says
        assert isinstance(await oracle.answer("t" * 4000), Unavailable)
    oracle.says = KNOWN
    assert await oracle.answer() == KNOWN


async def test_a_no_is_an_answer() -> None:
    oracle = Oracle(failures=2)
    for says in (Trouble("x"), None, Trouble("x"), None):
        oracle.says = says
        assert await oracle.answer() == (Unavailable(1) if says is not None else None)


@given(st.integers(400, 599))
def test_whose_fault_a_status_is(status: int) -> None:
    trouble = Oracle().refused(HttpAnswer(status, {}, b"secret"))
    assert trouble.counts == (status >= 500 or status == 429)
    assert trouble.why == f"it answered {status}"


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("99999", MAX_WAIT), ("-1", 0), ("soon", 0), ("é", 0)]
)
async def test_a_client_waits_as_long_as_the_service_asks_within_reason(value: str, seconds: int) -> None:
    oracle = Oracle()
    oracle.says = oracle.refused(HttpAnswer(503, {"retry-after": value}, b""))
    assert await oracle.answer() == Unavailable(max(1, seconds))


async def test_closing_ends_what_is_out() -> None:
    memory: Memory[str] = Memory(BreakerOptions())
    asking = memory.flight.join("t", lambda: asyncio.sleep(3600, KNOWN))
    memory.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_an_expired_token_is_not_judged() -> None:
    with pytest.raises(NotImplementedError):
        Oracle().look_up_expired("t", exchange())


@pytest.mark.parametrize("text", [".", "..", "../x", "a/..", "a/./b", "..\\a", "a/..;x"])
def test_a_dot_segment_stays_no_segment(text: str) -> None:
    assert segment(text) is None


def test_all_else_is_one_segment() -> None:
    assert [segment(text) for text in ("u1", "...", "a..b", "a/b?c#", "\u00fc")] == [
        "u1",
        "...",
        "a..b",
        "a%2Fb%3Fc%23",
        "%C3%BC",
    ]


@pytest.mark.parametrize("text", ["a\r\nb", "\0", "\x7f", "\ud800"])
def test_a_caller_of_whom_a_field_cannot_tell_is_trouble(text: str) -> None:
    for one in (
        Principal(user_id=text),
        Principal(roles=("a", text)),
        Principal(assignments=(("a", None), ("b", text))),
    ):
        with pytest.raises(Trouble) as caught:
            tellable(one)
        assert not caught.value.counts and text not in caught.value.why
    for role in (" admin", "admin\t", "admin\u00a0"):
        with pytest.raises(Trouble, match="white space") as caught:
            tellable(Principal(roles=(role,)))
        assert not caught.value.counts
    told = Principal(user_id="\u00fc\t\u2028", roles=("a",))
    assert tellable(told) is told
