"""What is remembered, for how long, and when the service is left alone."""

import asyncio
from typing import Any

import pytest

from filters.external_auth.convention import No, Trouble, Yes, reader
from filters.external_auth.option import CacheOptions, ExternalAuthConfig
from filters.external_auth.service import Service, lifetime
from gateway.api import HttpAnswer, HttpError, Revocation
from gateway.api.testing import FrozenServices
from tests.support.deadline import until

YES = HttpAnswer(204, {}, b"")


def service(services: FrozenServices, **options: Any) -> Service:
    config = ExternalAuthConfig.model_validate({"url": "http://auth/check", "cache": {}, **options})
    return Service(config, services, reader(config))


@pytest.mark.parametrize(
    ("status", "control", "seconds"),
    [
        (200, None, 60),
        (204, "max-age=7", 7),
        (200, "max-age=999, private", 60),
        (200, "No-Store", 0),
        (200, "no-cache", 0),
        (401, None, 5),
        (403, "max-age=1", 1),
        (302, None, 0),
        (404, None, 0),
        (500, "max-age=60", 0),
    ],
)
def test_an_answer_is_remembered_as_long_as_both_allow(
    status: int, control: str | None, seconds: float
) -> None:
    headers = {} if control is None else {"cache-control": control}
    assert lifetime(CacheOptions.model_validate({}), HttpAnswer(status, headers, b"")) == seconds


def test_what_any_line_says_of_remembering_counts() -> None:
    answer = HttpAnswer(200, {"cache-control": "max-age=60"}, b"", (("cache-control", "no-store"),))
    assert lifetime(CacheOptions.model_validate({}), answer) == 0


async def test_a_yes_is_remembered_until_its_time() -> None:
    services = FrozenServices(answer=lambda request: YES)
    asked = service(services)
    assert asked.remembered("k", services.now().monotonic) is None
    assert isinstance(await asked.ask("k", [("A", "b")]), Yes)
    assert services.requests[0].url == "http://auth/check"
    assert services.requests[0].headers == {"a": "b"}
    assert isinstance(asked.remembered("k", services.now().monotonic), Yes)
    services.advance(60)
    assert asked.remembered("k", services.now().monotonic) is None


async def test_a_no_is_remembered_and_a_failure_never() -> None:
    services = FrozenServices(answer=lambda request: HttpAnswer(403, {}, b""))
    asked = service(services)
    assert isinstance(await asked.ask("no", []), No)
    assert asked.remembered("no", services.now().monotonic) is not None
    services.answer = lambda request: HttpError("timeout")
    with pytest.raises(Trouble, match="timeout"):
        await asked.ask("failure", [])
    assert asked.remembered("failure", services.now().monotonic) is None
    assert services.warnings[-1][0] == "external_auth_unavailable"


async def test_those_who_ask_the_same_at_once_are_one_question() -> None:
    gate = asyncio.Event()

    async def slow() -> HttpAnswer:
        await gate.wait()
        return YES

    services = FrozenServices(answer=lambda request: slow())
    asked = service(services)
    waiting = [asyncio.ensure_future(asked.ask("k", [])) for _ in range(20)]
    other = asyncio.ensure_future(asked.ask("other", []))
    alone = [asyncio.ensure_future(asked.ask(None, [])) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    assert len(await asyncio.gather(*waiting, other, *alone)) == 23
    assert len(services.requests) == 4


async def test_a_service_that_fails_again_and_again_is_left_alone_for_a_while() -> None:
    services = FrozenServices(answer=lambda request: HttpError("connect"))
    asked = service(services, breaker={"failures": 3, "pause": "10s"})
    for _ in range(3):
        with pytest.raises(Trouble, match="connect"):
            await asked.ask(None, [])
    with pytest.raises(Trouble, match="left alone"):
        await asked.ask(None, [])
    assert len(services.requests) == 3
    assert asked.retry_after() == 10
    services.advance(10)
    services.answer = lambda request: YES
    assert isinstance(await asked.ask(None, []), Yes)
    assert isinstance(await asked.ask(None, []), Yes)


NO = HttpAnswer(401, {"www-authenticate": "Bearer"}, b"")
ORDINARY = [("Cookie", "a" * 2000)]
LARGE = [("Cookie", "a" * 4000)]


@pytest.mark.parametrize(
    ("says", "lines", "lenient", "opens"),
    [
        (HttpError("connect"), LARGE, True, True),
        (HttpError("tls"), LARGE, True, True),
        (HttpError("timeout"), LARGE, True, True),
        (HttpError("timeout", answer=NO), ORDINARY, False, True),
        (HttpError("timeout", answer=NO), LARGE, False, False),
        (HttpError("broken"), ORDINARY, False, True),
        (HttpError("broken"), LARGE, False, False),
        (HttpError("garbled"), ORDINARY, False, False),
        (HttpError("too_large"), ORDINARY, False, False),
        (HttpError("busy"), ORDINARY, False, False),
        (HttpAnswer(400, {}, b""), ORDINARY, False, False),
        (HttpAnswer(502, {}, b""), ORDINARY, False, True),
        (HttpAnswer(502, {}, b""), LARGE, False, False),
    ],
)
async def test_what_requests_can_bring_about_lets_none_pass_and_keeps_nobody_out(
    says: HttpAnswer | HttpError, lines: list[tuple[str, str]], lenient: bool, opens: bool
) -> None:
    services = FrozenServices(answer=lambda request: says)
    # With the other convention a 5xx is an answer, and what fails in its body none.
    convention = "nginx" if isinstance(says, HttpAnswer) else "traefik"
    asked = service(services, breaker={"failures": 1}, convention=convention)
    for who in "ab":
        with pytest.raises(Trouble) as trouble:
            await asked.ask(None, lines, who)
        assert trouble.value.lenient == lenient
    assert (services.warnings[-1][1]["left_alone"]) == opens


@pytest.mark.parametrize(
    ("says", "lenient"),
    [(HttpAnswer(500, {}, b""), False), (HttpError("broken"), False), (HttpError("timeout"), True)],
)
@pytest.mark.parametrize("on_error", ["deny", "allow"])
async def test_a_credential_that_the_service_fails_for_keeps_nobody_else_out_and_lets_nobody_pass(
    says: HttpAnswer | HttpError, lenient: bool, on_error: str
) -> None:
    services = FrozenServices(answer=lambda request: says)
    asked = service(services, breaker={"failures": 3, "pause": 10}, on_error=on_error)
    for _ in range(6):
        with pytest.raises(Trouble) as trouble:
            await asked.ask(None, [], "bad")
    slow = lenient and on_error == "allow"
    # Of one who is left alone nobody knows whether the service would refuse him: one that is slow is asked again.
    assert trouble.value.lenient == slow
    assert len(services.requests) == (6 if slow else 3)
    assert asked.retry_after("bad") == (1 if slow else 10)
    services.answer = lambda request: NO
    assert isinstance(await asked.ask(None, [], "refused"), No)


@pytest.mark.parametrize("first", ["timeout", "broken"])
async def test_a_service_that_is_left_alone_for_what_lets_pass_and_what_does_not_lets_none_pass(
    first: str,
) -> None:
    services = FrozenServices(answer=lambda request: HttpError(first))
    asked = service(services, breaker={"failures": 2}, on_error="allow")
    with pytest.raises(Trouble):
        await asked.ask(None, [], "a")
    services.answer = lambda request: HttpError("broken" if first == "timeout" else "timeout")
    for who in "bc":
        with pytest.raises(Trouble) as trouble:
            await asked.ask(None, [], who)
    assert trouble.value.why == "it is left alone" and not trouble.value.lenient


@pytest.mark.parametrize(("reason", "lenient"), [("connect", True), ("timeout", True), ("broken", False)])
async def test_a_service_that_is_left_alone_lets_pass_as_it_did_when_it_failed(
    reason: str, lenient: bool
) -> None:
    services = FrozenServices(answer=lambda request: HttpError(reason))
    asked = service(services, breaker={"failures": 2}, on_error="allow")
    for who in "abc":
        with pytest.raises(Trouble) as trouble:
            await asked.ask(None, [], who)
        assert trouble.value.lenient == lenient
    assert len(services.requests) == 2


@pytest.mark.parametrize("says", [HttpError("too_large"), HttpAnswer(431, {}, b"")])
async def test_who_brings_about_trouble_takes_no_turn_of_a_service_that_is_back(
    says: HttpAnswer | HttpError,
) -> None:
    services = FrozenServices(answer=lambda request: HttpError("connect"))
    asked = service(services, breaker={"failures": 1, "pause": 10})
    with pytest.raises(Trouble):
        await asked.ask(None, [])
    services.advance(10)
    for _ in range(5):
        services.answer = lambda request: says
        with pytest.raises(Trouble) as trouble:
            await asked.ask(None, LARGE)
        assert not trouble.value.lenient
    services.answer = lambda request: YES
    assert isinstance(await asked.ask(None, []), Yes)
    assert asked.retry_after() == 1, "nobody is kept out any more"


@pytest.mark.parametrize("reason", ["too_large", "timeout", "broken"])
async def test_auth_request_goes_by_the_head_of_an_answer_that_fails_in_its_body(reason: str) -> None:
    services = FrozenServices(answer=lambda request: HttpError(reason, answer=NO))
    asked = service(services, breaker={"failures": 1})
    for _ in range(2):
        answer = await asked.ask(None, [])
        assert isinstance(answer, No) and answer.headers == (("WWW-Authenticate", b"Bearer"),)


async def test_answers_a_request_may_have_brought_about_do_not_open_the_breaker() -> None:
    services = FrozenServices(answer=lambda request: HttpAnswer(400, {}, b""))
    asked = service(services, breaker={"failures": 1})
    for _ in range(3):
        with pytest.raises(Trouble, match="it answered 400"):
            await asked.ask(None, [])
    assert len(services.requests) == 3


async def test_a_revocation_forgets_what_is_remembered_and_what_is_out() -> None:
    gate = asyncio.Event()

    async def slow() -> HttpAnswer:
        await gate.wait()
        return YES

    services = FrozenServices(answer=lambda request: YES)
    asked = service(services)
    await asked.ask("k", [])
    services.answer = lambda request: slow()
    out = asyncio.ensure_future(asked.ask("out", []))
    await until(lambda: len(services.requests) == 2, "it is asked")
    assert services.revoke(Revocation(user_id="u")) == 1
    gate.set()
    assert isinstance(await out, Yes)
    for key in ("k", "out"):
        assert asked.remembered(key, services.now().monotonic) is None
