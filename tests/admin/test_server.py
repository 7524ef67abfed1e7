import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin import Admin
from gateway.admin.service import Reload
from gateway.config.problem import Problem
from gateway.metrics import Metrics
from tests.support.records import record

Checks = list[tuple[str, bool]]


class Service:
    """A gateway that says what the test wants."""

    def __init__(self) -> None:
        self.checks: Checks = [("configuration", True), ("upstream compute", True)]
        self.metrics = Metrics()
        self.result = Reload("0" * 64, True, state_lost=("rate_limit",))
        self.reloads = 0

    def readiness(self) -> Checks:
        return self.checks

    async def families(self) -> list[Any]:
        return self.metrics.families()

    def config(self) -> dict[str, Any]:
        return {"revision": "0" * 64}

    async def workers(self) -> list[dict[str, Any]]:
        return [{"slot": 0, "pid": 1}]

    async def upstreams(self) -> dict[str, Any]:
        return {"compute": {"0": {"endpoints": []}}}

    async def reload(self) -> Reload:
        self.reloads += 1
        return self.result


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


@pytest.mark.parametrize("path", ["/", "/healthz/x", "/metrics/", "/configs"])
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
        ("/config", {"revision": "0" * 64}),
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
        }


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
