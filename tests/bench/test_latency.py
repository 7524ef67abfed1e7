import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.install import Tools
from tests.bench.latency import LatencySample, request, rows, take
from tests.bench.pace import Pace
from tests.bench.server import Ports, Server
from tests.bench.stage import Running, Stage
from tests.bench.subject import SUBJECTS
from tests.bench.workload import WORKLOADS

PACE = Pace(
    answered=3000, rate=1000.0, p50_ms=0.3, p99_ms=1.0, worst_ms=4.0, lag_p99_ms=0.1, errors=0, unexpected=0
)
GOOD = LatencySample("weir", rate=1000, round=0, pace=PACE, share=0.1, foreign=0.0, steal=0.0)
_LATE = PACE._replace(lag_p99_ms=3.0)


def test_a_good_sample_has_no_problem() -> None:
    assert GOOD.problems() == []


def test_every_kind_of_failure_is_named() -> None:
    pace = _LATE._replace(rate=900.0, errors=2, unexpected=3)
    assert replace(GOOD, round=1, pace=pace).problems() == [
        "weir at 1000/s, round 1: 2 requests without an answer, or connections closed",
        "weir at 1000/s, round 1: 3 answers with an unexpected status",
        "weir at 1000/s, round 1: 900 requests answered a second",
        "weir at 1000/s, round 1: the load did not keep its rate: one request in a hundred left 3.0 ms late",
    ]


def test_rows_are_medians_by_rate_and_the_worst_of_all_rounds() -> None:
    samples = [
        replace(GOOD, rate=rate, round=number, pace=PACE._replace(p99_ms=p99, worst_ms=p99 * 10))
        for rate in (2000, 1000)
        for number, p99 in enumerate((1.0, 5.0, 2.0))
    ]
    found = rows(samples)
    assert [(row.name, row.rate) for row in found] == [("weir", 1000), ("weir", 2000)]
    assert (found[0].p99_ms, found[0].worst_ms) == (2.0, 50.0)


def test_the_request_is_the_workloads() -> None:
    workload = WORKLOADS["W2"]
    head, _, body = request(workload, "a.b.c").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {workload.path} HTTP/1.1"
    assert {"X-Auth-Token: a.b.c", f"Content-Length: {len(workload.body)}"} < set(lines)
    assert body == workload.body


_LISTEN = """\
import signal, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Stage, Running]]:
    with ExitStack() as stack:
        stage = Stage(stack, Tools(None, None, None, None, None), tmp_path / "stage", 0, 1)
        ports = stack.enter_context(Ports())
        port = ports.take()
        server = stack.enter_context(
            Server([sys.executable, "-c", _LISTEN, str(port)], port, tmp_path / "output")
        )
        yield stage, Running("weir", SUBJECTS["weir"], server, port, tmp_path, None)


def test_a_measurement_in_which_the_load_was_late_is_made_again(place: tuple[Stage, Running]) -> None:
    paces = [_LATE, _LATE._replace(p99_ms=9.0), PACE, PACE]
    sample = take(*place, lambda: paces.pop(0), rate=1000, number=2)
    assert sample.pace == PACE
    assert (sample.row, sample.rate, sample.round) == ("weir", 1000, 2)
    assert len(paces) == 1


def test_a_load_that_is_always_late_is_a_problem(place: tuple[Stage, Running]) -> None:
    sample = take(*place, lambda: _LATE, rate=1000, number=0)
    assert len(sample.problems()) == 1
