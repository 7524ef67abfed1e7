"""`weir migrate`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.migration.installed import installed

SIX = Path(__file__).parent.parent / "migration" / "six"


def migrate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "repose", *arguments])


def test_writes_a_configuration_that_passes_and_reports(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    done = migrate(str(SIX), "--output", str(path))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "moved with a difference" in done.stderr.splitlines()[0]
    checked = CliRunner().invoke(main, ["check", str(path)])
    assert (checked.exit_code, checked.stderr) == (0, "")


def test_prints_the_configuration_and_writes_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = migrate(str(SIX), "--report", str(report), "--format", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("# Moved from Repose.")
    told = {part["name"]: part["outcome"] for part in json.loads(report.read_text())}
    assert told["client-auth"] == "moved with a difference"
    assert told["api-validator"] == "moved with a difference"


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("mine")
    done = migrate(str(SIX), "--output", str(path))
    assert done.exit_code == 2
    assert "exists" in done.stderr
    assert path.read_text() == "mine"
    assert migrate(str(SIX), "--output", str(path), "--force").exit_code == 0
    assert path.read_text() != "mine"


def test_a_file_that_cannot_be_read_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "system-model.cfg.xml").write_text("<system-model>\n<nodes></system-model>")
    path = tmp_path / "gateway.yaml"
    done = migrate(str(tmp_path), "--output", str(path))
    assert done.exit_code == 2
    assert done.stderr == f"{tmp_path}/system-model.cfg.xml:2: not XML: mismatched tag\n"
    assert not path.exists()


def test_one_of_several_clusters(tmp_path: Path) -> None:
    done = migrate(str(SIX), "--cluster", "other", "--node", "other-1")
    assert 'endpoints: ["http://x.internal"]' in done.stdout.replace(":80", "")
    assert migrate(str(SIX), "--cluster", "third").exit_code == 2


def test_what_may_not_be_put_in_force_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "system-model.cfg.xml").write_text(
        '<system-model><nodes><node id="n" http-port="8080"/></nodes><destinations>'
        '<endpoint id="o" protocol="http" hostname="{$ ORIGIN $}" default="true"/></destinations></system-model>'
    )
    monkeypatch.setenv("ORIGIN", "origin.internal")
    path = tmp_path / "gateway.yaml"
    assert migrate(str(tmp_path), "-o", str(path)).exit_code == 0
    assert "http://${ORIGIN}" in path.read_text()
    monkeypatch.delenv("ORIGIN")
    assert "ORIGIN is not set" in CliRunner().invoke(main, ["check", str(path)]).stderr


def test_in_shadow_in_front_of_the_repose() -> None:
    done = migrate(str(SIX), "--shadow", "http://127.0.0.1:8088")
    assert 'repose: { endpoints: ["http://127.0.0.1:8088"], host: keep }' in done.stdout
    wrong = migrate(str(SIX), "--shadow", "127.0.0.1:8088")
    assert (wrong.exit_code, "--shadow: expected http://host:port" in wrong.stderr) == (2, True)


def test_a_check_that_cannot_be_moved_is_an_exit_status(tmp_path: Path) -> None:
    installed(
        tmp_path,
        '<filter name="client-auth"/>',
        {
            "client-auth-n": '<client-auth><openstack-auth><identity-service uri="http://i.example.com"/>'
            '<client-mapping id-regex="(a+)+b"/></openstack-auth></client-auth>'
        },
    )
    done = migrate(str(tmp_path))
    assert done.exit_code == 1
    assert "refuses all its requests: client-auth (system-model.cfg.xml:3)" in done.stderr
    assert "# NOT MOVED" in done.stdout
