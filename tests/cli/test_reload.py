"""`weir reload`: what a running gateway makes of its file, and the exit status that says so."""

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import WEIR, told, weir
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
    """What only a worker finds: the command would not even ask with a file that cannot be read."""
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
    assert err.endswith("(admin): Connection refused\n")


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
