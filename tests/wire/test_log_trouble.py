"""A log that cannot be written costs no request anything, and comes back by itself."""

import os
from pathlib import Path

import orjson
import structlog

from tests.support.client import Client, get
from tests.support.deadline import until
from tests.support.gateway import Running, proxy
from tests.support.upstream import Upstream, echo


def sequences(path: Path) -> list[int]:
    return [
        fields["gateway.sequence"]
        for line in path.read_bytes().splitlines()
        if (fields := orjson.loads(line))["kind"] == "request"
    ]


async def asked(client: Client, count: int) -> None:
    for _ in range(count):
        assert (await client.ask(get())).status == 200


async def recovered(gateway: Running, path: Path, count: int, dropped: int) -> None:
    """What waited is written, and what did not fit is counted and leaves a gap."""
    log = gateway.gateway.request_log
    await until(lambda: path.exists() and bool(sequences(path)) and log.depth == 0, "it is written again")
    await until(lambda: len(sequences(path)) == count - dropped, "every other line is there")
    assert log.dropped == dropped


async def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.mkdir()
    path = place / "requests.log"
    with structlog.testing.capture_logs() as logs:
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, log={"path": str(path), "queue": 5}) as gateway,
        ):
            client = await gateway.connect()
            await asked(client, 1)
            await until(lambda: path.exists() and sequences(path) == [1], "it is written")
            place.rename(tmp_path / "away")
            log = gateway.gateway.request_log
            await asked(client, 5)
            await until(lambda: log.write_errors > 0, "it cannot be written")
            await asked(client, 20)
            await until(lambda: log.dropped > 0, "what does not fit is dropped")
            dropped = log.dropped
            assert f"gateway_log_dropped_total {dropped}.0" in gateway.gateway.metrics.render().decode()
            place.mkdir()
            await recovered(gateway, path, 25, dropped)
    told = [entry["event"] for entry in logs if entry["event"].startswith("request_log")]
    assert told == ["request_log_failing", "request_log_recovered"]


async def test_a_device_that_is_full(tmp_path: Path) -> None:
    """By the device that is always full: the kernel says ENOSPC."""
    path = tmp_path / "requests.log"
    path.symlink_to("/dev/full")
    async with Upstream(echo) as upstream, proxy(upstream, log={"path": str(path), "queue": 5}) as gateway:
        client = await gateway.connect()
        log = gateway.gateway.request_log
        await asked(client, 3)
        await until(lambda: log.write_errors > 1, "it cannot be written")
        await asked(client, 3)
        (tmp_path / "roomy.log").touch()
        os.symlink(tmp_path / "roomy.log", tmp_path / "other")
        os.replace(tmp_path / "other", path)
        await recovered(gateway, path, 6, log.dropped)
