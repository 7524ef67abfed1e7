from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench import __main__ as command
from tests.bench.install import Tools


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find", lambda directory: Tools(None, None, None, None))


def test_without_peers_it_says_how_to_install_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(command.main, ["--tools", str(tmp_path)])
    assert result.exit_code == 2
    assert "not installed: envoy, nginx, taskset, wrk. `python -m tests.bench --setup`" in result.stderr
    assert result.stdout == ""


def test_envoy_is_not_asked_for_when_it_is_not_measured(tmp_path: Path) -> None:
    result = CliRunner().invoke(command.main, ["--tools", str(tmp_path), "weir", "nginx"])
    assert result.exit_code == 2
    assert "not installed: nginx, taskset, wrk." in result.stderr


@pytest.mark.parametrize("arguments", [["apache"], ["--workload", "W9"], ["--seconds", "0"]])
def test_wrong_arguments_are_named(arguments: list[str]) -> None:
    result = CliRunner().invoke(command.main, arguments)
    assert result.exit_code == 2
    assert "Invalid value" in result.stderr
