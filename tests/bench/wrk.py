"""The load: wrk, told by a script what to send, and made to report in a form that can be read back exactly."""

import json
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.workload import Workload

_MARK: Final = "bench-report "
_COUNTS: Final = (
    "requests",
    "duration_us",
    "connect",
    "read",
    "write",
    "timeout",
    "status",
    "p50_us",
    "p99_us",
)
_MARGIN: Final = 20.0  # seconds beyond its duration after which a load that has not ended is given up

# Percentiles come in microseconds here; wrk's own output rounds them to three figures.
_DONE: Final = """\
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'bench-report {"requests":%.0f,"duration_us":%.0f,"connect":%.0f,"read":%.0f,"write":%.0f,' ..
    '"timeout":%.0f,"status":%.0f,"p50_us":%.0f,"p99_us":%.0f}\\n',
    summary.requests, summary.duration, errors.connect, errors.read, errors.write,
    errors.timeout, errors.status, latency:percentile(50.0), latency:percentile(99.0)))
end
"""


# The request is put together once and cut where the value stands. A number that only grows is never sent twice, and
# the second of the start tells one load from the next.
_VARYING: Final = """\
local before, after, start, number
function init(arguments)
  wrk.headers[{name}] = "@"
  local whole = wrk.format()
  local place = whole:find(": @", 1, true)
  before, after = whole:sub(1, place + 1), whole:sub(place + 3)
  start, number = os.time(), 0
end
function request()
  number = number + 1
  return before .. string.format("req-%08x-0000-4000-8000-%012x", start, number) .. after
end
"""


class LoadError(Exception):
    """wrk did not run to its end, or its report cannot be read."""


class Load(NamedTuple):
    """What wrk saw.

    errors   connections that failed, reads, writes and time-outs
    refused  answers with a status of 400 or more
    """

    requests: int
    seconds: float
    errors: int
    refused: int
    p50_ms: float
    p99_ms: float


def script(workload: Workload, token: str) -> str:
    """The Lua that makes wrk send this workload and report as `parse` reads it."""
    headers = {"X-Auth-Token": token, **workload.headers}
    lines = [f"wrk.method = {_quoted(workload.method)}"]
    lines += [f"wrk.headers[{_quoted(name)}] = {_quoted(value)}" for name, value in headers.items()]
    if workload.body:
        lines.append(f"wrk.body = {_quoted(workload.body.decode('ascii'))}")
    varying = _VARYING.format(name=_quoted(workload.varying)) if workload.varying else ""
    return "\n".join(lines) + "\n" + varying + _DONE


def parse(output: str) -> Load:
    """The report in wrk's output. Raises LoadError."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            report = json.loads(line.removeprefix(_MARK))
            break
    else:
        raise LoadError(f"wrk gave no report: {output.strip()[-500:] or 'no output'}")
    requests, duration, connect, read, write, timeout, status, p50, p99 = (report[name] for name in _COUNTS)
    return Load(
        requests, duration / 1e6, connect + read + write + timeout, status, p50_ms=p50 / 1e3, p99_ms=p99 / 1e3
    )


def run(program: list[str], script_path: Path, url: str, *, seconds: int, connections: int) -> Load:
    """Sends requests for `seconds` from one thread; `program` is wrk, pinned. Raises LoadError."""
    command = [
        *program,
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(script_path),
        url,
    ]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + _MARGIN,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"wrk did not end {_MARGIN:.0f} s after its time") from None
    if done.returncode != 0:
        raise LoadError(f"wrk ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return parse(done.stdout)


def _quoted(text: str) -> str:
    """A Lua string literal; JSON's escapes for printable ASCII are Lua's as well."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("only printable ASCII can be sent")
    return json.dumps(text)
