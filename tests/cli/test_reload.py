"""`weir reload`: what a running gateway makes of its file, and the exit status that says so."""

import asyncio
import http.client
import json
import os
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import WEIR, started, told, weir
from tests.cli.test_main import run
from tests.support.gateway import configuration

NOWHERE = "http://127.0.0.1:1"
LIMIT: dict[str, Any] = {"rate_limit": {"limits": [{"name": "all", "rate": "9/hour", "key": ["client_ip"]}]}}
OTHER: dict[str, Any] = {"rate_limit": {"limits": [{"name": "all", "rate": "8/hour", "key": ["client_ip"]}]}}


def written(directory: Path, **options: Any) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(configuration(NOWHERE, **options))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


async def test_applied_is_0_and_says_whose_state_is_lost(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    path = written(tmp_path, admin=admin, filters=[LIMIT])
    async with weir("run", path, directory=tmp_path) as process:
        await process.prints('"started"', to="stderr")
        written(tmp_path, admin=admin, filters=[OTHER])
        elsewhere = tmp_path / "reload"
        elsewhere.mkdir()
        status, out, err = await told("reload", path, directory=elsewhere)
        assert (status, err) == (0, "")
        first, second = out.splitlines()
        assert first.startswith("applied, revision ")
        assert (
            second
            == "rate_limit 'all': leaves behind what it has counted, for its definition or its name is another"
        )
        written(tmp_path, admin=admin, filters=[LIMIT])
        _, out, _ = await told("reload", path, directory=elsewhere)
        assert out.splitlines()[1:] == [
            second,
            "rate_limit 'all': goes on with what it had counted when it was last defined so",
        ]
        process.signal()
        assert await process.ends() == 0


async def test_rejected_is_1_and_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    """What only a worker finds."""
    token = {"address": f"127.0.0.1:{free_port()}", "token": "open sesame"}
    path = written(tmp_path, admin=token)
    async with weir("run", path, directory=tmp_path) as process:
        await process.prints('"started"', to="stderr")
        written(tmp_path, admin=token, log={"path": "absent/requests.log"})
        elsewhere = tmp_path / "reload"
        elsewhere.mkdir()
        status, out, err = await told("reload", path, directory=elsewhere)
        assert (status, out) == (1, "")
        first, second = err.splitlines()
        assert first.startswith("weir: rejected: the configuration cannot be put in force; revision ")
        assert second.startswith(f"{path}:")
        assert second.endswith(
            "log.path: the request log absent/requests.log cannot be written: no such file or directory"
        )
        process.signal()
        assert await process.ends() == 0


async def test_the_gateway_reads_the_file_whatever_the_command_thinks_of_it(tmp_path: Path) -> None:
    """Its variables and its secrets are its own; and it shall know, and tell, that its file is no good."""
    admin = f"127.0.0.1:{free_port()}"
    path = written(tmp_path, admin=admin, workers="${WEIR_TEST_WORKERS}")
    environment = {**os.environ, "WEIR_TEST_WORKERS": "1"}
    elsewhere = tmp_path / "reload"
    elsewhere.mkdir()
    async with started([WEIR, "run", path], tmp_path, environment=environment) as process:
        await process.prints('"started"', to="stderr")
        status, out, err = await told("reload", path, directory=elsewhere)
        assert (status, err) == (0, "")
        assert out.startswith("applied")
        path.write_text(path.read_text().replace("routes:", "rotes:"))
        status, out, err = await told("reload", path, directory=elsewhere)
        assert (status, out) == (1, "")
        assert err.startswith("weir: rejected: the configuration is not valid; revision ")
        assert f"{path}:1:1: missing required key 'routes'" in err
        assert "unknown key 'rotes' (did you mean 'routes'?)" in err
        with urllib.request.urlopen(f"http://{admin}/config", timeout=5) as response:
            last = json.load(response)["last_error"]
        assert any("unknown key 'rotes'" in problem for problem in last["problems"])
        process.signal()
        assert await process.ends() == 0


async def test_of_a_file_that_cannot_be_read_the_gateway_is_told_where_the_command_says_where_it_is(
    tmp_path: Path,
) -> None:
    admin = f"127.0.0.1:{free_port()}"
    path = written(tmp_path, admin=admin)
    elsewhere = tmp_path / "reload"
    elsewhere.mkdir()
    async with weir("run", path, directory=tmp_path) as process:
        await process.prints('"started"', to="stderr")
        path.write_text("admin: [\n")
        status, out, err = await told("reload", "--admin", admin, path, directory=elsewhere)
        assert (status, out) == (1, "")
        assert "weir: rejected: the configuration is not valid; revision " in err
        assert f"{path}:2:1: " in err
        with urllib.request.urlopen(f"http://{admin}/config", timeout=5) as response:
            last = json.load(response)["last_error"]
        assert any(":2:1: " in problem for problem in last["problems"])
        process.signal()
        assert await process.ends() == 0


async def test_of_a_file_that_cannot_be_read_it_is_told_what_is_wrong_where_nobody_can_be_asked(
    tmp_path: Path,
) -> None:
    address = f"127.0.0.1:{free_port()}"
    path = written(tmp_path, admin={"address": address, "token": "open sesame"})
    elsewhere = tmp_path / "reload"
    elsewhere.mkdir()
    async with weir("run", path, directory=tmp_path) as process:
        await process.prints('"started"', to="stderr")
        path.write_text("admin: [\n")
        for admin in (address, f"127.0.0.1:{free_port()}"):
            status, out, err = await told("reload", "--admin", admin, path, directory=elsewhere)
            assert (status, out) == (1, "")
            assert err.startswith(f"{path}:2:1: ")
            assert err.endswith("weir: the gateway has not been asked; nothing has changed\n")
        process.signal()
        assert await process.ends() == 0


async def test_who_asks_the_admin_listener_is_not_cut_off_unless_its_rules_change(tmp_path: Path) -> None:
    place = ("127.0.0.1", free_port())
    address = f"127.0.0.1:{place[1]}"
    path = written(tmp_path, admin={"address": address, "token": "old"})

    def livez(connection: http.client.HTTPConnection) -> int:
        connection.request("GET", "/livez")
        response = connection.getresponse()
        response.read()
        return response.status

    elsewhere = tmp_path / "reload"
    elsewhere.mkdir()
    async with weir("run", path, directory=tmp_path) as process:
        await process.prints('"started"', to="stderr")
        kept = http.client.HTTPConnection(*place, timeout=10)
        kept.auto_open = 0
        await asyncio.to_thread(kept.connect)
        assert await asyncio.to_thread(livez, kept) == 200
        written(tmp_path, admin={"address": address, "token": "old"}, filters=[LIMIT])
        assert (await told("reload", path, directory=elsewhere))[0] == 0
        assert await asyncio.to_thread(livez, kept) == 200
        changed = written(elsewhere, admin={"address": address, "token": "old"})
        written(tmp_path, admin={"address": address, "token": "new"})
        assert (await told("reload", changed, directory=elsewhere))[0] == 0
        with pytest.raises((OSError, http.client.HTTPException)):
            await asyncio.to_thread(livez, kept)
        assert (await told("reload", changed, directory=elsewhere))[0] == 2
        process.signal()
        assert await process.ends() == 0


def test_asks_without_what_serves(tmp_path: Path) -> None:
    """aiohttp alone takes longer than all the rest."""
    done = run("reload", str(written(tmp_path, admin=f"127.0.0.1:{free_port()}")))
    assert done.returncode == 2
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert imported.isdisjoint(("aiohttp", "cryptography", "prometheus_client", "gateway.app"))


async def test_nobody_there_is_2(tmp_path: Path) -> None:
    path = written(tmp_path, admin=f"127.0.0.1:{free_port()}")
    status, out, err = await told("reload", path, directory=tmp_path)
    assert (status, out) == (2, "")
    first, hint = err.splitlines()
    assert first.endswith("(admin): Connection refused")
    assert "SIGHUP" in hint


async def test_without_an_admin_listener_there_is_nobody_to_ask(tmp_path: Path) -> None:
    status, _, err = await told("reload", written(tmp_path, admin=None), directory=tmp_path)
    assert status == 2
    assert "SIGHUP" in err
