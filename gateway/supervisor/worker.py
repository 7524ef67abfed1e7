"""A worker: a process that carries exchanges, and does what the supervisor says.

It lives as long as the supervisor does. Where that is gone it drains and ends; and should its event loop not get round
to it, a thread ends the process a little later, so that no orphan keeps a port.
"""

import asyncio
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.app import Gateway, Prepared
from gateway.application_log import configure
from gateway.buckets import Buckets
from gateway.config.problem import ConfigurationError
from gateway.ending import ignore_signals
from gateway.listener.opening import Opening
from gateway.loop import loop_factory
from gateway.registry import Registry
from gateway.shared.memory import SharedMemory
from gateway.supervisor import message
from gateway.task import spawn

ORPHAN: Final = 10.0
"""Seconds beyond `drain_timeout` after which a worker without a supervisor is ended in any case."""
OURS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a terminal sends to all processes, and that are the supervisor's to obey."""


class Worker:
    """What a worker can be asked. Each method that takes a message gives its answer."""

    def __init__(
        self, begin: message.Begin, handover: socket.socket, memory: SharedMemory | None = None
    ) -> None:
        """`memory` is shared with the other workers; its own by default."""
        self._begin = begin
        self._handover = handover
        self._log = structlog.get_logger("gateway").bind(worker=begin.number)
        self.gateway = Gateway(
            Registry(),
            worker=begin.number,
            over=begin.over,
            beside=begin.beside,
            memory=memory,
            on_record=_show if begin.console else None,
        )
        self._prepared: Prepared | None = None
        self._wanted = 0  # changes with what the supervisor waits for
        self._openings: dict[int, Opening] = {}
        self._drain: asyncio.Task[bool] | None = None
        self.over = asyncio.Event()
        self.drain_timeout = 0.0

    async def answer(self, asked: Any) -> message.Answer:
        """Never raises: what goes wrong is part of the answer."""
        try:
            return message.Answer(await self._answers[type(asked)](self, asked))
        except ConfigurationError as error:
            return message.Answer(None, str(error), error.problems)
        except OSError as error:
            return message.Answer(None, error.strerror or str(error))
        except Exception as error:  # noqa: BLE001 - the supervisor decides what becomes of a worker with a bug
            self._log.error("bug", where=type(asked).__name__, exc_info=error)
            return message.Answer(None, f"{type(error).__name__} in the worker")

    async def _prepare(self, asked: message.Prepare) -> None:
        await self._abandon()
        wanted = self._wanted
        prepared = await self.gateway.prepare(asked.loaded)
        if wanted != self._wanted:  # it took so long that nobody waits for it any more
            await self.gateway.discard(prepared)
            raise OSError("another configuration has come meanwhile")
        self._prepared = prepared

    async def _abandon(self, asked: message.Abandon | None = None) -> None:
        self._wanted += 1
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            await self.gateway.discard(prepared)

    async def _commit(self, asked: message.Commit) -> message.Committed:
        prepared = self._prepared
        assert prepared is not None
        openings = self._known(asked.openings)
        await self.gateway.commit(prepared, list(openings.values()))
        self._prepared = None
        self._keep(openings)
        self.drain_timeout = prepared.loaded.configuration.drain_timeout
        return message.Committed(prepared.anew, prepared.back)

    async def _accept(self, asked: message.Accept) -> None:
        openings = self._known(asked.openings)
        await self.gateway.accept_from(list(openings.values()))
        self._keep(openings)

    def _known(self, handed_over: Sequence[message.Handed]) -> dict[int, Opening]:
        """The openings by their numbers, with what is on its way."""
        fresh: dict[int, Opening] = {}
        for handed in handed_over:
            if handed.sockets:
                fresh[handed.opening] = Opening(self._receive(handed.sockets), handed.place)
        known = {**self._openings, **fresh}
        return {handed.opening: known[handed.opening] for handed in handed_over}

    def _keep(self, openings: dict[int, Opening]) -> None:
        """Closes those that are not among these."""
        for number, opening in self._openings.items():
            if number not in openings:
                opening.close()
        self._openings = openings

    def _receive(self, count: int) -> list[socket.socket]:
        """Sockets that were sent before the message that tells of them, so that they are here."""
        sockets: list[socket.socket] = []
        while len(sockets) < count:
            _, descriptors, _, _ = socket.recv_fds(self._handover, 1, 1)
            if not descriptors:
                raise OSError("the sockets have not come")
            sockets.append(socket.socket(fileno=descriptors[0]))
        return sockets

    async def _tell(self, asked: message.Tell) -> Any:
        return self._topics[asked.topic](self)

    async def _revoke(self, asked: message.Revoke) -> message.Forgotten:
        count = self.gateway.revoke(asked.revocation)
        return message.Forgotten(count, tuple(await self.gateway.owed()))

    async def _show_buckets(self, asked: message.ShowBuckets) -> Buckets:
        return await self.gateway.buckets(asked.selection, asked.most)

    async def _reset_buckets(self, asked: message.ResetBuckets) -> Buckets:
        return await self.gateway.reset_buckets(asked.selection)

    async def _reopen(self, asked: message.Reopen) -> None:
        self.gateway.reopen_log()

    async def _recent(self, asked: message.Recent) -> tuple[list[bytes], int]:
        return self.gateway.recent(asked.after)

    def _metrics(self) -> Any:
        return self.gateway.metrics.families()

    def _status(self) -> Any:
        return self.gateway.status()

    def _upstreams(self) -> Any:
        return self.gateway.upstream_states()

    def _checks(self) -> Any:
        return self.gateway.plan.checks()

    def _pulse(self) -> bool:
        return True

    async def _announce(self, asked: message.Announce) -> None:
        self.gateway.announce_end()

    async def _close(self, asked: message.Close) -> None:
        self.gateway.stop_accepting()
        for opening in self._openings.values():
            opening.close()
        self._openings.clear()

    async def _end(self, asked: message.Drain) -> bool:
        """A second one, with less time, cuts the first short."""
        former, drain = self._drain, None
        if former is not None and not former.done():
            former.cancel()
            await asyncio.wait((former,))
        self._drain = drain = spawn(self._drained(asked.timeout), name="drain")
        return await asyncio.shield(drain)

    async def _drained(self, timeout: float) -> bool:
        await self._close(message.Close())
        return await self.gateway.stop(timeout)

    async def leave(self) -> None:
        """Drains because nobody is there any more who says so, or because it was told to end by itself."""
        await self._end(message.Drain(self.drain_timeout))
        self.over.set()

    _answers: Final[Mapping[type, Callable[["Worker", Any], Coroutine[Any, Any, Any]]]] = {
        message.Prepare: _prepare,
        message.Abandon: _abandon,
        message.Commit: _commit,
        message.Accept: _accept,
        message.Tell: _tell,
        message.Revoke: _revoke,
        message.ShowBuckets: _show_buckets,
        message.ResetBuckets: _reset_buckets,
        message.Recent: _recent,
        message.Reopen: _reopen,
        message.Announce: _announce,
        message.Close: _close,
        message.Drain: _end,
    }
    _topics: Final[Mapping[str, Callable[["Worker"], Any]]] = {
        "metrics": _metrics,
        "status": _status,
        "upstreams": _upstreams,
        "checks": _checks,
        "pulse": _pulse,
    }


async def work(channel: socket.socket, handover: socket.socket, memory: SharedMemory) -> None:
    """Obeys until the supervisor says that it is over, or is gone."""
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    _, begin = await message.receive(reader)
    assert isinstance(begin, message.Begin)
    _name_process(f"weir worker {begin.slot}")
    worker = Worker(begin, handover, memory)
    threading.Thread(target=_lifeline, args=(handover, worker), name="lifeline", daemon=True).start()
    loop = asyncio.get_running_loop()
    log = structlog.get_logger("gateway").bind(worker=begin.number)

    def told_to_end() -> None:
        log.info("worker_told_to_end")
        spawn(worker.leave(), name="drain")

    loop.add_signal_handler(signal.SIGTERM, told_to_end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*OURS, signal.SIGTERM))

    async def reply(number: int, asked: Any) -> None:
        answer = await worker.answer(asked)
        with suppress(ConnectionError):
            writer.write(message.frame(number, answer))
            await writer.drain()
        if isinstance(asked, message.Drain):
            worker.over.set()

    async def obey() -> None:
        with suppress(EOFError):
            while True:
                number, asked = await message.receive(reader)
                spawn(reply(number, asked), name=type(asked).__name__)
        if not worker.over.is_set():
            log.warning("supervisor_gone", pid=os.getpid())
            await worker.leave()

    obeying = spawn(obey(), name="supervisor")
    await worker.over.wait()
    ignore_signals((signal.SIGTERM,))
    obeying.cancel()
    with suppress(ConnectionError):  # the last answer goes first
        writer.close()
        await writer.wait_closed()


def _lifeline(handover: socket.socket, worker: Worker) -> None:
    """Ends the process some time after the supervisor has gone, whatever its event loop does."""
    poll = select.poll()
    poll.register(handover, select.POLLRDHUP)
    while not poll.poll():
        pass
    time.sleep(worker.drain_timeout + ORPHAN)
    os._exit(os.EX_SOFTWARE)


def _show(fields: Mapping[str, Any]) -> None:
    from gateway import console

    print(console.line(fields, colour=True), flush=True)


def _name_process(name: str) -> None:
    """What `ps` and `top` show."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def main() -> None:
    """`python -c ... CHANNEL HANDOVER CELLS LOCKS`: descriptors of the two sockets to the supervisor, and of the shared memory."""
    for number in OURS:
        signal.signal(number, signal.SIG_IGN)
    channel, handover = (socket.socket(fileno=int(argument)) for argument in sys.argv[1:3])
    cells, locks = map(int, sys.argv[3:5])
    memory = SharedMemory((cells, locks))
    channel.setblocking(False)
    configure()
    with asyncio.Runner(loop_factory=loop_factory()) as runner, suppress(EOFError):
        runner.run(work(channel, handover, memory))
