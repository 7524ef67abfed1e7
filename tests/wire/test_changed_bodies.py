"""Bodies and targets that filters change, on the wire: framing is that of what is sent, on connections that are kept."""

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.gateway import proxy
from tests.support.sockets import Wire
from tests.support.upstream import OK, Conversation, Upstream, answers, echo

JSON = "Content-Type: application/json"
TEXT = b"a piece of text that repeats " * 100


async def _chunk(wire: Wire) -> bytes:
    size = int(await wire.take_until(b"\r\n"), 16)
    data = await wire.take(size + 2)
    return data[:-2]


async def mirror(conversation: Conversation) -> None:
    """A script: 200 with the request's body, in two chunks."""
    while (request := await conversation.next_request()) is not None:
        half = len(request.body) // 2
        pieces = [piece for piece in (request.body[:half], request.body[half:]) if piece]
        head = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "1"\r\n'
        await conversation.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*pieces))


@pytest.mark.parametrize("streams", [False, True])
async def test_a_request_is_decoded_and_patched_and_its_length_is_that_of_what_is_sent(streams: bool) -> None:
    filters: list[dict[str, Any]] = [
        {"body_size": {"max": "1KiB"}},
        {"compression": {}},
        {"json_patch": {"request": [{"op": "add", "path": "/b", "value": "x" * 2000}]}},
        {"json_body": {}},
    ]
    coded = gzip.compress(b'{"a": 1}')
    if streams:
        head = f"POST /a HTTP/1.1\r\nHost: a\r\n{JSON}\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent = head.encode() + chunked(coded[:7], coded[7:])
    else:
        sent = post(coded, JSON, "Content-Encoding: gzip")
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            assert (await client.ask(sent)).status == 200
        for received in upstream.requests:
            assert json.loads(received.body) == {"a": 1, "b": "x" * 2000}
            assert received.head.all("content-length") == [str(len(received.body))]
            assert received.head.all("content-encoding") == received.head.all("transfer-encoding") == []
        assert len(upstream.conversations) == 1


async def test_a_limit_before_the_decoder_is_one_for_what_the_client_sends() -> None:
    filters: list[dict[str, Any]] = [{"body_size": {"max": 100}}, {"compression": {}}]
    small = gzip.compress(bytes(10_000))
    assert len(small) < 100
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        assert (await client.ask(head + chunked(small))).status == 200
        assert upstream.requests[0].body == bytes(10_000)
        assert (await client.ask(head + chunked(gzip.compress(TEXT + bytes(range(256)))))).status == 413
        assert len(upstream.requests) == 1
        assert [record.get("gateway.filter") for record in await gateway.records(2)] == [None, "body_size"]
    async with Upstream(echo) as upstream, proxy(upstream, filters=[{"compression": {}}]) as gateway:
        client = await gateway.connect()
        answer = await client.ask(post(gzip.compress(bytes(64 << 20)), "Content-Encoding: gzip"))
        assert answer.status == 413
        assert upstream.requests == []


async def test_an_answer_is_coded_piece_by_piece_while_it_streams() -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"compression": {}}]) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", "Accept-Encoding: gzip"))
        conversation = await upstream.accepted()
        await conversation.request()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        await conversation.send(head % (2 * len(TEXT)) + TEXT)
        told = await client.head()
        assert told.all("content-encoding") == ["gzip"]
        assert told.all("content-length") == []
        assert told.all("transfer-encoding") == ["chunked"]
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
        found = b""
        while len(found) < len(TEXT):
            found += decoder.decompress(await _chunk(client))
        assert found == TEXT, "nothing waits for what has not come yet"
        await conversation.send(TEXT)
        while not decoder.eof:
            found += decoder.decompress(await _chunk(client))
        assert found == TEXT * 2


async def test_an_answer_is_coded_whole_or_not_by_what_the_client_takes() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT)
    async with (
        Upstream(answers(whole)) as upstream,
        proxy(upstream, filters=[{"compression": {}}]) as gateway,
    ):
        client = await gateway.connect()
        for accept, coding in (("gzip", "gzip"), ("br", None), ("gzip", "gzip")):
            answer = await client.ask(get("/a", f"Accept-Encoding: {accept}"))
            assert answer.get("content-encoding") == coding
            assert (gzip.decompress(answer.body) if coding else answer.body) == TEXT
            assert answer.get("vary") == "Accept-Encoding"


async def test_an_answer_in_chunks_is_patched_and_has_a_length() -> None:
    filters = [{"json_patch": {"response": [{"op": "remove", "path": "/secret"}]}}]
    async with Upstream(mirror) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(post(b'{"secret": 1, "a": [2]}', JSON))
            assert answer.body == b'{"a":[2]}'
            assert answer.all("content-length") == ["9"]
            assert answer.all("transfer-encoding") == []
            assert answer.get("etag") == 'W/"1"'
        answer = await client.ask(post(b'{"a": "the secret is elsewhere"}', JSON))
        assert answer.status == 502
        assert b"elsewhere" not in answer.body
        records = await gateway.records(3)
        assert [record["gateway.reason"] for record in records] == ["passed", "passed", "patch_failed"]


async def test_a_message_takes_the_place_of_a_body_that_streams() -> None:
    message = {"status": [500], "bodies": {"text/plain": "ours"}, "overwrite": True}
    theirs = b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(
        b"<html>", b"theirs"
    )
    filters = [{"messages": {"messages": [message]}}]
    async with Upstream(answers(theirs)) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        for method in ("GET", "GET"):
            answer = await client.ask(get("/a", method=method))
            assert (answer.status, answer.body, answer.whole) == (500, b"ours", True)
            assert answer.all("content-type") == ["text/plain"]


async def test_head_is_answered_without_a_body_whatever_filters_do_to_it() -> None:
    message = {"status": [404], "bodies": {"text/plain": "ours"}, "overwrite": True}
    filters: list[dict[str, Any]] = [{"compression": {}}, {"messages": {"messages": [message]}}]
    theirs = b"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n"
    async with Upstream(answers(theirs)) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", "Accept-Encoding: gzip", method="HEAD"), "HEAD")
            assert (answer.status, answer.body) == (404, b"")
            assert answer.all("content-length") == []
            assert answer.all("transfer-encoding") == []


async def test_the_head_of_limits_has_no_length_of_the_upstream_s() -> None:
    limits = {"limits": [{"rate": "9/minute", "key": ["client_ip"]}]}
    filters: list[dict[str, Any]] = [{"rate_limit": {**limits, "endpoint": {"path": "/a", "absolute": True}}}]
    theirs = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "1"\r\nContent-Length: 5000\r\n\r\n'
    async with Upstream(answers(theirs)) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", "Accept: application/xml", method="HEAD"), "HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.all("content-type") == ["application/xml"]
            for name in ("etag", "content-length", "transfer-encoding"):
                assert answer.all(name) == []


async def test_another_target_goes_to_the_upstream_and_to_its_mirror() -> None:
    filters: list[dict[str, Any]] = [
        {"query": {"allow": ["limit"]}},
        {"rewrite": {"strip_prefix": "/compute", "add_prefix": "/v2.1"}},
    ]
    async with Upstream(answers(OK)) as shadow, Upstream(answers(OK)) as upstream:
        options: dict[str, Any] = {
            "filters": filters,
            "upstreams": {"shadow": {"endpoints": [shadow.url]}},
            "upstream_options": {"mirror": {"upstream": "shadow"}},
        }
        async with proxy(upstream, **options) as gateway:
            client = await gateway.connect()
            target = "/compute/servers/a%20b?limit=%31&evil=%2f"
            assert (await client.ask(get(target))).status == 200
            (record,) = await gateway.records(1)
            assert (record["url.path"], record["url.query"]) == (
                "/compute/servers/a%20b",
                "limit=%31&evil=%2f",
            )
            assert upstream.requests[0].target == b"/v2.1/servers/a%20b?limit=%31"
            await until(lambda: len(shadow.requests) == 1, "the copy arrives")
            assert shadow.requests[0].target == b"/v2.1/servers/a%20b?limit=%31"


async def test_a_lenient_route_sends_nothing_odd_in_another_form() -> None:
    routes = [{"name": "any", "path": "/{rest*}", "upstream": "main", "target": "lenient"}]
    filters = [{"rewrite": {"strip_prefix": "/a"}}]
    async with Upstream(echo) as upstream, proxy(upstream, routes=routes, filters=filters) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a/../admin"))
        assert answer.status == 400
        assert upstream.requests == []
        assert (await client.ask(get("/b/../admin"))).status == 200
        assert upstream.requests[0].target == b"/b/../admin"


@pytest.mark.parametrize("body", [b"{", b'{"a": 1}'])
async def test_a_shadow_that_delegates_reads_a_body_that_streams_and_the_upstream_still_gets_it(
    body: bytes,
) -> None:
    filters: list[dict[str, Any]] = [{"json_body": {"mode": "shadow", "delegate": 0.3}}]
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nX-Delegated: mine\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(head + chunked(body, end=False))
        await client.send(b"0\r\n\r\n")
        assert (await client.answer("POST")).status == 200
        (received,) = upstream.requests
        assert received.body == body
        told = "status_code=400`component=json_body`message=The request body is not valid JSON.;q=0.3"
        assert received.all("x-delegated") == ([told] if body == b"{" else [])
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, filters=[*filters, {"delegated": {}}]) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(head + chunked(body))
        assert answer.status == (400 if body == b"{" else 200)
