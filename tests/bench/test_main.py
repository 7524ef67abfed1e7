import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench import __main__ as command
from tests.bench.install import Tools
from tests.bench.run import STUDIES, Options
from tests.bench.session import Session
from tests.bench.test_result import made, samples
from tests.bench.test_session import session, whole


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find", lambda directory: Tools(None, None, None, None, None))


def test_without_peers_it_says_how_to_install_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(command.main, ["--tools", str(tmp_path)])
    assert result.exit_code == 2
    assert "not installed: envoy, nginx, taskset, wrk. `python -m tests.bench --setup`" in result.stderr
    assert result.stdout == ""


def test_envoy_is_not_asked_for_when_it_is_not_measured(tmp_path: Path) -> None:
    result = CliRunner().invoke(command.main, ["--tools", str(tmp_path), "weir", "nginx"])
    assert result.exit_code == 2
    assert "not installed: nginx, taskset, wrk." in result.stderr


def test_all_studies_run_when_all_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def run(options: Options, *others: object) -> Session:
        asked.append(options)
        return whole()

    monkeypatch.setattr(command, "find", lambda directory: Tools(*[tmp_path] * 5))
    monkeypatch.setattr(command, "run", run)
    page, figures = tmp_path / "bench.md", tmp_path / "figures.json"
    arguments = ["--workload", "W3", "--workload", "all", "--report", str(page), "--json", str(figures)]
    assert CliRunner().invoke(command.main, arguments).exit_code == 0
    assert CliRunner().invoke(command.main, ["--workload", "W3", "--workload", "W1"]).exit_code == 0
    assert CliRunner().invoke(command.main, []).exit_code == 0
    assert [options.studies for options in asked] == [STUDIES, ["W1", "W3"], ["W1"]]
    assert page.read_text().startswith("# Benchmark")
    assert json.loads(figures.read_text())["passed"] is True


def test_a_missed_bound_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missed = session(made(samples("weir", 30.0), samples("nginx", 10.0)))
    monkeypatch.setattr(command, "find", lambda directory: Tools(*[tmp_path] * 5))
    monkeypatch.setattr(command, "run", lambda *arguments: missed)
    result = CliRunner().invoke(command.main, [])
    assert result.exit_code == 1
    assert "MISSED" in result.stdout


@pytest.mark.parametrize("arguments", [["apache"], ["--workload", "W9"], ["--seconds", "0"]])
def test_wrong_arguments_are_named(arguments: list[str]) -> None:
    result = CliRunner().invoke(command.main, arguments)
    assert result.exit_code == 2
    assert "Invalid value" in result.stderr
