"""What a check asks, and what of the answers is good."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.config.model import Health, parse_endpoint
from gateway.upstream.checker import Checker, pause
from gateway.upstream.dialer import Dialer
from gateway.upstream.resolver import Resolver
from tests.support.certificates import Authority, authority, server_context
from tests.support.deadline import settled, until, within
from tests.support.upstream import OK, Upstream, answers, closed_port


class Heard:
    """The results that a checker gives."""

    def __init__(self) -> None:
        self.results: list[tuple[bool, str]] = []

    def __call__(self, ok: bool, detail: str) -> None:
        self.results.append((ok, detail))


def checker(
    url: str,
    take: Callable[[bool, str], None] | None = None,
    *,
    context: ssl.SSLContext | None = None,
    **options: Any,
) -> Checker:
    endpoint = parse_endpoint(url)
    dialer = Dialer(endpoint, Resolver(), timeout=5.0, max_age=30.0, context=context, server_name="api.test")
    health = Health.model_validate({"path": "/up", **options})
    return Checker(health, endpoint.authority.encode(), dialer, take or Heard(), lambda: 0.5)


async def test_it_asks_for_the_path_and_is_known_for_what_it_is() -> None:
    async with Upstream(answers(OK)) as upstream:
        assert await checker(upstream.url, path="/healthcheck?detail=1").check() == (True, "status 200")
        (request,) = upstream.requests
        assert (request.method, request.target, request.body) == ("GET", b"/healthcheck?detail=1", b"")
        assert request.head.lines == [
            ("Host", upstream.authority),
            ("User-Agent", f"Weir/{__version__} (health check)"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ]


async def test_the_host_can_be_named() -> None:
    async with Upstream(answers(OK)) as upstream:
        await checker(upstream.url, host="api.internal:8774").check()
        assert upstream.requests[0].get("host") == "api.internal:8774"


@pytest.mark.parametrize(
    ("status", "options", "ok"),
    [
        (200, {}, True),
        (300, {}, True),
        (404, {}, False),
        (503, {}, False),
        (204, {"status": [200]}, False),
        (204, {"status": [200, 204]}, True),
        (404, {"status": ["200-299", 404]}, True),
        (300, {"status": ["200-299"]}, False),
    ],
)
async def test_the_statuses_of_one_that_is_well(status: int, options: dict[str, Any], ok: bool) -> None:
    answer = b"HTTP/1.1 %d Whatever\r\nX: y\r\n%b\r\n" % (
        status,
        b"" if status == 204 else b"Content-Length: 0\r\n",
    )
    async with Upstream(answers(answer)) as upstream:
        assert await checker(upstream.url, **options).check() == (ok, f"status {status}")


async def test_the_head_is_enough_and_interim_answers_are_none() -> None:
    head = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx"
    async with Upstream(answers(head)) as upstream:
        assert await checker(upstream.url).check() == (True, "status 200")
        await upstream.conversations[0].gone()


async def test_an_endpoint_that_refuses_or_breaks_off_or_answers_nonsense_is_not_well() -> None:
    assert await checker(f"http://127.0.0.1:{closed_port()}").check() == (False, "connection refused")
    async with Upstream(answers(b"SSH-2.0-OpenSSH\r\n")) as upstream:
        assert await checker(upstream.url).check() == (False, "upstream_response_invalid")
    async with Upstream() as upstream:
        check = asyncio.ensure_future(checker(upstream.url).check())
        conversation = await upstream.accepted()
        await conversation.request()
        conversation.close()
        assert await within(check, "the check is over") == (False, "upstream_closed")


async def test_one_that_is_silent_is_not_well_and_nothing_is_left_of_the_check() -> None:
    async with Upstream() as upstream:
        assert await checker(upstream.url, timeout="50ms").check() == (False, "no answer in time")
        await (await upstream.accepted()).gone()


async def test_sockets_and_tls_are_checked_in_their_own_way(tmp_path: Path) -> None:
    async with Upstream(answers(OK), path=tmp_path / "api.sock") as upstream:
        assert await checker(upstream.url).check() == (True, "status 200")
        assert upstream.requests[0].get("host") == "localhost"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority().certificate.decode())
    async with Upstream(
        answers(OK), context=server_context(authority().sign("api.test"), tmp_path)
    ) as upstream:
        assert await checker(upstream.url, context=context).check() == (True, "status 200")
    stranger = server_context(Authority().sign("api.test"), tmp_path)
    async with Upstream(answers(OK), context=stranger) as upstream:
        ok, found = await checker(upstream.url, context=context).check()
        assert (ok, "certificate" in found) == (False, True), found


async def test_it_goes_on_until_it_is_closed() -> None:
    heard = Heard()
    async with Upstream(answers(OK)) as upstream:
        made = checker(upstream.url, heard, interval="10ms")
        made.start()
        await until(lambda: len(heard.results) > 2, "it is checked again and again")
        made.close()
        made.close()
        await settled(lambda: len(upstream.conversations), for_seconds=0.1)
        assert set(heard.results) == {(True, "status 200")}
        await until(lambda: all(one.eof for one in upstream.conversations), "no connection is left")


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 9.0), (0.5, 10.0), (0.75, 10.5)])
def test_intervals_differ_by_the_jitter(drawn: float, seconds: float) -> None:
    assert pause(10.0, 10.0, lambda: drawn) == pytest.approx(seconds)
    assert pause(10.0, 0.0, lambda: drawn) == 10.0
