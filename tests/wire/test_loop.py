"""A request that has passed us before goes no further (RFC 9110 section 7.6)."""

import pytest

from tests.support.client import get
from tests.support.expect import refused
from tests.support.gateway import PSEUDONYM, proxy
from tests.support.upstream import Upstream, closed_port, echo


@pytest.mark.parametrize(
    "lines",
    [
        [f"Via: 1.1 {PSEUDONYM}, 1.1 {PSEUDONYM}"],
        [f"Via: 1.1 {PSEUDONYM}", "Via: 1.0 other", f"via: HTTP/1.1 {PSEUDONYM} (Weir/1)"],
        [f"Via: 1.1 {PSEUDONYM.upper()} (a, b), 1.0 other, 1.0 {PSEUDONYM}"],
    ],
)
async def test_more_passes_than_allowed_are_508(lines: list[str]) -> None:
    """P46."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", *lines))
        await refused(gateway, client, 508, "loop_detected")
        assert upstream.conversations == []


@pytest.mark.parametrize(
    "lines",
    [
        [f"Via: 1.1 {PSEUDONYM}"],
        [f"Via: 1.1 {PSEUDONYM}x, 1.1 x{PSEUDONYM}, 1.1 other (1.1 {PSEUDONYM}, 1.1 {PSEUDONYM})"],
    ],
)
async def test_one_pass_and_names_like_ours_are_no_loop(lines: list[str]) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *lines))).status == 200


async def test_two_gateways_in_a_row_work() -> None:
    """Of one host, and so of one pseudonym."""
    async with Upstream(echo) as upstream, proxy(upstream) as inner, proxy([inner.url]) as outer:
        client = await outer.connect()
        answer = await client.ask(get("/a"))
        assert answer.status == 200
        via = [m.strip() for value in upstream.requests[0].all("via") for m in value.split(",")]
        assert via == [f"1.1 {PSEUDONYM}"] * 2
        back = [m.strip() for value in answer.all("via") for m in value.split(",")]
        assert back == [f"1.1 {PSEUDONYM}"] * 2
        # The id of the inner one is the answer's, the outer one records both.
        inside, outside = await inner.record(), await outer.record()
        assert inside["gateway.global_request_id"] == outside["gateway.request_id"]
        assert outside["gateway.upstream.request_id"] == inside["gateway.request_id"]
        assert answer.get("x-compute-request-id") == inside["gateway.request_id"]


async def test_a_gateway_in_front_of_itself_answers_508_once_and_is_not_lost() -> None:
    """P46."""
    port = closed_port()
    async with proxy([f"http://127.0.0.1:{port}"], listen=f"127.0.0.1:{port}") as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert answer.status == 508
        records = await gateway.records(3)
        assert sorted(record["gateway.reason"] for record in records) == ["loop_detected", "passed", "passed"]


async def test_max_hops_is_configurable() -> None:
    via = {"max_hops": 3}
    async with Upstream(echo) as upstream, proxy(upstream, via=via) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", f"Via: {', '.join([f'1.1 {PSEUDONYM}'] * 3)}"))).status == 200
        await client.send(get("/a", f"Via: {', '.join([f'1.1 {PSEUDONYM}'] * 4)}"))
        assert (await client.answer()).status == 508
