"""One worker as the supervisor sees it: started, asked, and ended."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import gateway
from gateway.listener.opening import Opening
from gateway.shared.memory import SharedMemory
from gateway.supervisor import message
from gateway.supervisor.worker import OURS
from gateway.task import spawn

ANSWER: Final = 10.0
"""Seconds that a worker may take for an answer."""
CLEAN: Final = "exit status 0"
"""How a worker ends that was told to."""
REAP: Final = 5.0
"""Seconds that a process may take to end once nothing is left for it to do."""

# Not `-m`: that would look for our packages in the working directory first. They are to be those that run here, and
# nothing else of their directory is to be found before the standard library.
_CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv[5]); import gateway, filters; del sys.path[0]; "
    "from gateway.supervisor.worker import main; main()"
)
_ROOT: Final = str(Path(gateway.__file__).parent.parent)


class WorkerError(Exception):
    """A worker has not done what it was asked; the message says why."""


class WorkerGone(WorkerError):  # noqa: N818 - named for what it says
    """Its process has ended, or does not answer."""


class Child:
    """A worker's process. `over` is done when it has ended."""

    def __init__(self, begin: message.Begin, memory: SharedMemory, mark: int | None = None) -> None:
        """Starts the process, which shares `memory`, and holds `mark` open for as long as it lives. Raises OSError."""
        self.slot = begin.slot
        self.number = begin.number
        self.started_at = time.time()
        self.ready = False
        """Whether a configuration is in force in it."""
        self.carries = False
        """Whether it may carry exchanges: it has been told to, if it has not yet said that it does."""
        self.ready_at: float | None = None
        """Since when it has carried exchanges, on the monotonic clock."""
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why it has ended, in a few words."""
        self._begin = begin
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[message.Answer]] = {}
        self._has: set[int] = set()  # openings that it has been given
        self._channel, channel = socket.socketpair()
        self._handover, handover = socket.socketpair()
        self._writer: asyncio.StreamWriter | None = None
        with channel, handover:
            given = (channel.fileno(), handover.fileno(), *memory.descriptors)
            # Until it has made up its mind about signals, none of the terminal's can reach it.
            former = signal.pthread_sigmask(signal.SIG_BLOCK, (*OURS, signal.SIGTERM))
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module, under the interpreter that runs us
                    [sys.executable, "-P", "-c", _CODE, *map(str, given), _ROOT],
                    stdin=subprocess.DEVNULL,
                    pass_fds=given if mark is None else (*given, mark),
                )
            except BaseException:
                self._channel.close()
                self._handover.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, former)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def begin(self) -> None:
        """Opens the conversation. Whoever is cancelled meanwhile leaves it to be opened, so that the process is heard to end."""
        await asyncio.shield(spawn(self._open(), name=f"worker {self.number} begins"))

    async def _open(self) -> None:
        self._channel.setblocking(False)
        reader, self._writer = await asyncio.open_unix_connection(sock=self._channel)
        spawn(self._hear(reader), name=f"worker {self.number}")
        self._send(0, self._begin)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Takes answers until the process has ended."""
        try:
            while True:
                number, answer = await message.receive(reader)
                waiting = self._asked.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except EOFError:
            pass
        self.ready = self.carries = False
        why = await asyncio.to_thread(self._reap)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone(why))
        if self._writer is not None:
            self._writer.close()
        self._handover.close()
        self.over.set_result(why)

    def _reap(self) -> str:
        try:
            status = self._process.wait(REAP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
        return f"killed by signal {-status}"

    def _send(self, number: int, asked: Any) -> None:
        assert self._writer is not None
        with suppress(ConnectionError):
            self._writer.write(message.frame(number, asked))

    async def ask(self, asked: Any, within: float = ANSWER) -> message.Answer:
        """The answer, which may be that it failed. Raises WorkerGone."""
        if self.over.done():
            raise WorkerGone(self.over.result())
        self._numbers += 1
        number = self._numbers
        waiting = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(number, asked)
            async with asyncio.timeout(within):
                answer: message.Answer = await waiting
                return answer
        except TimeoutError:
            raise WorkerGone(f"no answer within {within:g} s") from None
        finally:
            del self._asked[number]

    async def told(self, topic: str, within: float = ANSWER) -> Any:
        """What it has to say of a topic. Raises WorkerError."""
        answer = await self.ask(message.Tell(topic), within)
        if answer.error is not None:
            raise WorkerError(answer.error)
        return answer.value

    async def commit(self, openings: Sequence[tuple[int, Opening]]) -> message.Committed:
        """Has it put in force what it has prepared, accepting from these.

        Raises WorkerError.
        """
        self.carries = True
        answer = await self.ask(message.Commit(self._hand(openings)))
        if answer.error is not None:
            raise WorkerError(answer.error)
        self._has = {number for number, _ in openings}
        self.ready = True
        self.ready_at = self.ready_at or time.monotonic()
        committed: message.Committed = answer.value
        return committed

    async def accept(self, openings: Sequence[tuple[int, Opening]]) -> None:
        """Has it accept from these, with what is in force. Raises WorkerError."""
        answer = await self.ask(message.Accept(self._hand(openings)))
        if answer.error is not None:
            raise WorkerError(answer.error)
        self._has = {number for number, _ in openings}

    def _hand(self, openings: Sequence[tuple[int, Opening]]) -> tuple[message.Handed, ...]:
        """Hands over the sockets that it does not have. Raises WorkerGone."""
        handed: list[message.Handed] = []
        for number, opening in openings:
            sockets = [] if number in self._has else opening.sockets
            for sock in sockets:
                try:
                    socket.send_fds(self._handover, [b"\0"], [sock.fileno()])
                except OSError as error:
                    raise WorkerGone(f"it takes no sockets: {error.strerror}") from error
            handed.append(message.Handed(number, opening.place, len(sockets)))
        return tuple(handed)

    async def ended(self) -> str:
        """Waits until it has ended: why."""
        return await asyncio.shield(self.over)

    def kill(self) -> None:
        """Ends the process at once."""
        if not self.over.done():
            self._process.kill()
