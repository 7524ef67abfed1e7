import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.api import Note
from gateway.cli.logs import command
from gateway.inspect.field import FIELDS
from gateway.serializer import Serializer
from tests.inspect.lines import RECORDS, write
from tests.support.records import ALICE, REQUEST_ID, Entry, Facts, attempt, record, step

UPSTREAM_ID = "req-11111111-0000-4000-8000-000000000001"
TOKEN = b"gAAAAABl-secret-token"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    limiter = Entry("project-limit", "rate_limit", line=20)
    decider = step(limiter, "refuse", "rate_limited", rule=("limits", 0), status=413, facts={"cost": 1})
    shadow = step(Entry("try", "methods", "shadow"), "refuse", "method_not_allowed", status=405)
    accepted = step("token_auth", note=[Note("token_accepted", (), {"provider": "static"})])
    told = record(
        status=413,
        decision="refuse",
        reason="rate_limited",
        decider=decider,
        steps=[accepted, shadow, decider],
        principal=ALICE,
        request_lines=((b"X-Auth-Token", TOKEN), (b"X-Tag", b"\x1b[2J[bold]")),
        plan=Facts((b"x-auth-token", b"x-tag")),
    )
    forwarded = record(
        request_id="req-00000000-0000-4000-8000-000000000002",
        upstream_request_id=UPSTREAM_ID,
        attempts=[attempt(error="upstream_connect_failed", status=0), attempt()],
    )
    serializer = Serializer(b"k", 0)
    path = tmp_path / "requests.log"
    path.write_bytes(b"junk\n" + serializer.line(told, 1) + serializer.line(forwarded, 2))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def test_show_tells_who_decided_and_where(log: Path) -> None:
    result = run("show", REQUEST_ID, "--log", str(log))
    assert result.exit_code == 0
    lines = [line.strip("│├└─ ") for line in result.stdout.splitlines()]
    assert (
        "refuse  project-limit: rate_limited (shadow try: 405 method_not_allowed)  gateway.yaml:20:11"
        in lines
    )
    assert "token_auth  pass  token_accepted  0.5 ms  gateway.yaml:12:7  provider=static" in lines
    assert "try (methods)  in shadow  refuse 405  method_not_allowed  0.5 ms  gateway.yaml:12:7" in lines
    assert (
        "project-limit (rate_limit)  refuse 413  rate_limited  0.5 ms  gateway.yaml:20:11 limits[0]  cost=1"
        in lines
    )
    assert "x-tag: \\x1b[2J[bold]" in lines
    assert "user.roles = member, reader" in lines
    assert "gateway.duration_ms = 12.5" in lines
    assert result.stdout.replace("\n", "").isprintable()
    assert TOKEN.decode() not in result.stdout
    assert result.stderr == "Note: 1 line skipped that are no records.\n"


def test_show_by_the_id_of_the_upstream_tells_its_attempts(log: Path) -> None:
    result = run("show", UPSTREAM_ID, "--log", str(log))
    assert result.exit_code == 0
    assert "error=upstream_connect_failed" in result.stdout
    assert "forward  passed -> 127.0.0.1:8774" in result.stdout


def test_show_json_is_the_record_itself(log: Path) -> None:
    result = run("show", REQUEST_ID, "--log", str(log), "--format", "json")
    assert orjson.loads(result.stdout) == orjson.loads(log.read_bytes().splitlines()[1])


def test_show_exits_1_when_no_record_has_the_id(log: Path) -> None:
    result = run("show", "req-\x1b[31m", "--log", str(log))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "has the id req-\\x1b[31m." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "Missing argument"),
        (["show", "x", "--format", "xml"], "Invalid value"),
        (["show", "x", "--log", "{}/absent"], "There is no request log at"),
        (["show", "x", "--log", "{}/absent/absent"], "There is no request log at"),
        (["tail", "--log", "{}"], "is a directory"),
        (["tail", "-n", "-1"], "Invalid value"),
    ],
)
def test_wrong_usage_exits_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run(*(argument.format(tmp_path) for argument in arguments))
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_cannot_be_read_exits_2(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    result = run("show", REQUEST_ID, "--log", str(log))
    assert result.exit_code == 2
    assert result.stderr == f"Error: {log} cannot be read: Permission denied\n"


def test_tail_prints_the_last_records_as_lines(log: Path) -> None:
    result = run("tail", "--log", str(log))
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert "413  project-limit: rate_limited" in first
    assert "200  passed -> 127.0.0.1:8774" in second
    assert "\x1b" not in result.stdout
    assert run("tail", "--log", str(log), "-n", "1").stdout.splitlines() == [second]
    assert run("tail", "--log", str(log), "-n", "0").stdout == ""


def test_the_log_is_the_configured_one(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "config" / "gateway.yaml"
    configuration.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    start = """
listen: 127.0.0.1:8080
upstreams: { compute: { endpoints: ["http://127.0.0.1:8774"] } }
routes: [{ name: images, path: /v2/images, upstream: compute }]
"""
    configuration.write_text(start + "log: { path: requests.log }\n")
    assert len(run("tail").stdout.splitlines()) == 2
    configuration.write_text(start + 'log: { path: "-" }\n')
    assert "is written to standard output" in run("tail").stderr
    configuration.write_text(start + "log: { path: null }\n")
    assert "is off" in run("tail").stderr
    configuration.write_text("listen: [\n")
    result = run("tail")
    assert result.exit_code == 2
    assert "config/gateway.yaml:" in result.stderr


def test_tail_follows_across_rotation_until_it_is_interrupted(log: Path) -> None:
    program = "from gateway.cli.main import main; main()"
    arguments = [sys.executable, "-c", program, "logs", "tail", "-n", "1", "-f", "--log", str(log)]
    # Whoever runs the tests in the background may have had the signal ignored, and children inherit that.
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread holds a lock here
    ) as process:
        try:
            assert process.stdout is not None
            assert "passed" in process.stdout.readline()
            log.rename(log.with_name("requests.log.1"))
            log.write_bytes(Serializer(b"k", 0).line(record(target=b"/new", request_id="req-3"), 3))
            assert "/new" in process.stdout.readline()
            process.send_signal(2)
            deadline = time.monotonic() + 10
            while process.poll() is None and time.monotonic() < deadline:
                pass
            _, error = process.communicate(timeout=10)
            assert "Traceback" not in error
            assert process.returncode == 0
        finally:
            process.kill()


def test_reading_logs_does_not_import_what_serves() -> None:
    program = "import sys, gateway.cli.logs; print(*sorted({'aiohttp', 'pydantic', 'structlog'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


# ---- questions


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.logs.os.nice", lambda increment: None)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    return path


def test_query_prints_the_records_that_are_asked_for(history: Path) -> None:
    result = run("query", "status >= 400 and project_id = 'p-1'", "--log", str(history))
    assert result.exit_code == 0
    header, row = result.stdout.splitlines()
    assert header.split()[:4] == ["time", "method", "path", "status"]
    assert row.split()[:4] == ["2023-11-14T22:14:20.000Z", "GET", "/v2/p-1/images", "405"]


def test_query_in_other_forms_other_columns_and_another_order(history: Path) -> None:
    arguments = ("--columns", "request_id,status", "--order", "request_id", "-n", "2", "--log", str(history))
    result = run("query", "--format", "csv", *arguments)
    assert result.stdout.splitlines() == [
        "request_id,status",
        "req-00000001-0000-4000-8000-000000000000,200",
        "req-00000002-0000-4000-8000-000000000000,405",
    ]
    result = run("query", "status = 405", "--format", "jsonl", "--columns", "all", "--log", str(history))
    assert orjson.loads(result.stdout)["source"] == "gateway.yaml:12:9"


def test_query_takes_a_period(history: Path) -> None:
    arguments = ("--since", "2023-11-14T22:30", "--until", "2023-11-15", "--format", "jsonl")
    result = run("query", *arguments, "--columns", "status", "--log", str(history))
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == [{"status": 200}]
    assert run("query", "--since", "1h", "--format", "json", "--log", str(history)).stdout == "[]\n"


def test_query_by_sql_of_ones_own(history: Path) -> None:
    result = run(
        "query", "--sql", "SELECT count(*) AS n FROM records", "--format", "csv", "--log", str(history)
    )
    assert result.stdout == f"n\n{len(RECORDS)}\n"
    result = run("query", "--sql", "DROP VIEW records", "--log", str(history))
    assert result.exit_code == 2
    assert "expected one SELECT" in result.stderr


def test_top_and_stats_count(history: Path) -> None:
    result = run("top", "--by", "project", "--format", "csv", "--log", str(history))
    assert [row.split(",")[:2] for row in result.stdout.splitlines()] == [
        ["project_id", "requests"],
        ["", "3"],
        ["p-1", "2"],
    ]
    result = run("stats", "status = 405", "--format", "csv", "--log", str(history))
    assert [row.split(",")[:3] for row in result.stdout.splitlines()[1:]] == [
        ["(all)", "(all)", "1"],
        ["images", "(all)", "1"],
        ["images", "methods", "1"],
    ]


def test_export_and_sidecars_write_parquet(history: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    result = run("export", "status = 405", "--parquet", str(target), "--log", str(history))
    assert (result.exit_code, result.stderr) == (0, f"1 record written to {target}\n")
    assert target.read_bytes()[:4] == b"PAR1"
    old = history.with_name("requests.log.1")
    old.write_bytes(history.read_bytes())
    os.utime(old, (1, 1))
    result = run("sidecars", "--log", str(history))
    assert (result.exit_code, result.stdout.count(".parquet")) == (0, 1)


def test_tail_prints_what_is_asked_for(history: Path) -> None:
    result = run("tail", "status >= 400 or status is null", "--log", str(history))
    assert len(result.stdout.splitlines()) == 2


def test_fields_are_listed() -> None:
    rows = run("fields").stdout.splitlines()
    assert rows[0].split() == ["FIELD", "KIND", "WHAT"]
    assert len(rows) == 1 + len(FIELDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "stats = 4"], "stats = 4\n^\nexpected a field, not 'stats' (did you mean 'status'?)"),
        (["tail", "status >"], "expected a value of status"),
        (["query", "--columns", "time,nope"], "There is no field 'nope'"),
        (["query", "--order", "-nope"], "There is no field 'nope'"),
        (["top", "--by", "nope"], "There is no field 'nope'"),
        (["stats", "--since", "noon"], "'noon' is no time"),
        (["query", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_a_question_that_is_none_exits_2(history: Path, arguments: list[str], said: str) -> None:
    result = run(*arguments, "--log", str(history))
    assert result.exit_code == 2
    assert said in result.stderr


def test_without_the_extra_it_says_what_is_missing(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = run("query", "--log", str(history))
    assert result.exit_code == 2
    assert "pip install 'weir-gateway[logs]'" in result.stderr
    # What needs nothing of it works.
    assert run("tail", "status = 405", "--log", str(history)).exit_code == 0
