import sys

import pytest

from tests.bench import hook
from tests.bench.wrk import LoadError


@pytest.mark.parametrize("name", hook.HOOKS)
def test_a_hook_lets_the_request_pass_and_is_timed(name: str) -> None:
    calls, cpu = hook.measured(name, 0.01)
    assert calls > 0
    assert cpu > 0


def test_a_hook_is_measured_in_a_process_of_its_own() -> None:
    sample = hook.take([sys.executable, "-m", "tests.bench.hook"], hook.NONE, 0, number=2, seconds=1)
    assert (sample.row, sample.round, sample.errors) == (hook.NONE, 2, 0)
    assert sample.requests > 0
    assert 0 < sample.cpu_us < 1000
    assert sample.problems() == []


def test_a_process_that_fails_is_told_of() -> None:
    with pytest.raises(LoadError, match="nobody"):
        hook.take([sys.executable, "-m", "tests.bench.hook"], "nobody", 0, number=0, seconds=1)
