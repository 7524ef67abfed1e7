"""What the commands that run a gateway share."""

from dataclasses import replace
from pathlib import Path

import click
import pytest

from gateway import application_log
from gateway.api.option import Secret
from gateway.app import StartError
from gateway.cli.setting import adjusted, load_or_exit, serve_or_exit
from gateway.config.load import Loaded, load, loads
from gateway.config.locate import bundled
from gateway.config.model import Address, AdminListen, Endpoint, UnixAddress, admin_at
from gateway.config.problem import ConfigurationError, Problem
from gateway.listener.parser import UnsupportedAiohttp
from gateway.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry(entry_points=lambda: ())


@pytest.fixture
def loaded(registry: Registry) -> Loaded:
    return load(bundled(), registry=registry, environment={})


def test_loads_what_is_right() -> None:
    loaded, registry = load_or_exit(bundled())
    assert [listen.place for listen in loaded.configuration.listen] == [Address("127.0.0.1", 8080)]
    assert "methods" in registry.names()


def test_tells_all_that_is_wrong_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        bundled().read_text().replace("listen:", "lisen:").replace("faults: compute", "faults: xml")
    )
    with pytest.raises(SystemExit) as ended:
        load_or_exit(path)
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(": ")[0].rpartition(":")[0] for line in told.err.splitlines()] == [
        f"{path}:{number}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.startswith(("lisen", "faults"))
    ]


def test_the_command_line_changes_nothing_that_it_does_not_name(loaded: Loaded) -> None:
    assert adjusted(loaded).configuration == loaded.configuration
    changed = adjusted(loaded, listen="[::1]:0").configuration
    assert [listen.place for listen in changed.listen] == [Address("::1", 0)]
    assert changed.model_copy(update={"listen": loaded.configuration.listen}) == loaded.configuration


def test_the_command_line_sets_addresses_the_log_and_an_upstream(loaded: Loaded) -> None:
    changed = adjusted(
        loaded,
        admin="127.0.0.1:1",
        log_path=None,
        endpoint=("compute", Endpoint("127.0.0.1", 2)),
    ).configuration
    assert changed.admin == admin_at("127.0.0.1:1")
    assert changed.log.path is None
    assert changed.log.max_files == loaded.configuration.log.max_files
    assert changed.upstreams["compute"].endpoints[0].url == Endpoint("127.0.0.1", 2)
    assert changed.upstreams["compute"].timeouts == loaded.configuration.upstreams["compute"].timeouts
    # What was loaded is as it was: a plan may stand on it.
    assert loaded.configuration.admin == admin_at("127.0.0.1:9901")
    assert loaded.configuration.upstreams["compute"].endpoints[0].url == Endpoint("127.0.0.1", 8774)


def test_the_command_line_may_name_a_unix_socket(loaded: Loaded) -> None:
    (listen,) = adjusted(loaded, listen="unix:/run/weir.sock").configuration.listen
    assert listen.place == UnixAddress("/run/weir.sock")
    admin = adjusted(loaded, admin="unix:/run/admin.sock").configuration.admin
    assert admin is not None
    assert str(admin) == "unix:/run/admin.sock"


def test_an_admin_listener_that_is_moved_keeps_its_token(loaded: Loaded) -> None:
    guarded = loaded.configuration.model_copy(
        update={"admin": AdminListen(address=Address("127.0.0.1", 1), token=Secret("t"))}
    )
    moved = adjusted(replace(loaded, configuration=guarded), admin="0.0.0.0:2").configuration.admin
    assert moved is not None
    assert (str(moved), moved.token) == ("0.0.0.0:2", Secret("t"))
    with pytest.raises(click.UsageError, match="it needs a token"):
        adjusted(loaded, admin="0.0.0.0:2")


@pytest.mark.parametrize(
    "address", ["", "8080", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "http://127.0.0.1:80"]
)
def test_a_bad_address_is_an_error_of_usage(loaded: Loaded, address: str) -> None:
    with pytest.raises(click.UsageError):
        adjusted(loaded, listen=address)
    with pytest.raises(click.UsageError):
        adjusted(loaded, admin=address)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StartError("the address is in use"), "weir: the address is in use\n"),
        (UnsupportedAiohttp("aiohttp 3.13.0 is installed"), "weir: aiohttp 3.13.0 is installed\n"),
        (
            ConfigurationError([Problem("a.yaml", 3, 5, "x", "no", "routes[0]")]),
            "a.yaml:3:5: routes[0]: no\n",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_gateway_that_cannot_start_says_why(
    loaded: Loaded,
    registry: Registry,
    error: Exception,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def serve(*arguments: object, **options: object) -> bool:
        raise error

    monkeypatch.setattr("gateway.alone.serve", serve)
    monkeypatch.setattr(application_log, "configure", lambda: None)
    with pytest.raises(SystemExit) as ended:
        serve_or_exit(loaded, registry)
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", line)


def test_a_bug_is_not_hidden(loaded: Loaded, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(*arguments: object, **options: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.alone.serve", serve)
    monkeypatch.setattr(application_log, "configure", lambda: None)
    with pytest.raises(ZeroDivisionError):
        serve_or_exit(loaded, registry)


def test_the_admin_listener_takes_its_guards_along(registry: Registry) -> None:
    text = (
        bundled()
        .read_text()
        .replace(
            "admin: ${WEIR_ADMIN:-127.0.0.1:9901}",
            'admin: { unix: a.sock, mode: "0600", token: open sesame }',
        )
    )
    loaded = loads(text, "gateway.yaml", registry=registry, environment={})
    moved = adjusted(loaded, admin="unix:b.sock").configuration.admin
    assert moved is not None
    assert (moved.unix, moved.mode) == ("b.sock", "0600")
    outside = adjusted(loaded, admin="0.0.0.0:9901").configuration.admin
    assert outside is not None
    assert outside.token == Secret("open sesame")
