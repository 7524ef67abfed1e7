import json
import re
import sys
from pathlib import Path

import pytest

from tests.bench.workload import WORKLOADS
from tests.bench.wrk import Load, LoadError, parse, run, script

_OUTPUT = """\
Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  52730 requests in 1.00s, 60.01MB read
Requests/sec:  52730.00
bench-report {"requests":52730,"duration_us":1000400,"connect":1,"read":2,"write":3,"timeout":4,"status":5,\
"p50_us":850,"p99_us":11530}
"""


def test_reads_the_report() -> None:
    assert parse(_OUTPUT) == Load(
        requests=52730, seconds=1.0004, errors=10, refused=5, p50_ms=0.85, p99_ms=11.53
    )


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_says_what_wrk_printed_instead_of_a_report(output: str) -> None:
    with pytest.raises(LoadError, match=output.strip() or "no output"):
        parse(output)


def test_the_script_reports_what_is_read_back() -> None:
    """The Lua format, with numbers for its directives, is a report with every field."""
    found = re.findall(r"'([^']*%[^']*)'", script(WORKLOADS["W1"], "token"))
    report = "".join(found).replace("%.0f", "7").replace("\\n", "\n")
    assert parse(report) == Load(requests=7, seconds=7e-6, errors=28, refused=7, p50_ms=0.007, p99_ms=0.007)


def test_the_script_sends_the_workload_with_its_token() -> None:
    workload = WORKLOADS["W2"]
    text = script(workload, "a.b.c")
    assert 'wrk.method = "POST"' in text
    assert 'wrk.headers["X-Auth-Token"] = "a.b.c"' in text
    assert 'wrk.headers["Content-Type"] = "application/json"' in text
    assert f"wrk.body = {json.dumps(workload.body.decode())}" in text


def test_the_script_of_a_get_has_no_body() -> None:
    assert "wrk.body" not in script(WORKLOADS["W1"], "token")


def test_a_field_that_varies_does_so_in_every_request() -> None:
    text = script(WORKLOADS["W1v"], "a.b.c")
    assert 'wrk.headers["X-Openstack-Request-Id"] = "@"' in text
    assert "number = number + 1" in text
    assert "function request()" not in script(WORKLOADS["W1"], "a.b.c")


@pytest.mark.parametrize("token", ["a\nwrk.method = 'PUT'", "\u00e9"])
def test_refuses_what_is_not_a_string_of_both_lua_and_json(token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        script(WORKLOADS["W1"], token)


def test_a_load_that_fails_says_why(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "raise SystemExit('no such script')"]
    with pytest.raises(LoadError, match="status 1: no such script"):
        run(program, tmp_path / "load.lua", "http://127.0.0.1:1/", seconds=1, connections=1)
