"""A program and the one that takes over from it: whether the other lives, and what it is asked."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from gateway.admin.service import Revoked
from gateway.api import Revocation
from gateway.supervisor import kin
from gateway.supervisor.kin import KIN, Bequest, Family, Life, Line, inherited, serve
from gateway.task import spawn
from tests.support.deadline import until, within


def test_a_family_lives_until_its_last_process_has_ended_however_that_ends() -> None:
    life = Life()
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=[life.mark])
    family = Family(life.end)
    os.close(life.mark)
    assert family.lives()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not family.lives()
    assert not family.lives()
    family.close()


def test_what_is_left_by_another_than_the_parent_means_nothing() -> None:
    bequest = Bequest(1, 2, 3, 4)
    environment = {KIN: bequest.told()}
    assert inherited(environment) is None  # it is this process that has left it, not its parent
    assert environment == {}
    assert inherited({}) is None


async def test_a_successor_asks_on_the_line_and_is_answered() -> None:
    heard: list[Revocation] = []

    async def revoke(revocation: Revocation) -> Revoked:
        heard.append(revocation)
        return Revoked(3, ("worker 4 does not answer",))

    ours, theirs = socket.socketpair()
    serving = spawn(serve(ours, revoke), name="serve")
    line = Line(theirs.detach())
    asked = [Revocation(user_id="u"), Revocation(token_key="0f", project_id="p")]
    told = await within(asyncio.gather(*map(line.revoke, asked)), "both are answered")
    assert told == [Revoked(3, ("worker 4 does not answer",))] * 2
    assert heard == asked
    line.close()
    await within(serving, "the other end has gone")


async def test_an_answer_that_was_not_waited_for_is_taken_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = asyncio.Event()

    async def revoke(revocation: Revocation) -> Revoked:
        await answers.wait()
        return Revoked(0, (str(revocation.user_id),))

    ours, theirs = socket.socketpair()
    serving = spawn(serve(ours, revoke), name="serve")
    line = Line(theirs.detach())
    monkeypatch.setattr(kin, "PATIENCE", 0.05)
    assert await within(line.revoke(Revocation(user_id="u")), "it is given up") is None
    monkeypatch.undo()
    answers.set()
    assert await within(line.revoke(Revocation(user_id="v")), "it is answered") == Revoked(0, ("v",))
    line.close()
    await within(serving, "the other end has gone")


@pytest.mark.parametrize("answer", [b"", b"{\n", b"[]\n", b'{"number": 1}\n'])
async def test_who_says_nothing_that_can_be_read_has_not_answered(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    line = Line(theirs.detach())
    with ours:
        ours.sendall(answer)
        ours.shutdown(socket.SHUT_WR)
        assert await within(line.revoke(Revocation(user_id="u")), "it is given up") is None
    line.close()


async def test_of_what_another_version_says_the_rest_counts() -> None:
    heard: list[Revocation] = []

    async def revoke(revocation: Revocation) -> Revoked:
        heard.append(revocation)
        return Revoked(0)

    ours, theirs = socket.socketpair()
    serving = spawn(serve(ours, revoke), name="serve")
    theirs.sendall(json.dumps({"number": 1, "revoke": {"user_id": "u", "role": "r"}}).encode() + b"\n")
    await until(lambda: bool(heard), "it has heard")
    assert heard == [Revocation(user_id="u")]
    theirs.close()
    await within(serving, "the other end has gone")
