import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin import server
from gateway.admin.access import Access
from gateway.admin.server import Admin
from gateway.admin.service import Reload, Revoked
from gateway.api import Bucket, Check, Revocation, Selection
from gateway.buckets import Buckets, Found
from gateway.config.load import Loaded
from gateway.config.model import AdminListen
from gateway.config.problem import Problem
from gateway.listener.tls import Credentials
from gateway.metrics import Metrics
from tests.support.authority import Authority
from tests.support.deadline import until, within
from tests.support.records import record

strictly: Any = openmetrics.text_string_to_metric_families  # which has no types

Checks = list[Check]


class Service:
    """A gateway that says what the test wants."""

    def __init__(self) -> None:
        self.checks: Checks = [
            Check("configuration", True),
            Check("upstreams", True),
            Check("upstream:compute", True, counts=False),
        ]
        self.metrics = Metrics()
        self.result = Reload("0" * 64, True, state_lost=("rate_limit",))
        self.reloads = 0
        self.revoked: list[Revocation] = []
        self.failures: list[str] = []
        self.buckets = Buckets()
        self.log: str | None = None
        self.configuration: Loaded | None = None
        self.lines: list[bytes] = []
        self.asked: list[tuple[Selection, int | None]] = []

    async def recent_lines(self, after: Mapping[int, int]) -> tuple[list[bytes], Mapping[int, int]]:
        lines, self.lines = self.lines, []
        return lines, {0: 1}

    async def fullest_buckets(self, selection: Selection, count: int) -> Buckets:
        self.asked.append((selection, count))
        return self.buckets

    async def empty_buckets(self, selection: Selection) -> Buckets:
        self.asked.append((selection, None))
        return self.buckets

    async def readiness(self) -> Checks:
        return self.checks

    async def families(self) -> list[Any]:
        return self.metrics.families()

    def loaded(self) -> Loaded:
        assert self.configuration is not None
        return self.configuration

    def config(self) -> dict[str, Any]:
        return {"revision": "0" * 64, "file": "weir.yaml"}

    def planned(self) -> dict[str, Any]:
        return {"filters": [{"name": "methods"}], "routes": []}

    def source(self, line: int) -> list[dict[str, Any]]:
        return [{"line": line, "text": "routes:"}]

    def log_path(self) -> str | None:
        return self.log

    async def workers(self) -> list[dict[str, Any]]:
        return [{"slot": 0, "pid": 1}]

    async def upstreams(self) -> dict[str, Any]:
        return {"compute": {"0": {"endpoints": []}}}

    async def reload(self) -> Reload:
        self.reloads += 1
        return self.result

    async def revoke_all(self, revocation: Revocation) -> Revoked:
        self.revoked.append(revocation)
        return Revoked(3, tuple(self.failures))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def checks(service: Service) -> Checks:
    return service.checks


@pytest.fixture
def metrics(service: Service) -> Metrics:
    return service.metrics


@pytest.fixture
async def base(service: Service) -> AsyncIterator[str]:
    admin = Admin(service)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        await admin.start([listening])
        yield f"http://127.0.0.1:{port}"
        await admin.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


@pytest.fixture
async def client(base: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base) as session:
        yield session


async def test_livez_is_ok_whatever_readiness_says(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks.append(Check("draining", False))
    async with client.get("/livez") as response:
        assert (response.status, await response.text()) == (200, "ok\n")
        assert response.content_type == "text/plain"


async def test_readyz_is_200_when_all_holds(client: aiohttp.ClientSession) -> None:
    async with client.get("/readyz") as response:
        assert (response.status, await response.text()) == (200, "ok\n")


async def test_readyz_is_503_with_the_reasons(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks[1] = Check("upstreams", False)
    async with client.get("/readyz") as response:
        assert (response.status, await response.text()) == (503, "not ready: upstreams\n")


async def test_readyz_verbose_tells_every_check(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks[2] = Check("upstream:compute", False, counts=False)
    async with client.get("/readyz?verbose") as response:
        assert response.status == 200
        assert await response.text() == (
            "[+] configuration: ok\n[+] upstreams: ok\n[-] upstream:compute: failed, does not count\nok\n"
        )
    checks[1] = Check("upstreams", False)
    async with client.get("/readyz?verbose") as response:
        assert response.status == 503
        assert (await response.text()).splitlines()[1:] == [
            "[-] upstreams: failed",
            "[-] upstream:compute: failed, does not count",
        ]


async def test_a_check_that_does_not_count_does_for_who_includes_it(
    client: aiohttp.ClientSession, checks: Checks
) -> None:
    checks[2] = Check("upstream:compute", False, counts=False)
    async with client.get("/readyz", params={"include": "upstream:compute"}) as response:
        assert (response.status, await response.text()) == (503, "not ready: upstream:compute\n")


async def test_readyz_in_json_where_it_is_asked_for(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks[1] = Check("upstreams", False)
    async with client.get("/readyz", headers={"Accept": "text/html, application/json;q=0.9"}) as response:
        assert response.status == 503
        assert await response.json() == {
            "status": "unavailable",
            "checks": [
                {"name": "configuration", "ok": True, "counts": True},
                {"name": "upstreams", "ok": False, "counts": True},
                {"name": "upstream:compute", "ok": True, "counts": False},
            ],
        }
    async with client.get("/livez", headers={"Accept": "application/json"}) as response:
        assert await response.json() == {"status": "ok"}
    async with client.get("/livez", headers={"Accept": "*/*"}) as response:
        assert response.content_type == "text/plain"


async def test_metrics_are_prometheus_text(client: aiohttp.ClientSession, metrics: Metrics) -> None:
    metrics.observe(record())
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    assert [sample.value for sample in families["gateway_requests"].samples] == [1]


async def test_head_is_get_without_the_body(client: aiohttp.ClientSession) -> None:
    async with client.head("/readyz") as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_changed(client: aiohttp.ClientSession, method: str) -> None:
    async with client.request(method, "/readyz") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"


async def test_metrics_are_openmetrics_for_who_prefers_that(
    client: aiohttp.ClientSession, metrics: Metrics
) -> None:
    metrics.observe(record())
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    async with client.get("/metrics", headers={"Accept": accept}) as response:
        assert (
            response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
        assert response.headers["Vary"] == "Accept"
        text = await response.text()
    assert text.endswith("# EOF\n")
    told = {family.name: family for family in strictly(text)}
    assert told["gateway_requests"].type == "counter"
    assert [sample.value for sample in told["gateway_requests"].samples] == [1]


@pytest.mark.parametrize("path", ["/index.html", "/healthz/x", "/metrics/", "/configs"])
async def test_anything_else_is_404(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 404


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/absent"])
async def test_answers_are_not_sniffed_cached_or_shared(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path, headers={"Origin": "http://evil.example"}) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Server" not in response.headers


async def test_what_is_in_force_is_told(client: aiohttp.ClientSession) -> None:
    for page, expected in (
        ("/config", {"revision": "0" * 64, "file": "weir.yaml"}),
        ("/workers", {"workers": [{"slot": 0, "pid": 1}]}),
        ("/upstreams", {"upstreams": {"compute": {"0": {"endpoints": []}}}}),
    ):
        async with client.get(page) as response:
            assert (response.status, await response.json()) == (200, expected)


async def test_a_reload_is_asked_for_by_post_only(client: aiohttp.ClientSession, service: Service) -> None:
    async with client.get("/reload") as response:
        assert (response.status, service.reloads) == (405, 0)
    async with client.post("/reload") as response:
        assert response.status == 200
        assert await response.json() == {
            "applied": True,
            "revision": "0" * 64,
            "error": None,
            "problems": [],
            "state_lost": ["rate_limit"],
            "state_back": [],
        }


async def test_tokens_are_revoked_by_hash_user_or_project(
    client: aiohttp.ClientSession, service: Service
) -> None:
    for body, expected in (
        ({"user_id": "u"}, Revocation(user_id="u")),
        ({"token_hash": "0f", "project_id": "p"}, Revocation(token_key="0f", project_id="p")),
    ):
        async with client.post("/tokens/revoke", json=body) as response:
            assert (response.status, await response.json()) == (
                200,
                {"forgotten": 3, "complete": True, "failures": []},
            )
        assert service.revoked.pop() == expected


async def test_a_revocation_that_not_all_have_heard_of_is_no_success(
    client: aiohttp.ClientSession, service: Service
) -> None:
    service.failures = ["worker 4 does not answer"]
    async with client.post("/tokens/revoke", json={"user_id": "u"}) as response:
        assert (response.status, await response.json()) == (
            503,
            {"forgotten": 3, "complete": False, "failures": ["worker 4 does not answer"]},
        )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"{",
        b'{"user_id": 1}',
        b'{"user_id": ""}',
        b'{"user_id": null}',
        b'{"user": "u"}',
        b"[" * 5000,
    ],
)
async def test_a_revocation_that_names_nobody_is_none(
    client: aiohttp.ClientSession, service: Service, body: bytes
) -> None:
    async with client.post("/tokens/revoke", data=body) as response:
        assert response.status == 400
        assert "token_hash, user_id, project_id" in await response.text()
    assert service.revoked == []


BUCKET = Found(
    "rate_limit",
    "enforce",
    "weir.yaml:7:5",
    Bucket("writes", ("limits", 0), {"project_id": "p1"}, "0f", "gcra", 10, "MINUTE", 10, 0, 6.0, 6.0),
)


async def test_limits_are_told_the_fullest_first(client: aiohttp.ClientSession, service: Service) -> None:
    service.buckets = Buckets([BUCKET])
    async with client.get("/limits?top=5&project_id=p1") as response:
        told = await response.json()
        assert response.status == 200
    assert service.asked == [(Selection(parts={"project_id": "p1"}), 5)]
    assert told["failures"] == []
    (bucket,) = told["buckets"]
    assert (bucket["limit"], bucket["source"], bucket["remaining"]) == ("writes", "weir.yaml:7:5", 0)


async def test_limits_of_which_a_part_is_missing_say_so(
    client: aiohttp.ClientSession, service: Service
) -> None:
    for found, status in (([BUCKET], 200), ([], 503)):
        service.buckets = Buckets(found, ["rate_limit: the store: timeout"])
        async with client.get("/limits") as response:
            assert response.status == status
            assert (await response.json())["failures"] == ["rate_limit: the store: timeout"]


async def test_limits_are_reset_by_post_only_and_never_all_of_them(
    client: aiohttp.ClientSession, service: Service
) -> None:
    service.buckets = Buckets([BUCKET])
    async with client.get("/limits/reset") as response:
        assert response.status == 405
    for body in ("{}", "", "[]"):
        async with client.post("/limits/reset", data=body) as response:
            assert response.status == 400
    assert service.asked == []
    with structlog.testing.capture_logs() as logs:
        service.buckets = Buckets([BUCKET], meant=True)
        async with client.post("/limits/reset", json={"limit": "writes"}) as response:
            assert (response.status, (await response.json())["reset"]) == (200, 1)
    assert service.asked == [(Selection(limit="writes"), None)]
    assert [(line["event"], line["buckets"]) for line in logs] == [("limits_reset", 1)]


async def test_a_reset_that_finds_nothing_is_404_and_says_what_would(
    client: aiohttp.ClientSession, service: Service
) -> None:
    service.buckets = Buckets((), unseen=["rate_limit: more"])
    async with client.post("/limits/reset", json={"key": {"user_id": "u"}}) as response:
        told = await response.json()
        assert (response.status, told["reset"], told["unseen"]) == (404, 0, ["rate_limit: more"])
        assert "named whole" in told["error"]
    service.buckets = Buckets((), ["worker 1 does not answer"])
    async with client.post("/limits/reset", json={"key": {"user_id": "u"}}) as response:
        assert response.status == 503


async def test_a_limit_that_is_not_there_is_404(client: aiohttp.ClientSession, service: Service) -> None:
    async with client.get("/limits?limit=writes") as response:
        assert response.status == 404
        assert "has this name" in await response.text()
    async with client.post("/limits/reset", json={"filter": "rate_limit"}) as response:
        assert response.status == 404
    service.buckets = Buckets(meant=True, unseen=["rate_limit: more"])
    async with client.get("/limits?limit=writes") as response:
        assert (response.status, (await response.json())["unseen"]) == (200, ["rate_limit: more"])
    service.buckets = Buckets((), ["worker 1 does not answer"])
    async with client.get("/limits?limit=writes") as response:
        assert response.status == 503


async def test_a_query_for_limits_that_says_nothing_is_told_what_would(client: aiohttp.ClientSession) -> None:
    async with client.get("/limits?project=p1") as response:
        assert response.status == 400
        assert "project_id" in await response.text()


async def test_a_reload_that_was_refused_says_what_is_wrong_and_where(
    client: aiohttp.ClientSession, service: Service
) -> None:
    problem = Problem("a.yaml", 3, 5, "unknown_key", "no such key", "listne")
    service.result = Reload("0" * 64, False, "the configuration is not valid", (problem,))
    async with client.post("/reload") as response:
        assert response.status == 422
        told = await response.json()
        assert (told["applied"], told["error"]) == (False, "the configuration is not valid")
        assert told["problems"] == [problem._asdict()]


@pytest.mark.parametrize("page", ["/readyz", "/healthz"])
async def test_a_check_may_be_left_out(client: aiohttp.ClientSession, checks: Checks, page: str) -> None:
    checks[1] = Check("upstreams", False)
    async with client.get(page) as response:
        assert response.status == 503
    async with client.get(page, params={"exclude": "upstreams", "verbose": ""}) as response:
        assert response.status == 200
        lines = (await response.text()).splitlines()
        assert (lines[1], lines[-1]) == ("[-] upstreams: failed, does not count", "ok")


async def test_the_healthcheck_of_openstack(client: aiohttp.ClientSession, checks: Checks) -> None:
    """As oslo.middleware answers it."""
    json = {"Accept": "application/json"}
    async with client.get("/healthcheck") as response:
        assert (response.status, await response.text()) == (200, "OK")
    async with client.get("/healthcheck", headers=json) as response:
        assert await response.json() == {"detailed": False, "reasons": ["OK"]}
    async with client.head("/healthcheck") as response:
        assert response.status == 204
    checks[1] = Check("upstreams", False)
    async with client.get("/healthcheck", headers=json) as response:
        assert (response.status, await response.json()) == (
            503,
            {"detailed": False, "reasons": ["upstreams"]},
        )
    async with client.head("/healthcheck") as response:
        assert response.status == 503


async def test_errors_are_text_or_json_as_they_are_asked_for(client: aiohttp.ClientSession) -> None:
    async with client.post("/metrics") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
        assert await response.text() == "method not allowed\n"
    async with client.get("/absent", headers={"Accept": "application/json"}) as response:
        assert (response.status, await response.json()) == (404, {"error": "not found"})


async def test_rules_are_applied_before_anything_is_told(service: Service) -> None:
    rules = Access(AdminListen.model_validate({"address": "0.0.0.0:1", "token": "open sesame"}))
    admin = Admin(service)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await admin.start([listening], rules)
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with aiohttp.ClientSession(base) as session:
            for page in ("/config", "/metrics", "/workers", "/upstreams", "/absent"):
                async with session.get(page) as response:
                    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
            async with session.post("/reload") as response:
                assert (response.status, service.reloads) == (401, 0)
            async with session.get("/livez") as response:
                assert response.status == 200
            token = {"Authorization": "Bearer open sesame"}
            async with session.get("/config", headers=token) as response:
                assert response.status == 200
        await admin.close()


async def test_a_bug_is_told_in_the_log_and_not_to_who_asks(
    client: aiohttp.ClientSession, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("what nobody should see")

    monkeypatch.setattr(service, "config", fails)
    with structlog.testing.capture_logs() as told:
        async with client.get("/config", headers={"Accept": "application/json"}) as response:
            assert (response.status, await response.json()) == (
                500,
                {"error": "the gateway has failed to say it"},
            )
    (entry,) = told
    assert (entry["event"], entry["path"]) == ("admin_page_failed", "/config")
    assert "what nobody should see" in entry["error"]


async def test_who_is_one_too_many_is_turned_away(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    port = int(base.rpartition(":")[2])
    ask = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    held = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask)
        assert (await within(reader.readline(), "an answer")).startswith(b"HTTP/1.1 200")
        held.append(writer)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await within(reader.read(), "it is turned away") == b""
    writer.close()
    held[0].close()

    async def answered() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(ask)
            return (await reader.readline()).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False
        finally:
            writer.close()

    async def in_time() -> None:
        while not await answered():
            pass

    await within(in_time(), "there is room again")
    held[1].close()


async def test_a_renewed_certificate_is_taken_into_use(tmp_path: Path, service: Service) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("first")
    options = AdminListen.model_validate(
        {"address": "127.0.0.1:1", "tls": {**own.options, "reload": 0.01, "client_ca": str(authority.file)}}
    )
    assert options.tls is not None
    credentials = Credentials(options.tls, tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    trusting.check_hostname = False
    client = authority.issue("operator")
    trusting.load_cert_chain(client.certificate, client.key)
    admin = Admin(service)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        await admin.start([listening], Access(options, credentials))

        async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", port, ssl=trusting)

        async def shown() -> bytes:
            _, writer = await connected()
            certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            return certificate

        first = await shown()
        reader, writer = await connected()
        second = authority.issue("second")
        own.key.write_bytes(second.key.read_bytes())
        own.certificate.write_bytes(second.certificate.read_bytes())
        await until(lambda: credentials.renewals > 0, "the files are looked at")

        async def other() -> None:
            while await shown() == first:
                pass

        await within(other(), "the other certificate is shown")
        writer.write(b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await within(reader.readline(), "who was connected stays")
        assert answer.startswith(b"HTTP/1.1 200")
        writer.close()
        without = ssl.create_default_context(cafile=str(authority.file))
        without.check_hostname = False
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=without)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ssl.SSLError, ConnectionError):
            assert await within(reader.read(), "who has no certificate is not answered") == b""
        writer.close()
        await admin.close()
