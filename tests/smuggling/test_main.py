"""The command says what failed and how to make it again."""

from collections.abc import Iterable

import pytest

from tests.smuggling import __main__ as command
from tests.smuggling.rig import Case, Failure, Setting, Tally


@pytest.mark.parametrize("fails", [False, True])
def test_the_exit_status_says_whether_a_case_failed(
    fails: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(cases: Iterable[Case], setting: Setting) -> Tally:
        failing = list(cases)[17]
        failures = (Failure(failing, setting, "a reason"),) if fails and setting.collect else ()
        return Tally(2000, 1000, failures)

    async def shortest(failure: Failure) -> Failure:
        return failure._replace(case=Case(b"GET\x00", (1,)))

    clock = iter(range(100))
    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "shortest", shortest)
    monkeypatch.setattr("time.monotonic", lambda: next(clock) * 1.0)
    monkeypatch.setattr("structlog.configure", lambda **_: None)
    assert command.main(["--seed", "4", "--first", "100", "--minutes", "0.1"]) == (1 if fails else 0)
    said = capsys.readouterr().out
    assert "seed 4, from case 100: 2000 cases, 1000 requests forwarded, 0 failures, plain" in said
    assert (": case 4117: a reason" in said) is fails
    assert ("b'GET\\x00'\n  cut at (1,)\n  collect, patient" in said) is fails
