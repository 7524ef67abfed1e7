"""`weir check`."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.config.locate import bundled
from tests.cli.test_main import run
from tests.support.authority import Authority

GOOD = """\
upstreams: {a: {endpoints: ["http://a:1"]}}
filters: [methods: {allow: [GET]}]
routes:
  - {name: r, path: "/{x}", upstream: a, filters: [uuid: {params: [x]}]}
  - {name: s, path: /s, upstream: a}
"""


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    return path


def test_says_that_all_is_well(path: Path) -> None:
    done = check(str(path))
    assert (done.exit_code, done.stderr) == (0, "")
    revision = done.stdout.split()[-1]
    assert done.stdout == f"{path}: ok, 2 filters, 2 routes, revision {revision}\n"
    assert len(revision) == 8


def test_says_all_that_is_wrong(path: Path) -> None:
    path.write_text(GOOD.replace("allow", "alow").replace("path: /s", "path: s"))
    done = check(str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"{path}:2:11: methods: missing required key 'allow'",
        f"{path}:2:21: methods: unknown key 'alow' (did you mean 'allow'?)",
        f"{path}:5:15: routes[1].path: a path template begins with '/', got 's'",
    ]


def test_reads_certificates_and_keys(path: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("a")
    authority.issue("b")
    tls = "listen: { address: 127.0.0.1:8443, tls: { certificate: a.pem, key: %s } }\n"
    path.write_text(tls % "a.key" + GOOD)
    assert check(str(path)).exit_code == 0
    path.write_text(tls % "b.key" + GOOD.replace("path: /s", 'path: "/{y}"'))
    done = check(str(path))
    assert done.exit_code == 1
    first, second = done.stderr.splitlines()
    assert first == f"{path}:1:63: listen.tls.key: the key in 'b.key' is not that of the certificate"
    assert second.startswith(f"{path}:6:15: routes[1].path: ")


def test_the_example_with_tls_is_right_once_its_certificates_are_made_as_it_says(tmp_path: Path) -> None:
    example = tmp_path / "tls.yaml"
    example.write_text((bundled().parent / "examples" / "tls.yaml").read_text())
    assert check(str(example)).exit_code == 1
    command = re.search(r"^#   (openssl (?:.*\\\n)*.*)$", example.read_text(), re.MULTILINE)
    assert command is not None
    script = command[1].replace("\n#", "\n")
    subprocess.run(["/bin/sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    done = check(str(example))
    assert (done.exit_code, done.stderr) == (0, "")


def test_finds_routes_that_cannot_be_told_apart(path: Path) -> None:
    path.write_text(GOOD.replace("path: /s", 'path: "/{y}"'))
    done = check(str(path))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{path}:5:15: routes[1].path: ")


def test_finds_a_parameter_that_no_path_has(path: Path) -> None:
    path.write_text(GOOD.replace("params: [x]", "params: [x, y]"))
    done = check(str(path))
    assert done.exit_code == 1
    assert done.stderr == (f"{path}:4:71: uuid.params[1]: the path of the route has no parameter 'y'\n")


def test_says_it_in_json(path: Path) -> None:
    assert json.loads(check(str(path), "--format", "json").stdout) == []
    path.write_text(GOOD.replace("allow: [GET]", "allow: [GET], x: 1"))
    done = check(str(path), "--format", "json")
    assert (done.exit_code, done.stderr) == (1, "")
    assert json.loads(done.stdout) == [
        {
            "file": str(path),
            "line": 2,
            "column": 35,
            "code": "unknown_key",
            "message": "unknown key 'x'",
            "key": "methods",
        }
    ]


def test_a_missing_file_is_a_plain_message(tmp_path: Path) -> None:
    done = check(str(tmp_path / "nosuch.yaml"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path}/nosuch.yaml: cannot be read: no such file or directory\n"


def test_wrong_usage_is_status_2(path: Path) -> None:
    assert check(str(path), "--format", "xml").exit_code == 2
    assert check(str(path), "more").exit_code == 2


def test_without_a_file_it_takes_the_one_that_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.yaml").write_text(GOOD)
    assert check().stdout.startswith(f"config{os.sep}gateway.yaml: ok, ")


def test_does_not_import_aiohttp() -> None:
    done = run("check", str(bundled()))
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stderr.splitlines()[-1])
    assert not [name for name in imported if name.split(".")[0] == "aiohttp"]
