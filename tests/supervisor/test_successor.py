"""A process that is started to take over."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog

from gateway.admin.service import Revoked
from gateway.api import Cell, Revocation
from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable
from gateway.supervisor import kin, successor
from gateway.supervisor.kin import Family, Life, Line
from gateway.supervisor.notify import Notifier
from gateway.supervisor.places import Places
from gateway.supervisor.successor import READY, Predecessor, Successor, inherited_memory
from gateway.task import spawn
from tests.support.deadline import within

MEMORY = SharedMemory.create(slots=64)
LIFE = Life()
SAYS = f"import os; os.write(int(os.environ['{READY}']), b'1')"


@pytest.fixture(autouse=True)
def _let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes what stays open for as long as there is a successor."""
    made: list[Successor] = []
    begin = Successor.__init__

    def begun(self: Successor, *given: Any) -> None:
        begin(self, *given)
        made.append(self)

    monkeypatch.setattr(Successor, "__init__", begun)
    yield
    for each in made:
        each.family.close()
        each.line.close()


def started(monkeypatch: pytest.MonkeyPatch, code: str) -> Successor:
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", code])
    return Successor(Places(1, {}), Notifier({}), MEMORY, LIFE)


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
    notifier = Notifier({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000"})
    made = Successor(Places(1, {}), notifier, MEMORY, LIFE)
    assert await within(made.ready(), "it is ready", 30.0) is None
    made._process.wait()


async def test_it_counts_in_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os; from gateway.shared.table import SharedTable; "
        "from gateway.supervisor.successor import inherited_memory; "
        "memory = inherited_memory(os.environ); table = SharedTable(memory.claim('a', 'a')); "
        "table.update([table.place(b'a')], 0.0, lambda cells: [(cells[0][0], 2.0, 0.0)]); "
    )
    table = SharedTable(MEMORY.claim("a", "a"))
    table.update([table.place(b"a")], 0.0, lambda cells: [(10.0, 1.0, 0.0)])
    made = started(monkeypatch, code + SAYS)
    assert await within(made.ready(), "it is ready", 30.0) is None
    made._process.wait()
    seen: list[Cell | None] = []

    def read(cells: Sequence[Cell | None]) -> None:
        seen.extend(cells)

    table.update([table.place(b"a")], 0.0, read)
    assert seen == [(10.0, 2.0, 0.0)]


def test_memory_of_another_version_is_given_up() -> None:
    descriptors = [os.memfd_create(name) for name in ("cells", "locks")]
    environment = {"WEIR_MEMORY": ",".join(map(str, descriptors))}
    with structlog.testing.capture_logs() as logs:
        memory = inherited_memory(environment)
    assert environment == {}
    assert [line["event"] for line in logs] == ["counted_anew"]
    memory.close()
    inherited_memory({}).close()


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


async def test_without_a_predecessor_nobody_is_told() -> None:
    predecessor = Predecessor({})
    predecessor.tell_ready()
    assert await predecessor.revoke(Revocation()) == Revoked(0)


REVOKES = """
import asyncio, os
from gateway.api import Revocation
from gateway.supervisor.successor import Predecessor
predecessor = Predecessor(os.environ)
predecessor.tell_ready()
async def main():
    for _ in range(2):
        print(await predecessor.revoke(Revocation(user_id="u")), flush=True)
asyncio.run(main())
"""


async def test_has_its_predecessor_revoke(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    heard: list[Revocation] = []

    async def revoke(revocation: Revocation) -> Revoked:
        heard.append(revocation)
        return Revoked(len(heard), ("worker 4 does not answer",) if len(heard) == 1 else ())

    made = started(monkeypatch, REVOKES)
    serving = spawn(kin.serve(made.line, revoke), name="serve")
    assert await within(made.ready(), "it is ready", 30.0) is None
    await within(serving, "it has asked", 30.0)
    assert made._process.wait() == 0
    assert heard == [Revocation(user_id="u")] * 2
    assert capfd.readouterr().out.splitlines() == [
        "Revoked(forgotten=1, failures=('worker 4 does not answer',))",
        "Revoked(forgotten=2, failures=())",
    ]


async def test_a_predecessor_that_is_gone_has_forgotten_once_its_workers_are_gone_too() -> None:
    life = Life()
    worker = os.dup(life.mark)  # as one of its processes holds it
    asks, answers = socket.socketpair()
    line = Line(asks.detach())
    answers.close()
    predecessor = Predecessor({})
    predecessor._family, predecessor._line = Family(life.end), line
    os.close(life.mark)
    assert await predecessor.revoke(Revocation(user_id="u")) == Revoked(
        0, ("the predecessor does not answer",)
    )
    os.close(worker)
    assert await predecessor.revoke(Revocation(user_id="u")) == Revoked(0)
    predecessor.close()


async def test_families_before_the_predecessor_are_waited_for_once_it_cannot_tell_them() -> None:
    life, earlier = Life(), [Life(), Life()]
    asks, answers = socket.socketpair()
    predecessor = Predecessor({})
    predecessor._family, predecessor._line = Family(life.end), Line(asks.detach())
    predecessor._earlier = [Family(each.end) for each in earlier]

    async def revoke(revocation: Revocation) -> Revoked:
        return Revoked(1)

    serving = spawn(kin.serve(answers, revoke), name="serve")
    assert await predecessor.revoke(Revocation()) == Revoked(1), "it has told them"
    assert len(predecessor.families()) == 3
    serving.cancel()
    await asyncio.wait([serving])
    failures = ("the predecessor does not answer", "earlier workers drain")
    assert await predecessor.revoke(Revocation()) == Revoked(0, failures)
    os.close(life.mark)
    assert await predecessor.revoke(Revocation()) == Revoked(0, failures[1:])
    os.close(earlier[0].mark)
    assert await predecessor.revoke(Revocation()) == Revoked(0, failures[1:])
    assert len(predecessor.families()) == 1
    os.close(earlier[1].mark)
    assert await predecessor.revoke(Revocation()) == Revoked(0)
    assert predecessor.families() == []
    predecessor.close()


async def test_a_predecessor_that_leaves_no_line_is_waited_for() -> None:
    heard, said = os.pipe()
    predecessor = Predecessor({READY: str(said)})
    predecessor.tell_ready()
    assert await predecessor.revoke(Revocation(user_id="u")) == Revoked(0, ("the predecessor drains",))
    os.close(heard)
    predecessor._parent = -1  # it has ended
    assert await predecessor.revoke(Revocation(user_id="u")) == Revoked(0)
