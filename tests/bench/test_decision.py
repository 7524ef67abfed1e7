"""Every row decides, those that ask a server with a real one."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from filters.rate_limit.store import MemoryStore
from gateway.api import StoreError
from tests.bench import alone, decision
from tests.bench.decision import AT_ONCE, ROWS, measured
from tests.bench.install import find
from tests.bench.server import Ports, Server
from tests.bench.stage import Stage

_ASKING = [name for name, row in ROWS.items() if row.asks is not None]
_DECIDING = [name for name, row in ROWS.items() if row.asks is None]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("decision")
    tools = find(directory)
    assert tools.redis is not None, "the tests need Redis; on Debian and Ubuntu: apt-get install redis-server"
    core = min(os.sched_getaffinity(0))
    with ExitStack() as stack:
        yield Stage(stack, tools, directory / "stage", core, core).redis()


def _url(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}"


@pytest.mark.parametrize("name", _DECIDING)
def test_a_row_decides_by_itself(name: str) -> None:
    told = measured(name, 0.01)
    assert told.calls > 0
    assert told.cpu > 0
    assert told.server is None


@pytest.mark.parametrize("name", _ASKING)
def test_a_row_asks_a_server_whose_work_is_told_apart(redis: Server, name: str) -> None:
    told = measured(name, 0.05, store=_url(redis), server=redis.pid)
    assert told.calls > 0
    assert told.cpu > 0
    assert told.server is not None
    assert told.server > 0


def _answered(redis: Server, name: str) -> tuple[int, int]:
    """Decisions, and the scripts that the server has carried out for them."""
    before = _scripts(redis)
    told = measured(name, 0.2, store=_url(redis))
    return told.calls + AT_ONCE, _scripts(redis) - before


def _scripts(redis: Server) -> int:
    with socket.create_connection(("127.0.0.1", redis.port), 5.0) as connection:
        connection.sendall(b"INFO commandstats\r\nQUIT\r\n")
        text = connection.makefile("rb").read().decode()
    found = re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+),.*failed_calls=(\d+)", text)
    return sum(int(calls) - int(failed) for calls, failed in found)


def test_a_decision_by_redis_is_one_call_for_all_four(redis: Server) -> None:
    decisions, scripts = _answered(redis, "redis")
    assert scripts == decisions


def test_a_library_calls_for_each_of_the_four(redis: Server) -> None:
    decisions, scripts = _answered(redis, "limits+redis")
    assert scripts == 4 * decisions


def test_decisions_by_what_was_drawn_ahead_ask_nobody(redis: Server) -> None:
    decisions, scripts = _answered(redis, "lease")
    assert 0 < scripts < decisions


def test_a_limit_that_refuses_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStore, "decide", lambda *_: (1.0, 0, (), ()))
    with pytest.raises(RuntimeError, match="has refused"):
        measured("memory", 0.01)


@pytest.mark.parametrize("name", ["redis", "lease"])
def test_a_server_that_is_away_is_found_out(name: str) -> None:
    """Also where a filter would count by itself then."""
    with Ports() as ports, pytest.raises((RuntimeError, StoreError)):
        measured(name, 0.01, store=f"redis://127.0.0.1:{ports.take()}")


def test_a_row_is_measured_with_its_server(redis: Server) -> None:
    command = [sys.executable, "-m", decision.__name__, "--store", _url(redis), "--server", str(redis.pid)]
    own, server = alone.take(command, "redis", 0, number=0, seconds=1)
    assert (own.row, server.row) == ("redis", "redis, server")
    assert own.requests == server.requests > 0
    assert min(own.cpu_us, server.cpu_us) > 0
