"""SIGUSR1, as logrotate sends it: every worker lets go of the moved file at once, and no line is lost."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cli.process import START, Process, weir
from tests.cli.test_demo import on_a_free_port
from tests.cli.test_run import fetch
from tests.support.deadline import until
from tests.support.upstream import closed_port

WORKERS = 2
LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
SAMPLE = Path(__file__).parents[2] / "deploy" / "logs" / "logrotate.conf"


def written(directory: Path) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "listen": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                "workers": WORKERS,
                "upstreams": {"compute": {"endpoints": [f"http://127.0.0.1:{closed_port()}"]}},
                "routes": [{"name": "any", "path": "/{rest*}", "upstream": "compute"}],
                "log": {"path": "requests.log", "max_size": 0},
            }
        )
    )
    return path


def requests(*files: Path) -> list[dict[str, object]]:
    return [
        fields
        for file in files
        for line in file.read_text().splitlines()
        if (fields := json.loads(line))["kind"] == "request"
    ]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def holders(pids: list[int], file: Path) -> list[int]:
    """Which of the processes have the file open, whatever it is called now."""
    wanted = file.stat()
    found = []
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                state = descriptor.stat()
            except FileNotFoundError:
                continue
            if (state.st_dev, state.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(pid)
                break
    return found


@contextmanager
def asking(url: str) -> Iterator[list[int]]:
    """Asks all the while; the statuses that came."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(fetch(url)[0])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


async def told_apart(process: Process, statuses: list[int], *files: Path) -> None:
    """Ends the gateway: each request that was answered has one line."""
    process.signal(signal.SIGTERM)
    assert await process.ends() == 0
    ids = [record["gateway.request_id"] for record in requests(*files)]
    assert len(ids) == len(set(ids)) == len(statuses)
    assert set(statuses) == {503}


async def test_every_worker_lets_go_of_a_moved_file_at_once(tmp_path: Path) -> None:
    path, moved = tmp_path / "requests.log", tmp_path / "moved.log"
    async with weir("run", written(tmp_path), directory=tmp_path) as process:
        address = await process.listens()
        workers = children(process.popen.pid)
        assert len(workers) == WORKERS
        statuses = [fetch(f"{address.url}/a")[0] for _ in range(5)]
        await until(lambda: len(requests(path)) == 5, "they are written", START)
        path.rename(moved)
        assert holders(workers, moved) == workers
        process.signal(signal.SIGUSR1)
        await until(lambda: not holders(workers, moved), "the moved file is let go of", START)
        assert holders(workers, path) == workers
        assert children(process.popen.pid) == workers, "nobody was ended by the signal"
        statuses += [fetch(f"{address.url}/b")[0] for _ in range(5)]
        await told_apart(process, statuses, moved, path)
        assert len(requests(path)) == 5
        assert json.loads(path.read_text().splitlines()[0])["kind"] == "plan"
    assert '"event": "request_log_reopened"' in process.stderr


async def test_under_load_no_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    moved = [tmp_path / f"moved-{number}.log" for number in range(3)]
    async with weir("run", written(tmp_path), directory=tmp_path) as process:
        address = await process.listens()
        workers = children(process.popen.pid)
        with asking(f"{address.url}/a") as statuses:
            for file in moved:
                await until(lambda: path.exists() and len(requests(path)) > 5, "lines come", START)
                path.rename(file)
                process.signal(signal.SIGUSR1)
                await until(
                    lambda file=file: not holders(workers, file),  # type: ignore[misc]
                    "the moved file is let go of",
                    START,
                )
        await told_apart(process, statuses, *moved, path)


async def test_a_gateway_without_workers_does_so_too(tmp_path: Path) -> None:
    path = tmp_path / "weir-demo" / "requests.log"
    configuration = on_a_free_port(tmp_path)
    arguments = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    async with weir("demo", configuration, *arguments, directory=tmp_path) as process:
        await process.prints("^gateway +")
        await until(path.exists, "the log is there", START)
        moved = path.with_name("moved.log")
        path.rename(moved)
        pid = process.popen.pid
        process.signal(signal.SIGUSR1)
        await until(path.exists, "it is opened anew", START)
        await until(lambda: not holders([pid], moved), "the moved file is let go of", START)
        assert holders([pid], path) == [pid]
        process.signal(signal.SIGTERM)
        assert await process.ends() == 0


@pytest.mark.skipif(
    LOGROTATE is None, reason="needs logrotate; on Debian and Ubuntu: apt-get install logrotate"
)
async def test_logrotate_loses_nothing_by_the_sample(tmp_path: Path) -> None:
    assert LOGROTATE is not None
    path = tmp_path / "requests.log"
    async with weir("run", written(tmp_path), directory=tmp_path) as process:
        address = await process.listens()
        text = SAMPLE.read_text()
        for old, new in (
            (
                "/var/log/weir/requests.log {",
                f"{path} {{\n    su root root" if os.geteuid() == 0 else f"{path} {{",
            ),
            ("systemctl kill --kill-whom=main --signal=SIGUSR1 weir", f"kill -USR1 {process.popen.pid}"),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        sample = tmp_path / "logrotate.conf"
        sample.write_text(text)
        sample.chmod(0o644)
        workers = children(process.popen.pid)
        with asking(f"{address.url}/a") as statuses:
            for _ in range(3):
                await until(lambda: path.exists() and len(requests(path)) > 5, "lines come", START)
                subprocess.run(
                    [LOGROTATE, "--force", "--state", tmp_path / "state", sample],
                    check=True,
                    capture_output=True,
                )
                newest = tmp_path / "requests.log.1"
                await until(lambda: not holders(workers, newest), "the moved file is let go of", START)  # noqa: B023
        rotated = sorted(other.name for other in tmp_path.glob("requests.log.*"))
        assert [name for name in rotated if name != "requests.log.sidecars"] == [
            "requests.log.1",
            "requests.log.2.gz",
            "requests.log.3.gz",
        ]
        for file in tmp_path.glob("requests.log.*.gz"):
            subprocess.run(["gzip", "--decompress", file], check=True)
        await told_apart(
            process, statuses, path, *(tmp_path / f"requests.log.{number}" for number in (1, 2, 3))
        )
