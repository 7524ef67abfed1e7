"""The page in a real browser: headless Chromium, against a gateway that runs. `make test-page`; screenshots on request.

`WEIR_SCREENSHOTS=DIRECTORY` has the pictures of the documentation made.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import Address
from gateway.inspect import sidecar
from tests.cli.process import START, weir
from tests.cli.test_reload import free_port
from tests.inspect.lines import line
from tests.support.client import Client, get
from tests.support.gateway import configuration

pytestmark = [
    pytest.mark.skipif(not os.environ.get("WEIR_PAGE"), reason="needs Chromium: make test-page"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),
]

TOKEN, VIEWER = "operator-token", "viewer-token"
SECRET = "secret-token-of-alice"
WAIT = START * 1000  # milliseconds

EVIL = "<img src=x onerror=window.broken=1>"


def filters(mark: str) -> list[dict[str, Any]]:
    """`mark` stands in all that is told of the caller."""
    user = {
        "token": SECRET,
        "user": f"alice{mark}",
        "user_id": "u-1",
        "project_id": f"p-1{mark}",
        "roles": ["member"],
    }
    return [
        {"token_auth": {"providers": [{"static": {"tokens": [user]}}]}},
        {
            "rate_limit": {
                "limits": [{"name": "writes", "rate": "3/hour", "key": ["project_id"], "methods": ["POST"]}]
            }
        },
    ]


class Browser:
    """A page, and what its console said of what is wrong."""

    def __init__(self, page: Any, root: str) -> None:
        self.page = page
        self.root = root
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def enter(self, token: str = TOKEN) -> None:
        await self.page.goto(self.root)
        await self.page.fill("#token", token)
        await self.page.click("#login button")
        await self.page.wait_for_selector("#state.good", timeout=WAIT)

    async def picture(self, name: str) -> None:
        directory = os.environ.get("WEIR_SCREENSHOTS")
        if directory:
            await self.page.screenshot(path=Path(directory) / f"{name}.png")


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """A service that answers everything in the same way, and waits for as long as nobody asks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@asynccontextmanager
async def opened(directory: Path, mark: str = "") -> AsyncIterator[tuple[Browser, Address, Path]]:
    from playwright.async_api import async_playwright

    port = free_port()
    log = directory / "requests.log"
    async with upstream() as url, async_playwright() as playwright:
        path = directory / "gateway.yaml"
        admin = {"address": f"127.0.0.1:{port}", "token": TOKEN, "viewer_token": VIEWER}
        path.write_text(configuration(url, admin=admin, log={"path": str(log)}, filters=filters(mark)))
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        async with weir("run", path.name, "--workers", "1", directory=directory) as process:
            place = Address("127.0.0.1", (await process.listens()).port)
            page = await browser.new_page(viewport={"width": 1280, "height": 860})
            yield Browser(page, f"http://127.0.0.1:{port}/"), place, log
            await browser.close()
            process.signal()
            assert await process.ends() == 0


async def asked(place: Address, *targets: str, method: str = "GET") -> None:
    for target in targets:
        async with await Client.connect(place) as client:
            await client.ask(get(target, f"X-Auth-Token: {SECRET}", f"User-Agent: {EVIL}", method=method))


async def test_it_is_live_and_filters_as_one_types(tmp_path: Path) -> None:
    async with opened(tmp_path) as (browser, place, _):
        page = browser.page
        await browser.enter()
        await page.wait_for_selector("#numbers b", timeout=WAIT)
        await asked(place, "/v2/p/images/one", "/v2/p/images/two")
        await asked(place, *["/v2/p/images/three"] * 5, method="POST")
        await page.wait_for_selector("#records td:has-text('/v2/p/images/two')", timeout=WAIT)
        await page.wait_for_selector("#refusals td:has-text('rate_limited')", timeout=WAIT)
        await browser.picture("page-live")
        await page.keyboard.press("/")
        await page.keyboard.type("status = 413")
        await asyncio.sleep(1)
        await asked(place, "/v2/p/images/four")
        await asked(place, "/v2/p/images/five", method="POST")
        await page.wait_for_selector("#records td:has-text('/v2/p/images/five')", timeout=WAIT)
        assert not await page.query_selector("#records td:has-text('/v2/p/images/four')")
        await page.fill("#query", "stats = 413")
        await page.wait_for_selector("#wrong:has-text(\"did you mean 'status'\")", timeout=WAIT)
        assert browser.errors == []


async def test_a_request_is_opened_with_its_filters_and_the_line_that_decided(tmp_path: Path) -> None:
    async with opened(tmp_path) as (browser, place, _):
        page = browser.page
        await browser.enter()
        await page.wait_for_selector("#numbers b", timeout=WAIT)
        await asked(place, *["/v2/p/images/three"] * 4, method="POST")
        await page.wait_for_selector("#records td:has-text('rate_limited')", timeout=WAIT)
        await page.click("#records td:has-text('rate_limited')")
        await page.wait_for_selector("#steps td:has-text('refuse 413')", timeout=WAIT)
        await page.wait_for_selector("#source .here", timeout=WAIT)
        assert "name: writes" in await page.inner_text("#source .here")
        text = await page.inner_text("body")
        assert SECRET not in text
        assert TOKEN not in text
        bars = await page.query_selector_all("#waterfall rect")
        assert len(bars) == 2
        await browser.picture("page-request")
        await page.keyboard.press("Escape")
        assert await page.is_hidden("#detail")
        await page.keyboard.press("4")
        await page.wait_for_selector("#chain li:has-text('rate_limit')", timeout=WAIT)
        await page.wait_for_selector("#chain small:has-text('refuse 1')", timeout=WAIT)
        await browser.picture("page-plan")
        await page.keyboard.press("3")
        await page.wait_for_selector("#buckets td:has-text('writes')", timeout=WAIT)
        assert browser.errors == []


async def test_what_would_become_of_a_request_is_explained(tmp_path: Path) -> None:
    async with opened(tmp_path) as (browser, place, _):
        page = browser.page
        await browser.enter()
        await page.keyboard.press("5")
        await page.fill("#asked-request", "POST /v2/p/images/one")
        await page.fill("#asked-identity", "user=u1,project=p1")
        await page.fill("#asked-headers", f"X-Evil: {EVIL}")
        await page.fill("#asked-counters", "writes=3")
        await page.click("#asked button")
        await page.wait_for_selector("#explained-verdict.bad:has-text('413')", timeout=WAIT)
        await page.wait_for_selector("#explained-steps td:has-text('refuse 413')", timeout=WAIT)
        await browser.picture("page-explain")
        await page.click("#explained-steps tr:last-child button")
        await page.wait_for_selector("#source .here:has-text('writes')", timeout=WAIT)
        await page.keyboard.press("Escape")
        await page.fill("#asked-identity", "somebody")
        await page.click("#asked button")
        await page.wait_for_selector("#asked-wrong:has-text('expected NAME=VALUE')", timeout=WAIT)
        # From a record to what would become of a request like it.
        await page.keyboard.press("Escape")
        await page.keyboard.press("1")
        await asked(place, "/v2/p/images/two")
        await page.click("#records td:has-text('/v2/p/images/two')", timeout=WAIT)
        await page.click("#again", timeout=WAIT)
        await page.wait_for_selector("#explained-verdict.good", timeout=WAIT)
        assert await page.input_value("#asked-request") == "GET /v2/p/images/two"
        assert "user=u-1" in await page.input_value("#asked-identity")
        assert await page.evaluate("window.broken") is None
        assert browser.errors == []


@pytest.mark.parametrize("target", ["/v2/<script>window.broken=1</script>", f"/v2/x?q={EVIL}", "/v2/%3Cimg%20onerror=1%3E", "/v2/'\"><svg onload=window.broken=1>"])  # fmt: skip
async def test_what_a_client_has_written_is_text(tmp_path: Path, target: str) -> None:
    async with opened(tmp_path, EVIL) as (browser, place, log):
        page = browser.page
        await browser.enter()
        await page.wait_for_selector("#numbers b", timeout=WAIT)
        evil = {
            **line(77),
            **dict.fromkeys(("url.path", "url.query", "gateway.reason", "gateway.filter", "user.name"), EVIL),
            **dict.fromkeys(
                ("gateway.project.id", "gateway.route", "client.address", "gateway.source"), EVIL
            ),
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "http.request.method": EVIL,
            "gateway.filters": [{"name": EVIL, "verdict": EVIL, "reason": EVIL, "source": EVIL, "ms": 1}],
            "gateway.upstream.attempts": [{"upstream": EVIL, "error": EVIL, "total_ms": 1}],
        }
        await asked(place, target)
        with log.open("a") as stream:
            stream.write(json.dumps(evil) + "\n")
        await page.keyboard.press("2")
        await page.wait_for_selector("#records td:has-text('req-00000077')", timeout=WAIT)
        await page.click("#records td:has-text('req-00000077')")
        await page.wait_for_selector("#steps td:has-text('onerror')", timeout=WAIT)
        await page.keyboard.press("Escape")
        for by in ("filter", "project_id", "route", "client", "method"):
            await page.select_option("#by", by)
            await page.click("#period button")
            await page.wait_for_selector("#top td:has-text('onerror')", timeout=WAIT)
        assert await page.evaluate("window.broken") is None
        assert await page.query_selector("main img, main script, main svg[onload], aside img") is None
        assert browser.errors == []


async def test_nothing_is_taken_from_elsewhere_and_nothing_runs_that_is_not_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as (browser, _, _):
        seen: list[str] = []
        browser.page.on("request", lambda request: seen.append(request.url))
        response = await browser.page.goto(browser.root)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        await browser.enter()
        assert all(url.startswith(browser.root) for url in seen)
        inserted = "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)"
        await browser.page.evaluate(f"() => {{ {inserted} }}")
        assert await browser.page.evaluate("window.broken") is None


async def test_who_may_look_only_sees_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as (browser, place, _):
        page = browser.page
        await browser.enter(VIEWER)
        await page.wait_for_selector("#numbers b", timeout=WAIT)
        await asked(place, "/v2/p-1/images/one")
        await page.wait_for_selector("#records tbody tr", timeout=WAIT)
        text = await page.inner_text("body")
        assert not re.search(r"alice|p-1|u-1|/images/one", text)
        await page.click("#records tbody tr")
        await page.wait_for_selector("#steps td:has-text('token_auth')", timeout=WAIT)
        await page.click("#detail summary")
        assert not re.search(r"alice|p-1|u-1|/images/one|127\.0\.0\.1", await page.inner_text("#detail"))
        await page.fill("#query", "user_id = 'u-1'")
        await page.wait_for_selector("#wrong:has-text('for operators')", timeout=WAIT)


async def test_a_million_records_are_answered_in_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as (browser, _, log):
        _million(log)
        page = browser.page
        await browser.enter()
        await page.keyboard.press("2")
        await page.fill("#since", "30d")
        await page.select_option("#by", "project_id")
        began = time.monotonic()
        await page.click("#period button")
        await page.wait_for_selector("#top td:has-text('project-10')", timeout=WAIT)
        print(f"a million records: {time.monotonic() - began:.1f} s")
        await page.fill("#query", "status >= 500 and route = 'r3'")
        await page.wait_for_selector("#records td:has-text('/v2/r0/')", state="detached", timeout=WAIT)
        await page.wait_for_selector("#records td:has-text('/v2/r3/')", timeout=WAIT)
        total = await page.evaluate("[...document.querySelectorAll('#top tbody tr td:nth-child(2)')].length")
        assert total == 10
        await browser.picture("page-past")
        assert browser.errors == []


def _million(log: Path) -> None:
    """A file that is closed, with the sidecar of a million records."""
    import duckdb

    from gateway.inspect.field import FIELDS

    old = log.with_name("requests.log.1")
    old.write_text(json.dumps(line(1)) + "\n")
    values = {
        "time": "now()::TIMESTAMP - to_seconds(i % 2000000)",
        "request_id": "'req-' || lpad(i::VARCHAR, 8, '0')",
        "method": "CASE WHEN i % 5 = 0 THEN 'POST' ELSE 'GET' END",
        "path": "'/v2/r' || i % 7 || '/x'",
        "route": "'r' || i % 7",
        "status": "CASE WHEN i % 11 = 0 THEN 503 WHEN i % 6 = 0 THEN 413 ELSE 200 END",
        "decision": "'forward'",
        "reason": "CASE WHEN i % 6 = 0 THEN 'rate_limited' ELSE 'passed' END",
        "duration": "(i % 997) / 10.0",
        "project_id": "'project-' || i % 40",
    }
    columns = ", ".join(
        f'({values[field.name]}) AS "{field.name}"'
        if field.name in values
        else f'NULL::{field.column_type} AS "{field.name}"'
        for field in FIELDS
    )
    target = sidecar.sidecar_of(log, old)
    assert target is not None
    target.parent.mkdir(exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {columns} FROM range(1000000) t(i)) TO '{target}' (FORMAT parquet)")
