"""The command `weir`."""

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from gateway import __version__, form
from gateway.cli.main import COMMANDS, main

HEAVY = ("aiohttp", "pydantic", "yaml", "structlog", "cryptography", "orjson")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """`weir` in a process of its own, which ends by printing the modules that it imported."""
    script = (
        "import json, sys\nsys.argv = ['weir', *json.loads(sys.argv[1])]\n"
        "from gateway.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []])
def test_version_and_help_import_nothing_heavy(arguments: list[str]) -> None:
    done = run(*arguments)
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert imported.isdisjoint(HEAVY)
    assert not any(name.startswith(("filters", "gateway.config", "gateway.api")) for name in imported)


def test_says_its_version() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert (done.exit_code, done.output) == (0, f"weir, version {__version__}, {form()}\n")


def test_help_names_every_command_without_importing_it() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.output


def test_an_unknown_command_is_a_usage_error() -> None:
    done = CliRunner().invoke(main, ["chekc"])
    assert done.exit_code == 2
    assert "No such command 'chekc'" in done.output


def test_a_command_is_the_module_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = []

    def import_module(name: str) -> object:
        imported.append(name)
        return type("module", (), {"command": click.Command("check", callback=lambda: None)})

    monkeypatch.setattr("importlib.import_module", import_module)
    assert CliRunner().invoke(main, ["check"]).exit_code == 0
    assert imported == ["gateway.cli.check"]
