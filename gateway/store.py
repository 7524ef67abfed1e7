"""The client of a store, Redis or Valkey (protocol RESP 2), by hiredis: one connection, on which commands of all exchanges
travel together.

Commands that are given in one turn of the event loop leave in one write. A store that does not answer in time is taken to
be away: all that is out has failed, and the connection with it, since later answers could belong to anybody. It is then
left alone, for longer each time, and whoever asks is told so at once; after that one who asks waits for it to be back.

A node of a cluster that says that another has the keys of a command is believed: the command goes there, by a client of that
node with the same options, and so do later ones for the same slot. It is known to have not been carried out before.
"""

import asyncio
import os
import re
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import unquote

import structlog

from gateway.api.store import PORT, StoreError, StoreOptions, split
from gateway.redirection import Part, Redirection, redirection, slot_of
from gateway.task import spawn
from gateway.tls import words

PAUSE: Final = (0.1, 5.0)
"""Seconds for which a store that was not to be had is left alone: the least, doubled each time, and the most."""
MAX_ANSWER: Final = 1 << 20
"""Bytes of an answer."""
MAX_UNSENT: Final = 4 << 20
"""Bytes of commands that wait because the store does not take them."""

MAX_NODES: Final = 64
"""Nodes of a cluster that there are connections to at once."""
MAX_REDIRECTIONS: Final = 4
"""How often a command is sent on: more is a cluster that does not agree with itself."""

_COMMAND: Final = re.compile(r"permissions to run the '([a-z_|-]{1,32})' command")


class RedisStore:
    """Opens nothing before its first command. `context` is for a `rediss` URL."""

    def __init__(self, options: StoreOptions, context: ssl.SSLContext | None) -> None:
        self._options = options
        self._context = context
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection | StoreError] | None = None
        self._closed = False
        self._failure: StoreError | None = None  # the last one, while the store is away
        self._pause = 0.0
        self._until = 0.0
        self._log = structlog.get_logger("store").bind(url=options.url)
        self._nodes: dict[
            str, RedisStore
        ] = {}  # of a cluster, by their URLs, beside the one that the options name
        self._slots: dict[int, RedisStore] = {}  # that they have been found to have

    async def command(self, *parts: Part) -> Any:
        try:
            return await self._node(parts)._asked(parts)
        except _RedirectedError as error:
            return await self._followed(parts, error.redirection)

    async def _asked(self, parts: tuple[Part, ...], once: bool = False) -> Any:
        """The answer of this node; `once` asks it for what another is about to hand over to it."""
        connection = self._connection
        if connection is None:
            connection = await self._connected()
        if not once:
            return await connection.ask(parts)
        asking = connection.ask(("ASKING",))
        asking.add_done_callback(lambda future: future.cancelled() or future.exception())
        return await connection.ask(parts)

    def available(self) -> bool:
        away = {node for node in self._slots.values() if not node._there()}
        if away:
            # Others may have what it had: the next who asks finds out.
            self._slots = {slot: node for slot, node in self._slots.items() if node not in away}
            return False
        return bool(self._slots) or self._there()

    def _there(self) -> bool:
        if self._connection is None and not self._closed:
            spawn(self._probe(), name="store")
        return self._failure is None

    async def _probe(self) -> None:
        with suppress(StoreError):
            await self._asked(("PING",))

    # ---- the nodes of a cluster

    def _node(self, parts: tuple[Part, ...]) -> "RedisStore":
        """Who is asked first."""
        if not self._nodes:
            return self
        slot = slot_of(parts)
        found = self._slots.get(slot, self) if slot is not None else self
        if found._failure is None:
            return found
        # One that is away cannot say who has taken its place.
        return next((node for node in (self, *self._nodes.values()) if node._failure is None), found)

    async def _followed(self, parts: tuple[Part, ...], told: Redirection) -> Any:
        slot = slot_of(parts)
        for _ in range(MAX_REDIRECTIONS):
            node = self._known(told)
            if not told.once and slot is not None:
                self._slots[slot] = node
            try:
                return await node._asked(parts, told.once)
            except _RedirectedError as error:
                told = error.redirection
        raise StoreError("refused", "MOVED")

    def _known(self, told: Redirection) -> "RedisStore":
        """The client of a node. Raises StoreError where the store is none that can be a cluster's."""
        parts = split(self._options.url)
        if parts.scheme == "unix" or self._closed:
            raise StoreError("closed" if self._closed else "refused", "" if self._closed else "MOVED")
        told = told if told.host else told._replace(host=parts.hostname or "")
        if (told.host, told.port) == (parts.hostname, parts.port or PORT):
            return self
        url = f"{parts.scheme}://{told.place}"
        node = self._nodes.pop(url, None)
        if node is None:
            while len(self._nodes) >= MAX_NODES:
                self._forget(next(iter(self._nodes)))
            node = RedisStore(self._options.model_copy(update={"url": url, "database": 0}), self._context)
        self._nodes[url] = node  # the last to be forgotten
        return node

    def _forget(self, url: str) -> None:
        node = self._nodes.pop(url)
        self._slots = {slot: other for slot, other in self._slots.items() if other is not node}
        node.close()

    def tell(self, *parts: Part) -> None:
        spawn(self._told(parts), name="store")

    async def _told(self, parts: tuple[Part, ...]) -> None:
        try:
            await self.command(*parts)
        except StoreError as error:
            if error.reason in ("busy", "refused"):  # of a store that is away there is a word already
                self._log.warning("store_command_failed", command=str(parts[0]), because=str(error))

    def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.end(StoreError("closed"))
        for node in self._nodes.values():
            node.close()

    # ---- the connection

    async def _connected(self) -> "_Connection":
        if self._closed:
            raise StoreError("closed")
        loop = asyncio.get_running_loop()
        if self._failure is not None and (self._connecting is not None or loop.time() < self._until):
            # One at a time finds out whether it is back; nobody else waits for that.
            raise StoreError(self._failure.reason, self._failure.detail)
        if self._connecting is None:
            self._connecting = spawn(self._connect(), name="connection to a store")
        try:
            found = await asyncio.shield(self._connecting)
        except asyncio.CancelledError:
            if self._closed:
                raise StoreError("closed") from None
            raise
        if isinstance(found, StoreError):
            raise StoreError(found.reason, found.detail)
        return found

    async def _connect(self) -> "_Connection | StoreError":
        """A connection that has answered, or why there is none."""
        options = self._options
        connection = _Connection(options, self._lost)
        try:
            async with asyncio.timeout(options.timeout):
                await self._open(connection)
                await self._introduce(connection)
        except BaseException as error:
            failure = _told(error)
            connection.end(failure or StoreError("closed"))
            if failure is None:
                raise
            self._away(failure)
            return failure
        finally:
            self._connecting = None
        self._connection = connection
        self._pause = 0.0
        if self._failure is not None:
            self._failure = None
            self._log.info("store_back")
        return connection

    async def _open(self, connection: "_Connection") -> None:
        loop = asyncio.get_running_loop()
        parts = split(self._options.url)
        if parts.scheme == "unix":
            await loop.create_unix_connection(lambda: connection, unquote(parts.path))
        else:
            assert parts.hostname is not None
            await loop.create_connection(
                lambda: connection, parts.hostname, parts.port or PORT, ssl=self._context
            )

    async def _introduce(self, connection: "_Connection") -> None:
        options = self._options
        words: list[tuple[Part, ...]] = []
        if options.password is not None:
            user = (options.username,) if options.username is not None else ()
            words.append(("AUTH", *user, options.password.reveal()))
        if options.number:
            words.append(("SELECT", options.number))
        words.append(("PING",))  # one that does not answer is none, though the kernel may accept for it
        for answer in await asyncio.gather(*map(connection.ask, words), return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    def _lost(self, connection: "_Connection", failure: StoreError) -> None:
        if self._connection is connection:
            self._connection = None
            if not self._closed:
                self._away(failure)

    def _away(self, failure: StoreError) -> None:
        if self._failure is None:
            self._log.warning("store_away", because=str(failure))
        self._failure = failure
        self._pause = min(max(self._pause * 2, PAUSE[0]), PAUSE[1])
        self._until = asyncio.get_running_loop().time() + self._pause


class _RedirectedError(StoreError):
    """Another node of the cluster has the keys."""

    def __init__(self, redirection: Redirection) -> None:
        super().__init__("refused", "ASK" if redirection.once else "MOVED")
        self.redirection = redirection


class _Connection(asyncio.Protocol):
    """Questions and answers in their order. `on_lost` hears once that it is over, and why."""

    def __init__(self, options: StoreOptions, on_lost: Callable[["_Connection", StoreError], None]) -> None:
        import hiredis

        self._pack: Any = hiredis.pack_command  # its types are not quite true
        self._error: type[BaseException] = hiredis.ReplyError
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._timeout = options.timeout
        self._pending = options.pending
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = 0  # bytes since the last whole answer
        self._over: StoreError | None = None

    def ask(self, parts: tuple[Part, ...]) -> "asyncio.Future[Any]":
        """Raises StoreError where it is not sent; the future has StoreError where there is no answer."""
        transport = self._transport
        if self._over is not None:
            raise StoreError(self._over.reason, self._over.detail)
        assert transport is not None
        if len(self._waiting) >= self._pending or transport.get_write_buffer_size() > MAX_UNSENT:
            raise StoreError("busy")
        future = self._loop.create_future()
        self._waiting.append((future, self._loop.time() + self._timeout))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(self._pack(parts))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)
        return future

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._over is None and self._transport is not None:
            self._transport.write(b"".join(unsent))

    def _look(self) -> None:
        """Whether the oldest question is past its time; one timer serves all."""
        self._timer = None
        if not self._waiting:
            return
        left = self._waiting[0][1] - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.end(StoreError("timeout"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        reader = self._reader
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not _NOTHING:
                self._received = 0
                if not self._waiting:
                    self.end(StoreError("broken", "an answer that nobody has asked for"))
                    return
                self._answer(self._waiting.popleft()[0], answer)
        except Exception:  # noqa: BLE001 - whatever the parser finds wrong with it
            self.end(StoreError("broken", "not the protocol of a store"))
            return
        if self._received > MAX_ANSWER:
            self.end(StoreError("broken", f"an answer of more than {MAX_ANSWER} bytes"))

    def _answer(self, future: "asyncio.Future[Any]", answer: Any) -> None:
        if future.done():  # nobody waits for it any more
            return
        if isinstance(answer, self._error):
            told = redirection(str(answer))
            future.set_exception(
                StoreError("refused", _refusal(str(answer))) if told is None else _RedirectedError(told)
            )
        else:
            future.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(StoreError("broken"))

    def end(self, failure: StoreError) -> None:
        """Nobody is answered any more; harmless when it is over already."""
        if self._over is not None:
            return
        self._over = failure
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if not future.done():
                future.set_exception(StoreError(failure.reason, failure.detail))
        self._on_lost(self, failure)


_NOTHING: Final = object()


def _told(error: BaseException) -> StoreError | None:
    """What has happened, in a word; None for what is no fault of the store's."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, TimeoutError):
        return StoreError("timeout")
    if isinstance(error, ssl.SSLError):
        return StoreError("tls", words(error))
    if isinstance(error, OSError):
        with suppress(ValueError, TypeError):
            return StoreError(
                "connect", os.strerror(error.errno).lower() if error.errno and error.errno > 0 else ""
            )
    return None


def _refusal(text: str) -> str:
    """The first word of an error, and the command for which a user lacks the right, where it says that: what else there is in it may
    be secret."""
    word = text.partition(" ")[0][:32]
    command = _COMMAND.search(text) if word == "NOPERM" else None
    return f"{word} {command[1]}" if command is not None else word
