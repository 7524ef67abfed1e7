"""`weir top`: what goes on, in the terminal."""

import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.top import screen
from gateway.config.model import Address
from tests.cli.process import told, weir
from tests.cli.test_main import run
from tests.cli.test_reload import free_port, written
from tests.support.client import Client, get

SUMMARY: dict[str, Any] = {
    "requests": 1234.0,
    "classes": {"2xx": 1200.0, "4xx": 34.0},
    "quantiles": {"p50": 1.5, "p90": None, "p99": 20.0},
    "refusals": [{"filter": "limit", "reason": "rate_limited", "rate": 34.0}],
    "routes": {"/v2/{project_id}": 1234.0},
    "upstreams": {"compute": {"0": {"endpoints": [{"address": "127.0.0.1:8774", "state": "up"}]}}},
    "workers": [{"slot": 0, "memory_bytes": 70 << 20, "requests": 99, "restarts": 1}],
    "limits": [{"filter": "limit", "limit": "writes", "key": {"project_id": "p\x1b[2J"}, "use": 1.0}],
}


def shown(summary: dict[str, Any], *records: dict[str, Any]) -> str:
    console = Console(width=200, file=None, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(screen(summary, deque(records)))
    return capture.get()


def test_it_shows_rates_refusals_and_the_last_requests() -> None:
    text = shown(
        SUMMARY,
        {
            "time": "2026-01-31T12:00:00.250Z",
            "status": 413,
            "method": "POST",
            "path": "/x\x1b[2J",
            "reason": "r",
        },
    )
    for part in (
        "requests/s 1,234",
        "4xx/s 34",
        "p90 ms -",
        "rate_limited",
        "127.0.0.1:8774",
        "70 MiB",
        "100%",
    ):
        assert part in text
    assert "12:00:00" in text
    assert "\x1b[2J" not in text
    assert shown({})


async def test_it_watches_a_gateway_that_runs(tmp_path: Path) -> None:
    elsewhere = tmp_path / "top"
    elsewhere.mkdir()
    path = written(tmp_path, admin={"address": f"127.0.0.1:{free_port()}", "token": "open sesame"})
    async with weir("run", path, "--workers", "1", directory=tmp_path) as process:
        place = Address("127.0.0.1", (await process.listens()).port)
        watching = asyncio.create_task(told("top", path, "--once", directory=elsewhere))
        async with await Client.connect(place) as client:
            while not watching.done():
                await client.ask(get("/"))
                await asyncio.sleep(0.02)
        status, out, err = await watching
        assert (status, err) == (0, "")
        assert "requests/s" in out
        assert "worker" in out
        process.signal()
        assert await process.ends() == 0


def test_without_a_gateway_the_status_is_2(tmp_path: Path) -> None:
    done = run("top", str(written(tmp_path, admin=f"127.0.0.1:{free_port()}")))
    assert done.returncode == 2
    assert "(admin): Connection refused" in done.stderr


@pytest.mark.parametrize("admin", [None])
def test_it_needs_an_admin_listener(tmp_path: Path, admin: None) -> None:
    done = run("top", str(written(tmp_path, admin=admin)))
    assert done.returncode == 2
    assert "has no admin listener to ask" in done.stderr
