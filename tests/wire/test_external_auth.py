"""Services of either convention on the wire: up, slow, down, and back; and a real nginx, where there is one."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.client import get
from tests.support.deadline import DEADLINE, until
from tests.support.gateway import Running, proxy
from tests.support.message import Answer, Received
from tests.support.upstream import Conversation, Upstream, echo

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class AuthService:
    """A service of a few lines: `decide` gives the head of its answer, and its body, for what it hears."""

    def __init__(self, decide: Callable[[Received], tuple[str, bytes]]) -> None:
        self.decide = decide
        self.asked: list[Received] = []
        self.gate: asyncio.Event | None = None
        self.takes = 0.0
        self.port = 0

    async def script(self, conversation: Conversation) -> None:
        while (received := await conversation.next_request()) is not None:
            self.asked.append(received)
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(self.takes)
            try:
                head, body = self.decide(received)
            except ConnectionError:
                return
            await conversation.send(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Upstream]:
        """On the port that it had before, if it had one."""
        async with Upstream(self.script, port=self.port) as server:
            self.port = server.port
            yield server

    def filters(self, **options: Any) -> list[dict[str, Any]]:
        return [{"external_auth": {"url": f"http://127.0.0.1:{self.port}/verify", **options}}]


def by_auth_request(received: Received) -> tuple[str, bytes]:
    """As a service for nginx's auth_request answers."""
    assert received.get("x-original-method") and received.get("x-original-uri")
    if received.get("authorization") is None:
        return '401 Unauthorized\r\nWWW-Authenticate: Basic realm="auth"\r\nWWW-Authenticate: Bearer', b"who?"
    if received.get("authorization") != "Bearer good":
        return "403 Forbidden", b"no"
    return "204 No Content\r\nX-User-Id: ann", b""


def by_forward_auth(received: Received) -> tuple[str, bytes]:
    """As a service for Traefik's forwardAuth answers."""
    assert received.get("x-forwarded-method") and received.get("x-forwarded-uri")
    if received.get("cookie") != "session=good":
        login = f"https://login.test/?rd=http://{received.get('x-forwarded-host')}{received.get('x-forwarded-uri')}"
        return (
            f"302 Found\r\nLocation: {login}\r\nSet-Cookie: state=1\r\nX-Auth: no\r\nSet-Cookie: next=/a",
            b"go and log in",
        )
    return "200 OK\r\nX-Forwarded-User: ann", b"ignored"


class Speaks(NamedTuple):
    """A service of one convention, and what it lets in."""

    convention: str
    decide: Callable[[Received], tuple[str, bytes]]
    good: str


both = pytest.mark.parametrize(
    "speaks",
    [
        Speaks("nginx", by_auth_request, "Authorization: Bearer good"),
        Speaks("traefik", by_forward_auth, "Cookie: session=good"),
    ],
    ids=lambda speaks: speaks.convention,
)


async def ask(gateway: Running, target: str = "/a?b=c", *lines: str) -> Answer:
    client = await gateway.connect()
    return await client.ask(get(target, *lines))


async def test_a_service_for_auth_request() -> None:
    service = AuthService(by_auth_request)
    async with service.listening(), Upstream(echo) as upstream:
        filters = service.filters(response_headers=["X-User-Id"], principal={"user_id": "X-User-Id"})
        async with proxy(upstream, filters=filters) as gateway:
            refused = await ask(gateway)
            assert (refused.status, refused.all("www-authenticate")) == (
                401,
                ['Basic realm="auth"', "Bearer"],
            )
            assert b"who?" not in refused.body
            assert (await ask(gateway, "/a?b=c", "Authorization: Bearer bad")).status == 403
            assert upstream.requests == []
            forged = ("X-User-Id: root", "X_User_Id: root", "X-Roles: root", "X-Original-URI: /public")
            assert (await ask(gateway, "/a?b=c", "Authorization: Bearer good", *forged)).status == 200
            (request,) = upstream.requests
            assert [
                value for name, value in request.head.lines if name.lower() in ("x-user-id", "x_user_id")
            ] == ["ann"]
            assert "root" not in [value for _, value in request.head.lines]
            heard = service.asked[-1]
            assert (heard.method, heard.target) == ("GET", b"/verify")
            assert [value for name, value in heard.head.lines if name.lower() == "x-original-uri"] == [
                "/a?b=c"
            ]
            records = await gateway.records(3)
            assert [record["gateway.reason"] for record in records[:2]] == ["external_auth_denied"] * 2
            assert records[2]["user.id"] == "ann"
            assert "Bearer" not in str(records)


def quotes(received: Received) -> tuple[str, bytes]:
    """As a service answers that sends to its page, and from there back; each slash as five bytes."""
    told = received.get("x-forwarded-uri") or received.get("x-original-uri") or ""
    if received.get("authorization") == "Bearer good":
        return "204 No Content", b""
    status = "302 Found" if received.get("x-forwarded-uri") else "401 Unauthorized"
    return f"{status}\r\nLocation: https://login.test/?rd={told.replace('/', '%252F')}", told.encode() * 20


def closes_on_more(received: Received) -> tuple[str, bytes]:
    """As uWSGI: of fields beyond its buffer it closes the connection."""
    if sum(len(name) + len(value) for name, value in received.head.lines) > 4096:
        raise ConnectionError
    return by_auth_request(received)


async def test_a_client_that_has_itself_quoted_is_answered_and_shuts_nobody_out() -> None:
    for convention, status in (("traefik", 302), ("nginx", 401)):
        service = AuthService(quotes)
        async with service.listening(), Upstream(echo) as upstream:
            filters = service.filters(convention=convention, on_error="allow", breaker={"failures": 2})
            async with proxy(upstream, filters=filters) as gateway:
                target = "/secret?" + "/" * 7000
                expected = (
                    status if convention == "nginx" else 503
                )  # Traefik's relays the body, and this one is too large
                assert [(await ask(gateway, target)).status for _ in range(3)] == [expected] * 3
                assert (await ask(gateway, "/secret?" + "/" * 2500)).status == status
                assert upstream.requests == []
                assert (await ask(gateway, "/a", "Authorization: Bearer good")).status == 200


async def test_a_client_that_sends_more_than_the_service_takes_does_not_pass_and_shuts_nobody_out() -> None:
    service = AuthService(closes_on_more)
    async with service.listening(), Upstream(echo) as upstream:
        filters = service.filters(on_error="allow", breaker={"failures": 2})
        async with proxy(upstream, filters=filters) as gateway:
            long = "Cookie: a=" + "x" * 4500
            assert [(await ask(gateway, "/a", long)).status for _ in range(3)] == [503] * 3
            assert upstream.requests == []
            assert (await ask(gateway, "/a")).status == 401
            assert (await ask(gateway, "/a", "Authorization: Bearer good")).status == 200


async def test_a_service_for_forward_auth() -> None:
    service = AuthService(by_forward_auth)
    async with service.listening(), Upstream(echo) as upstream:
        filters = service.filters(convention="traefik", response_headers=["X-Forwarded-User"])
        async with proxy(upstream, filters=filters) as gateway:
            sent_away = await ask(gateway)
            assert (sent_away.status, sent_away.body) == (302, b"go and log in")
            assert (
                sent_away.get("location")
                == f"https://login.test/?rd=http://{service.asked[0].get('x-forwarded-host')}/a?b=c"
            )
            assert sent_away.get("x-auth") == "no"
            assert sent_away.get("set-cookie") is None
            assert service.asked[0].get("x-forwarded-for") == "127.0.0.1"
            assert upstream.requests == []
            let_in = await ask(gateway, "/a", "Cookie: session=good", "X-Forwarded-User: root")
            assert let_in.status == 200
            assert upstream.requests[0].get("x-forwarded-user") == "ann"
        relaying = service.filters(convention="traefik", relay_headers=["Set-Cookie"])
        async with proxy(upstream, filters=relaying) as gateway:
            assert (await ask(gateway)).all("set-cookie") == ["state=1", "next=/a"]


@both
async def test_a_service_that_is_slow_is_not_waited_for_and_holds_nobody_up(speaks: Speaks) -> None:
    service = AuthService(speaks.decide)
    service.gate = asyncio.Event()
    async with service.listening(), Upstream(echo) as upstream:
        for on_error, status in (("deny", 503), ("allow", 200)):
            filters = service.filters(timeout="100ms", on_error=on_error, convention=speaks.convention)
            async with proxy(upstream, filters=filters) as gateway:
                answered = await ask(gateway, "/a", speaks.good)
                assert answered.status == status
                assert (answered.get("retry-after") is not None) == (status == 503)
                record = await gateway.record()
                step = record["gateway.filters"][0]
                assert step["reason"] == "external_auth_unavailable"
        service.gate.set()


STATIC = {
    "static": {
        "tokens": [{"token": "t", "user_id": "u"}, {"token": "s", "user_id": "s", "roles": ["service"]}]
    }
}


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("judged", [False, "before", "behind"])
async def test_a_service_token_passes_an_unreached_service_only_where_another_has_judged_it(
    judged: str | bool, owned: bool
) -> None:
    service = AuthService(lambda _: ("204 No Content", b""))
    service.gate = asyncio.Event()
    async with service.listening(), Upstream(echo) as upstream:
        asked = service.filters(request_headers=["X-Service-Token"], on_error="allow", timeout="1s")
        vouching = [{"token_auth": {"providers": [STATIC], "service_tokens": {}}}]
        filters = vouching + asked if judged == "before" else asked + vouching if judged else asked
        elsewhere = [{"token_auth": {"name": "elsewhere", "providers": [STATIC]}}] if owned else []
        routes = [
            {"name": "one", "path": "/one", "upstream": "main", "filters": filters},
            {"name": "two", "path": "/two", "upstream": "main", "filters": elsewhere},
        ]
        async with proxy(upstream, routes=routes) as gateway:
            client = await gateway.connect()
            lines = ("X-Auth-Token: t", "X-Service-Token: s")
            assert (await client.ask(get("/one", *lines))).status == 200
            assert service.asked[0].get("x-service-token") == "s"
            assert upstream.requests[-1].get("x-service-token") == ("s" if judged else None)
            # What somebody else has set is not the client's.
            service.gate.set()
            assert (await client.ask(get("/one", *lines))).status == 200
            assert upstream.requests[-1].get("x-service-token") == "s"
            assert (await client.ask(get("/two", *lines))).status == 200
            assert upstream.requests[-1].get("x-service-token") is None


@both
async def test_a_crowd_is_no_way_past_a_service_that_answers_in_its_time(speaks: Speaks) -> None:
    service = AuthService(speaks.decide)
    service.takes = 0.2
    async with service.listening(), Upstream(echo) as upstream:
        options = {"timeout": "300ms", "concurrency": 1, "on_error": "allow", "breaker": {"failures": 1}}
        filters = service.filters(convention=speaks.convention, **options)
        async with proxy(upstream, filters=filters) as gateway:
            answers = await asyncio.gather(*(ask(gateway, f"/{number}") for number in range(6)))
            assert 200 not in {answer.status for answer in answers}
            assert (await ask(gateway)).status in (302, 401)


async def test_those_who_ask_the_same_at_once_are_one_question() -> None:
    service = AuthService(by_auth_request)
    service.gate = asyncio.Event()
    async with (
        service.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=service.filters(cache={})) as gateway,
    ):
        asking = [asyncio.ensure_future(ask(gateway, "/a", "Authorization: Bearer good")) for _ in range(20)]
        await until(lambda: gateway.listener.active_count == 20, "all requests have come")
        await until(lambda: len(service.asked) == 1, "the service is asked")
        service.gate.set()
        assert [answer.status for answer in await asyncio.gather(*asking)] == [200] * 20
        assert (await ask(gateway, "/a", "Authorization: Bearer good")).status == 200
        assert len(service.asked) == 1


@both
async def test_while_the_service_is_down_what_is_remembered_goes_on_until_it_is_back(speaks: Speaks) -> None:
    service = AuthService(speaks.decide)
    good = speaks.good
    async with Upstream(echo) as upstream:
        async with service.listening():
            breaker = {"failures": 2, "pause": "100ms"}
            filters = service.filters(cache={}, breaker=breaker, convention=speaks.convention)
        async with proxy(upstream, filters=filters) as gateway:
            async with service.listening():
                assert (await ask(gateway, "/a", good)).status == 200
            for _ in range(4):
                down = await ask(gateway, "/b", good)
                assert (down.status, down.get("retry-after")) == (503, "1")
                assert str(service.port).encode() not in down.body
                assert (await ask(gateway, "/a", good)).status == 200
            async with service.listening():
                async with asyncio.timeout(DEADLINE):
                    while (await ask(gateway, "/b", good)).status != 200:
                        pass


@asynccontextmanager
async def nginx(directory: Path) -> AsyncIterator[int]:
    """A real nginx that asks for a password, on a port that was free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (directory / "users").write_text("ann:{PLAIN}secret\n")
    (directory / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{
    listen 127.0.0.1:{port};
    location = /verify {{
      auth_basic "nginx"; auth_basic_user_file {directory}/users;
      add_header X-User-Id $remote_user; add_header X-Asked "$http_x_original_method $http_x_original_uri";
      try_files /none =204;
    }}
  }}
}}
"""
    )
    assert NGINX is not None, "the tests need nginx; on Debian and Ubuntu: apt-get install nginx-light"
    process = subprocess.Popen(
        [NGINX, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")],
        stderr=subprocess.DEVNULL,
    )

    def up() -> bool:
        assert process.poll() is None, "nginx has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        await until(up, "nginx listens")
        yield port
    finally:
        process.terminate()
        process.wait(DEADLINE)


@pytest.mark.skipif(NGINX is None, reason="there is no nginx")
async def test_a_real_nginx_is_asked(tmp_path: Path) -> None:
    async with nginx(tmp_path) as port, Upstream(echo) as upstream:
        options = {
            "url": f"http://127.0.0.1:{port}/verify",
            "response_headers": ["X-User-Id", "X-Asked"],
            "principal": {"user_id": "X-User-Id"},
        }
        async with proxy(upstream, filters=[{"external_auth": options}]) as gateway:
            refused = await ask(gateway)
            assert (refused.status, refused.get("www-authenticate")) == (401, 'Basic realm="nginx"')
            assert (await ask(gateway, "/", "Authorization: Basic YW5uOndyb25n")).status == 401
            assert (await ask(gateway, "/a?b=c", "Authorization: Basic YW5uOnNlY3JldA==")).status == 200
            assert upstream.requests[0].get("x-user-id") == "ann"
            assert upstream.requests[0].get("x-asked") == "GET /a?b=c"
            assert (await gateway.records(3))[2]["user.id"] == "ann"
