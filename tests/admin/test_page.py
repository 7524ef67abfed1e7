"""What the page asks of the admin listener, and what each role is told."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from gateway.admin import page
from gateway.admin.access import Access
from gateway.admin.server import Admin
from gateway.config.load import loads
from gateway.config.model import AdminListen
from gateway.inspect.field import BY_NAME
from gateway.registry import Registry
from tests.admin.test_server import BUCKET, Service
from tests.inspect.lines import RECORDS, write
from tests.support.deadline import within
from tests.support.gateway import configuration

pytestmark = pytest.mark.timeout(120)

OPERATOR, VIEWER = {"Authorization": "Bearer open"}, {"Authorization": "Bearer look"}
SECRETS = ("alice", "p-1", "u-1", "198.51.100.9", "192.0.2.7", "/v2/p-1")


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    rules = Access(
        AdminListen.model_validate({"address": "127.0.0.1:1", "token": "open", "viewer_token": "look"})
    )
    admin = Admin(service)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await admin.start([sock], rules)
        async with aiohttp.ClientSession() as session:
            yield session, f"http://127.0.0.1:{sock.getsockname()[1]}"
        await admin.close()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = Service()
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    made.log = str(path)
    return made


async def told(session: aiohttp.ClientSession, url: str, headers: Any = OPERATOR) -> tuple[int, Any]:
    async with session.get(url, headers=headers) as response:
        return response.status, orjson.loads(await response.read())


async def test_its_files_are_for_everybody_and_run_nothing_else(service: Service) -> None:
    async with served(service) as (session, root):
        for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
            async with session.get(root + path) as response:
                assert (response.status, response.content_type) == (200, kind)
                policy = response.headers["Content-Security-Policy"]
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
                text = await response.text()
        assert "http://" not in text.replace("http://www.w3.org", "")


async def test_operators_see_records_and_viewers_those_parts_that_name_nobody(service: Service) -> None:
    request_id = RECORDS[1]["gateway.request_id"]
    async with served(service) as (session, root):
        status, records = await told(session, f"{root}/records?query=status%20%3D%20405")
        assert (status, [record["project_id"] for record in records]) == (200, ["p-1"])
        status, record = await told(session, f"{root}/records/{request_id}")
        assert record == RECORDS[1]
        for path in (
            "/records",
            f"/records/{request_id}",
            "/records/top?by=reason",
            "/records/series?every=60",
        ):
            status, shown = await told(session, root + path, VIEWER)
            assert status == 200
            assert "method_not_allowed" in str(shown) or "requests" in str(shown)
            assert not any(secret in str(shown) for secret in SECRETS), path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/records?query=user_id%20%3D%20x", 403),
        ("/records?query=not%20(status%20%3D%201%20or%20path%20~%20x)", 403),
        ("/records/top?by=project_id", 400),
        ("/live?query=client%20%3D%20x", 403),
        ("/config", 403),
        ("/source?line=1", 403),
        ("/limits", 403),
    ],
)
async def test_viewers_cannot_ask_about_somebody(service: Service, path: str, status: int) -> None:
    async with served(service) as (session, root):
        async with session.get(root + path, headers=VIEWER) as response:
            assert response.status == status
        async with session.get(root + path, headers=OPERATOR) as response:
            assert response.status == 200
        async with session.get(root + path) as response:
            assert response.status == 401


CONFIGURATION = configuration(
    "http://127.0.0.1:9",
    filters=[
        {"token_auth": {"providers": [{"static": {"tokens": [{"token": "hidden-token", "user": "a"}]}}]}},
        {"rate_limit": {"limits": [{"name": "writes", "rate": "3/hour", "key": ["project_id"]}]}},
    ],
)


@pytest.fixture
def explaining(service: Service, tmp_path: Path) -> Service:
    service.configuration = loads(CONFIGURATION, "gateway.yaml", registry=Registry(), directory=tmp_path)
    return service


async def explained(session: aiohttp.ClientSession, root: str, said: object) -> tuple[int, Any]:
    async with session.post(f"{root}/explain", headers=OPERATOR, data=json.dumps(said)) as response:
        return response.status, orjson.loads(await response.read())


async def test_what_would_become_of_a_request_is_told_and_nothing_secret(explaining: Service) -> None:
    said = {
        "request": "GET /v2/images/1",
        "headers": {"X-Auth-Token": "hidden-token"},
        "identity": "user=u1,project=p1",
        "counters": {"writes": 3},
    }
    async with served(explaining) as (session, root):
        status, outcome = await explained(session, root, said)
        assert (status, outcome["status"], outcome["filter"]) == (200, 413, "rate_limit")
        assert outcome["source"].startswith("gateway.yaml:")
        assert "413" in outcome["text"][0]["text"]
        assert "hidden-token" not in str(outcome)
        status, outcome = await explained(session, root, {"request": "GET /v2/images/1"})
        assert (status, outcome["status"]) == (200, 401)


@pytest.mark.parametrize(
    ("said", "status", "message"),
    [
        ({}, 400, "given.request is missing"),
        ({"request": "GET"}, 400, "request: "),
        ({"request": "GET /a", "identity": "somebody"}, 400, "identity: "),
        ({"request": "GET /a", "live": True}, 400, "live: "),
        ({"request": "GET /a", "clock": 1e300}, 400, "clock: expected a time between 1970 and 2999"),
        ({"request": "GET /a", "clock": -1}, 400, "clock: expected a time"),
        ({"request": "GET /a", "client": "999"}, 400, "client: expected an IP address, got '999'"),
        ({"request": "GET /a", "counters": {"writes": 10**30}}, 400, "counters.writes: expected a number"),
        (
            {"request": "GET /a", "counters": {"wrties": 1}},
            400,
            "counters: no limit is named 'wrties' (did you mean 'writes'?): there are 'writes'",
        ),
        (
            {
                "request": "POST /v2/images/1",
                "headers": {"X-Auth-Token": "hidden-token", "Content-Length": "9"},
            },
            422,
            "the request is not whole",
        ),
        ([], 400, ""),
    ],
)
async def test_what_cannot_be_explained_says_why(
    explaining: Service, said: object, status: int, message: str
) -> None:
    async with served(explaining) as (session, root):
        found, answer = await explained(session, root, said)
        assert found == status
        assert message in answer["error"]
        assert "Traceback" not in answer["error"]


async def test_a_body_may_hold_any_number(explaining: Service) -> None:
    said = b'{"request": "POST /v2/images/1", "body": {"n": 123456789012345678901234567890}}'
    async with (
        served(explaining) as (session, root),
        session.post(f"{root}/explain", headers=OPERATOR, data=said) as response,
    ):
        assert response.status == 200


async def test_nobody_but_operators_and_no_other_site_has_a_request_explained(explaining: Service) -> None:
    said = orjson.dumps({"request": "GET /v2/images/1"})
    async with served(explaining) as (session, root):
        for headers, status in ((VIEWER, 403), ({}, 401), ({**OPERATOR, "Origin": "http://else.test"}, 403)):
            async with session.post(f"{root}/explain", headers=headers, data=said) as response:
                assert response.status == status


async def test_viewers_change_nothing(service: Service) -> None:
    async with served(service) as (session, root):
        for path in ("/reload", "/tokens/revoke", "/limits/reset"):
            async with session.post(root + path, headers=VIEWER) as response:
                assert response.status == 403
    assert service.reloads == 0


@pytest.mark.parametrize(
    "path",
    [
        "/records?query=stats%20%3D%204",
        "/records?count=0",
        "/records?count=9999999",
        "/records?since=noon",
        "/records/top?by=nothing",
        "/records/series?every=x",
        "/live?query=(",
        "/source?line=-1",
    ],
)
async def test_what_is_no_question_is_400(service: Service, path: str) -> None:
    async with served(service) as (session, root):
        status, answer = await told(session, root + path)
        assert status == 400
        assert answer["error"]


async def test_what_goes_on_comes_as_events(service: Service) -> None:
    service.buckets = service.buckets._replace(found=[BUCKET])
    async with served(service) as (session, root):
        for headers, seen in ((OPERATOR, True), (VIEWER, False)):
            async with session.get(f"{root}/live?query=status%20%3D%20405", headers=headers) as response:
                assert response.content_type == "text/event-stream"
                service.lines = [orjson.dumps(record) for record in RECORDS]

                async def event(name: str, response: aiohttp.ClientResponse = response) -> Any:
                    while True:
                        line = await response.content.readuntil(b"\n\n")
                        if line.startswith(f"event: {name}\n".encode()):
                            return orjson.loads(line.partition(b"data: ")[2])

                summary = await within(event("summary"), "a summary comes", 20)
                assert bool(summary["limits"]) is seen
                records = (await within(event("records"), "records come", 20))["records"]
                assert [record["status"] for record in records] == [405]
                assert ("project_id" in records[0]) is seen
                assert any(secret in str(records) for secret in SECRETS) is seen


async def test_who_is_one_too_many_comes_later(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "WATCHERS", 1)
    async with served(service) as (session, root):
        async with session.get(f"{root}/live", headers=OPERATOR) as first:
            assert first.status == 200
            assert (await told(session, f"{root}/live"))[0] == 503
        async with asyncio.timeout(20):  # until it is noticed that the first has gone
            while True:
                async with session.get(f"{root}/live", headers=OPERATOR) as again:
                    if again.status == 200:
                        break
                await asyncio.sleep(0.05)


async def test_the_plan_has_what_each_filter_has_decided(service: Service) -> None:
    async with served(service) as (session, root):
        status, plan = await told(session, f"{root}/plan", VIEWER)
        assert (status, plan["filters"], plan["hits"]) == (200, [{"name": "methods"}], {})
        assert await told(session, f"{root}/source?line=7") == (
            200,
            {"file": "weir.yaml", "lines": [{"line": 7, "text": "routes:"}]},
        )


def test_what_viewers_see_are_fields_of_records() -> None:
    assert set(BY_NAME) >= page.SEEN_BY_VIEWERS
    assert not page.SEEN_BY_VIEWERS & {
        "user_id",
        "user_name",
        "roles",
        "project_id",
        "project_name",
        "client",
    }
    assert not page.SEEN_BY_VIEWERS & {"peer", "path", "query", "host", "user_agent", "endpoint"}
