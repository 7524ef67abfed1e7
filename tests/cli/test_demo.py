"""`weir demo` as a process: what it prints can be pasted, and nothing of it stays behind."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.config.locate import bundled
from gateway.demo.sample import SAMPLE_IMAGE, SAMPLE_METADATA, SAMPLE_PROJECT, token_list
from tests.cli.process import START, Process, told, weir
from tests.cli.test_run import METADATA, fetch
from tests.support.deadline import until
from tests.support.upstream import closed_port

ANYWHERE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
LINE = re.compile(
    r"^(\d\d:\d\d:\d\d\.\d{3})  (\w+) +(\S+) +(\d{3})  (?:(\w+): )?(\w+)(?: -> (\S+))? +(\d+\.\d) ms  (req-[0-9a-f-]{36})$",
    re.MULTILINE,
)


def on_a_free_port(directory: Path) -> Path:
    """The default configuration, with the bundled API on a port that nobody else has."""
    path = directory / "gateway.yaml"
    text = bundled().read_text()
    assert text.count("127.0.0.1:8774") == 1
    path.write_text(text.replace("127.0.0.1:8774", f"127.0.0.1:{closed_port()}"))
    return path


class Shown(NamedTuple):
    """One line of the output: a request, and why it was answered as it was."""

    method: str
    path: str
    status: int
    filter: str
    reason: str
    upstream: str
    request_id: str


class Demo:
    def __init__(self, process: Process, introduction: str) -> None:
        self.process = process
        self.introduction = introduction
        self.url = self.value("gateway")
        self.upstream = self.value("upstream")

    def value(self, name: str) -> str:
        """What the introduction says of `name`."""
        found = re.search(rf"^{name} +(\S+)", self.introduction, re.MULTILINE)
        assert found is not None, self.introduction
        return found[1]

    @property
    def requests(self) -> list[tuple[str, str]]:
        """What is said of each request to paste, and the line itself."""
        part = self.introduction.partition("requests to paste\n")[2].partition("\n\n")[0]
        lines = [line.removeprefix("  ") for line in part.splitlines()]
        assert len(lines) % 2 == 0
        return [(told.removeprefix("# "), line) for told, line in zip(lines[::2], lines[1::2], strict=True)]

    async def shows(self, count: int) -> list[Shown]:
        """All lines of requests so far, which are `count`."""

        def found() -> list[tuple[str, ...]]:
            return LINE.findall(self.process.stdout)

        await until(lambda: len(found()) >= count, f"{count} lines are shown")
        assert len(found()) == count
        return [
            Shown(method, path, int(status), name, reason, upstream, request_id)
            for _, method, path, status, name, reason, upstream, _, request_id in found()
        ]


@asynccontextmanager
async def demo(directory: Path) -> AsyncIterator[Demo]:
    path, kept = on_a_free_port(directory), directory / "kept"
    async with weir("demo", path, *ANYWHERE, "--directory", kept, directory=directory) as process:
        introduction = await process.prints(r"(?s)\A.*^Ctrl-C stops\.$")
        yield Demo(process, introduction[0])


def pasted(line: str, directory: Path) -> str:
    """What a shell prints for `line`."""
    done = subprocess.run(
        ["/bin/bash", "-c", line],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},  # neither a proxy nor a .curlrc
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=START,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


async def test_every_request_to_paste_gets_what_it_promises_and_is_shown(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        answers = [(promise, pasted(line, tmp_path)) for promise, line in running.requests]
        count = len(answers) - 1 + 12
        shown = await running.shows(count)
        running.process.signal(signal.SIGINT)
        assert await running.process.ends() == 0
        assert len(LINE.findall(running.process.stdout)) == count

    promised = [int(promise.partition(",")[0]) for promise, _ in answers]
    assert promised == [200, 200, 401, 405, 400, 413, 413]
    *single, (_, loop) = answers
    assert [answer.partition("\r\n")[0].split(" ")[1] for _, answer in single] == list(
        map(str, promised[:-1])
    )
    assert "\r\nAllow: GET, POST, PUT\r\n" in single[3][1]
    loops = loop.split()
    assert len(loops) == 12
    assert loops == sorted(loops)
    assert (loops[0], loops[-1]) == ("200", "413")

    path = f"/v2/{SAMPLE_PROJECT}/images/{SAMPLE_IMAGE}/metadata"
    bad = f"/v2/{SAMPLE_PROJECT}/images/not-a-uuid/metadata"
    assert [(line.method, line.path, line.status, line.filter, line.reason) for line in shown[:6]] == [
        ("GET", path, 200, "", "passed"),
        ("POST", path, 200, "", "passed"),
        ("GET", path, 401, "token_auth", "token_missing"),
        ("DELETE", path, 405, "methods", "method_not_allowed"),
        ("GET", bad, 400, "uuid", "uuid_invalid"),
        ("PUT", path, 413, "body_size", "body_too_large"),
    ]
    assert [str(line.status) for line in shown[6:]] == loops
    assert (shown[-1].filter, shown[-1].reason) == ("rate_limit", "rate_limited")
    assert [f"http://{line.upstream}" == running.upstream for line in shown] == [
        line.status == 200 for line in shown
    ]
    # A client has the id that the upstream gave, or the gateway's where it answered: each finds the record.
    log = running.value("log")
    for (_, answer), line in zip(single, shown, strict=False):
        found = re.search(r"^X-Compute-Request-Id: (\S+)\r$", answer, re.MULTILINE)
        assert found is not None
        assert (found[1] == line.request_id) == (line.status != 200)
        status, stdout, stderr = await told("logs", "show", found[1], "--log", log, directory=tmp_path)
        assert (status, line.request_id in stdout, line.reason in stdout) == (0, True, True), stderr


async def test_says_where_everything_is(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        admin = running.value("admin")
        assert fetch(f"{admin}/readyz") == (200, "ok\n")
        assert running.value("config") == str(tmp_path / "gateway.yaml")
        log = Path(running.value("log"))
        for entry in token_list():
            assert re.search(rf"^  {entry['token']} +{entry['user']}, ", running.introduction, re.MULTILINE)
        fetch(running.url + METADATA)
        (line,) = await running.shows(1)
        assert line.request_id in log.read_text()
        command = re.search(
            r"^  \S*weir (logs show REQUEST_ID --log \S+)$", running.introduction, re.MULTILINE
        )
        assert command is not None
        (elsewhere := tmp_path / "elsewhere").mkdir()
        arguments = command[1].replace("REQUEST_ID", line.request_id).split()
        status, stdout, _ = await told(*arguments, directory=elsewhere)
        assert (status, line.request_id in stdout, "token_missing" in stdout) == (0, True, True)


async def test_keeps_what_was_written_from_one_time_to_the_next(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        _, line = running.requests[1]
        assert '"Label": "Updated"' in pasted(line, tmp_path)
        running.process.signal()
        assert await running.process.ends() == 0
    async with demo(tmp_path) as running:
        status, body = fetch(running.url + METADATA, token=token_list()[0]["token"])
        assert status == 200
        assert '"Label": "Updated"' in body
        assert all(f'"{key}"' in body for key in SAMPLE_METADATA)


async def gone(url: str) -> None:
    """Waits until nothing listens there any more."""
    host, _, port = url.removeprefix("http://").partition(":")

    def refused() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex((host, int(port))) != 0

    await until(refused, f"nothing listens at {url}", START)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_leaves_no_api_behind_however_it_ends(tmp_path: Path, number: int) -> None:
    async with demo(tmp_path) as running:
        running.process.signal(number)
        assert await running.process.ends() == (-number if number == signal.SIGKILL else 0)
        await gone(running.upstream)


async def test_says_when_the_api_ends_and_goes_on(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        pid = running.process.popen.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        await running.process.prints(
            r"^The bundled API has ended \(status -9\): requests are answered 503\.$"
        )
        line = dict(running.requests)["200, the image's metadata"]
        assert "503" in pasted(line, tmp_path).splitlines()[0]
        running.process.signal(signal.SIGTERM)
        assert await running.process.ends() == 0


async def test_leaves_no_api_behind_when_it_cannot_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = on_a_free_port(tmp_path)
        status, stdout, stderr = await told(
            "demo", path, *ANYWHERE, "--listen", address, "--directory", tmp_path / "kept", directory=tmp_path
        )
    assert (status, stdout) == (1, "")
    assert stderr == f"weir: cannot listen on {address}: the address is in use\n"
    found = re.search(r"http://127\.0\.0\.1:\d+", path.read_text())
    assert found is not None
    await gone(found[0])


async def test_takes_another_port_for_the_api_where_its_own_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path / "gateway.yaml"
        path.write_text(bundled().read_text().replace(":8774", f":{port}"))
        kept = tmp_path / "kept"
        async with weir("demo", path, *ANYWHERE, "--directory", kept, directory=tmp_path) as process:
            introduction = await process.prints(r"(?s)\A.*^Ctrl-C stops\.$")
            running = Demo(process, introduction[0])
            assert running.upstream != f"http://127.0.0.1:{port}"
            assert fetch(running.url + METADATA, token=token_list()[0]["token"])[0] == 200


async def test_the_api_never_waits_for_somebody_to_read_its_log(tmp_path: Path) -> None:
    """Each request to the API is a line of its log: more lines than a pipe holds, 64 KiB, must not stop it."""
    async with demo(tmp_path) as running:
        path = "/" + "x" * 4000
        for _ in range(40):
            assert fetch(running.upstream + path)[0] == 401


# ---- bad input


async def test_a_configuration_without_the_upstream_is_an_error_of_usage(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        'upstreams: {other: {endpoints: ["http://127.0.0.1:9"]}}\nroutes: [{name: r, path: /, upstream: other}]\n'
    )
    status, stdout, stderr = await told("demo", path, *ANYWHERE, directory=tmp_path)
    assert (status, stdout) == (2, "")
    assert f"{path} has no upstream named 'compute'" in stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["gateway.yaml", "stderr", "stdout"]


async def test_a_bad_configuration_starts_no_api(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("listen: 127.0.0.1:8080\nlisen: 1\n")
    status, stdout, stderr = await told("demo", path, directory=tmp_path)
    assert (status, stdout) == (1, "")
    assert f"{path}:2:1: unknown key 'lisen'" in stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["gateway.yaml", "stderr", "stdout"]


async def test_a_bad_address_is_an_error_of_usage(tmp_path: Path) -> None:
    path = on_a_free_port(tmp_path)
    status, stdout, stderr = await told("demo", path, "--listen", "here", directory=tmp_path)
    assert (status, stdout) == (2, "")
    assert "expected host:port such as" in stderr
    status, _, stderr = await told("demo", path, "--listen", "unix:weir.sock", directory=tmp_path)
    assert status == 2
    assert "need a host and a port" in stderr


def listening(directory: Path, listen: str) -> Path:
    path = on_a_free_port(directory)
    text, count = re.subn(r"^listen: .*$", f"listen: {listen}", path.read_text(), flags=re.MULTILINE)
    assert count == 1
    path.write_text(re.sub(r"^admin: .*$", "admin: 127.0.0.1:0", text, flags=re.MULTILINE))
    return path


async def test_the_requests_to_paste_go_to_the_first_listener_that_takes_them(tmp_path: Path) -> None:
    behind = "{ address: 127.0.0.1:0, proxy_protocol: { trusted: [127.0.0.0/8] } }"
    path = listening(tmp_path, f"[unix:weir.sock, {behind}, 127.0.0.1:0]")
    async with weir("demo", path, "--directory", tmp_path / "kept", directory=tmp_path) as process:
        introduction = await process.prints(r"(?s)\A.*^Ctrl-C stops\.$")
        running = Demo(process, introduction[0])
        (told, line), *_ = running.requests
        assert told.startswith("200, ")
        assert pasted(line, tmp_path).startswith("HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "listen",
    [
        "unix:weir.sock",
        "{ address: 127.0.0.1:0, tls: { certificate: gateway.pem } }",
        "[{ address: 127.0.0.1:0, proxy_protocol: { trusted: [127.0.0.0/8] } }]",
    ],
)
async def test_a_configuration_without_a_plain_listener_is_an_error_of_usage(
    tmp_path: Path, listen: str
) -> None:
    path = listening(tmp_path, listen)
    status, stdout, stderr = await told("demo", path, directory=tmp_path)
    assert (status, stdout) == (2, "")
    assert f"{path} has no listener for the requests to paste" in stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["gateway.yaml", "stderr", "stdout"]


async def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    path = on_a_free_port(tmp_path)
    (tmp_path / "file").touch()
    for directory in ("file/below", "/proc/weir"):
        status, stdout, stderr = await told("demo", path, "--directory", directory, directory=tmp_path)
        assert (status, stdout, len(stderr.splitlines())) == (1, "", 1), stderr
        assert stderr.startswith(f"Error: {directory}: ")
    status, _, stderr = await told("demo", path, "--directory", "file", directory=tmp_path)
    assert status == 2
    assert "'file' is a file" in stderr


async def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = on_a_free_port(tmp_path)
    (tmp_path / "kept").mkdir()
    database = tmp_path / "kept" / "metadata.sqlite"
    database.write_text("no database, but longer than the header of one, which has a hundred bytes " * 3)
    status, stdout, stderr = await told(
        "demo", path, *ANYWHERE, "--directory", tmp_path / "kept", directory=tmp_path
    )
    assert (status, stdout) == (1, "")
    assert stderr == f"Error: the bundled API: {database}: file is not a database\n"
