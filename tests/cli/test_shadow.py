"""`weir shadow`."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.config.load import load
from gateway.registry import Registry
from tests.backtest.logged import KEYSTONE, Asked, logged, text_of, written

TEXT = text_of(filters=[KEYSTONE, {"methods": {"allow": ["GET"], "mode": "shadow", "shadow_percent": 100}}])


def shadow(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["shadow", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = asyncio.run(logged(TEXT, [Asked(0), Asked(60, method="PUT"), Asked(120, method="POST")]))
    path = tmp_path / "requests.jsonl"
    (tmp_path / "gateway.yaml").write_text(TEXT.replace("path: null", f"path: {path}"))
    return written(lines, path)


def test_what_enforcing_would_have_done(log: Path) -> None:
    done = shadow("report", "--log", log)
    assert done.exit_code == 0
    assert "would refuse 2 of 3 that were forwarded (66.67 %)" in done.stdout
    assert "405 method_not_allowed" in done.stdout and "projects p1 2" in done.stdout


def test_the_log_of_the_configuration_as_json_and_of_a_time(log: Path) -> None:
    config = log.parent / "gateway.yaml"
    told = json.loads(
        shadow("report", "--config", config, "--format", "json", "--since", "2026-01-01T12:01:30").stdout
    )
    assert (told["methods"]["judged"], told["methods"]["would_refuse"]) == (1, 1)
    done = shadow("report", "--config", config, "--until", "2026-01-01T00:00")
    assert done.stdout == "No record tells of a filter in shadow.\n"


def test_what_another_refuses_is_neither_refused_nor_forwarded(tmp_path: Path) -> None:
    other = {"body_size": {"max": 1}}
    text = text_of(filters=[KEYSTONE, {"methods": {"allow": ["GET"], "mode": "shadow"}}, other])
    asked = [Asked(0), Asked(60, method="PUT"), Asked(120, method="PUT", body=b"{}"), Asked(180, body=b"{}")]
    path = written(asyncio.run(logged(text, asked)), tmp_path / "requests.jsonl")
    done = shadow("report", "--log", path)
    assert "would refuse 1 of 2 that were forwarded (50.00 %)" in done.stdout
    assert "judged 4; 2 of them others did not forward, 1 of which it would refuse too" in done.stdout
    told = json.loads(shadow("report", "--log", path, "--format", "json").stdout)["methods"]
    assert (told["judged"], told["forwarded"], told["would_refuse"], told["share"]) == (4, 2, 1, 0.5)
    assert told["refused_anyway"] == 1


def test_a_log_that_was_cut_short(log: Path) -> None:
    log.with_name("requests.jsonl.1.gz").write_bytes(gzip.compress(log.read_bytes())[:-20])
    done = shadow("report", "--log", log)
    assert done.exit_code == 0 and "of 3 that were" not in done.stdout  # more than the file that is whole
    assert "requests.jsonl.1.gz could not be read to its end" in done.stderr


def test_the_edit_is_printed_as_a_patch(log: Path) -> None:
    config = log.parent / "gateway.yaml"
    done = shadow("promote", "methods", "--config", config)
    assert done.exit_code == 0
    text = config.read_text()
    for line in done.stdout.splitlines(keepends=True)[3:]:
        if line.startswith("-"):
            assert text.count(line[1:]) == 1
            text = text.replace(line[1:], "")
        elif line.startswith("+"):
            text = text.replace("  methods:\n", f"  methods:\n{line[1:]}")
    config.write_text(text)
    (_, entry) = load(config, registry=Registry()).configuration.filters
    assert (entry.mode, entry.shadow_percent) == ("enforce", 100.0)


def test_what_is_wrong_is_said(log: Path) -> None:
    config = log.parent / "gateway.yaml"
    assert "no entry is named 'other'" in shadow("promote", "other", "--config", config).output
    assert "There is no request log" in shadow("report", "--log", log.parent / "none").output
    assert "is no time" in shadow("report", "--log", log, "--since", "noon").output
