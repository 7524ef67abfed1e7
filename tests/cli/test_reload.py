"""`weir reload`: what a running gateway makes of its file, and the exit status that says so."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import WEIR, started, told, weir
from tests.cli.test_main import run
from tests.support.authority import Authority
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
        assert second == "rate_limit: begins anew, for its definition or its name is another"
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
    path = written(tmp_path, admin=admin)
    path.write_text(path.read_text() + "workers: ${WEIR_TEST_WORKERS}\n")
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


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("admin: { adress: 127.0.0.1:1 }\nlisten: ${WEIR_ABSENT}\n", "1:10: admin: unknown key 'adress'"),
        ("admin: ${WEIR_ABSENT}\n", "1:8: admin: the environment variable WEIR_ABSENT is not set"),
        ("admin: [\n", "2:1: "),
    ],
)
async def test_who_is_to_be_asked_must_be_readable(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    status, out, err = await told("reload", path, directory=tmp_path)
    assert (status, out) == (1, "")
    first, last = err.splitlines()
    assert first.startswith(f"{path}:{wrong}")
    assert last == "weir: the gateway has not been asked; nothing has changed"


async def test_another_with_a_certificate_of_the_same_authority_is_not_the_gateway(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain = tmp_path / "chain.pem"
    own, other = authority.issue("own"), authority.issue("other")
    chain.write_bytes(own.certificate.read_bytes() + authority.file.read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(other.certificate, other.key)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        admin = {
            "address": f"127.0.0.1:{listening.getsockname()[1]}",
            "token": "open sesame",
            "tls": {"certificate": str(chain), "key": str(own.key)},
        }

        def answer() -> None:
            sock, _ = listening.accept()
            with suppress(OSError), context.wrap_socket(sock, server_side=True) as secured:
                heard.append(secured.recv(1024))

        asked = asyncio.create_task(asyncio.to_thread(answer))
        status, _, err = await told("reload", written(tmp_path, admin=admin), directory=tmp_path)
        await asked
    assert status == 2
    assert "certificate verify failed" in err
    assert b"".join(heard) == b""


def test_asks_without_what_serves(tmp_path: Path) -> None:
    """aiohttp alone takes longer than all the rest."""
    done = run("reload", str(written(tmp_path, admin=f"127.0.0.1:{free_port()}")))
    assert done.returncode == 2
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert imported.isdisjoint(("aiohttp", "cryptography", "prometheus_client", "gateway.app"))


@pytest.mark.parametrize("secured", [False, True])
async def test_the_admin_listener_may_be_a_socket_and_may_speak_tls(tmp_path: Path, secured: bool) -> None:
    admin: dict[str, Any] = {"unix": "admin.sock"}
    ours: list[str | Path] = []
    if secured:
        authority = Authority(tmp_path)
        tls = {**authority.issue().options, "client_ca": str(authority.file)}
        admin = {"address": f"127.0.0.1:{free_port()}", "tls": tls}
        client = authority.issue("operator")
        both = tmp_path / "operator.pem"
        both.write_bytes(client.certificate.read_bytes() + client.key.read_bytes())
        ours = ["--certificate", both]
    path = written(tmp_path, admin=admin)
    async with weir("run", path, directory=tmp_path) as process:
        await process.prints('"started"', to="stderr")
        elsewhere = tmp_path / "reload"
        elsewhere.mkdir()
        status, _, err = await told("reload", path, *ours, directory=elsewhere)
        assert (status, err) == (0, "")
        if secured:
            status, _, err = await told("reload", path, directory=elsewhere)
            assert status == 2
        process.signal()
        assert await process.ends() == 0


async def test_nobody_there_is_2(tmp_path: Path) -> None:
    path = written(tmp_path, admin=f"127.0.0.1:{free_port()}")
    status, out, err = await told("reload", path, directory=tmp_path)
    assert (status, out) == (2, "")
    first, hint = err.splitlines()
    assert first.endswith("(admin): Connection refused")
    assert "SIGHUP" in hint


async def test_what_is_no_gateway_is_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        path = written(tmp_path, admin=f"127.0.0.1:{other.getsockname()[1]}")
        process = subprocess.Popen(
            [WEIR, "reload", path],
            stderr=subprocess.PIPE,
        )
        client, _ = other.accept()
        with client:
            client.sendall(b"220 mail.example ESMTP\r\n")
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2
        assert b"what answers is no gateway" in err


async def test_without_an_admin_listener_there_is_nobody_to_ask(tmp_path: Path) -> None:
    status, _, err = await told("reload", written(tmp_path, admin=None), directory=tmp_path)
    assert status == 2
    assert "SIGHUP" in err
