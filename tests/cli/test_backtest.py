"""`weir backtest`."""

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.backtest.logged import KEYSTONE, Asked, logged, text_of, written

OLD = text_of(filters=[KEYSTONE, {"methods": {"allow": ["GET"]}}])
NEW = text_of(filters=[KEYSTONE, {"methods": {"allow": ["GET", "PUT"]}}])


def backtest(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["backtest", "--processes", "1", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    lines = asyncio.run(logged(OLD, [Asked(0), Asked(1, method="PUT")]))
    return written(lines, tmp_path / "requests.jsonl")


def test_what_changes(log: Path) -> None:
    done = backtest("--config", log.parent / "new.yaml", "--log", log)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].split()[:3] == ["newly", "allowed", "1"]
    assert "405 methods: method_not_allowed" in done.stdout


def test_what_does_not(log: Path) -> None:
    done = backtest(
        "--config", log.parent / "old.yaml", log, "--max-newly-allowed", 0, "--max-undecidable", "0%"
    )
    assert done.exit_code == 0 and "unchanged                 2  100.00 %" in done.stdout


def test_bounds(log: Path) -> None:
    new = log.parent / "new.yaml"
    assert backtest("--config", new, log, "--max-newly-allowed", 1).exit_code == 0
    assert backtest("--config", new, log, "--max-newly-allowed", "50%").exit_code == 0
    done = backtest("--config", new, log, "--max-newly-allowed", 0)
    assert done.exit_code == 1 and "More are newly allowed than may be: 1." in done.stderr
    assert backtest("--config", new, log, "--max-newly-allowed", "49%").exit_code == 1


def test_a_log_that_is_named_twice_is_read_once(log: Path) -> None:
    """By another name too; and where it is just being compressed, as a pattern of names finds it."""
    other = log.with_name("other.jsonl")
    other.symlink_to(log)
    packed = log.with_name("requests.jsonl.gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    os.utime(packed, ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns))
    done = backtest("--config", log.parent / "old.yaml", log, log, other, packed, "--format", "json")
    told = json.loads(done.stdout)
    assert (told["total"], told["files"]) == (2, 1)


def test_a_log_that_was_cut_short_is_told_of_and_the_others_are_read(log: Path) -> None:
    packed = log.with_name("packed.jsonl.gz")
    earlier = asyncio.run(logged(OLD, [Asked(-50), Asked(-49)]))
    whole = written(earlier, log.with_name("earlier.jsonl")).read_bytes()
    packed.write_bytes(gzip.compress(whole)[:-20])
    new = log.parent / "new.yaml"
    done = backtest("--config", new, packed, log)
    assert done.exit_code == 0 and "newly allowed             1" in done.stdout
    assert f"{packed} could not be read to its end" in done.stderr
    assert f"A file could not be read to the end, and what would follow is missing: {packed}." in done.stdout
    assert json.loads(backtest("--config", new, packed, log, "--format", "json").stdout)["damaged"] == [
        str(packed)
    ]
    page = backtest("--config", new, packed, log, "--format", "html").stdout
    assert "could not be read to the end" in page


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_log_says_the_same(log: Path, suffix: str) -> None:
    packed = log.with_name(f"packed.jsonl{suffix}")
    content = log.read_bytes()
    packed.write_bytes(gzip.compress(content) if suffix == ".gz" else zstandard.compress(content))
    new = log.parent / "new.yaml"
    told = [json.loads(backtest("--config", new, file, "--format", "json").stdout) for file in (log, packed)]
    assert told[0]["counts"] == told[1]["counts"]
    assert told[1]["counts"]["newly_allowed"] == 1


def test_a_bound_is_not_held_by_a_log_of_nothing(log: Path) -> None:
    new = log.parent / "new.yaml"
    for number, content in enumerate((b"", b"no record\n")):
        empty = log.with_name(f"empty{number}.jsonl")
        empty.write_bytes(content)
        assert backtest("--config", new, empty).exit_code == 0
        done = backtest("--config", new, empty, "--max-newly-allowed", 0)
        assert done.exit_code == 2 and "no exchange that could be judged" in done.stderr


def test_an_odd_record_is_passed_over(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    odd = json.loads(lines[-1]) | {"gateway.sequence": {"a": 1}}
    log.write_bytes(b"".join(lines) + json.dumps(odd).encode() + b"\n")
    told = json.loads(backtest("--config", log.parent / "old.yaml", log, "--format", "json").stdout)
    assert told["counts"]["unchanged"] == 2


def test_json_and_a_page_in_a_file(log: Path, tmp_path: Path) -> None:
    new = log.parent / "new.yaml"
    told = json.loads(backtest("--config", new, log, "--format", "json").stdout)
    assert told["counts"]["newly_allowed"] == 1
    page = tmp_path / "page.html"
    done = backtest("--config", new, log, "--format", "html", "-o", page)
    assert (done.exit_code, done.stdout) == (0, "") and page.read_text().startswith("<!doctype html>")


def test_against_another_configuration(log: Path) -> None:
    done = backtest("--config", log.parent / "old.yaml", "--against", log.parent / "new.yaml", log)
    assert done.stdout.splitlines()[2].split()[:3] == ["newly", "refused", "1"]


def test_the_log_of_the_configuration(log: Path) -> None:
    named = log.parent / "named.yaml"
    named.write_text(NEW.replace("path: null", f"path: {log}"))
    assert "2 exchanges" in backtest("--config", named).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-newly-allowed", "many"), "expected a number or a share"),
        (("--max-newly-allowed", "101%"), "expected a number or a share"),
        (("--max-newly-allowed", "-1"), "expected a number or a share"),
        (("--since", "noon"), "is no time"),
        (("--where", "status >"), "not understood"),
        (("--against", "/nowhere.yaml"), "cannot be read"),
        (("/nowhere.jsonl",), "/nowhere.jsonl cannot be read"),
    ],
)
def test_what_is_wrong_is_said(log: Path, arguments: tuple[str, ...], message: str) -> None:
    done = backtest("--config", log.parent / "new.yaml", "--log", log, *arguments)
    assert done.exit_code == 2 and message in done.output


def test_a_configuration_that_is_wrong_or_has_no_log(log: Path) -> None:
    wrong = log.parent / "wrong.yaml"
    wrong.write_text(NEW.replace("allow", "alow"))
    done = backtest("--config", wrong, log)
    assert done.exit_code == 2 and "did you mean 'allow'?" in done.stderr
    done = backtest("--config", log.parent / "new.yaml")
    assert done.exit_code == 2 and "--log" in done.stderr


def test_a_limit_that_history_would_have_borne(tmp_path: Path) -> None:
    limit = {
        "rate_limit": {"limits": [{"name": "few", "rate": "1/minute", "burst": 1, "key": ["project_id"]}]}
    }
    (tmp_path / "new.yaml").write_text(text_of(filters=[KEYSTONE, limit]))
    log = written(
        asyncio.run(logged(text_of(filters=[KEYSTONE]), [Asked(10.0 * number) for number in range(12)])),
        tmp_path / "log",
    )
    arguments = ("--config", tmp_path / "new.yaml", log, "--fit", "rate_limit.few", "--refuse-at-most", "0%")
    done = backtest(*arguments)
    assert done.exit_code == 0 and "proposed: rate: 6/minute" in done.stdout and "<- proposed" in done.stdout
    assert json.loads(backtest(*arguments, "--format", "json").stdout)["proposed"]["value"] == 6
    some = backtest(*arguments, "--since", "2026-01-01T12:01:00", "--until", "2026-01-01T12:01:30")
    assert "counts 3 requests" in some.stdout
    done = backtest(*arguments, "--where", "status = 200", "--max-undecidable", 0)
    assert done.exit_code == 2 and "--where, --max-undecidable: of no use with --fit" in done.output
    done = backtest("--config", tmp_path / "new.yaml", log, "--fit", "other")
    assert done.exit_code == 2 and "no limit is named 'other'" in done.output
