"""Passwords and keys on the wire: they stay here, in every answer and record."""

import hashlib
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

from gateway.api import HttpAnswer
from gateway.api.testing import HttpRequest
from tests.filters.token_auth.identity_service import URL, IdentityService
from tests.support.client import get
from tests.support.gateway import proxy
from tests.support.upstream import Conversation, Upstream, echo

PASSWORD = "gateway-pw"  # the one that the service takes
GOOD = b64encode(f"anne:{PASSWORD}".encode()).decode()
BAD = b64encode(b"anne:a-wrong-password").decode()


async def keystone(conversation: Conversation) -> None:
    service = IdentityService()
    service.now = time.time()
    while (received := await conversation.next_request()) is not None:
        target = URL + received.target.decode("ascii").removeprefix("/v3")
        answer = service(HttpRequest(received.method, target, {}, received.body))
        assert isinstance(answer, HttpAnswer)
        lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        head = f"HTTP/1.1 {answer.status} Word\r\n{lines}Content-Length: {len(answer.body)}\r\n\r\n"
        await conversation.send(head.encode() + answer.body)


async def test_a_password_becomes_a_token() -> None:
    async with Upstream(keystone) as identity, Upstream(echo) as upstream:
        provider = {"basic": {"url": f"http://127.0.0.1:{identity.port}/v3"}}
        options: list[dict[str, Any]] = [{"token_auth": {"providers": [provider]}}]
        async with proxy(upstream, filters=options) as gateway:
            client = await gateway.connect()
            assert (await client.ask(get("/", f"Authorization: Basic {GOOD}"))).status == 200
            (request,) = upstream.requests
            assert request.get("x-auth-token") == "own-1"
            assert request.get("authorization") is None
            answer = await client.ask(get("/", f"Authorization: Basic {BAD}"))
            assert answer.status == 401
            assert answer.all("www-authenticate") == ['Basic realm="weir", charset="UTF-8"']
            told = f"{answer} {await gateway.records(2)}"
            assert not any(secret in told for secret in (GOOD, BAD, PASSWORD, "a-wrong-password"))


async def test_a_key_stays_here(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{ key_sha256: {hashlib.sha256(b'a-good-key').hexdigest()}, user: backup }}\n")
    options: list[dict[str, Any]] = [{"token_auth": {"providers": [{"api_key": {"file": str(keys)}}]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", "X-Api-Key: a-good-key"))).status == 200
        (request,) = upstream.requests
        assert (request.get("x-user-name"), request.get("x-api-key")) == ("backup", None)
        answer = await client.ask(get("/", "X-Api-Key: a-bad-key"))
        assert answer.status == 401
        told = f"{answer} {await gateway.records(2)}"
        assert "a-good-key" not in told and "a-bad-key" not in told
