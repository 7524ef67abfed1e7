import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin import Admin
from gateway.metrics import Metrics
from tests.support.records import record

Checks = list[tuple[str, bool]]


@pytest.fixture
def checks() -> Checks:
    return [("configuration", True), ("upstream compute", True)]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def base(checks: Checks, metrics: Metrics) -> AsyncIterator[str]:
    admin = Admin(metrics=metrics, readiness=lambda: checks)
    port = await admin.start("127.0.0.1", 0)
    assert port > 0
    yield f"http://127.0.0.1:{port}"
    await admin.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


@pytest.fixture
async def client(base: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base) as session:
        yield session


async def test_livez_is_ok_whatever_readiness_says(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks.append(("draining", False))
    async with client.get("/livez") as response:
        assert (response.status, await response.text()) == (200, "ok\n")
        assert response.content_type == "text/plain"


async def test_readyz_is_200_when_all_holds(client: aiohttp.ClientSession) -> None:
    async with client.get("/readyz") as response:
        assert (response.status, await response.text()) == (200, "ok\n")


async def test_readyz_is_503_with_the_reasons(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks[1] = ("upstream compute", False)
    async with client.get("/readyz") as response:
        assert (response.status, await response.text()) == (503, "not ready: upstream compute\n")


async def test_readyz_verbose_tells_every_check(client: aiohttp.ClientSession, checks: Checks) -> None:
    async with client.get("/readyz?verbose") as response:
        assert await response.text() == "[+] configuration: ok\n[+] upstream compute: ok\nok\n"
    checks[1] = ("upstream compute", False)
    async with client.get("/readyz?verbose") as response:
        assert response.status == 503
        assert await response.text() == "[+] configuration: ok\n[-] upstream compute: failed\n"


async def test_readyz_in_json_where_it_is_asked_for(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks[1] = ("upstream compute", False)
    async with client.get("/readyz", headers={"Accept": "text/html, application/json;q=0.9"}) as response:
        assert response.status == 503
        assert await response.json() == {
            "status": "unavailable",
            "checks": [{"name": "configuration", "ok": True}, {"name": "upstream compute", "ok": False}],
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


@pytest.mark.parametrize("path", ["/", "/healthz/x", "/metrics/", "/config"])
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


async def test_a_port_in_use_is_an_error_that_leaves_nothing_behind(base: str) -> None:
    nothing: Callable[[], Checks] = list
    admin = Admin(metrics=Metrics(), readiness=nothing)
    with pytest.raises(OSError, match="in use"):
        await admin.start("127.0.0.1", int(base.rpartition(":")[2]))
    await admin.close()
