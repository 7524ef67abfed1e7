"""The API as a process: started by its command, stopped by SIGTERM, killed in the middle of its writes."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from gateway.demo.metadata_api import SAMPLE_IMAGE, SAMPLE_METADATA, SAMPLE_PROJECT
from gateway.demo.store import Caller, Store
from tests.demo.test_metadata_api import MEMBER

COLLECTION = f"/v2/{SAMPLE_PROJECT}/images/{SAMPLE_IMAGE}/metadata"
PREFIX = "listening on "


@contextlib.asynccontextmanager
async def running(database: Path, *options: str) -> AsyncIterator[tuple[Process, str]]:
    command = [sys.executable, "-W", "error", "-m", "gateway.demo.metadata_api"]
    process = await asyncio.create_subprocess_exec(
        *command, "--database", str(database), "--port", "0", *options, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.ensure_future(process.stderr.read())  # an unread pipe would fill up
    try:
        line = (await process.stdout.readline()).decode().rstrip("\n")
        assert line.startswith(PREFIX + "http://127.0.0.1:"), (await errors).decode()
        yield process, line.removeprefix(PREFIX)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert b"Traceback" not in await errors


async def test_serves_the_sample_images_and_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    database = tmp_path / "images.sqlite"
    async with running(database) as (process, base), aiohttp.ClientSession() as session:
        async with session.get(base + COLLECTION, headers=MEMBER) as response:
            assert await response.json() == {"metadata": SAMPLE_METADATA}
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == [database.name]


async def test_stops_when_its_standard_input_ends_if_it_is_told_to(tmp_path: Path) -> None:
    database = tmp_path / "images.sqlite"
    async with running(database, "--stop-with-stdin") as (process, base), aiohttp.ClientSession() as session:
        assert process.stdin is not None
        process.stdin.write(b"this is not the end\n")
        await process.stdin.drain()
        async with session.get(base + COLLECTION, headers=MEMBER) as response:
            assert response.status == 200
        process.stdin.close()
        assert await process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == [database.name]


async def test_sigterm_stops_it_while_its_standard_input_is_open(tmp_path: Path) -> None:
    async with running(tmp_path / "images.sqlite", "--stop-with-stdin") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_outlives_its_standard_input_if_it_is_not_told_to_stop_with_it(tmp_path: Path) -> None:
    async with running(tmp_path / "images.sqlite") as (process, base), aiohttp.ClientSession() as session:
        assert process.stdin is not None
        process.stdin.close()
        await process.stdin.wait_closed()
        async with session.get(base + COLLECTION, headers=MEMBER) as response:
            assert response.status == 200
        assert process.returncode is None


async def test_takes_quota_and_status_from_the_command_line(tmp_path: Path) -> None:
    options = ("--quota", "6", "--over-quota-status", "403")
    async with (
        running(tmp_path / "images.sqlite", *options) as (_, base),
        aiohttp.ClientSession() as session,
        session.post(base + COLLECTION, json={"metadata": {"x": ""}}, headers=MEMBER) as response,
    ):
        assert response.status == 403


async def _failure(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo.metadata_api", *arguments, stdout=PIPE, stderr=PIPE
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_says_in_one_line_why_it_cannot_start(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is no database, and it is longer than a header of one hundred bytes " * 2)
    assert await _failure("--database", str(text)) == (1, f"Error: {text}: file is not a database\n")
    absent = tmp_path / "absent" / "images.sqlite"
    assert await _failure("--database", str(absent)) == (
        1,
        f"Error: {absent}: unable to open database file\n",
    )
    async with running(tmp_path / "images.sqlite") as (_, base):
        port = base.rpartition(":")[2]
        status, errors = await _failure("--database", str(tmp_path / "other.sqlite"), "--port", port)
    assert (status, errors) == (1, f"Error: 127.0.0.1:{port}: Address already in use\n")


async def test_kill_9_in_the_middle_of_writes_loses_no_answered_write(tmp_path: Path) -> None:
    """Eight writers count upwards, each in a key of its own; the kill comes while all of them are writing."""
    database = tmp_path / "images.sqlite"
    answered = dict.fromkeys((f"writer{i}" for i in range(8)), 0)

    async def write(session: aiohttp.ClientSession, base: str, key: str, enough: asyncio.Event) -> None:
        with contextlib.suppress(aiohttp.ClientError):  # the kill: this write was not answered
            while True:
                number = answered[key] + 1
                async with session.post(
                    base + COLLECTION, json={"metadata": {key: str(number)}}, headers=MEMBER
                ) as response:
                    assert response.status == 200
                    assert (await response.json())["metadata"][key] == str(number)
                answered[key] = number
                if min(answered.values()) >= goal:
                    enough.set()

    for round_ in range(1, 4):
        goal = 10 * round_
        async with running(database) as (process, base), aiohttp.ClientSession() as session:
            enough = asyncio.Event()
            async with asyncio.TaskGroup() as writers:
                for key in answered:
                    writers.create_task(write(session, base, key, enough))
                await enough.wait()
                process.kill()
            assert await process.wait() == -signal.SIGKILL

        with contextlib.closing(Store(database)) as store:
            items = store.items(Caller(SAMPLE_PROJECT), SAMPLE_IMAGE)
        for key, number in answered.items():
            # The write in flight may have been committed without its answer; nothing answered may be missing.
            assert int(items[key]) in (number, number + 1)
            answered[key] = int(items[key])
        assert {key: items[key] for key in SAMPLE_METADATA} == SAMPLE_METADATA
