"""Requests that come again: the third is treated as the first was, whatever the gateway remembers."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.client import get
from tests.support.gateway import proxy
from tests.support.upstream import Upstream, echo

TOKENS = {
    "providers": [{"static": {"tokens": [{"token": "good-token-1", "user_id": "u1", "project_id": "p1"}]}}]
}


def told(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what differs each time."""
    varying = (
        "timestamp",
        "gateway.request_id",
        "gateway.sequence",
        "gateway.upstream.attempts",
        "gateway.filters",
    )
    kept = {
        key: value
        for key, value in record.items()
        if key not in varying and not key.endswith(("_ms", "request_id"))
    }
    kept["filters"] = [
        {key: value for key, value in step.items() if key not in ("ms", "facts")}
        for step in record["gateway.filters"]
    ]
    kept["gateway.facts"] = {key: value for key, value in kept["gateway.facts"].items() if key != "clock"}
    return kept


@pytest.mark.parametrize(
    "lines",
    [
        ("X-Auth-Token: good-token-1", "User-Agent: test/1"),
        ("X-Auth-Token: bad",),
        ("X-Auth-Token: good-token-1", "X_User_Id: forged", "X-Forwarded-For: 192.0.2.9"),
        ("X-Auth-Token: good-token-1", "Connection: keep-alive"),
        ("X-Auth-Token: good-token-1", "Connection: X-Foo", "X-Foo: dropped"),
        ("X-Auth-Token: good-token-1", "X-Openstack-Request-Id: req-70a599e0-31e7-49b7-b260-868f441e862b"),
        ("X-Auth-Token: good-token-1", "Via: 1.1 other"),
        ("X-Auth-Token: good-token-1", "Content-Length: 0"),
        (),
    ],
)
@pytest.mark.parametrize("edits", [{}, {"request": {"set": {"X-Edited": "yes"}}}])
async def test_the_third_request_is_treated_as_the_first(
    lines: tuple[str, ...], edits: dict[str, Any]
) -> None:
    filters: list[dict[str, Any]] = [{"token_auth": TOKENS}]
    if edits:
        filters.append({"headers": edits})
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        answers = [await client.ask(get("/a?b=c", *lines)) for _ in range(4)]
        records = await gateway.records(4)
        sent = [
            (
                request.head.first,
                [line for line in sorted(request.head.lines) if line[0] != "X-Openstack-Request-Id"],
            )
            for request in upstream.requests
        ]
    assert len({answer.status for answer in answers}) == 1
    assert all(told(record) == told(records[0]) for record in records[1:])
    assert all(one == sent[0] for one in sent[1:])
    assert len({record["gateway.request_id"] for record in records}) == 4


async def test_a_section_that_came_before_does_not_vouch_for_the_line_before_it() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            assert (await client.ask(get("/a"))).status == 200
        assert (await client.ask(get("/a/%2e%2e/b"))).status == 400
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200
        answer = await client.ask(get("/a").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (answer.status, answer.closes) == (200, True)
    assert len(upstream.requests) == 5


async def test_an_empty_line_before_a_request_makes_no_section_of_its_line() -> None:
    """What was taken for a section would let a second request line pass as a field."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            assert (await client.ask(b"\r\n" + get("/a"), "GET")).status == 200
        assert (await client.ask(b"GET /smuggled HTTP/1.1\r\n" + get("/a"))).status == 400
    assert [request.target for request in upstream.requests] == [b"/a"] * 3


async def test_a_client_that_ends_inside_a_pipelined_request_is_let_go() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + get("/b", "Content-Length: 9", method="POST") + b"only")
        client.half_close()
        assert (await client.answer("GET")).status == 200
        assert (await client.answer("POST")).status == 400
        await client.ended()
    assert [request.target for request in upstream.requests] == [b"/a"]
