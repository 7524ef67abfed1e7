"""Who is calling, as the upstream hears it: of the gateway alone, whatever a client says; and an upstream's 401."""

from typing import Any

import pytest

from filters._identity import IDENTITY_NAMES
from tests.support.client import get
from tests.support.gateway import proxy
from tests.support.message import status_of
from tests.support.upstream import Upstream, answers, echo

TOKEN = {"token": "anne-token", "user": "anne", "user_id": "u1", "project_id": "p1", "roles": ["member"]}
MINE = "X-Auth-Token: anne-token"


def filters(**options: Any) -> list[dict[str, Any]]:
    return [{"token_auth": {"providers": [{"static": {"tokens": [TOKEN]}}], **options}}]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ("keystonemiddleware", {"x-user-id": "u1", "x-roles": "member", "x-identity-status": "Confirmed"}),
        ("repose", {"x-user-id": "u1", "x-pp-user": "anne;q=1.0", "x-authorization": "Proxy p1"}),
        ("none", {"x-user-id": None, "x-roles": None, "x-identity-status": None}),
    ],
)
async def test_what_connection_names_is_of_the_client_and_not_of_the_gateway(
    headers: str, told: dict[str, str | None]
) -> None:
    names = list(told)
    lines = [f"Connection: {', '.join(names)}, X-Auth-Token, x_user_id", "x_user_id: root"]
    lines += [f"{name}: root" for name in names]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(headers=headers)) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", MINE, *lines))).status == 200
        assert (await client.ask(get("/", MINE, "Connection: keep-alive"))).status == 200
        for request in upstream.requests:
            assert {name: request.get(name) for name in told} == told
            assert "root" not in [value for _, value in request.head.lines]


@pytest.mark.parametrize("headers", ["keystonemiddleware", "repose", "none"])
async def test_no_spelling_of_a_client_arrives(headers: str) -> None:
    lines = [f"{name}: root" for name in IDENTITY_NAMES]
    lines += [line.replace("-", "_") for line in lines] + [line.upper() for line in lines]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(headers=headers)) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", MINE, *lines[:90]))).status == 200
        assert (await client.ask(get("/", MINE, *lines[90:]))).status == 200
        for request in upstream.requests:
            assert "root" not in [value.lower() for _, value in request.head.lines]


def refusing(*lines: str) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 401 Unauthorized\r\n{fields}Content-Length: 2\r\n\r\nno".encode()


URL = "http://auth.test/v3"


async def test_a_401_of_the_upstream_says_how_to_get_a_token() -> None:
    options = filters(auth_url=URL)
    async with Upstream(answers(refusing("X-A: b"))) as upstream, proxy(upstream, filters=options) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/", MINE))
        assert (answer.status, answer.body) == (401, b"no")
        assert answer.all("www-authenticate") == [f'Keystone uri="{URL}"']
        record = await gateway.record()
        assert record["gateway.reason"] == "passed"


async def test_what_the_upstream_says_itself_stays() -> None:
    theirs = ('WWW-Authenticate: Basic realm="a"', "www-authenticate: Bearer")
    options = filters(auth_url=URL)
    async with Upstream(answers(refusing(*theirs))) as upstream, proxy(upstream, filters=options) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/", MINE))
        assert answer.all("www-authenticate") == ['Basic realm="a"', "Bearer"]


async def test_other_answers_are_left_alone() -> None:
    reply = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    options = filters(auth_url=URL)
    async with Upstream(answers(reply)) as upstream, proxy(upstream, filters=options) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/", MINE))
        assert (answer.status, answer.all("www-authenticate")) == (403, [])


async def test_without_an_auth_url_a_401_passes_as_it_is() -> None:
    async with Upstream(answers(refusing())) as upstream, proxy(upstream, filters=filters()) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", MINE))).all("www-authenticate") == []


async def test_head_and_interim_answers() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    head = early + b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\n"
    options = filters(auth_url=URL)
    async with Upstream(answers(head)) as upstream, proxy(upstream, filters=options) as gateway:
        client = await gateway.connect()
        await client.send(get("/", MINE).replace(b"GET ", b"HEAD ", 1))
        interim = await client.head()
        assert status_of(interim)[0] == 103 and interim.get("www-authenticate") is None
        answer = await client.answer("HEAD")
        assert (answer.status, answer.get("content-length")) == (401, "5")
        assert answer.all("www-authenticate") == [f'Keystone uri="{URL}"']


async def test_a_401_whose_length_is_not_known() -> None:
    chunked = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    options = filters(auth_url=URL)
    async with Upstream(answers(chunked)) as upstream, proxy(upstream, filters=options) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/", MINE))
        assert (answer.body, answer.all("www-authenticate")) == (b"no", [f'Keystone uri="{URL}"'])


async def test_an_upgrade_that_is_refused_and_one_that_is_taken() -> None:
    taken = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    routes = [{"name": "ws", "path": "/{rest*}", "upstream": "main", "upgrade": ["websocket"]}]
    lines = ("Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13")
    for reply, status, told in ((refusing(), 401, [f'Keystone uri="{URL}"']), (taken, 101, [])):
        async with (
            Upstream(answers(reply)) as upstream,
            proxy(upstream, filters=filters(auth_url=URL), routes=routes) as gateway,
        ):
            client = await gateway.connect()
            key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            await client.send(get("/", MINE, *lines, key))
            head = await client.head()
            assert status_of(head)[0] == status
            assert head.all("www-authenticate") == told
