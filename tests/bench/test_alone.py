import json
import sys
from pathlib import Path

import pytest

from tests.bench import alone, hook
from tests.bench.alone import Mark, Told
from tests.bench.wrk import LoadError

_HOOK = [sys.executable, "-m", hook.__name__]
_TOLD = Told(calls=1000, wall=2.0, cpu=0.5, user=0.4, system=0.1, server=0.25, process=1e9)


def _telling(directory: Path, told: Told) -> list[str]:
    """A command that tells this."""
    script = directory / "tells.py"
    script.write_text(f"print({json.dumps(told._asdict())!r})\n")
    return [sys.executable, str(script)]


def test_a_row_is_measured_in_a_process_of_its_own() -> None:
    (sample,) = alone.take(_HOOK, hook.NONE, 0, number=2, seconds=1)
    assert (sample.row, sample.round, sample.errors) == (hook.NONE, 2, 0)
    assert sample.requests > 0
    assert 0 < sample.cpu_us < 1000
    assert sample.user_us + sample.system_us == pytest.approx(sample.cpu_us, abs=10)
    assert sample.problems() == []


def test_what_a_server_used_is_a_row_of_its_own(tmp_path: Path) -> None:
    own, server = alone.take(_telling(tmp_path, _TOLD), "redis", 0, number=1, seconds=1)
    assert (own.row, own.cpu_us, own.user_us, own.system_us) == ("redis", 500.0, 400.0, 100.0)
    assert (server.row, server.cpu_us) == ("redis, server", 250.0)
    assert own.rps == server.rps == 500.0
    assert own.foreign == 0.0


def test_a_process_that_got_nowhere_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    command = _telling(tmp_path, _TOLD._replace(calls=0, server=None))
    (sample,) = alone.take(command, "redis", 0, number=0, seconds=1)
    assert sample.problems() == ["redis, round 0: no request was answered"]


def test_a_process_that_fails_is_told_of() -> None:
    with pytest.raises(LoadError, match="nobody"):
        alone.take(_HOOK, "nobody", 0, number=0, seconds=1)


def test_a_mark_tells_what_has_been_used_since() -> None:
    began = Mark.now()
    while (told := began.told(7)).cpu < 0.01:
        pass
    assert (told.calls, told.server) == (7, None)
    assert told.wall > 0
    assert told.process >= told.cpu
