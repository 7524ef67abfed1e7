"""Asking a running gateway's admin listener: it must be the one that is meant, wherever it listens."""

import asyncio
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import WEIR, told, weir
from tests.cli.test_reload import free_port, written
from tests.support.authority import Authority


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
