"""Reloads, deaths and restarts under load: no client may see any of them that need not.

A short form by default; `make never-down` has the long one: 200 reloads, 20 workers killed, 5 restarts by each road.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config.model import Address
from tests.cli.process import START, WEIR, Process, started, weir
from tests.supervisor.traffic import Traffic, Witness
from tests.support.deadline import until
from tests.support.gateway import configuration

FULL = os.environ.get("WEIR_NEVER_DOWN") == "full"
RELOADS = 200 if FULL else 15
KILLS = 20 if FULL else 3
RESTARTS = 5 if FULL else 1
RATE = 100.0

pytestmark = pytest.mark.timeout(600 if FULL else 120)


def written(directory: Path, url: str, **options: Any) -> Path:
    path = directory / "gateway.yaml"
    given = {"admin": "127.0.0.1:0", "log": {"path": str(directory / "requests.log")}, **options}
    fresh = path.with_suffix(".new")
    fresh.write_text(configuration(url, **given))
    fresh.replace(path)
    return path


class Service:
    """A running gateway, asked through its admin listener."""

    def __init__(self, process: Process, port: int, admin_port: int) -> None:
        self.process = process
        self.address = Address("127.0.0.1", port)
        self.admin = f"http://127.0.0.1:{admin_port}"

    async def asked(self, page: str, method: str = "GET", body: object = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.admin + page, json=body) as response,
        ):
            return await response.json()

    async def workers(self) -> list[dict[str, Any]]:
        workers: list[dict[str, Any]] = (await self.asked("/workers"))["workers"]
        return workers

    async def all_ready(self, count: int) -> None:
        async with asyncio.timeout(START):
            while sum(worker["ready"] for worker in await self.workers()) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(path: Path, directory: Path, workers: int = 2) -> AsyncIterator[Service]:
    async with weir("run", path, "--workers", str(workers), directory=directory) as process:
        listening = await process.listens()
        yield Service(process, listening.port, listening.admin_port)
        process.signal()
        assert await process.ends() == 0


async def some(traffic: Traffic, count: int = 20) -> None:
    """Waits until so many more requests are over."""
    target = len(traffic.outcomes) + count
    await until(lambda: len(traffic.outcomes) >= target, f"{count} requests are over", START)


def worker_by_request(directory: Path) -> dict[str, int]:
    """Which worker has carried each exchange, by the request log."""
    found: dict[str, int] = {}
    for line in (directory / "requests.log").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "request":
            found[record["gateway.request_id"]] = record["gateway.worker"]
    return found


async def test_reloads_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url)
        async with running(path, tmp_path) as service:
            async with Traffic(service.address, RATE) as traffic:
                await some(traffic)
                for number in range(RELOADS):
                    # Each is another one: another log file, another upstream pool, another listener now and then.
                    written(
                        tmp_path,
                        witness.url,
                        upstream={"keepalive": f"{number + 1}s"},
                        listen=["127.0.0.1:0", *(["127.0.0.1:0"] if number % 3 else [])],
                    )
                    result = await service.asked("/reload", "POST")
                    assert result["applied"], result
                    await some(traffic, 5)
            assert traffic.failures == []
            assert traffic.differences(witness) == []
            revisions = {worker["revision"] for worker in await service.workers()}
            assert revisions == {result["revision"]}


async def test_a_reload_that_is_refused_changes_nothing_in_any_worker(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url)
        async with running(path, tmp_path) as service, Traffic(service.address, RATE) as traffic:
            before = {worker["revision"] for worker in await service.workers()}
            written(tmp_path, witness.url, filters=[{"method": {}}])
            result = await service.asked("/reload", "POST")
            assert (result["applied"], result["error"]) == (False, "the configuration is not valid")
            assert "did you mean 'methods'" in result["problems"][0]["message"]
            # What only shows when it is built, in a worker.
            written(tmp_path, witness.url, log={"path": str(tmp_path / "absent" / "requests.log")})
            result = await service.asked("/reload", "POST")
            assert not result["applied"]
            assert result["problems"][0]["key"] == "log.path"
            with socket.create_server(("127.0.0.1", 0)) as taken:
                written(tmp_path, witness.url, listen=["127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"])
                result = await service.asked("/reload", "POST")
                assert "the address is in use" in result["error"]
            assert {worker["revision"] for worker in await service.workers()} == before
            told = (await service.asked("/config"))["last_error"]
            assert "the address is in use" in told["error"]
            written(tmp_path, witness.url, drain_timeout="9s")
            service.process.signal(signal.SIGHUP)
            await service.process.prints('"reloaded"', to="stderr")
            assert (await service.asked("/config"))["last_error"] is None
            await some(traffic)
        assert traffic.failures == []


async def test_a_file_that_is_watched_is_put_in_force_when_it_changes(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url, watch="50ms")
        async with running(path, tmp_path, workers=1) as service:
            before = (await service.asked("/config"))["revision"]
            written(tmp_path, witness.url, watch="50ms", drain_timeout="9s")
            await service.process.prints('"reloaded"', to="stderr")
            assert (await service.asked("/config"))["revision"] != before


async def test_a_file_of_overrides_is_watched_too_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    overrides = tmp_path / "limits.yaml"
    overrides.write_text("p1: { all: 500/minute }\n")
    limits = {
        "limits": [{"name": "all", "rate": "1000/minute", "key": ["global"]}],
        "overrides": {"file": "limits.yaml"},
    }
    async with Witness() as witness:
        path = written(tmp_path, witness.url, watch="50ms", filters=[{"rate_limit": limits}])
        async with running(path, tmp_path, workers=1) as service:
            overrides.write_text("p1: { all: fast }\n")
            await service.process.prints('"reload_rejected"', to="stderr")
            told = (await service.asked("/config"))["last_error"]["problems"]
            assert ["limits.yaml:1:7: expected a rate" in problem for problem in told] == [True]
            overrides.write_text("p1: { all: 700/minute }\n")
            await service.process.prints('"reloaded"', to="stderr")
            assert (await service.asked("/config"))["last_error"] is None


async def test_a_worker_that_is_killed_takes_only_its_own_exchanges_along(tmp_path: Path) -> None:
    async with Witness(delay=0.02) as witness:
        path = written(tmp_path, witness.url)
        killed: list[int] = []
        async with running(path, tmp_path) as service:
            async with Traffic(service.address, RATE) as traffic:
                await some(traffic)
                for number in range(KILLS):
                    (victim,) = [worker for worker in await service.workers() if worker["slot"] == number % 2]
                    os.kill(victim["pid"], signal.SIGKILL)
                    killed.append(victim["worker"])
                    await some(traffic)
                    await service.all_ready(2)
            assert traffic.differences(witness) == []
            restarts = sum(worker["restarts"] for worker in await service.workers())
            assert restarts == KILLS
        told = service.process.stderr
        assert told.count('"reason": "killed by SIGKILL"') == KILLS
        # Each failure is of a connection that a killed worker had; a first request on a connection has no answer
        # before it that would say whose it was.
        carried = worker_by_request(tmp_path)
        whose = {carried.get(failure.before) for failure in traffic.failures if failure.before is not None}
        assert whose <= {*killed, None}
        assert len(traffic.failures) <= KILLS * RATE * 0.1, "more than were under way"
        for failure in traffic.failures:
            assert "timeout" not in str(failure.failure)


async def test_no_worker_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url, drain_timeout="1s")
        async with weir("run", path, "--workers", "2", directory=tmp_path) as process:
            listening = await process.listens()
            service = Service(process, listening.port, listening.admin_port)
            pids = [worker["pid"] for worker in await service.workers()]
            process.signal(signal.SIGKILL)
            await process.ends()
            await until(lambda: not any(map(alive, pids)), "the workers have ended", START)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", listening.port)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_successor_takes_over_without_a_gap(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url)
        process: Process
        async with weir("run", path, "--workers", "2", directory=tmp_path) as process:
            listening = await process.listens()
            pid = process.popen.pid
            async with Traffic(Address("127.0.0.1", listening.port), RATE) as traffic:
                await some(traffic)
                for number in range(RESTARTS):
                    os.kill(pid, signal.SIGUSR2)
                    await until(
                        lambda count=number + 1: process.stderr.count('"successor_ready"') == count,  # type: ignore[misc]
                        "the successor is ready",
                        START,
                    )
                    told = [json.loads(line) for line in process.stderr.splitlines()]
                    former, pid = (
                        pid,
                        [line["pid"] for line in told if line["event"] == "successor_ready"][-1],
                    )
                    await until(lambda former=former: not alive(former), "the former has ended", START)  # type: ignore[misc]
                    await some(traffic)
            assert traffic.failures == []
            assert traffic.differences(witness) == []
            os.kill(pid, signal.SIGTERM)
            await until(lambda: not alive(pid), "the last has ended", START)
        assert '"clean": false' not in process.stderr


async def test_a_successor_that_does_not_come_up_changes_nothing(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url)
        async with running(path, tmp_path) as service, Traffic(service.address, RATE) as traffic:
            written(tmp_path, witness.url, filters=[{"method": {}}])
            service.process.signal(signal.SIGUSR2)
            await service.process.prints('"successor_failed"', to="stderr")
            await some(traffic)
        assert traffic.failures == []


async def test_a_service_that_is_stopped_does_not_go_on_as_its_successor(tmp_path: Path) -> None:
    async with Witness() as witness:
        path = written(tmp_path, witness.url)
        async with weir("run", path, "--workers", "1", directory=tmp_path) as process:
            await process.listens()
            process.signal(signal.SIGUSR2)
            await process.prints('"successor_starting"', to="stderr")
            process.signal()
            assert await process.ends() == 0
            told = [json.loads(line) for line in process.stderr.splitlines()]
            (pid,) = [line["pid"] for line in told if line["event"] == "successor_starting"]
            await until(lambda: not alive(pid), "the successor is gone", START)


async def test_a_restart_on_the_sockets_of_the_service_manager_loses_nothing(tmp_path: Path) -> None:
    async with Witness() as witness:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
            port = listening.getsockname()[1]
            path = written(tmp_path, witness.url, listen=f"127.0.0.1:{port}")
            # As the service manager starts it: the socket as descriptor 3, and the process told that it is meant.
            code = (
                "import os, sys; os.dup2(int(sys.argv[1]), 3); "
                "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
                "os.execv(sys.argv[2], sys.argv[2:])"
            )
            command: list[str | Path] = [sys.executable, "-c", code, str(listening.fileno()), WEIR]
            command += ["run", path, "--workers", "2"]
            # What comes while nothing runs has to fit into the backlog, however long a busy machine takes for a start.
            async with Traffic(Address("127.0.0.1", port), RATE / 4) as traffic:
                for number in range(RESTARTS + 1):
                    directory = tmp_path / str(number)
                    directory.mkdir()
                    async with started(command, directory, pass_fds=(listening.fileno(),)) as process:
                        await process.listens()
                        await some(traffic)
                        process.signal()
                        assert await process.ends() == 0
                async with started(command, tmp_path, pass_fds=(listening.fileno(),)) as process:
                    await process.listens()
                    await some(traffic)
                    # The last one serves what has waited.
                    traffic.stop()
                    await traffic.rest()
                    process.signal()
                    assert await process.ends() == 0
            assert traffic.failures == []
            assert traffic.differences(witness) == []
