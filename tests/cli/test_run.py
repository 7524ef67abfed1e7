"""`weir run` as a process: what it says and how it ends, given good input and bad."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway.config.locate import bundled
from gateway.demo.sample import MEMBER_TOKEN, SAMPLE_IMAGE, SAMPLE_PROJECT
from tests.cli.process import START, WEIR, told, weir
from tests.support.upstream import closed_port

ANYWHERE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
ALONE = (*ANYWHERE, "--workers", "1")
METADATA = f"/v2/{SAMPLE_PROJECT}/images/{SAMPLE_IMAGE}/metadata"
GOOD = bundled().read_text()


def fetch(url: str, *, token: str | None = None) -> tuple[int, str]:
    """Status and body of a GET; no status is an error."""
    request = urllib.request.Request(url, headers={} if token is None else {"X-Auth-Token": token})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def written(directory: Path, *changes: tuple[str, str]) -> Path:
    """The default configuration with `changes`, in a file of its own."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = directory / "gateway.yaml"
    path.write_text(text)
    return path


def line_of(path: Path, text: str) -> int:
    """The number of the line of a file that `text` stands in, once."""
    before, _ = path.read_text().split(text)
    return before.count("\n") + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serves_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    async with weir("run", *ANYWHERE, directory=tmp_path) as process:
        address = await process.listens()
        assert fetch(f"{address.admin_url}/readyz") == (200, "ok\n")
        assert fetch(address.url + METADATA)[0] == 401
        process.signal(number)
        assert await process.ends() == 0
    events = [json.loads(line)["event"] for line in process.stderr.splitlines()]
    assert events == ["started", "draining", "stopped"]


async def test_without_a_configuration_it_takes_the_one_that_came_along(tmp_path: Path) -> None:
    async with weir("run", *ANYWHERE, directory=tmp_path) as process:
        address = await process.listens()
        status, body = fetch(address.url + METADATA)
        assert (status, json.loads(body)["unauthorized"]["code"]) == (401, 401)


async def test_to_a_pipe_it_writes_a_record_a_line_in_json(tmp_path: Path) -> None:
    async with weir("run", *ALONE, directory=tmp_path) as process:
        address = await process.listens()
        fetch(address.url + METADATA)
        fetch(address.url + "/nowhere", token=MEMBER_TOKEN)
        process.signal()
        assert await process.ends() == 0
    records = [json.loads(line) for line in process.stdout.splitlines()]
    requests = [record for record in records if record["kind"] == "request"]
    assert len(records) > len(requests)  # each worker says what is in force
    assert sorted((r["http.response.status_code"], r["gateway.reason"]) for r in requests) == [
        (401, "token_missing"),
        (404, "route_not_found"),
    ]


def test_on_a_terminal_it_shows_readable_lines(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [WEIR, "run", *ALONE], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave
    )
    os.close(slave)
    shown = ""

    def until(pattern: str) -> "re.Match[str]":
        nonlocal shown
        while (found := re.search(pattern, shown)) is None:
            ready, _, _ = select.select([master], [], [], START)
            assert ready, f"the terminal shows {pattern!r}: {shown}"
            shown += os.read(master, 4096).decode()
        return found

    try:
        plain = r"(?:\x1b\[[0-9;]*m)*"
        port = until(rf"listen{plain}={plain}\['127\.0\.0\.1:(\d+)'\]")[1]
        fetch(f"http://127.0.0.1:{port}{METADATA}")
        line = until(r"[^\n]*GET [^\n]*\n")[0]
        assert "\x1b[33m401\x1b[0m" in line
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d\.\d{{3}}  GET +{re.escape(METADATA)} +401  token_auth: token_missing +"
            r"\d+\.\d ms  req-[0-9a-f-]{36}\r\n",
            line,
        ), line
        process.send_signal(signal.SIGTERM)
        assert process.wait(START) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)
    assert "{" not in shown


async def test_an_upstream_that_is_down_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    path = written(tmp_path, ("http://127.0.0.1:8774", f"http://127.0.0.1:{(port := closed_port())}"))
    async with weir("run", path, *ALONE, directory=tmp_path) as process:
        address = await process.listens()
        status, body = fetch(address.url + METADATA, token=MEMBER_TOKEN)
        assert status == 503
        assert str(port) not in body
        await process.prints(r'"upstream_connect_failed"')


# ---- bad input: a clear sentence with its place, a status of 1 or 2, and no traceback

CHANGES = {
    "unknown key": (
        ("drain_timeout: 30s", "drain_timout: 30s"),
        r":\d+:1: unknown key 'drain_timout' \(did you mean 'drain_timeout'\?\)$",
    ),
    "wrong type": (
        ("header_count: 128 ", "header_count: ten "),
        r":\d+:3: limits\.header_count: expected .*, got 'ten'$",
    ),
    "option of a filter": (
        ("rate: 10/minute", "rate: ten"),
        r":\d+:11: rate_limit\.limits\[1\]\.rate: expected a rate such as 10/minute",
    ),
    "unknown filter": (
        ("- methods: { allow: [GET, POST, PUT] }", "- method: { allow: [GET, POST, PUT] }"),
        r":\d+:9: .*there is no filter 'method' \(did you mean 'methods'\?\)$",
    ),
    "unknown upstream": (
        ("path: /v2/{project_id}/images/{image_id}/metadata/{key}\n    upstream: compute", "path: /a\n    upstream: computer"),
        r":\d+:5: routes\[1\]\.upstream: .*'computer' \(did you mean 'compute'\?\)$",
    ),
    "no YAML": (("upstreams:\n", "upstreams: [\n"), r":\d+:\d+: "),
    "admin where it listens": (("admin: ${WEIR_ADMIN:-127.0.0.1:9901}", "admin: 127.0.0.1:8080"), r":\d+:1: admin: "),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
async def test_says_what_is_wrong_in_a_configuration_and_where(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = written(tmp_path, change)
    status, stdout, stderr = await told("run", path, directory=tmp_path)
    assert (status, stdout) == (1, "")
    assert re.search(rf"^{re.escape(str(path))}{message}", stderr, re.MULTILINE), stderr


async def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "latin").write_bytes(b"# ok\nlisten: \xe9\n")
    for name, message in (
        ("absent", "absent: cannot be read: no such file or directory"),
        ("directory", "directory: cannot be read: is a directory"),
        ("loop", "loop: cannot be read: too many levels of symbolic links"),
        ("/proc/self/mem", "/proc/self/mem: cannot be read: input/output error"),
        ("latin", "latin:2:9: not UTF-8: byte 0xe9"),
    ):
        assert await told("run", name, directory=tmp_path) == (1, "", f"{message}\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_configuration_of_another_user_is_one_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.chmod(0)
    assert await told("run", path, directory=tmp_path) == (
        1,
        "",
        f"{path}: cannot be read: permission denied\n",
    )


@pytest.mark.parametrize("option", ["--listen", "--admin"])
@pytest.mark.parametrize("address", ["8080", ":8080", "127.0.0.1:99999", "127.0.0.1:http", ""])
async def test_an_address_that_is_none_is_an_error_of_usage(
    tmp_path: Path, option: str, address: str
) -> None:
    status, stdout, stderr = await told("run", option, address, directory=tmp_path)
    assert (status, stdout) == (2, "")
    assert re.search(r"^Error: .*(host:port|port is 0 to 65535)", stderr, re.MULTILINE), stderr


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert await told("run", *ANYWHERE, "--listen", address, directory=tmp_path) == (
            1,
            "",
            f"weir: cannot listen on {address}: the address is in use\n",
        )
        assert await told("run", *ANYWHERE, "--admin", address, directory=tmp_path) == (
            1,
            "",
            f"weir: cannot listen on {address} (admin): the address is in use\n",
        )


async def test_one_port_cannot_be_both(tmp_path: Path) -> None:
    address = f"127.0.0.1:{closed_port()}"
    status, stdout, stderr = await told("run", "--listen", address, "--admin", address, directory=tmp_path)
    assert status in (1, 2)
    assert stdout == ""
    assert address in stderr
    assert "admin" in stderr


async def test_an_address_of_another_host_is_one_line(tmp_path: Path) -> None:
    admin = "admin: ${WEIR_ADMIN:-127.0.0.1:9901}"
    path = written(tmp_path, (admin, 'admin: { address: "127.0.0.1:9901", token: open sesame }'))
    for option, where in (("--listen", ""), ("--admin", " (admin)")):
        status, stdout, stderr = await told("run", path, *ANYWHERE, option, "192.0.2.1:0", directory=tmp_path)
        assert (status, stdout) == (1, "")
        assert stderr == f"weir: cannot listen on 192.0.2.1:0{where}: the address is not one of this host\n"


async def test_an_admin_listener_that_others_can_reach_and_nobody_guards_is_an_error_of_usage(
    tmp_path: Path,
) -> None:
    status, stdout, stderr = await told("run", *ANYWHERE, "--admin", "0.0.0.0:0", directory=tmp_path)
    assert (status, stdout) == (2, "")
    assert "0.0.0.0:0 can be reached by others than this host: it needs a token" in stderr


@pytest.mark.parametrize(
    ("log", "why"), [("absent/requests.log", "no such file or directory"), (".", "is a directory")]
)
async def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path, log: str, why: str) -> None:
    path = written(tmp_path, ('path: "-"', f"path: {log}"))
    status, stdout, stderr = await told("run", path, *ANYWHERE, directory=tmp_path)
    assert (status, stdout) == (1, "")
    position = f"{path}:{line_of(path, f'path: {log}')}:3"
    assert stderr == f"{position}: log.path: the request log {log} cannot be written: {why}\n"


async def test_a_configuration_too_many_is_an_error_of_usage(tmp_path: Path) -> None:
    status, _, stderr = await told("run", "a.yaml", "b.yaml", directory=tmp_path)
    assert status == 2
    assert "unexpected extra argument" in stderr
