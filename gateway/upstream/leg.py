"""One request on its way to an upstream and its answer back: the attempts that it takes.

A request is sent a second time only where that cannot be noticed: when no connection could be made (nothing
was sent), or when a pooled connection turned out to be closed before any byte of an answer, the method is
idempotent (RFC 9110 section 9.2.2), and no byte of a streamed body has been used up. An upstream with `retries` has
further rules, see `gateway.upstream.retry`; what their budget keeps from being a retry, though nothing could be sent, goes to an
endpoint that is not known to be out of reach, as it would without them. Filters see none of it.
"""

import asyncio
from abc import ABC, abstractmethod
from time import perf_counter, time
from typing import Final

from gateway.http import message as wire
from gateway.http.retry_after import seconds_of
from gateway.record import Attempt
from gateway.task import spawn
from gateway.trace import Trace
from gateway.upstream.connection import Owner, UpstreamConnection
from gateway.upstream.dialer import ConnectError
from gateway.upstream.pool import Endpoint, Pool
from gateway.upstream.retry import IDEMPOTENT, STATUS_RETRIED, Course
from gateway.upstream.selection import Refusal, Ticket
from gateway.wheel import FAR

_CLOSED: Final = frozenset(("upstream_closed", "upstream_tls_failed"))
"""How a connection ends that stood: reason codes."""

_attempt = tuple.__new__  # an Attempt in a third of the time that its constructor takes


class LegOwner(ABC):
    """The exchange that a leg serves."""

    @abstractmethod
    def on_leg_ready(self) -> None:
        """A connection stands and the head has been sent: the body may follow."""

    @abstractmethod
    def on_leg_progress(self) -> None:
        """A segment of the answer has arrived: see `leg.connection`."""

    @abstractmethod
    def on_leg_writable(self) -> None:
        """The connection takes body bytes again."""

    @abstractmethod
    def on_leg_failure(self, reason: str) -> None:
        """The exchange with the upstream is over; `reason` is a reason code."""


class Leg(Owner):
    """Sends one request to a pool and hands its answer to `owner`."""

    # Most of these keep their first value in most exchanges, so they are the class's.
    _task: asyncio.Task[None] | None = None
    _first_byte_at: float | None = None
    _connect_seconds: float | None = None
    _reused = False
    _chunked = False
    connection: UpstreamConnection | None = None
    offered: frozenset[bytes] | None = None
    """Protocols that the request offers to switch to, lower case; to be set before `start`."""
    streamed = False
    key: bytes | None = None
    """What the request is known by (see `Pool.key_of`); to be set before `start`."""
    retry_after: int | None = None
    """Seconds that the client is asked to wait, where the pool has refused the request."""
    keyed = False
    """Whether the request carries an Idempotency-Key that counts; to be set before `start`."""
    once = False
    """Whether the rules of `retries` leave the request alone; to be set before `start`."""
    _course: Course | None = None
    _pausing = False
    _replaced = False
    _ticket: Ticket | None = None
    _refusal: asyncio.Handle | None = None
    expects = False
    """Whether the request asks for a 100 (RFC 9110 section 10.1.1); to be set before `start`."""
    continued = False
    """Whether the 100 has come; for the owner to say."""
    trace: Trace | None = None
    """The trace that each attempt tells the upstream of; to be set before `start`."""

    def __init__(self, pool: Pool, owner: LegOwner, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._owner = owner
        self._loop = loop
        self.attempts: list[Attempt] = []
        self._sent_at = self._progress_at = FAR

    def start(
        self, line: bytes, rest: bytes, *, host: bytes | None, method: str, whole: bool, chunked: bool
    ) -> None:
        """Sends the request line, a Host field, and the rest: fields, and the body too when `whole`.

        `host` None leaves Host to `rest`; b"" is the endpoint's own. `chunked` frames what `write` sends.
        """
        self._line = line
        self._rest = rest
        self._host = host
        self._method = method
        if chunked:
            self._chunked = True
        if whole:
            self._sent_at = 0.0
        pool = self._pool
        self._attempted_at = perf_counter()
        retry = pool.retry
        if retry is not None and not self.once:
            self._course = Course(
                retry,
                repeatable=self.keyed or method in IDEMPOTENT,
                now=self._loop.time(),
                total=pool.total,
            )
        endpoint = pool.only
        if endpoint is None:
            chosen = pool.choose(self.key)
            if isinstance(chosen, Refusal):
                # Told in a moment, as every failure is: the owner is in the midst of starting us.
                self._refusal = self._loop.call_soon(self._refused, chosen)
                return
            endpoint = chosen
            if pool.counts:
                self._ticket = pool.begun(endpoint)
        self._endpoint = endpoint
        if self._course is not None:
            self._course.tried.append(endpoint)
        connection = pool.take(endpoint)
        if connection is None:
            self._connect()
        else:
            self._reused = True
            self._send(connection)

    def _connect(self) -> None:
        self._reused = False
        self._task = spawn(self._connecting(), name="upstream connect")

    async def _connecting(self) -> None:
        pool = self._pool
        course = self._course
        tried: list[Endpoint] = []
        while True:
            try:
                connection = await pool.connect(self._endpoint)
            except ConnectError as error:
                failure = error.reason
                self._record(failure, error.detail)
                if course is not None:
                    kind = "refused" if error.refused else "connect_failure"
                    pause = course.again(kind, self._loop.time(), nothing_sent=True)
                    if pause is not None:
                        await self._trying_again(course, pause, failure)
                        return
                    if not course.withheld:
                        break
            else:
                self._task = None
                self._connect_seconds = perf_counter() - self._attempted_at
                self._reused = connection.requests > 0
                self._send(connection)
                self._owner.on_leg_ready()
                return
            tried.append(self._endpoint)
            chosen = pool.another(self.key, tried)
            if chosen is None:
                break
            self._endpoint = chosen
            self._attempted_at = perf_counter()
            if course is not None:
                course.tried.append(chosen)
                course.begins(self._loop.time())
            if pool.counts:
                self._ticket = pool.begun(chosen)
        self._task = None
        self._end_course()
        self._owner.on_leg_failure(failure)

    def _try_again(self, course: Course, pause: float, failure: str, chosen: Endpoint | None = None) -> None:
        """Another attempt begins in `pause` seconds, in place of one that has ended by `failure`; at `chosen`, if it has been."""
        self._pausing = True
        self._task = spawn(self._trying_again(course, pause, failure, chosen), name="upstream retry")

    async def _trying_again(
        self, course: Course, pause: float, failure: str, settled: Endpoint | None = None
    ) -> None:
        pool = self._pool
        while True:
            self._pausing = True
            await asyncio.sleep(pause)
            self._pausing = False
            endpoint = pool.only
            if endpoint is None and settled is not None:
                endpoint, settled = settled, None
                if pool.counts:
                    self._ticket = pool.begun(endpoint)
            elif endpoint is None:
                chosen = pool.choose(self.key, course.tried)
                if isinstance(chosen, Refusal):
                    if failure == STATUS_RETRIED:  # which was an answer, and is gone
                        failure = chosen.reason
                        self.retry_after = chosen.retry_after
                    break
                endpoint = chosen
                if pool.counts:
                    self._ticket = pool.begun(endpoint)
            course.tried.append(endpoint)
            self._endpoint = endpoint
            self._attempted_at = perf_counter()
            self._first_byte_at = self._connect_seconds = None
            self._reused = False
            connection = pool.take(endpoint)
            if connection is None:
                try:
                    connection = await pool.connect(endpoint)
                except ConnectError as error:
                    failure = error.reason
                    self._record(failure, error.detail)
                    kind = "refused" if error.refused else "connect_failure"
                    more = course.again(kind, self._loop.time(), nothing_sent=True)
                    if more is None and course.withheld:
                        settled = pool.another(self.key, course.tried)
                        if settled is not None:
                            course.begins(self._loop.time())
                            more = 0.0
                    if more is None:
                        break
                    pause = more
                    continue
                self._connect_seconds = perf_counter() - self._attempted_at
            self._task = None
            self._reused = connection.requests > 0
            self._send(connection)
            self._owner.on_leg_ready()
            return
        self._task = None
        self._end_course()
        self._owner.on_leg_failure(failure)

    def _end_course(self) -> None:
        if self._course is not None:
            self._course.over()

    def _refused(self, refusal: Refusal) -> None:
        self._refusal = None
        self._end_course()
        self.retry_after = refusal.retry_after
        self._owner.on_leg_failure(refusal.reason)

    def _send(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        if self._sent_at != FAR:
            self._sent_at = self._loop.time()
        if self.expects:
            self.continued = False
        host, line = self._host, self._line
        if self.trace is not None:
            line += self.trace.send(len(self.attempts))
        if host is not None:
            data = b"%bHost: %b\r\n%b" % (line, host or self._endpoint.authority, self._rest)
        else:
            data = line + self._rest
        connection.begin(self, data, no_body=self._method == "HEAD")
        if self.offered is not None:
            connection.offered = self.offered
        if self.streamed and self._course is not None:
            for piece in self._course.kept or ():
                connection.write(piece)

    # ---- the body, outward from the client

    @property
    def writable(self) -> bool:
        """Whether body bytes may be written now."""
        connection = self.connection
        return connection is not None and not connection.writing_paused and not connection.closed

    def write(self, chunk: bytes) -> None:
        assert self.connection is not None
        self.streamed = True
        if self._chunked:
            chunk = wire.chunk(chunk)
        self.connection.write(chunk)
        if self._course is not None:
            self._course.keep(chunk)
        if self.connection.writing_paused:
            self._progress_at = self._loop.time()

    def end(self) -> None:
        """The request body is complete."""
        assert self.connection is not None
        self.streamed = True
        if self._chunked:
            self.connection.write(wire.LAST_CHUNK)
        self._sent_at = self._loop.time()
        if self._course is not None:
            if self._chunked:
                self._course.keep(wire.LAST_CHUNK)
            self._course.sent(self._sent_at)

    @property
    def sent(self) -> bool:
        """Whether the whole request has been handed to the socket."""
        return self._sent_at != FAR and self.connection is not None

    def resume(self) -> None:
        """The answer is read on; the time that nobody read it was not the upstream's."""
        if self.connection is not None:
            self._progress_at = self._loop.time()
            self.connection.resume()

    # ---- Owner of the connection

    def on_progress(self) -> None:
        connection = self.connection
        assert connection is not None
        if connection.error is not None:
            self._failed(connection, connection.error)
            return
        if self._first_byte_at is None:
            self._first_byte_at = perf_counter()
        course = self._course
        if course is not None and not course.settled and connection.head_done:
            if course.wants_other_than(connection.status) and self._give_up_answer(course, connection):
                return
            course.settled = True
        if not connection.complete:
            self._progress_at = self._loop.time()
        self._owner.on_leg_progress()

    def _give_up_answer(self, course: Course, connection: UpstreamConnection) -> bool:
        """Whether another attempt is made in place of an answer whose head is here."""
        pool = self._pool
        other: Endpoint | None = None
        if pool.only is None:
            chosen = pool.choose(self.key, course.tried)
            if isinstance(chosen, Refusal):
                return False
            other = chosen  # and not another by a second look, which would be one further in turn
        given = connection.fields.get(b"retry-after")
        retry_after = None if given is None else seconds_of(given.encode("latin-1"), time())
        pause = course.again("status", self._loop.time(), nothing_sent=False, retry_after=retry_after)
        if pause is None:
            return False
        self._record(STATUS_RETRIED)
        self.connection = None
        connection.interim = []
        if connection.complete and self._may_keep():
            pool.give_back(self._endpoint, connection)
        else:
            connection.abort()
        self._try_again(course, pause, STATUS_RETRIED, other)
        return True

    def _failed(self, connection: UpstreamConnection, error: str) -> None:
        course = self._course
        if connection.got_bytes:
            self.fail(error)
        elif self._reused and self._method in IDEMPOTENT and self._is_replaceable(course):
            # The end of a connection that was kept too long says nothing of the endpoint, and is no attempt's.
            ticket, self._ticket = self._ticket, None
            self._record(error)
            self._ticket = ticket
            connection.abort()
            self.connection = None
            self._replaced = True
            self._attempted_at = perf_counter()
            self._connect()
        else:
            if course is not None and error in _CLOSED:
                pause = course.again("reset", self._loop.time(), nothing_sent=False)
                if pause is not None:
                    self._drop(error)
                    self._try_again(course, pause, error)
                    return
            self.fail(error)

    def _is_replaceable(self, course: Course | None) -> bool:
        """Whether the request can go over another connection as it went over this one."""
        if course is None:
            return not self.streamed
        return not self._replaced and (not self.streamed or course.kept is not None)

    def on_writable(self) -> None:
        self._owner.on_leg_writable()

    # ---- ends

    def expire(self, reason: str) -> None:
        """The attempt has taken too long, by `reason`, or all of them have: `fail`, unless another attempt is made."""
        course = self._course
        connection = self.connection
        if (
            course is not None
            and reason in ("upstream_try_timeout", "upstream_first_byte_timeout")
            and self._refusal is None
        ):
            pause = course.again("timeout", self._loop.time(), nothing_sent=connection is None)
            if pause is not None:
                self._drop(reason)
                self._try_again(course, pause, reason)
                return
        self.fail(reason)

    def fail(self, reason: str) -> None:
        """Ends the attempt for `reason` and tells the owner."""
        self.abort(reason)
        self._owner.on_leg_failure(reason)

    def abort(self, reason: str) -> None:
        """Ends the attempt without a word to the owner; the upstream sees its connection close."""
        if self._refusal is not None:
            self._refusal.cancel()
            self._refusal = None
        self._drop(reason)
        self._end_course()

    def _drop(self, reason: str) -> None:
        """Ends the attempt in progress, if there is one."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            if self._pausing:
                self._pausing = False
            else:
                self._record(reason)
        if self.connection is not None:
            self._record(reason)
            self.connection.abort()
            self.connection = None

    def done(self) -> None:
        """The answer is complete and taken; the connection goes back to its pool if all was sent, and wanted."""
        connection = self.connection
        assert connection is not None
        self._record(None)
        if self._course is not None:
            self._course.over()
        self.connection = None
        if self._may_keep():
            self._pool.give_back(self._endpoint, connection)
        else:
            connection.abort()

    def _may_keep(self) -> bool:
        """Whether the connection is left in a state that both sides know.

        An upstream that has answered without the 100 that it was asked for may take the body for the next request.
        """
        return self._sent_at != FAR and (self.continued or not self.expects)

    def let_go(self, error: str | None) -> UpstreamConnection:
        """The tunnel that the connection became is over, because of `error` unless it ended in order."""
        connection = self.connection
        assert connection is not None
        self._record(error)
        self._end_course()
        self.connection = None
        return connection

    @property
    def seconds(self) -> float:
        """How long attempts have taken so far, all together."""
        spent = sum([attempt.total for attempt in self.attempts])
        return spent if self.connection is None else spent + perf_counter() - self._attempted_at

    def _record(self, error: str | None, detail: str | None = None) -> None:
        connection = self.connection
        ticket = self._ticket
        if ticket is not None:
            self._ticket = None
            failure = None if error == STATUS_RETRIED else error
            self._pool.over(ticket, failure, connection.status if connection is not None else 0)
        if connection is not None:
            status, peer = connection.status, connection.remote
            detail = connection.detail
        else:
            status, peer = 0, None
        begun = self._attempted_at
        first = self._first_byte_at
        self.attempts.append(
            _attempt(
                Attempt,
                (
                    self._pool.name,
                    self._endpoint.address,
                    self._reused,
                    status,
                    error,
                    detail,
                    peer,
                    self._connect_seconds,
                    None if first is None else first - begun,
                    perf_counter() - begun,
                ),
            )
        )

    # ---- timeouts

    def deadline(self) -> tuple[float, str]:
        """When the upstream will have taken too long, on the loop's clock, and the reason code of that."""
        connection = self.connection
        course = self._course
        if connection is None:
            if course is not None and not course.settled:
                return course.try_until, "upstream_try_timeout"
            return FAR, ""  # `connect` has its own timeout
        pool = self._pool
        if self._sent_at == FAR:
            if connection.writing_paused:
                return self._progress_at + pool.idle, "upstream_idle_timeout"
            return FAR, ""  # it is the client that is waited for
        if not connection.head_done:
            at = self._sent_at + pool.first_byte
            if course is not None and course.try_until < at:
                return course.try_until, "upstream_try_timeout"
            return at, "upstream_first_byte_timeout"
        return self._progress_at + pool.idle, "upstream_idle_timeout"
