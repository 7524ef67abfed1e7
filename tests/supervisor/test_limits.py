"""Workers count as one: as many requests pass as the limit says, whichever of them carry them, and whatever becomes of these."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.backtest.recorded import UNDECIDABLE
from gateway.backtest.run import Found, Question, backtest
from gateway.backtest.tally import UNCHANGED
from gateway.config.model import Address
from tests.cli.process import START, Process, weir
from tests.supervisor.test_never_down import Service, alive, running, written
from tests.support.client import Client, get
from tests.support.deadline import until

NOWHERE = "http://127.0.0.1:1"
CLIENTS = 4
WORKERS = 3

pytestmark = pytest.mark.timeout(180)


def limited(
    directory: Path, rate: str = "50/day", told: dict[str, object] | None = None, **options: object
) -> Path:
    limits = [{"rate": rate, "key": ["client_ip"]}, {"rate": "1000/day", "key": ["method"]}]
    entry = {"rate_limit": {"limits": limits, **(told or {})}}
    return written(directory, NOWHERE, filters=[entry], **options)


async def passed(place: Address, requests: int = 30) -> int:
    """How many of the requests of several clients pass; each is on a connection of its own, so that all workers have some."""

    async def ask() -> int:
        count = 0
        for _ in range(requests):
            async with await Client.connect(place) as client:
                count += (await client.ask(get("/"))).status != 413
        return count

    return sum(await asyncio.gather(*(ask() for _ in range(CLIENTS))))


async def carried(service: Service) -> list[int]:
    """How many requests each worker has carried."""
    return [worker["requests"] for worker in await service.workers()]


async def test_as_many_pass_as_the_limit_says_whatever_becomes_of_the_workers(tmp_path: Path) -> None:
    path = limited(tmp_path)
    async with running(path, tmp_path, WORKERS) as service:
        assert await passed(service.address) == 50
        assert sorted(await carried(service))[-2] > 0, "one worker has carried all"
        # Those that take the place of others find what these have counted, even where all of them are killed.
        for worker in await service.workers():
            os.kill(worker["pid"], signal.SIGKILL)
        await until(
            lambda: service.process.stderr.count('"worker_started"') == WORKERS, "they are back", START
        )
        assert await passed(service.address, 10) == 0
        # A worker that is told to end lets go of nothing either.
        for worker in await service.workers():
            os.kill(worker["pid"], signal.SIGTERM)
        await until(
            lambda: service.process.stderr.count('"worker_started"') == 2 * WORKERS, "they are back", START
        )
        assert await passed(service.address, 10) == 0
        # What is counted in the same way counts on, however refusals look; another limit begins anew.
        limited(tmp_path, drain_timeout="9s")
        assert (await service.asked("/reload", "POST"))["applied"]
        assert await passed(service.address, 10) == 0
        limited(tmp_path, told={"headers_on": "all"}, drain_timeout="9s")
        result = await service.asked("/reload", "POST")
        assert (result["applied"], result["state_lost"]) == (True, [])
        assert await passed(service.address, 10) == 0
        limited(tmp_path, "7/day", drain_timeout="9s")
        result = await service.asked("/reload", "POST")
        assert (result["applied"], result["state_lost"]) == (True, ["rate_limit 'limits[0]'"])
        assert await passed(service.address, 10) == 7
        _, every = (await service.asked("/limits"))["buckets"]
        assert (every["key"], every["remaining"]) == ({"method": "GET"}, 1000 - 57)
        # What is defined again as it was goes on with what it had counted.
        limited(tmp_path, drain_timeout="9s")
        result = await service.asked("/reload", "POST")
        assert result["state_lost"] == result["state_back"] == ["rate_limit 'limits[0]'"]
        assert await passed(service.address, 10) == 0


async def test_operators_see_what_all_workers_have_counted_and_may_empty_it(tmp_path: Path) -> None:
    path = limited(tmp_path)
    async with running(path, tmp_path, WORKERS) as service:
        assert await passed(service.address) == 50
        told = await service.asked("/limits")
        assert told["failures"] == []
        bucket, every = told["buckets"]
        assert (bucket["key"], bucket["remaining"]) == ({"client_ip": "127.0.0.1"}, 0)
        assert (bucket["filter"], bucket["mode"]) == ("rate_limit", "enforce")
        assert bucket["source"].startswith(str(path))
        assert bucket["wait"] > 0
        assert every["key"] == {"method": "GET"}

        async def consumers() -> list[dict[str, Any]]:
            _, every = (await service.asked("/limits"))["buckets"]
            found: list[dict[str, Any]] = every["consumers"]
            return found

        # Every worker has counted its own, and tells the others.
        used = [{"id": "127.0.0.1", "count": 50}]
        deadline = time.monotonic() + START
        while await consumers() != used:
            assert time.monotonic() < deadline, await consumers()
            await asyncio.sleep(0.02)
        for worker in await service.workers():
            os.kill(worker["pid"], signal.SIGTERM)
        await until(
            lambda: service.process.stderr.count('"worker_started"') == WORKERS, "they are back", START
        )
        await service.all_ready(WORKERS)
        # New workers know of those whom others have served.
        assert await consumers() == used
        bucket, every = (await service.asked("/limits"))["buckets"]
        assert (bucket["key"], bucket["remaining"]) == ({"client_ip": "127.0.0.1"}, 0)
        assert (every["key"], every["remaining"]) == ({"method": "GET"}, 1000 - 50)
        (bucket,) = (await service.asked("/limits?limit=limits[0]&client_ip=127.0.0.1"))["buckets"]
        assert bucket["remaining"] == 0
        told = await service.asked("/limits/reset", "POST", {"key": {"client_ip": "127.0.0.1"}})
        assert (told["reset"], told["failures"]) == (1, [])
        assert await passed(service.address) == 50


async def test_a_refusal_names_the_consumers_whichever_workers_have_served_them(tmp_path: Path) -> None:
    users = ("ann", "bob", "eve", "joe")
    source = {"header": {"name": "X-Customer", "trusted_peers": ["127.0.0.1"]}}
    limit = {"rate": "40/day", "key": ["global"]}
    filters = [{"principal": {"sources": [source]}}, {"rate_limit": {"limits": [limit]}}]
    path = written(tmp_path, NOWHERE, filters=filters)

    async def ask(service: Service, user: str) -> int:
        async with await Client.connect(service.address) as client:
            return (await client.ask(get("/", f"X-Customer: {user}"))).status

    def named() -> dict[int, dict[str, int]]:
        """The consumers that the last refusal of each worker has named."""
        found: dict[int, dict[str, int]] = {}
        for line in (tmp_path / "requests.log").read_text().splitlines():
            record = json.loads(line)
            if record.get("gateway.reason") == "rate_limited":
                facts = record["gateway.filters"][-1]["facts"]
                found[record["gateway.worker"]] = dict(facts["consumers"])
        return found

    async with running(path, tmp_path, 2) as service:
        for _ in range(10):
            for user in users:
                assert await ask(service, user) != 413
        assert min(await carried(service)) > 0, "one worker has carried all"
        every = dict.fromkeys(users, 10)
        # Whichever of them refuses tells of all that both have let pass, as soon as they have told each other.
        async with asyncio.timeout(START):
            while list(named().values()) != [every, every]:
                assert await ask(service, "late") == 413
                await asyncio.sleep(0.02)


@asynccontextmanager
async def upgraded(process: Process) -> AsyncIterator[None]:
    """Another program has taken over meanwhile; then it ends."""
    process.signal(signal.SIGUSR2)
    await process.prints('"successor_ready"', to="stderr")
    await until(lambda: not alive(process.popen.pid) or process.popen.poll() is not None, "it ends", START)
    told = [json.loads(line) for line in process.stderr.splitlines()]
    (pid,) = [line["pid"] for line in told if line["event"] == "successor_ready"]
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not alive(pid), "the successor ends", START)


async def test_an_upgrade_goes_on_counting(tmp_path: Path) -> None:
    path = limited(tmp_path)
    async with weir("run", path, "--workers", "2", directory=tmp_path) as process:
        place = Address("127.0.0.1", (await process.listens()).port)
        assert await passed(place) == 50
        async with upgraded(process):
            assert await passed(place, 10) == 0
    assert "counted_anew" not in process.stderr


def whole_lines(log: Path) -> list[dict[str, Any]]:
    """The lines of the log that are whole."""
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


async def test_the_log_tells_which_workers_have_ended_in_order(tmp_path: Path) -> None:
    """Of one that was killed who has its place; and a new program gives no number again."""
    written_to = {"path": str(tmp_path / "requests.log"), "marks": "20ms"}
    path = limited(tmp_path, log=written_to)
    async with weir("run", path, "--workers", "2", directory=tmp_path) as process:
        listening = await process.listens()
        service = Service(process, listening.port, listening.admin_port)
        await passed(service.address, 5)
        limited(tmp_path, drain_timeout="9s", log=written_to)
        assert (await service.asked("/reload", "POST"))["applied"]
        log = tmp_path / "requests.log"
        await until(
            lambda: len({line["gateway.worker"] for line in whole_lines(log) if line["kind"] == "plan"}) == 2,
            "both workers are in the log",
        )
        victim = (await service.workers())[0]
        os.kill(victim["pid"], signal.SIGKILL)
        await process.prints('"worker_started"', to="stderr")
        await passed(service.address, 5)
        async with upgraded(process):
            await passed(service.address, 5)
    lines = whole_lines(log)
    plans, records, ends = (
        [line for line in lines if line["kind"] == kind] for kind in ("plan", "request", "end")
    )
    assert len({line["gateway.since"] for line in lines}) == 1
    assert len({line["gateway.plan"]["hashed_by"] for line in plans}) == 1
    numbers = {line["gateway.worker"] for line in plans}
    assert len(numbers) == 5
    assert sorted(line["gateway.worker"] for line in ends) == sorted(numbers - {victim["worker"]})
    for end in ends:
        own = [
            line["gateway.sequence"] for line in records if line["gateway.worker"] == end["gateway.worker"]
        ]
        assert end["gateway.sequence"] == max(own, default=0)
    over = {tuple(line["gateway.plan"].get("over", ())) for line in plans}
    assert over == {(), (victim["worker"],)}
    assert {number for line in lines for number in line.get("gateway.workers", ())} == numbers
    text = path.read_text().replace("50/day", "20/day")
    found = backtest(Question(text, "gateway.yaml", tmp_path), [tmp_path / "requests.log"], processes=1)
    assert found.open == 0 and found.gaps == 1


def backtested(directory: Path, log: Path, rate: str) -> Found:
    text = (directory / "gateway.yaml").read_text().replace("50/day", rate)
    return backtest(Question(text, "gateway.yaml", directory), [log], processes=1)


async def test_a_log_that_is_still_written_to_leaves_nothing_in_doubt_and_tells_of_a_worker_that_is_lost(
    tmp_path: Path,
) -> None:
    """While nobody asks anything, workers have said of all of their records that these are all. Of one of which no line is left the
    others tell."""
    log = tmp_path / "requests.log"
    path = limited(tmp_path, log={"path": str(log), "marks": "50ms"})
    async with running(path, tmp_path, 2) as service:
        await passed(service.address, 10)
        assert min(await carried(service)) > 0, "one worker has carried all"

        def said() -> bool:
            lines = whole_lines(log)
            records = [line["timestamp"] for line in lines if line["kind"] == "request"]
            marks = {line["gateway.worker"]: line for line in lines if line["kind"] == "mark"}
            return (
                len(records) == 10 * CLIENTS
                and len(marks) == 2
                and min(mark["timestamp"] for mark in marks.values()) > max(records)
            )

        await until(said, "both say that nothing is missing", START)
        lines = whole_lines(log)
        assert {tuple(line["gateway.workers"]) for line in lines if "gateway.workers" in line} == {(0, 1)}
        found = backtested(tmp_path, log, "20/day")
        assert (found.gaps, found.open, found.tally.total) == (0, 0, 10 * CLIENTS)
        assert not found.tally.counts[UNDECIDABLE]
    for worker in (0, 1):
        left = tmp_path / f"without{worker}.log"
        left.write_text(
            "".join(
                text
                for text in log.read_text().splitlines(keepends=True)
                if json.loads(text)["gateway.worker"] != worker
            )
        )
        assert backtested(tmp_path, left, "20/day").tally.counts[UNDECIDABLE]
        same = backtested(tmp_path, left, "50/day").tally
        assert same.counts == {UNCHANGED: same.total}


async def test_tells_what_is_counted(tmp_path: Path) -> None:
    path = limited(tmp_path)
    async with running(path, tmp_path, 2) as service:
        await passed(service.address, 5)
        text = await asyncio.to_thread(_fetched, service.admin + "/metrics")
        assert 'gateway_table_decisions_total{filter="rate_limit"} 20.0' in text
        assert 'gateway_table_cells{filter="rate_limit"} 2.0' in text
        assert 'gateway_table_capacity{filter="rate_limit"} 262175.0' in text


def _fetched(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(url) as response:
        return str(response.read().decode())
