"""`record` of a route on the wire: bodies stream as ever, and the record has their beginnings."""

import json
from typing import Any

import pytest

from tests.support.client import get, post
from tests.support.gateway import Running, proxy
from tests.support.upstream import Conversation, Upstream, echo

JSON = "Content-Type: application/json"
TOKEN = "token-of-the-test-0123456789"


def recording(*filters: dict[str, Any], **record: Any) -> dict[str, Any]:
    options = {"request_body": "1KiB", "response_body": "1KiB", **record}
    routes = [
        {"name": "any", "path": "/{rest*}", "upstream": "main", "record": options, "filters": list(filters)}
    ]
    return {"routes": routes}


async def mirror(conversation: Conversation) -> None:
    """A script: 200 with the request's body."""
    while (request := await conversation.next_request()) is not None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
            request.body
        )
        await conversation.send(head + request.body)


async def test_both_bodies_are_in_the_record_without_their_secrets() -> None:
    body = json.dumps(
        {"auth": {"password": "correct horse", "user": "alice"}, "note": TOKEN, "deep": {"pin": "0000-1111"}}
    )
    async with Upstream(mirror) as upstream, proxy(upstream, **recording(redact=["$.deep.pin"])) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(post(body.encode(), JSON, f"X-Auth-Token: {TOKEN}", "X-Pin: 0000-1111"))
            assert answer.body == body.encode()
        for record in await gateway.records(2):
            for name in ("request", "response"):
                assert json.loads(record[f"gateway.{name}.body"]) == {
                    "auth": {"password": "[redacted]", "user": "alice"},
                    "note": "[redacted]",
                    "deep": {"pin": "[redacted]"},
                }
            assert record["gateway.bodies"] is True
            assert not any(secret in str(record) for secret in ("correct horse", TOKEN, "0000-1111"))


async def test_a_body_that_streams_is_passed_on_piece_by_piece() -> None:
    options = recording(types=["text/plain"], request_body=8, response_body=8)
    async with Upstream() as upstream, proxy(upstream, **options) as gateway:
        client = await gateway.connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        conversation = await upstream.accepted()
        await conversation.take_until(b"\r\n\r\n")
        for piece in (b"5\r\nfirst\r\n", b"6\r\nsecond\r\n"):
            await client.send(piece)
            await conversation.take_until(piece)
        await client.send(b"0\r\n\r\n")
        await conversation.take_until(b"0\r\n\r\n")
        await conversation.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        )
        assert await client.status() == 200
        await client.take_until(b"5\r\nhello\r\n")
        await conversation.send(b"6\r\n world\r\n0\r\n\r\n")
        await client.take_until(b"0\r\n\r\n")
        record = await gateway.record()
        assert record["gateway.request.body"] == "firstsec"
        assert record["gateway.response.body"] == "hello wo"
        assert record["gateway.request.body_truncated"] is record["gateway.response.body_truncated"] is True


async def bodies(gateway: Running) -> dict[str, Any]:
    return {
        name: value
        for name, value in (await gateway.record()).items()
        if "bod" in name and "size" not in name
    }


async def test_a_body_that_a_filter_refused_is_told_with_the_answer() -> None:
    options = recording({"json_body": {"metadata": "set"}})
    async with Upstream(echo) as upstream, proxy(upstream, **options) as gateway:
        client = await gateway.connect()
        answer = await client.ask(post(b'{"meta": 1}', JSON))
        assert answer.status == 400
        told = await bodies(gateway)
        assert told["gateway.request.body"] == '{"meta":1}'
        assert json.loads(told["gateway.response.body"]) == answer.json()


async def test_what_has_no_body_or_another_type_has_nothing_to_tell() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, **recording(response_body=0)) as gateway:
        client = await gateway.connect()
        assert (await client.ask(post(b"abc", "Content-Type: text/plain"))).status == 200
        assert await bodies(gateway) == {}
    async with Upstream(echo) as upstream, proxy(upstream, **recording()) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", method="HEAD"), "HEAD")).status == 200
        assert await bodies(gateway) == {}


@pytest.mark.parametrize("data", [b'{"password": "correct horse', b"correct horse"])
async def test_what_cannot_be_read_is_left_out_and_said_so(data: bytes) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, **recording(response_body=0)) as gateway:
        client = await gateway.connect()
        assert (await client.ask(post(data, JSON))).status == 200
        assert await bodies(gateway) == {"gateway.bodies": True, "gateway.request.body_omitted": "not_json"}
