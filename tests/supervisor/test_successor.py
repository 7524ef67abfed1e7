"""A process that is started to take over."""

import os
import sys

import pytest

from gateway.supervisor import successor
from gateway.supervisor.notify import Notifier
from gateway.supervisor.places import Places
from gateway.supervisor.successor import READY, Predecessor, Successor
from tests.support.deadline import within

SAYS = f"import os; os.write(int(os.environ['{READY}']), b'1')"


def started(monkeypatch: pytest.MonkeyPatch, code: str) -> Successor:
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", code])
    return Successor(Places(1, {}), Notifier({}))


async def test_is_waited_for_until_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    made = started(monkeypatch, SAYS)
    assert await within(made.ready(), "it is ready", 30.0) is None
    assert made._process.wait() == 0


async def test_one_that_ends_before_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    made = started(monkeypatch, "raise SystemExit(3)")
    assert await within(made.ready(), "it has ended", 30.0) == "it ended with status 3"


async def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(successor, "START", 0.05)
    made = started(monkeypatch, "import time; time.sleep(60)")
    assert "not ready within 0.05 s" in str(await within(made.ready(), "it is given up", 30.0))
    assert made._process.returncode == -9


async def test_it_is_told_whom_to_notify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "orig_argv", [sys.executable, "-c", f"import os; os.environ['NOTIFY_SOCKET']; {SAYS}"]
    )
    made = Successor(Places(1, {}), Notifier({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000"}))
    assert await within(made.ready(), "it is ready", 30.0) is None
    made._process.wait()


def test_the_predecessor_is_told_once() -> None:
    heard, said = os.pipe()
    environment = {READY: str(said)}
    predecessor = Predecessor(environment)
    assert environment == {}
    predecessor.tell_ready()
    predecessor.tell_ready()
    assert os.read(heard, 10) == b"1"
    assert os.read(heard, 10) == b""
    os.close(heard)


def test_without_a_predecessor_nobody_is_told() -> None:
    Predecessor({}).tell_ready()
