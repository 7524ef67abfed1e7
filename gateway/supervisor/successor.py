"""The same program, started anew on the sockets of the one that runs: an upgrade that no client sees."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from gateway.admin.service import Revoked
from gateway.api.revocation import Revocation
from gateway.shared.memory import SharedMemory
from gateway.supervisor import kin
from gateway.supervisor.kin import Family, Life, Line
from gateway.supervisor.notify import Notifier
from gateway.supervisor.places import SOCKETS, Places

MEMORY: Final = "WEIR_MEMORY"
"""In its environment: the descriptors of the shared memory."""
READY: Final = "WEIR_READY"
"""In the environment of a successor: the descriptor on which it says that it is ready."""
START: Final = 60.0
"""Seconds that a successor may take to get ready."""


class Successor:
    """A process that is to take over.

    family  it, and its workers
    line    on which it may ask this program
    """

    def __init__(
        self,
        places: Places,
        notifier: Notifier,
        memory: SharedMemory,
        life: Life,
        earlier: Sequence[Family] = (),
    ) -> None:
        """Starts it. Both count in one memory until this program has ended; `life` is of this one, `earlier` are those that live
        yet of the others that it knows of. Raises OSError.
        """
        self.took_over = False
        self._heard, said = os.pipe()
        own = Life()
        self.family = Family(own.end)
        self.line, line = socket.socketpair()
        bequest = kin.Bequest(
            line.fileno(), life.end, own.end, own.mark, tuple(family.end for family in earlier)
        )
        told, descriptors = places.bequeath()
        environment = {
            **os.environ,
            SOCKETS: told,
            MEMORY: ",".join(map(str, memory.descriptors)),
            READY: str(said),
            kin.KIN: bequest.told(),
        }
        if notifier.path:
            environment["NOTIFY_SOCKET"] = notifier.path
        if notifier.watchdog is not None:
            environment["WATCHDOG_USEC"] = str(int(notifier.watchdog * 1e6))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - as this process was started
                [sys.executable, *sys.orig_argv[1:]],
                env=environment,
                pass_fds=(*descriptors, *memory.descriptors, said, *bequest.descriptors),
            )
        except BaseException:
            os.close(self._heard)
            self.family.close()
            self.line.close()
            raise
        finally:
            os.close(said)
            os.close(own.mark)
            line.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Ends it before it takes over."""
        self._process.kill()

    async def ready(self) -> str | None:
        """Waits for it: None when it has taken over, else why it has not, and then it is gone."""
        reading = asyncio.ensure_future(asyncio.to_thread(os.read, self._heard, 1))
        await asyncio.wait((reading,), timeout=START)
        late = not reading.done()
        if not late and reading.result():
            os.close(self._heard)
            self.took_over = True
            return None
        self._process.kill()
        status = await asyncio.to_thread(self._process.wait)
        await reading  # which has come to an end with the process
        os.close(self._heard)
        return f"it was not ready within {START:g} s" if late else f"it ended with status {status}"


def inherited_memory(environment: MutableMapping[str, str]) -> SharedMemory:
    """The shared memory of the program that this one takes over from, where both know its form; else a new one."""
    told = environment.pop(MEMORY, "")
    if told:
        cells, locks = map(int, told.split(","))
        for descriptor in (cells, locks):
            os.set_inheritable(descriptor, False)
        try:
            return SharedMemory((cells, locks))
        except ValueError:
            structlog.get_logger("gateway").warning(
                "counted_anew", because="the shared memory is of another version"
            )
            for descriptor in (cells, locks):
                os.close(descriptor)
    return SharedMemory.create()


class Predecessor:
    """The process that this one takes over from, if there is one."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes what concerns it out of the environment."""
        told = environment.pop(READY, "")
        self._waits = int(told) if told.isdigit() else None
        bequest = kin.inherited(environment)
        self.life = Life() if bequest is None else Life((bequest.end, bequest.mark))
        """Of this program, whose successor is to know when it is over."""
        self._family = None if bequest is None else Family(bequest.predecessor)
        self._line = None if bequest is None else Line(bequest.line)
        self._earlier = [] if bequest is None else [Family(end) for end in bequest.earlier]
        # One that leaves no line cannot be told of anything; when it has ended, this process is another's child.
        self._parent = os.getppid() if bequest is None and self._waits is not None else None

    @property
    def waits(self) -> bool:
        """Whether there is one that goes on until it is told."""
        return self._waits is not None

    def tell_ready(self) -> None:
        if self._waits is not None:
            with suppress(OSError):
                os.set_inheritable(self._waits, False)
                os.write(self._waits, b"1")
                os.close(self._waits)
            self._waits = None

    def families(self) -> list[Family]:
        """Those that live yet, of it and of the programs before it."""
        known = [*self._earlier] if self._family is None else [self._family, *self._earlier]
        return [family for family in known if family.lives()]

    async def revoke(self, revocation: Revocation) -> Revoked:
        """Has its workers forget, which may carry exchanges for as long as they drain, whether it lives or not. It has those of
        the programs before it forget in turn; once it has ended, nobody can.
        """
        if self._parent is not None:
            return Revoked(0, ("the predecessor drains",) if os.getppid() == self._parent else ())
        family, line = self._family, self._line
        failures: list[str] = []
        if family is not None and line is not None and family.lives():
            told = await line.revoke(revocation)
            if told is not None:
                return told
            if family.lives():
                failures.append("the predecessor does not answer")
        if any(each.lives() for each in self._earlier):
            failures.append("earlier workers drain")
        return Revoked(0, tuple(failures))

    def close(self) -> None:
        for each in self._earlier:
            each.close()
        if self._family is not None:
            self._family.close()
        if self._line is not None:
            self._line.close()
