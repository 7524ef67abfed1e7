"""What deploy/ holds: units and a compose file that say what the gateway understands, carried out as far as a test can."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.model import Configuration
from gateway.registry import Registry
from tests.cli.process import WEIR, started, weir
from tests.cli.test_run import fetch
from tests.support.deadline import until

DEPLOY = Path(__file__).parents[1] / "deploy"
IMAGE = "/v2/8f0e5ee2b0b14f5ab0d2e9a0f4a3c1d7/images/70a599e0-31e7-49b7-b260-868f441e862b/metadata"

# From systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.resource-control(5) and
# systemd.socket(5), version 247 and later: those that such units may need.
KNOWN = {
    "Unit": "Description Documentation After Before Wants Requires",
    "Install": "WantedBy Also Alias",
    "Socket": "ListenStream Backlog NoDelay ReusePort BindIPv6Only SocketUser SocketGroup SocketMode Service",
    "Service": """
        Type NotifyAccess ExecStartPre ExecStart ExecReload KillMode TimeoutStopSec Restart RestartSec WatchdogSec User Group
        RuntimeDirectory LogsDirectory StateDirectory ConfigurationDirectory WorkingDirectory UMask LimitNOFILE
        Environment EnvironmentFile LoadCredential AmbientCapabilities CapabilityBoundingSet NoNewPrivileges ProtectSystem
        ProtectHome PrivateTmp PrivateDevices ProtectKernelTunables ProtectKernelModules ProtectKernelLogs
        ProtectControlGroups ProtectClock ProtectHostname ProtectProc RemoveIPC RestrictAddressFamilies RestrictNamespaces
        RestrictRealtime RestrictSUIDSGID LockPersonality SystemCallArchitectures SystemCallFilter SystemCallErrorNumber
    """,
}


def unit(name: str) -> dict[str, list[str]]:
    """The directives of a unit, each with its values."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return services


def shipped(name: str) -> Configuration:
    return load(DEPLOY.parent / name, registry=Registry()).configuration


def test_the_commands_of_the_service_are_commands_of_weir() -> None:
    service = unit("weir.service")
    names = []
    for key in ("ExecStartPre", "ExecStart", "ExecReload"):
        (line,) = service[key]
        program, command, *arguments = shlex.split(line)
        assert program == "/opt/weir/bin/weir"
        assert arguments == ["/etc/weir/gateway.yaml"]
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0
        names.append(command)
    assert names == ["check", "run", "reload"]
    assert (service["Type"], service["KillMode"]) == (["notify"], ["mixed"])


@pytest.mark.parametrize("name", ["config/gateway.yaml", "deploy/gateway.yaml"])
def test_the_drain_has_the_time_that_it_takes(name: str) -> None:
    configuration = shipped(name)
    longest = configuration.drain_delay + configuration.drain_timeout
    (stop,) = unit("weir.service")["TimeoutStopSec"]
    assert int(stop) > longest
    assert int(compose()["weir"]["stop_grace_period"].removesuffix("s")) > longest


@pytest.mark.parametrize("name", ["weir.service", "weir.socket"])
def test_the_units_hold_what_systemd_knows_and_nothing_twice(name: str) -> None:
    section, seen = "", set()
    for line in (DEPLOY / name).read_text().splitlines():
        assert re.fullmatch(r"(#.*|\[\w+\]|[A-Z]\w+=\S.*)?", line), line
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key = line.partition("=")[0]
            assert key in KNOWN[section].split(), f"[{section}] {line}"
            assert (section, key) not in seen, f"[{section}] {line}"
            seen.add((section, key))


def test_the_units_are_good_in_the_eyes_of_systemd(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:  # what it looks at is then looked at by the test above
        return
    known = (DEPLOY / "weir.service").read_text()
    (tmp_path / "weir.service").write_text(known.replace("/opt/weir/bin/weir", str(WEIR)))
    shutil.copy(DEPLOY / "weir.socket", tmp_path)
    done = subprocess.run(
        [program, "verify", tmp_path / "weir.service", tmp_path / "weir.socket"],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "weir" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_socket_is_where_the_default_configuration_can_listen() -> None:
    (stream,) = unit("weir.socket")["ListenStream"]
    (listen,) = shipped("deploy/gateway.yaml").listen
    assert str(listen) == stream
    assert unit("weir.socket")["Service"] == ["weir.service"]


def test_the_image_looks_after_the_health_of_the_gateway_where_its_admin_listener_is() -> None:
    gateway = compose()["weir"]
    assert "healthcheck" not in gateway  # which would take the place of the image's
    admin = shipped("deploy/gateway.yaml").admin
    assert admin is not None
    assert admin.address is not None
    (check,) = re.findall(r"HTTPConnection\('(.+?)', (\d+)", (DEPLOY.parent / "Dockerfile").read_text())
    assert check == (admin.address.host, str(admin.address.port))


async def test_the_services_of_the_compose_file_work_together(tmp_path: Path) -> None:
    """Each by its own command line, on this host's ports instead of the network of containers."""
    services = compose()
    api, gateway = services["compute"], services["weir"]
    here = {"/tmp/metadata.sqlite": str(tmp_path / "metadata.sqlite"), "0.0.0.0": "127.0.0.1", "8774": "0"}
    command = [here.get(part, part) for part in api["command"]]
    assert api["entrypoint"][:2] == ["python", "-m"]
    (tmp_path / "api").mkdir()
    async with started([sys.executable, *api["entrypoint"][1:], *command], tmp_path / "api") as upstream:
        (port,) = (await upstream.prints(r"listening on \S+:(\d+)")).groups()
        (volume,) = gateway["volumes"]
        source, target, mode = volume.split(":")
        assert (target, mode) == ("/etc/weir/gateway.yaml", "ro")
        text = (DEPLOY / source).read_text()
        for old, new in (
            ("http://compute:8774", f"http://127.0.0.1:{port}"),
            ("${WEIR_LISTEN:-0.0.0.0:8080}", "127.0.0.1:0"),
            ("127.0.0.1:9901", "127.0.0.1:0"),
            ("drain_delay: 5s", "drain_delay: 0s"),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        assert gateway["command"] == ["run", target]
        async with weir("run", path, directory=tmp_path) as process:
            address = await process.listens()
            await until(lambda: fetch(f"{address.admin_url}/readyz")[0] == 200, "it is ready")
            assert fetch(address.url + IMAGE)[0] == 401
            status, body = fetch(address.url + IMAGE, token="change-me")
            assert status in (200, 404), body
            assert json.loads(body)
            process.signal()
            assert await process.ends() == 0
        upstream.signal()
        await upstream.ends()
