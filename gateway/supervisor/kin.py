"""What two programs have to do with each other of which one takes over from the other: whether any process of the other lives
yet, and a line on which it is asked.

A family is a supervisor and its workers. All of them hold a pipe open to which nobody writes: it has an end when the last of them
has ended, killed or not. The line is a pair of sockets with a JSON object in each line, since the two may be of different versions.
"""

import asyncio
import json
import os
import select
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any, Final, NamedTuple

from gateway.admin.service import Revoked
from gateway.api.revocation import Revocation

KIN: Final = "WEIR_KIN"
"""In the environment of a successor: its predecessor's process and the descriptors of `Bequest`, those of `earlier` last."""
PATIENCE: Final = 15.0
"""Seconds that the other supervisor may take for an answer: it waits for its workers itself."""
_FIELDS: Final = frozenset(field.name for field in fields(Revocation))


class Life:
    """A family's pipe: `mark` is what its processes hold open."""

    def __init__(self, descriptors: tuple[int, int] | None = None) -> None:
        """A new one, or one that is handed over."""
        self.end, self.mark = descriptors if descriptors is not None else os.pipe()

    def close(self) -> None:
        os.close(self.end)
        os.close(self.mark)


class Family:
    """Another family than ours, known by the end of its pipe."""

    def __init__(self, end: int) -> None:
        self._end = end

    def lives(self) -> bool:
        """Whether any of its processes does. When none does any more, none ever will."""
        if self._end >= 0:
            poll = select.poll()
            poll.register(self._end, 0)  # of an end it is told in any case
            if poll.poll(0):
                self.close()
        return self._end >= 0

    def close(self) -> None:
        if self._end >= 0:
            os.close(self._end)
            self._end = -1

    @property
    def end(self) -> int:
        """To be handed on while it lives."""
        return self._end


class Bequest(NamedTuple):
    """What a successor gets: its end of the line, how to know when its predecessor's family is over, and a pipe for its own.

    earlier  how to know when other families are over that the predecessor knows of, and that cannot be asked once it has ended
    """

    line: int
    predecessor: int
    end: int
    mark: int
    earlier: tuple[int, ...] = ()

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (self.line, self.predecessor, self.end, self.mark, *self.earlier)

    def told(self) -> str:
        return ",".join(map(str, (os.getpid(), *self.descriptors)))


def inherited(environment: MutableMapping[str, str]) -> Bequest | None:
    """What the predecessor has left, taken out of the environment; None where there is none, or one that leaves nothing."""
    told = environment.pop(KIN, "")
    if not told:
        return None
    parent, *numbers = map(int, told.split(","))
    if parent != os.getppid():
        # It has come through a program that does not know of it: the numbers mean nothing here.
        return None
    line, predecessor, end, mark, *earlier = numbers
    bequest = Bequest(line, predecessor, end, mark, tuple(earlier))
    for descriptor in bequest.descriptors:
        os.set_inheritable(descriptor, False)
    return bequest


class Line:
    """The successor's end: asks the predecessor, one question at a time."""

    def __init__(self, descriptor: int) -> None:
        self._sock = socket.socket(fileno=descriptor)
        self._sock.setblocking(False)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._asking = asyncio.Lock()
        self._number = 0

    async def revoke(self, revocation: Revocation) -> Revoked | None:
        """What the other says; None where it says nothing, or nothing that can be read."""
        try:
            async with asyncio.timeout(PATIENCE), self._asking:
                return _revoked(await self._answer({"revoke": asdict(revocation)}))
        except (OSError, EOFError, TypeError, ValueError, LookupError):  # TimeoutError is an OSError
            return None

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(sock=self._sock)
        reader, writer = self._streams
        self._number += 1
        writer.write(_line({"number": self._number, **asked}))
        while True:  # what was not waited for comes first
            told: dict[str, Any] = json.loads(await reader.readuntil())
            if told["number"] == self._number:
                return told

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        else:
            self._sock.close()


async def serve(sock: socket.socket, revoke: Callable[[Revocation], Awaitable[Revoked]]) -> None:
    """The predecessor's end: answers until the other has closed its own, or this is cancelled."""
    sock.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    try:
        with suppress(EOFError, ConnectionError):
            while True:
                asked: dict[str, Any] = json.loads(await reader.readuntil())
                # Of another version, what is not known here: then more is forgotten rather than less.
                whom = {name: value for name, value in asked["revoke"].items() if name in _FIELDS}
                revoked = await revoke(Revocation(**whom))
                told = {
                    "number": asked["number"],
                    "forgotten": revoked.forgotten,
                    "failures": list(revoked.failures),
                }
                writer.write(_line(told))
    finally:
        writer.close()


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told).encode() + b"\n"


def _revoked(told: dict[str, Any]) -> Revoked:
    return Revoked(int(told["forgotten"]), tuple(map(str, told["failures"])))
