"""A gateway between hostile clients and a recording upstream; plays cases and has them judged.

Each case speaks from a loopback address of its own, which the gateway tells the upstream in X-Forwarded-For: so
many cases run side by side over one gateway and share its connections to the upstream, and each request there
is known to be whose. What cannot be told apart in company is played again alone.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import islice, pairwise
from typing import Any, Final, NamedTuple

from tests.smuggling.judge import Answer, Outcome, Speaker, judge
from tests.smuggling.recorder import BODY, Entry, Recorder
from tests.smuggling.reference import Message, parse
from tests.support.client import Client
from tests.support.deadline import within
from tests.support.gateway import PSEUDONYM, proxy, test_filters
from tests.support.message import read_answer_body, read_head, status_of

WORKERS: Final = 8
_FRESH: Final = 4000
"""Cases of one gateway: the tests' gateway keeps its records in memory."""

_CONFIRMED: Final = 50


class Case(NamedTuple):
    """What a client sends, in segments that end at `cuts`; when `asks`, each after the answers to what came before."""

    data: bytes
    cuts: tuple[int, ...] = ()
    asks: bool = False


class Setting(NamedTuple):
    """How the gateway and its upstream are set up.

    lenient   a route that takes targets with two readings, which must pass byte for byte
    collect   a filter reads the whole body before anything goes on
    eager     the upstream answers at the end of a head
    patient   a client ends its side when it has its answers, not when it has sent what it has to send
    tunnel    the route lets a client switch to WebSocket, and the upstream takes what it is offered
    """

    lenient: bool = False
    collect: bool = False
    eager: bool = False
    patient: bool = False
    tunnel: bool = False


SETTINGS: Final = (
    Setting(),
    Setting(lenient=True, patient=True),
    Setting(collect=True, patient=True),
    Setting(lenient=True, eager=True),
    Setting(tunnel=True),
)


class Failure(NamedTuple):
    """A case that the judge condemns, and its sentence."""

    case: Case
    setting: Setting
    problem: str

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.case}\n  {self.setting}"


class Rig:
    """A running gateway and its upstream; `play` one case, or have a `worker` play many."""

    def __init__(self, setting: Setting, gateway: tuple[str, int], recorder: Recorder) -> None:
        self._setting = setting
        self._gateway = gateway
        self._recorder = recorder
        self._number = 0
        self._speaking: dict[bytes, Case] = {}
        self.suspects: list[Failure] = []
        self.forwarded = 0
        """Requests that reached the upstream whole, those of the judge's own left out."""

    async def play(self, case: Case) -> str | None:
        """Plays the case and, on a fresh connection, a plain exchange; what is wrong with either."""
        address = self._address()
        self._speaking[address] = case
        stream = parse(case.data)
        try:
            answers = await self._speak(address, case, stream.messages)
            unread = None
        except AssertionError as error:
            answers, unread = [], f"the client reads no answers: {error}"
        problem = await self._plain()
        entries = self._taken(address)
        self.forwarded += sum(entry.whole for entry in entries)
        stray = self._drop_unclaimed()
        if stray is not None:
            reason = f"the upstream has got what nobody sent: {stray}"
            self.suspects += [Failure(each, self._setting, reason) for each in self._speaking.values()]
        del self._speaking[address]
        outcome = Outcome(stream, answers, entries, case.data)
        return unread or judge(outcome, self._speaker(address)) or problem

    async def play_alone(self, case: Case) -> str | None:
        """The same with nobody else there: whatever the upstream has got is of this case."""
        problem = await self.play(case)
        left = [connection.data for connection in self._recorder.connections if connection.data]
        if left:
            problem = problem or f"the upstream waits for the end of {left}"
        if self.suspects:
            problem = problem or self.suspects[0].problem
        self.suspects.clear()
        self._recorder.forget()
        return problem

    async def worker(self, cases: Iterator[Case], failures: list[Failure]) -> None:
        for case in cases:
            problem = await self.play(case)
            if problem is not None:
                failures.append(Failure(case, self._setting, problem))

    def _drop_unclaimed(self) -> str | None:
        """What the upstream has got and is nobody's of those who speak; the recorder forgets it."""
        recorder = self._recorder
        claimed = [entry for entry in recorder.entries if _speaker_of(entry) in self._speaking]
        found = [f"{entry.message}" for entry in recorder.entries if entry not in claimed]
        found += [f"{stray.data!r}: {stray.reason}" for stray in recorder.strays]
        recorder.entries[:] = claimed
        recorder.strays.clear()
        return "; ".join(found) or None

    def _taken(self, address: bytes) -> list[Entry]:
        """The requests of one speaker, in the order of their heads; the recorder forgets them."""
        recorder = self._recorder
        mine = [entry for entry in recorder.entries if _speaker_of(entry) == address]
        recorder.entries[:] = [entry for entry in recorder.entries if _speaker_of(entry) != address]
        return sorted(mine, key=lambda entry: entry.number)

    def _address(self) -> bytes:
        self._number += 1
        number = self._number
        return b"127.%d.%d.%d" % (1 + (number >> 16) % 250, number >> 8 & 255, number & 255)

    def _speaker(self, address: bytes) -> Speaker:
        authority = self._recorder.authority.encode()
        return Speaker(address, PSEUDONYM.encode(), authority, self._setting.tunnel)

    async def _plain(self) -> str | None:
        """A plain exchange on a fresh connection; what is not as it has to be."""
        address = self._address()
        case = Case(b"GET /plain/%d HTTP/1.1\r\nHost: plain.test\r\n\r\n" % self._number)
        stream = parse(case.data)
        self._speaking[address] = case
        try:
            answers = await self._speak(address, case, stream.messages)
        except AssertionError as error:
            return f"the next exchange is not answered: {error}"
        finally:
            entries = self._taken(address)
            del self._speaking[address]
        problem = judge(Outcome(stream, answers, entries, case.data), self._speaker(address))
        if problem is None and (len(answers), len(entries)) != (1, 1):
            problem = f"{len(answers)} answers, {len(entries)} requests"
        if problem is None and answers[0].seen is None:
            problem = f"answer {answers[0].status}"
        return None if problem is None else f"the next exchange: {problem}"

    async def _speak(self, address: bytes, case: Case, messages: tuple[Message, ...]) -> list[Answer]:
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.bind((address.decode(), 0))
            await within(asyncio.get_running_loop().sock_connect(sock, self._gateway), "a connection")
        except BaseException:
            sock.close()
            raise
        async with Client(sock, "client") as client:
            with suppress(OSError):  # refused in the middle of it
                if case.asks:
                    await _ask(client, case)
                elif case.cuts:
                    await client.send_split(case.data, *case.cuts)
                else:
                    await client.send(case.data)
                if self._setting.patient:
                    await _until_answered(client, len(messages))
                client.half_close()
            while await client.fill():
                pass
            return await _answers(client, [message.method.decode() for message in messages])


async def _ask(client: Client, case: Case) -> None:
    """Sends each segment when what came before it has been answered, or the connection has ended."""
    for begin, end in pairwise((0, *case.cuts, len(case.data))):
        await _until_answered(client, len(parse(case.data[:begin]).messages))
        await client.send(case.data[begin:end])
        for _ in range(4):  # what is no request may have no answer, and is still to be read apart
            await asyncio.sleep(0)


async def _until_answered(client: Client, count: int) -> None:
    while len(_STATUS_LINE.findall(client.buffer)) < count and _SWITCHED not in client.buffer:
        if not await client.fill():
            break


_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 [2-5][0-9][0-9] ")
_SWITCHED: Final = b"HTTP/1.1 101 "


async def _answers(client: Client, methods: list[str]) -> list[Answer]:
    """The final responses in what the client has read to the end."""
    answers: list[Answer] = []
    while client.buffer:
        if client.was_reset and b"\r\n\r\n" not in client.buffer:
            break
        head = await read_head(client)
        assert head is not None
        status, _ = status_of(head)
        if status == 101:
            answers.append(Answer(status, int(head.get("X-Seen") or -1)))
            assert not client.buffer, client.buffer
            break
        if status < 200:
            continue
        known = len(answers) < len(methods)
        answer = await read_answer_body(client, head, methods[len(answers)] if known else "GET")
        seen = answer.get("X-Seen")
        answers.append(Answer(status, None if seen is None else int(seen)))
        if seen is not None:
            assert status == 200, status
            assert answer.body in (BODY, b""), answer.body
        elif answer.closes and (not known or methods[len(answers) - 1] == "HEAD"):
            break  # a body that only the refused method would have forbidden
    return answers


def _speaker_of(entry: Entry) -> bytes:
    values = entry.message.all(b"x-forwarded-for")
    return values[0] if len(values) == 1 else b""


@asynccontextmanager
async def rig(setting: Setting = SETTINGS[0]) -> AsyncIterator[Rig]:
    """A gateway and an upstream of the setting."""
    options: dict[str, Any] = {}
    if setting.lenient or setting.tunnel:
        route: dict[str, Any] = {"name": "any", "path": "/{rest*}", "upstream": "main"}
        if setting.lenient:
            route["target"] = "lenient"
        if setting.tunnel:
            route["upgrade"] = ["websocket"]
        options["routes"] = [route]
    if setting.collect:
        options["filters"] = [{"test.collect": {"limit": 1 << 20}}]
    async with (
        Recorder(eager=setting.eager, switches=setting.tunnel) as recorder,
        proxy([f"http://{recorder.authority}"], registry=test_filters("collect"), **options) as gateway,
    ):
        yield Rig(setting, (gateway.address.host, gateway.address.port), recorder)


class Tally(NamedTuple):
    """How a run went: cases played, requests that reached the upstream, failures."""

    played: int
    forwarded: int
    failures: tuple[Failure, ...]


async def run(cases: Iterable[Case], setting: Setting = SETTINGS[0], *, workers: int = WORKERS) -> Tally:
    """Plays all cases, side by side; each failure has been seen again alone, where it can be."""
    failures: list[Failure] = []
    played = forwarded = 0
    todo = iter(cases)
    while portion := list(islice(todo, _FRESH)):
        found: list[Failure] = []
        async with rig(setting) as made:
            work = iter(portion)
            await asyncio.gather(*(made.worker(work, found) for _ in range(workers)))
            forwarded += made.forwarded
        played += len(portion)
        failures += await confirmed([*found, *made.suspects])
    return Tally(played, forwarded, tuple(failures))


async def alone(failure: Failure, case: Case) -> Failure | None:
    """The failure with another case, played on a gateway of its own; None where nothing is wrong then."""
    async with rig(failure.setting) as made:
        problem = await made.play_alone(case)
    return None if problem is None else failure._replace(case=case, problem=problem)


async def confirmed(failures: list[Failure]) -> list[Failure]:
    """Each case played again alone; where none fails so, all of them as they were found.

    Of very many only some are played again: the rest are most likely the same.
    """
    once = list({failure.case: failure for failure in failures}.values())
    again: list[Failure] = []
    for failure in once[:_CONFIRMED]:
        found = await alone(failure, failure.case)
        if found is not None:
            again.append(found)
    if again:
        return again + once[_CONFIRMED:]
    return [failure._replace(problem=f"in company only: {failure.problem}") for failure in once]


async def shortest(failure: Failure) -> Failure:
    """The failure without the cuts and bytes that it does not need."""
    best = await alone(failure, Case(failure.case.data)) or failure
    step = max(1, len(best.case.data) // 2)
    while step:
        at = 0
        while at < len(best.case.data):
            data, cuts, asks = best.case
            moved = {cut if cut <= at else max(at, cut - step) for cut in cuts}
            less = Case(data[:at] + data[at + step :], tuple(sorted(moved - {0})), asks)
            found = await alone(best, less) if less.data else None
            if found is None:
                at += step
            else:
                best = found
        step //= 2
    return best
