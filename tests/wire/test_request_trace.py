"""`X-Trace-Request` on the wire: who is allowed to ask is answered, and the record is kept."""

from typing import Any

import pytest

from tests.support.client import get, post
from tests.support.gateway import proxy
from tests.support.message import Answer
from tests.support.upstream import Conversation, Upstream

ASK = "X-Trace-Request: true"
TOKENS = [
    {"token": f"token-{name}-0123456789", "user": name, "user_id": name, "project_id": "p", "roles": [name]}
    for name in ("admin", "member")
]
AUTH = {"token_auth": {"providers": [{"static": {"tokens": TOKENS}}]}}
LOCAL = {"allow": {"networks": ["127.0.0.0/8"]}}
ADMINS = {"allow": {"roles": ["admin"]}}


async def telling(conversation: Conversation) -> None:
    """A script: 200, with word of whether the field that asks has come along."""
    while (request := await conversation.next_request()) is not None:
        asked = "x-trace-request" in request.names
        await conversation.send(f"HTTP/1.1 200 OK\r\nAsked: {asked}\r\nContent-Length: 0\r\n\r\n".encode())


def names(answer: Answer) -> list[str]:
    (value,) = answer.all("server-timing")
    return [member.partition(";dur=")[0] for member in value.split(", ")]


async def test_an_allowed_client_is_told_of_each_filter_the_upstream_and_all() -> None:
    filters = [{"methods": {"allow": ["GET", "POST"]}}, {"body_size": {"max": 100}}]
    sample = {"sample": {"passed": "0%"}}
    async with (
        Upstream(telling) as upstream,
        proxy(upstream, filters=filters, trace=LOCAL, log=sample) as gateway,
    ):
        client = await gateway.connect()
        for request in (get("/a", ASK), get("/a", ASK), get("/a"), post(b"abc", ASK)):
            answer = await client.ask(request)
            assert (answer.status, answer.get("asked")) == (200, "False")
            if b"X-Trace" in request:
                assert names(answer) == ["methods", "body_size", "upstream", "total"]
            else:
                assert answer.all("server-timing") == []
        records = await gateway.records(3)
        assert all(told["gateway.trace_request"] is True for told in records)
        assert not any("gateway.sample" in told for told in records)


@pytest.mark.parametrize("user", ["admin", "member", None])
async def test_a_role_counts_once_a_filter_knows_the_caller(user: str | None) -> None:
    lines = [] if user is None else [f"X-Auth-Token: token-{user}-0123456789"]
    async with Upstream(telling) as upstream, proxy(upstream, filters=[AUTH], trace=ADMINS) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", ASK, *lines))
        record = await gateway.record()
        if user == "admin":
            assert names(answer) == ["token_auth", "upstream", "total"]
            assert record["gateway.trace_request"] is True
        else:
            assert answer.all("server-timing") == []
            assert "gateway.trace_request" not in record
        assert answer.get("asked") == (None if user is None else "False")


async def test_a_refusal_is_traced_too_and_the_upstreams_own_timing_stays() -> None:
    timing = b"HTTP/1.1 200 OK\r\nServer-Timing: db;dur=1\r\nContent-Length: 0\r\n\r\n"
    routes: list[dict[str, Any]] = [
        {"name": "a", "path": "/a", "upstream": "main", "filters": [{"methods": {"allow": ["PUT"]}}]},
        {"name": "b", "path": "/b", "upstream": "main"},
    ]
    async with Upstream() as upstream, proxy(upstream, routes=routes, trace=LOCAL) as gateway:
        client = await gateway.connect()
        assert names(await client.ask(get("/a", ASK))) == ["methods", "total"]
        client = await gateway.connect()
        await client.send(get("/b", ASK))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(timing)
        first, second = (await client.answer()).all("server-timing")
        assert first == "db;dur=1" and second.startswith("upstream;dur=")


async def test_without_it_the_field_passes_untouched() -> None:
    async with Upstream(telling) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", ASK))
        assert answer.all("server-timing") == []
        assert answer.get("asked") == "True"
