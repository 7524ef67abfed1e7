"""Carries one exchange from its head to its record.

    head -> chain inward -> upstream leg -> chain outward -> client -> record

Everything happens in the callbacks of the two sockets; a task exists only while a filter or a new connection
has to be waited for. Bodies flow both ways as they come, each side paused by the other; the answer may begin
before the request has ended.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Set as AbstractSet
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from gateway.api.body import Body, too_large
from gateway.api.exchange import Exchange, Instant, Request
from gateway.api.verdict import Fault, Refused, Response, Verdict
from gateway.chain import INTERNAL_ERROR, Run
from gateway.excerpt import Excerpt
from gateway.http import message as wire
from gateway.http import request_id as request_ids
from gateway.http import trailer, upgrade
from gateway.http.date import http_date
from gateway.http.fields import Fields
from gateway.http.framing import BODILESS, HOP_BY_HOP, Problem, connection_options, content_length, dropped
from gateway.listener.head import HTTP_11, VERSIONS, open_exchange
from gateway.listener.parser import EMPTY_PAYLOAD, Head, StreamReader
from gateway.listener.section import Line, Section
from gateway.listener.transport import reset
from gateway.listener.tunnel import Tunnel
from gateway.plan import PlannedRoute
from gateway.record import Received, Record
from gateway.request_trace import server_timing
from gateway.task import spawn
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.leg import Leg, LegOwner
from gateway.upstream.mirror import INCOMPLETE, Copy, Mirror
from gateway.upstream.passage import Gate, Passage, latency
from gateway.wheel import FAR

if TYPE_CHECKING:
    from gateway.listener.connection import Connection

CONTINUE_AFTER: Final = 1.0
"""Seconds an upstream may take to answer an expectation before the client is told to go on."""
ONE_WRITE: Final = 64 * 1024
"""Bytes of a body that are joined with the head into one write."""
COLLECT_FACTOR: float = 10.0
"""How many times `timeouts.body` a request body may take that a filter waits for."""
MAX_FORWARDS: Final = 1_000_000_000
"""What a greater number of hops is taken for (RFC 9110 section 7.6.2)."""
RETRY_AFTER: Final = 5
"""Seconds that a client is asked to wait when an upstream cannot take requests."""

UPSTREAM_FAULTS: Final[dict[str, tuple[int, str]]] = {
    "upstream_connect_failed": (503, "The service is temporarily unavailable."),
    "upstream_connect_timeout": (504, "The service did not answer in time."),
    "upstream_resolve_failed": (503, "The service is temporarily unavailable."),
    "upstream_tls_unverified": (502, "The service could not be reached."),
    "upstream_tls_failed": (502, "The service could not be reached."),
    "upstream_tls_timeout": (504, "The service did not answer in time."),
    "upstream_try_timeout": (504, "The service did not answer in time."),
    "upstream_first_byte_timeout": (504, "The service did not answer in time."),
    "upstream_idle_timeout": (504, "The service did not answer in time."),
    "upstream_total_timeout": (504, "The service did not answer in time."),
    "upstream_response_invalid": (502, "The service gave an answer that could not be understood."),
    "upstream_unavailable": (503, "The service is temporarily unavailable."),
    "upstream_circuit_open": (503, "The service is temporarily unavailable."),
    "upstream_pool_exhausted": (503, "The service has too much to do at the moment."),
    "upstream_closed": (502, "The service closed the connection without a whole answer."),
}
"""What a client is told of each failure of an upstream; the addresses stay in the record."""

ANSWER_TOO_LARGE: Final = Fault(
    502, "response_too_large", "The service gave an answer that is too large to be examined."
)

_SPECIAL: Final = frozenset((b"content-length", b"expect", b"max-forwards", b"x-openstack-request-id"))
"""Request fields that take more than to be passed on."""
_SINGLETONS: Final = (b"date", b"x-compute-request-id", b"x-openstack-request-id")


class StreamedBody(Body):
    """The body of a request that still arrives."""

    __slots__ = ("_handler",)

    def __init__(self, handler: "Handler", length: int | None) -> None:
        super().__init__(None, length)
        self._handler = handler

    async def _collected(self, limit: int) -> bytes:
        if self.complete is None:
            self.complete = await self._handler.collect(limit)
        elif len(self.complete) > limit:
            raise too_large(limit)
        return self.complete


class AnswerBody(Body):
    """The body of an upstream's answer."""

    __slots__ = ("_handler",)

    def __init__(self, handler: "Handler", length: int | None) -> None:
        super().__init__(None, length)
        self._handler = handler

    async def _collected(self, limit: int) -> bytes:
        if self.complete is None:
            self.complete = await self._handler.collect_answer(limit)
        elif len(self.complete) > limit:
            raise Refused(ANSWER_TOO_LARGE)
        return self.complete


class Handler(LegOwner):
    """One exchange on one connection. Ends with `_finish`, whatever happens, exactly once."""

    # What most exchanges leave as it is belongs to the class: an exchange begins with a few stores.
    _head: Head | None = None
    _section: Section | None = None
    _method = ""
    _exchange: Exchange | None = None
    _planned: PlannedRoute | None = None
    _run: Run | None = None
    _leg: Leg | None = None
    _passage: Passage | None = None
    _copy: Copy | None = None
    _task: asyncio.Task[None] | None = None
    _collector: asyncio.Future[None] | None = None
    _prefix: list[bytes] | None = None
    _read_ahead: list[bytes] | None = None
    _expects = False
    _trusted = False
    _close = True
    _lingers = False
    _outward_begun = False
    _sent_head = False
    _chunked_out = False
    _takes_trailers = False
    _traced = False
    _is_watched = False
    _asks = b""
    _offered: frozenset[bytes] | None = None
    _tunnel: Tunnel | None = None
    _upstream_body: Body | None = None
    _done = False
    _last_body_at = 0.0
    _body_seen = 0

    def __init__(self, connection: "Connection", clock: Instant) -> None:
        self._connection = connection
        self._listener = listener = connection.listener
        self._loop = connection.loop
        self._generation = generation = listener.generation
        generation.active += 1
        listener.under_way[self] = clock.monotonic
        self._plan = generation.plan
        self._clock = clock
        self._request_id = listener.request_ids.next()
        self._record = Record()
        self._version: tuple[int, int] = HTTP_11
        self.payload: StreamReader = EMPTY_PAYLOAD
        self._total_at = self._continue_at = self._collect_until = self._write_blocked_at = FAR

    # ---- the head

    def begin(self, head: Head, payload: StreamReader) -> None:
        """Judges the head, runs the chain inward, and goes on by its verdict."""
        self._head = head
        self._method, target, self._version, fields, _ = head
        index = fields.index()
        self._record.received = Received(fields.raw)
        self._record.global_id = _global_id(fields)
        if payload is EMPTY_PAYLOAD:
            body = Body()
        elif payload.is_eof():
            data = payload.read_nowait()
            self._record.bytes_in = len(data)
            self.payload = payload
            body = Body(data)
        else:
            self._last_body_at = self._loop.time()
            self.payload = payload
            body = StreamedBody(self, content_length(fields.raw))
        opened = open_exchange(
            self._plan,
            self._connection.peer,
            self._method,
            target,
            self._version,
            fields,
            body,
            self._request_id,
            self._clock,
        )
        if isinstance(opened, Problem):
            self.refuse_head(opened)
            return
        if payload is EMPTY_PAYLOAD and b"transfer-encoding" in index:
            self.refuse_head(_NO_BODY_SEEN)
            return
        exchange, planned, allow, self._trusted, expects = opened
        connection = self._connection
        if expects and body.complete is None:
            self._expects = True
        self._close = head.closes or self._version != HTTP_11 or self._listener.draining
        if b"te" in index and self._version == HTTP_11 and self._method != "HEAD":
            self._takes_trailers = trailer.wanted(index[b"te"])
            if self._takes_trailers and b"te" in _nominated(index):
                self._asks = b"TE: trailers\r\nConnection: TE"
        if head.closes and b"upgrade" in index and planned is not None and planned.upgrade:
            self._offer(upgrade.offered(self._method, index, planned.upgrade))
        text = connection.section
        if text is not None and payload is EMPTY_PAYLOAD and not head.closes and target[:1] == b"/":
            self._generation.sections.learn(connection.origin, text, fields.raw, exchange, self._trusted)
        self._enter(exchange, planned, allow)

    def _offer(self, protocols: tuple[bytes, ...]) -> None:
        """The upstream is asked to switch to one of the protocols that the client offers and the route allows."""
        if not protocols or self._version != HTTP_11 or self.payload is not EMPTY_PAYLOAD:
            return
        self._offered = frozenset(protocol.lower() for protocol in protocols)
        self._takes_trailers = False
        self._asks = b"Connection: Upgrade\r\nUpgrade: " + b", ".join(protocols)
        # Before it knows of a refusal, the client may have begun to speak the other protocol.
        self._lingers = True

    def begin_again(self, section: Section, line: Line) -> None:
        """Begins an exchange whose header section has been judged before."""
        method, target, path, query = line
        self._method = method
        self._section = self._record.received = section
        self._trusted = section.trusted
        self._close = self._listener.draining
        planned, params, _, allow = self._plan.router.match(section.host, path, method)
        exchange = Exchange(
            method,
            target,
            path,
            query,
            section.scheme,
            section.host,
            self._connection.peer.address,
            section.client,
            "1.1",
            self._request_id,
            self._clock,
            Request(section.fields.copy(), Body()),
            planned.info if planned is not None else None,
            params,
        )
        certificate = self._connection.peer.certificate
        if certificate is not None:
            exchange.certificate = certificate
        self._enter(exchange, planned, allow)

    def _enter(self, exchange: Exchange, planned: PlannedRoute | None, allow: tuple[str, ...] | None) -> None:
        listener = self._listener
        self._exchange = exchange
        if self._plan.watches:
            self._watch(exchange, planned)
        if planned is not None:
            self._planned = planned
            chain = planned.chain
        else:
            chain = self._plan.chain
        self._run = run = Run(chain, exchange, self._plan.render, listener.report_bug)
        if not chain.entries:
            self._judged(None, allow)
            return
        verdict = run.inward()
        if verdict is None or isinstance(verdict, (Fault, Response)):
            self._record.chain_in = monotonic() - self._clock.monotonic
            self._judged(verdict, allow)
        else:
            self._set_deadline()
            self._task = spawn(self._await_inward(verdict, allow), name="filters inward")

    def _watch(self, exchange: Exchange, planned: PlannedRoute | None) -> None:
        """Sees to what is not wanted of every exchange; where it is of this one, its answer may not take the short way."""
        traces, trace = self._plan.traces, self._plan.request_trace
        if traces is not None:
            self._record.trace = traces.trace(exchange.request.headers.index(), self._trusted)
        if trace is not None and trace.asked_by(exchange.request.headers):
            self._traced = self._is_watched = True
        if planned is not None and planned.bodies is not None:
            self._is_watched = True
            excerpt = planned.bodies.of_request(exchange.request.headers)
            if excerpt is not None and self.payload is not EMPTY_PAYLOAD:
                self._record.more().request_body = excerpt
                exchange.request.body.wrap(excerpt)

    def _response_excerpt(self, response: Response) -> Excerpt | None:
        """What takes the beginning of the answer's body; None where the record has none of it."""
        if self._planned is None or self._planned.bodies is None:
            return None
        excerpt = self._planned.bodies.of_response(response.headers)
        if excerpt is not None or self._record.aside is not None:
            self._record.more().response_body = excerpt
        return excerpt

    async def _await_inward(self, pending: Awaitable[Verdict], allow: tuple[str, ...] | None) -> None:
        verdict = await pending
        self._task = None
        self._record.chain_in = monotonic() - self._clock.monotonic
        if not self._done:
            self._judged(verdict, allow)

    def _judged(self, verdict: Verdict, allow: tuple[str, ...] | None) -> None:
        if verdict is not None:
            self._record.decision = "refuse" if isinstance(verdict, Fault) else "answer"
            self._answer(verdict)
        elif self._planned is None:
            self._answer(_unrouted(allow))
        elif self._method == "OPTIONS" and self._max_forwards() == 0:
            # The client asks this hop, and no further one (RFC 9110 section 7.6.2).
            self._record.decision = "answer"
            self._answer(Response(200, reason="max_forwards_reached"))
        else:
            self._record.decision = "forward"
            self._forward()

    def refuse_head(self, problem: Problem, *, to_head: bool = False) -> None:
        """Answers a head that never became an exchange: at once, outside the chain, and the connection ends.

        `to_head` says that all that is known of it is its method, HEAD, which is answered without a body.
        """
        self._close = self._lingers = True
        if to_head:
            self._method = "HEAD"
        if self._exchange is None:
            self._exchange = _placeholder(self._connection, self._head, self._request_id, self._clock)
        if self._head is None:
            self._record.received = Received()
        if self._plan.traces is not None:
            self._record.trace = self._plan.traces.trace(self._exchange.request.headers.index(), False)
        fault = Fault(problem.status, problem.reason, problem.message)
        self._record.reason = problem.reason
        self._exchange.response = self._render(fault)
        self._outward_begun = True
        self._send_own()

    def _max_forwards(self) -> int | None:
        assert self._exchange is not None
        value = self._exchange.request.headers.get(b"max-forwards")
        if value is None or not (value.isascii() and value.isdigit()):
            return None
        digits = value.lstrip("0")
        return int(digits or 0) if len(digits) < 10 else MAX_FORWARDS

    # ---- the request body

    @property
    def receiving(self) -> bool:
        """Whether more of the request is to come."""
        return not self.payload.is_eof()

    @property
    def starving(self) -> bool:
        """Whether nothing happens before more of the request comes, unless the upstream answers before that."""
        if not self.receiving:
            return False
        if self._collector is not None:
            return not self._collector.done()
        return self._leg is not None

    def on_body_data(self) -> None:
        """More of the request has come: of the body, or only of what frames it, which brings nobody any further."""
        payload = self.payload
        if self._done or payload is EMPTY_PAYLOAD:
            return
        seen = payload.total_bytes
        if seen == self._body_seen and not payload.is_eof():
            return
        self._body_seen = seen
        self._last_body_at = self._loop.time()
        if self._collector is not None:
            if not self._collector.done():
                self._collector.set_result(None)
        elif self._leg is not None:
            self._pump()

    def on_body_malformed(self) -> None:
        """The rest of the request cannot be told from noise: nobody may take what came for all of it."""
        self.payload = EMPTY_PAYLOAD
        self._record.reason = "framing_invalid"
        if self._sent_head:
            self._break_off("framing_invalid")
            return
        self._drop_leg("framing_invalid")
        self._cancel_task()
        self._close = self._lingers = True
        self._record.decision = "refuse"
        self._answer_late(Fault(400, "framing_invalid", "The request body is malformed."))

    async def collect(self, limit: int) -> bytes:
        """The whole request body for a filter that asks; the client is told to send it, if it waits."""
        prefix = self._prefix = self._prefix or []
        size = sum(map(len, prefix))
        if self._expects:
            self._send_continue()
        while True:
            chunk = self.payload.read_nowait()
            if chunk:
                self._record.bytes_in += len(chunk)
                size += len(chunk)
                prefix.append(chunk)
            if size > limit:
                raise too_large(limit)
            if self.payload.at_eof():
                self._prefix = None
                return b"".join(prefix)
            if not chunk:
                await self._collected()

    async def _collected(self) -> None:
        """Waits for more of the body that is collected."""
        self._collector = self._loop.create_future()
        if self._collect_until == FAR:
            # A byte now and then keeps the clock of the pauses from running out, and must not hold us for ever.
            self._collect_until = self._loop.time() + COLLECT_FACTOR * self._plan.configuration.timeouts.body
        self._set_deadline()
        try:
            await self._collector
        finally:
            self._collector = None

    def _send_continue(self) -> None:
        self._expects = False
        self._continue_at = FAR
        self._connection.write(wire.CONTINUE)

    def _pump(self) -> None:
        """Request body bytes to the upstream, as far as it takes them."""
        leg = self._leg
        exchange = self._exchange
        assert leg is not None and exchange is not None
        if leg.sent or not leg.writable:
            return
        body = exchange.request.body
        payload = self.payload
        try:
            while True:
                if self._prefix:
                    chunk = b"".join(self._prefix)
                    self._prefix = None
                else:
                    chunk = payload.read_nowait()
                    self._record.bytes_in += len(chunk)
                    if self._done:
                        return  # what the parser had held back was malformed
                if not chunk:
                    break
                if body.wrappers:
                    chunk = body.through(chunk)
                if chunk:
                    leg.write(chunk)
                    if self._copy is not None:
                        self._copy.add(chunk)
                if not leg.writable:
                    break
            if payload.at_eof() and not self._prefix:
                if body.wrappers:
                    rest = body.through(b"")
                    if rest:
                        leg.write(rest)
                        if self._copy is not None:
                            self._copy.add(rest)
                leg.end()
                if self._copy is not None:
                    self._copy.end()
        except Refused as refused:
            self._refuse_late(refused.fault)
            return
        self._set_deadline()

    def _refuse_late(self, fault: Fault) -> None:
        """A body wrapper refused: answered while that is possible, else the connection ends."""
        if self._run is not None and self._run.decider is not None:
            self._record.decision = "refuse"
        self._record.reason = fault.reason
        if self._sent_head:
            self._break_off(fault.reason)
            return
        self._drop_leg(fault.reason)
        self._answer_late(fault)

    # ---- the upstream leg

    def _forward(self) -> None:
        exchange, planned = self._exchange, self._planned
        assert exchange is not None and planned is not None
        if planned.gate is not None and not self._let_through(planned.gate, exchange):
            return
        body = exchange.request.body
        pool = self._generation.pools[planned.info.upstream]
        whole = body.complete
        if whole is not None and body.wrappers:
            try:
                whole = body.through(whole) + body.through(b"") if whole else body.through(b"")
            except Refused as refused:
                self._refuse_late(refused.fault)
                return
            body.wrappers = ()
        host = planned.host
        if host is None and not exchange.host:
            host = b""
        chunked = whole is None and body.length is None
        line, rest = self._request_head(exchange, whole, chunked=chunked, own_host=host is not None)
        self._leg = leg = Leg(pool, self, self._loop)
        if self._offered is not None:
            leg.offered = self._offered
        if pool.key_of is not None:
            leg.key = pool.key_of(exchange)
        if self._expects:
            leg.expects = True
        if self._record.trace is not None:
            leg.trace = self._record.trace
        if pool.retry is not None and pool.retry.keyed:
            leg.keyed = bool(exchange.request.headers.get(b"idempotency-key"))
        leg.start(
            line,
            rest + whole if whole else rest,
            host=host,
            method=self._method,
            whole=whole is not None,
            chunked=chunked,
        )
        if planned.mirror is not None and self._offered is None:
            self._begin_copy(planned.mirror, line, rest, host, whole, chunked)
        now = self._loop.time()
        self._total_at = now + pool.total
        if whole is not None:
            # Nothing but the upstream is waited for.
            connection = self._connection
            connection.deadline = now + pool.soonest
            if connection.deadline < connection.filed:
                self._listener.wheel.file(connection)
            return
        if self._expects:
            self._continue_at = now + CONTINUE_AFTER
        if leg.connection is not None:
            self._pump()
        self._set_deadline()

    def _let_through(self, gate: Gate, exchange: Exchange) -> bool:
        """Whether the limits of the route and the upstream let the exchange pass; else it waits, or is answered already."""
        passage = self._passage
        if passage is None:
            self._passage = passage = Passage(gate, exchange, self._loop, self._on_turn, self._keep_out)
            fault = passage.enter()
            if fault is not None:
                self._keep_out(fault)
        return passage.passed

    def _on_turn(self) -> None:
        if not (self._done or self._outward_begun):  # what waited may have been answered meanwhile
            self._forward()

    def _keep_out(self, fault: Fault) -> None:
        if not (self._done or self._outward_begun):
            self._record.decision = "refuse"
            self._answer(fault)

    def _begin_copy(
        self, mirror: Mirror, line: bytes, rest: bytes, host: bytes | None, whole: bytes | None, chunked: bool
    ) -> None:
        if not mirror.takes(self._request_id):
            return
        pool = self._generation.pools[mirror.upstream]
        copy = mirror.copy(pool, line, rest, host=host, method=self._method, chunked=chunked)
        if copy is None:
            return
        if whole is None:
            self._copy = copy
            return
        if whole:
            copy.add(whole)
        copy.end()

    def _request_head(
        self, exchange: Exchange, whole: bytes | None, *, chunked: bool, own_host: bool
    ) -> tuple[bytes, bytes]:
        """The request line, and the field section with its end; a Host of ours goes between."""
        plan = self._plan
        fields = exchange.request.headers
        line = b"%b %b HTTP/1.1\r\n" % (self._method.encode("ascii"), exchange.outgoing)
        section = self._section
        if section is not None and not own_host and whole == b"":
            crossing = section.crossing
            if crossing is None:
                crossing = section.crossing = self._crossing(exchange, section)
            block = fields.appended_to(section.fields.raw)
            if block is not None and plan.request_drop.isdisjoint(block.index()):
                return line, b"%b%bX-Openstack-Request-Id: %b\r\n\r\n" % (
                    crossing,
                    block.wire(),
                    self._request_id.encode("ascii"),
                )
        index = fields.index()
        drop: AbstractSet[bytes] = plan.request_drop
        kept: list[bytes] = []
        request_id = self._request_id.encode("ascii")
        if own_host or whole is None or whole or not _SPECIAL.isdisjoint(index):
            dropping: set[bytes] = set()
            global_id = _global_id(fields)
            if global_id is not None:
                request_id = global_id.encode("latin-1")
            if own_host:
                dropping.add(b"host")
            if not self._expects:
                dropping.add(b"expect")
            if chunked:
                dropping.add(b"content-length")
                kept.append(b"Transfer-Encoding: chunked")
            else:
                # By what there is of a body, not by what filters have made of the fields.
                length = b"%d" % (len(whole) if whole is not None else exchange.request.body.length or 0)
                given = index.get(b"content-length")
                if given != length and (
                    given is not None or length != b"0" or self.payload is not EMPTY_PAYLOAD
                ):
                    dropping.add(b"content-length")
                    kept.append(b"Content-Length: " + length)
            if self._method == "OPTIONS":
                hops = self._max_forwards()
                if hops is not None:
                    dropping.add(b"max-forwards")
                    kept.append(b"Max-Forwards: %d" % (hops - 1))
            drop = drop | dropping
        kept += self._of_ours(exchange, fields)
        if self._asks:
            kept.append(self._asks)
        kept.append(b"X-Openstack-Request-Id: " + request_id)
        return line, wire.field_section(fields.raw, drop, kept)

    def _of_ours(self, exchange: Exchange, fields: Fields) -> list[bytes]:
        """What the upstream is told of the way that the request came: lines without their ends."""
        plan = self._plan
        forwarded = plan.forwarding.lines(
            exchange.peer,
            exchange.scheme,
            exchange.host,
            fields,
            self._trusted,
            self._connection.peer.scheme,
        )
        return [*map(b": ".join, forwarded), plan.via_line[exchange.http_version]]

    def _crossing(self, exchange: Exchange, section: Section) -> bytes:
        """What of a section goes upstream each time, and what goes with it: whole lines."""
        fields = section.fields
        ours = self._of_ours(exchange, fields)
        return wire.field_lines(fields.raw, self._plan.request_drop) + b"".join(
            [line + b"\r\n" for line in ours]
        )

    def on_leg_ready(self) -> None:
        self._pump()
        if not self._done:
            self._set_deadline()

    def on_leg_writable(self) -> None:
        if not self._done:
            self._pump()

    def on_leg_progress(self) -> None:
        leg = self._leg
        if leg is None or self._done:
            return
        connection = leg.connection
        assert connection is not None
        if connection.interim:
            self._relay_interim()
        if self._sent_head:
            self._relay_body()
        elif connection.head_done and not self._outward_begun:
            self._answered(leg)
        elif self._collector is not None:
            if not self._collector.done():
                self._collector.set_result(None)
        elif connection.head_done:
            connection.pause()  # the chain is still on its way outward

    def on_leg_failure(self, reason: str) -> None:
        if self._done:
            return
        self._record.reason = reason
        self._record.decision = "fail"
        if self._sent_head:
            self._break_off(reason)
            return
        status, message = UPSTREAM_FAULTS[reason]
        retry_after = None
        if status == 503:
            leg = self._leg
            retry_after = (leg.retry_after if leg is not None else None) or RETRY_AFTER
        fault = Fault(status, reason, message, retry_after=retry_after)
        self._answer_late(fault)

    def _answer_late(self, fault: Fault) -> None:
        """Answers in place of an upstream; the head has not left."""
        if not self._outward_begun:
            self._answer(fault)
            return
        # The filters are looking at an answer that will never be whole; they see no second one.
        self._cancel_task()
        assert self._exchange is not None
        self._record.reason = fault.reason
        self._exchange.response = self._render(fault)
        self._send_own()

    def _relay_interim(self) -> None:
        """1xx responses go to clients that know them (RFC 9110 section 15.2)."""
        assert self._leg is not None and self._leg.connection is not None
        interim, self._leg.connection.interim = self._leg.connection.interim, []
        for response in interim:
            if response.status == 100:
                self._leg.continued = True
                if self._expects:
                    self._send_continue()
            elif self._version == HTTP_11 and not self._sent_head:
                lines = wire.field_lines(response.fields.raw, dropped(response.fields.index()))
                self._connection.write(wire.status_line(response.status, response.phrase) + lines + b"\r\n")

    # ---- the answer

    def _answered(self, leg: Leg) -> None:
        """The upstream's head is here: it goes outward through the chain."""
        connection = leg.connection
        exchange, run = self._exchange, self._run
        assert connection is not None and exchange is not None and run is not None
        if connection.section and not self._is_watched and not run.sees(connection.status):
            self._relay_plain(connection)
            return
        fields = connection.fields
        index = fields.index()
        if b"x-compute-request-id" in index or b"x-openstack-request-id" in index:
            self._record.upstream_request_id = fields.get(b"x-compute-request-id") or fields.get(
                b"x-openstack-request-id"
            )
        body = AnswerBody(self, None)
        if connection.protocol:
            body.complete = b""  # what follows is the tunnel's
        elif connection.complete:
            body.complete = data = connection.take()
            body.length = len(data)
        if not connection.complete or self._method == "HEAD" or connection.status in BODILESS:
            body.length = _number(fields.get(b"content-length"))
        self._upstream_body = body
        exchange.response = response = Response(connection.status, fields, body, phrase=connection.phrase)
        if run.sees(connection.status):
            self._go_outward()
        else:
            self._outward_begun = True
            self._send_upstream(response)

    def _relay_plain(self, connection: UpstreamConnection) -> None:
        """The answer is whole and plain, and no filter looks at it: its section travels as the bytes that it came in."""
        unread = self.payload is not EMPTY_PAYLOAD and self.receiving
        if unread or self._listener.draining:
            self._close = True
        section, told = connection.section, connection.told
        plan = self._plan
        record = self._record
        ours = plan.via_line["1.1"]
        compute, openstack = b"x-compute-request-id" in told, b"x-openstack-request-id" in told
        if not (compute or openstack):
            request_id = self._request_id.encode("ascii")
            ours = b"%b\r\nX-Compute-Request-Id: %b\r\nX-Openstack-Request-Id: %b" % (
                ours,
                request_id,
                request_id,
            )
        else:
            fields = connection.fields
            given = fields.get(b"x-compute-request-id") or fields.get(b"x-openstack-request-id") or ""
            record.upstream_request_id = given or None
            if not compute:
                ours += b"\r\nX-Compute-Request-Id: " + given.encode("latin-1")
            if not openstack:
                ours += b"\r\nX-Openstack-Request-Id: " + given.encode("latin-1")
        if b"date" not in told:
            ours += b"\r\nDate: " + http_date(time())
        if self._close:
            ours += b"\r\nConnection: close"
        data = connection.take()
        self._outward_begun = self._sent_head = True
        record.status = status = connection.status
        record.bytes_out = len(data)
        self._connection.write(
            b"%b%b%b\r\n\r\n%b" % (wire.status_line(status, connection.phrase), section, ours, data)
        )
        self._finish(linger=unread and not self._expects)

    async def collect_answer(self, limit: int) -> bytes:
        """The whole body of the upstream's answer for a filter that asks; what it has read stays to be sent."""
        ahead = self._read_ahead = self._read_ahead or []
        size = sum(map(len, ahead))
        while self._leg is not None and (connection := self._leg.connection) is not None:
            connection.resume()
            chunk = connection.take()
            if chunk:
                size += len(chunk)
                ahead.append(chunk)
            if size > limit:
                raise Refused(ANSWER_TOO_LARGE)
            if connection.complete:
                self._read_ahead = None
                return b"".join(ahead)
            await self._collected()
        raise asyncio.CancelledError

    def _answer(self, verdict: Fault | Response) -> None:
        """A verdict of ours becomes the answer and goes outward."""
        assert self._exchange is not None and self._run is not None
        self._record.reason = verdict.reason
        self._exchange.response = verdict if isinstance(verdict, Response) else self._render(verdict)
        self._go_outward()

    def _render(self, fault: Fault) -> Response:
        exchange = self._exchange
        assert exchange is not None
        try:
            return self._plan.render(fault, exchange)
        except Exception as error:  # noqa: BLE001 - a renderer's bug must not cost the client its answer
            self._listener.report_bug("render", exchange, error)
            return Response(
                500, [("Content-Type", "text/plain")], INTERNAL_ERROR.encode(), reason="filter_failed"
            )

    def _go_outward(self) -> None:
        assert self._run is not None
        self._outward_begun = True
        before = monotonic()
        waiting = self._run.outward()
        if waiting is None:
            self._record.chain_out = monotonic() - before
            self._send()
        else:
            self._set_deadline()
            self._task = spawn(self._await_outward(waiting, before), name="filters outward")

    async def _await_outward(self, waiting: Awaitable[None], before: float) -> None:
        await waiting
        self._task = None
        self._record.chain_out = monotonic() - before
        if not self._done:
            self._send()

    def _send(self) -> None:
        exchange = self._exchange
        assert exchange is not None and exchange.response is not None and self._run is not None
        response = exchange.response
        if self._upstream_body is not None and response.body is self._upstream_body:
            self._send_upstream(response)
            return
        decider = self._run.decider
        if decider is not None and decider.phase == "response":
            self._record.reason = response.reason
            self._record.decision = "answer" if decider.verdict == "answer" else "refuse"
        self._drop_leg(self._record.reason)
        self._send_own()

    def _send_own(self) -> None:
        """An answer that is whole: a rendered fault, or a filter's own."""
        exchange = self._exchange
        assert exchange is not None and exchange.response is not None
        response = exchange.response
        body = response.body
        data = body.complete or b""
        if body.wrappers:
            try:
                data = (body.through(data) if data else b"") + body.through(b"")
            except Refused as refused:
                body.wrappers = ()
                self._record.reason = refused.fault.reason
                exchange.response = response = self._render(refused.fault)
                data = response.body.complete or b""
        unread = self.receiving
        if unread or self._listener.draining:
            self._close = True
        no_body = self._method == "HEAD" or response.status in BODILESS
        if self._is_watched and not no_body:
            excerpt = self._response_excerpt(response)
            if excerpt is not None:
                excerpt(data)
        framing = b"" if response.status in BODILESS else b"Content-Length: %d" % len(data)
        head = self._response_head(
            response.status, response.phrase, response.headers, framing, drop_length=True
        )
        self._sent_head = True
        self._record.status = response.status
        if not no_body:
            self._record.bytes_out = len(data)
            head += data
        self._connection.write(head)
        # A client that waits for a 100 has not begun its body: nothing is to be read on. Behind a head that
        # was refused anything may follow.
        self._finish(linger=unread and not self._expects)

    def _send_upstream(self, response: Response) -> None:
        """The head of the upstream's answer, and what there is of its body."""
        leg = self._leg
        assert leg is not None and leg.connection is not None
        connection = leg.connection
        if connection.protocol:
            self._switch(response, connection)
            return
        body = response.body
        if self._is_watched:
            excerpt = self._response_excerpt(response)
            if excerpt is not None:
                body.wrap(excerpt)
        bodiless = self._method == "HEAD" or response.status in BODILESS
        if bodiless:
            data = b""
        elif body.complete is not None:
            data = body.complete
        else:
            data = b"".join(self._read_ahead or ()) + connection.take()
        complete = connection.complete
        if body.wrappers and not bodiless:
            try:
                data = body.through(data) if data else b""
                if complete:
                    data += body.through(b"")
            except Refused as refused:
                self._record.reason = refused.fault.reason
                self._record.decision = "refuse"
                self._drop_leg(refused.fault.reason)
                assert self._exchange is not None
                self._exchange.response = self._render(refused.fault)
                self._send_own()
                return
        if self.receiving or self._listener.draining:
            self._close = True
        index = response.headers.index()
        drop_length = False
        framing = b""
        # By what the connection knows of the body, not by what filters have made of the fields.
        length = None if body.resized else connection.length
        if response.status == 204:
            drop_length = True  # RFC 9110 section 8.6
        elif length is not None:
            if index.get(b"content-length") != b"%d" % length:
                drop_length = True
                framing = b"Content-Length: %d" % length
        else:
            drop_length = True
            if bodiless:
                pass
            elif body.resized and complete:
                framing = b"Content-Length: %d" % len(data)
            elif self._version == HTTP_11:
                self._chunked_out = True
                # Of a body that a filter has changed, what the upstream says behind it is not true.
                self._takes_trailers = self._takes_trailers and not body.resized
                framing = b"Transfer-Encoding: chunked"
            else:
                self._close = True  # the end of the connection is the end of the body
        head = self._response_head(
            response.status, response.phrase, response.headers, framing, drop_length=drop_length
        )
        self._sent_head = True
        self._record.status = response.status
        self._record.reason = "passed"
        if self._chunked_out:
            if data:
                head += wire.chunk(data)
            if complete:
                head += self._last_chunk(connection)
            self._connection.write(head)
        elif len(data) <= ONE_WRITE:
            self._connection.write(head + data)
        else:
            self._connection.write(head)
            self._connection.write(data)
        self._record.bytes_out += len(data)
        if complete:
            self._finish(linger=self.receiving and not self._expects)
            return
        if self._connection.write_paused:
            connection.pause()
        else:
            connection.resume()
            self._relay_body()
        if not self._done:
            self._set_deadline()

    def _switch(self, response: Response, upstream: UpstreamConnection) -> None:
        """The upstream has taken the upgrade: its head goes to the client, and a tunnel begins."""
        if response.status != 101:  # a filter has made something else of it
            self._record.decision = "answer"
            self._record.reason = response.reason
            self._drop_leg(response.reason)
            self._send_own()
            return
        client = self._connection
        self._close = self._lingers = False
        head = self._response_head(
            101,
            response.phrase,
            response.headers,
            b"Connection: Upgrade\r\nUpgrade: " + upstream.protocol,
            drop_length=True,
        )
        self._close = self._sent_head = True
        self._record.status = 101
        self._total_at = FAR
        self._listener.tunnels += 1
        self._tunnel = tunnel = Tunnel(
            self._loop,
            client,
            client.transport,
            upstream,
            upstream.transport,
            idle=self._plan.configuration.timeouts.tunnel,
            on_over=self._tunnel_over,
            upstream_source=upstream.raw,
        )
        tunnel.open(
            head,
            from_client=client.hand_over(),
            from_upstream=upstream.hand_over(),
            client_blocked=client.write_paused,
            client_ended=client.ended,
        )
        if not self._done:
            client.deadline = tunnel.idle_at
            self._listener.wheel.file(client)

    def _tunnel_over(self, reason: str, in_order: bool) -> None:
        leg, tunnel, record = self._leg, self._tunnel, self._record
        assert leg is not None and tunnel is not None
        self._tunnel = None
        self._listener.tunnels -= 1
        record.bytes_in, record.bytes_out = tunnel.bytes_in, tunnel.bytes_out
        record.reason = reason
        upstream = leg.let_go(None if in_order else reason)
        if in_order:
            upstream.close(self._plan.configuration.timeouts.body)
        else:
            record.decision = "abort"
            reset(upstream.transport)
            self._connection.abort()
        self._finish(linger=False, aborted=not in_order)

    def _response_head(
        self, status: int, phrase: bytes, fields: Fields, framing: bytes = b"", *, drop_length: bool = False
    ) -> bytes:
        """The status line and the field section with its end; `framing` is a line of it, or empty."""
        plan = self._plan
        index = fields.index()
        drop: AbstractSet[bytes] = dropped(index)
        lines = fields.raw
        if drop_length:
            drop = _HOP_BY_HOP_AND_LENGTH if drop is HOP_BY_HOP else drop | _LENGTH
        if self._takes_trailers and self._chunked_out and b"trailer" not in _nominated(index):
            drop = drop - _TRAILER
        if len(index) != len(lines):
            lines = wire.first_lines_only(lines, _SINGLETONS)
        version = "1.1"
        leg = self._leg
        if leg is not None and leg.connection is not None:
            version = leg.connection.version
        kept = [plan.via_line[version]]
        compute, openstack = index.get(b"x-compute-request-id"), index.get(b"x-openstack-request-id")
        if compute is None or openstack is None:
            # Exactly one value each: the upstream's where it gave one, else ours.
            request_id = _first(compute or openstack, self._request_id.encode("ascii"))
            if compute is None:
                kept.append(b"X-Compute-Request-Id: " + request_id)
            if openstack is None:
                kept.append(b"X-Openstack-Request-Id: " + request_id)
        if b"date" not in index:
            kept.append(b"Date: " + http_date(time()))
        if framing:
            kept.append(framing)
        if self._traced:
            kept += self._timing()
        if self._close:
            kept.append(b"Connection: close")
        return wire.status_line(status, phrase) + wire.field_section(lines, drop, kept)

    def _timing(self) -> list[bytes]:
        """Where the time went, for a client that has asked and may know: a line, or none."""
        exchange, run, trace = self._exchange, self._run, self._plan.request_trace
        if exchange is None or run is None or trace is None or not trace.allows(exchange):
            return []
        self._record.more().traced = True
        leg, passage = self._leg, self._passage
        return [
            server_timing(
                run.steps,
                passage.waited if passage is not None else None,
                leg.seconds if leg is not None else None,
                monotonic() - self._clock.monotonic,
            )
        ]

    def _last_chunk(self, connection: UpstreamConnection) -> bytes:
        """The end of a chunked answer, with the upstream's trailers for a client that takes them."""
        if not self._takes_trailers or not connection.trailers:
            return wire.LAST_CHUNK
        nominated = _nominated(connection.fields.index())
        return wire.last_chunk(trailer.trailer_section(connection.trailers, nominated))

    def _relay_body(self) -> None:
        """Answer body bytes to the client, as far as it takes them."""
        leg = self._leg
        if leg is None or leg.connection is None:
            return
        connection = leg.connection
        assert self._exchange is not None and self._exchange.response is not None
        body = self._exchange.response.body
        data = connection.take()
        complete = connection.complete
        if body.wrappers:
            try:
                data = body.through(data) if data else b""
                if complete:
                    data += body.through(b"")
            except Refused as refused:
                self._record.reason = refused.fault.reason
                self._record.decision = "refuse"
                self._break_off(refused.fault.reason)
                return
        self._record.bytes_out += len(data)
        if self._chunked_out:
            data = wire.chunk(data) if data else b""
            if complete:
                data += self._last_chunk(connection)
        if data:
            self._connection.write(data)
        if complete:
            self._finish(linger=self.receiving and not self._expects)
        elif self._connection.write_paused:
            connection.pause()
            self._set_deadline()

    # ---- the client's side of things

    def on_client_blocked(self) -> None:
        """The client does not read: the upstream is not read from either."""
        self._write_blocked_at = self._loop.time()
        if self._leg is not None and self._leg.connection is not None and self._sent_head:
            self._leg.connection.pause()

    def on_client_writable(self) -> None:
        self._write_blocked_at = FAR
        if self._done or self._leg is None or self._leg.connection is None or not self._sent_head:
            return
        self._leg.resume()
        self._relay_body()
        if not self._done:
            self._set_deadline()

    def on_client_gone(self) -> None:
        """The client has closed or reset the connection: the upstream attempt ends at once."""
        if self._done:
            return
        self._record.reason = "client_disconnected"
        self._break_off("client_disconnected")

    def on_stopped(self) -> None:
        """The gateway stops and waits no longer: nothing is answered, and the record says why."""
        if self._tunnel is not None:
            self._tunnel.end("gateway_stopped", in_order=False)
        elif not self._done:
            self._break_off("gateway_stopped")

    # ---- timeouts

    def _set_deadline(self) -> None:
        """The earliest of all that is waited for becomes the connection's deadline."""
        if self._done:
            return
        at = min(self._total_at, self._continue_at)
        timeouts = self._plan.configuration.timeouts
        if self.receiving and self._waits_for_body():
            at = min(at, self._last_body_at + timeouts.body)
            if self._collector is not None:
                at = min(at, self._collect_until)
        if self._write_blocked_at != FAR:
            at = min(at, self._write_blocked_at + timeouts.body)
        elif self._leg is not None:
            at = min(at, self._leg.deadline()[0])
        connection = self._connection
        connection.deadline = at
        self._listener.wheel.file(connection)

    def _waits_for_body(self) -> bool:
        """Whether it is the client that the request body waits for."""
        if self._expects:
            return False
        if self._leg is None:
            return self._collector is not None
        return self._leg.writable

    def on_deadline(self, now: float) -> None:
        tunnel = self._tunnel
        if tunnel is not None:
            if now >= tunnel.idle_at:
                tunnel.end("tunnel_idle_timeout", in_order=False)
            else:
                self._connection.deadline = tunnel.idle_at
            return
        timeouts = self._plan.configuration.timeouts
        if now >= self._continue_at:
            self._send_continue()
        elif now >= self._total_at:
            if self.receiving and not self._outward_begun and self._waits_for_body():
                self._body_timeout()  # the upstream cannot answer what has not come
            else:
                self._time_out("upstream_total_timeout")
        elif (self.receiving and self._waits_for_body() and now >= self._last_body_at + timeouts.body) or (
            self.receiving and self._collector is not None and now >= self._collect_until
        ):
            self._body_timeout()
        elif now >= self._write_blocked_at + timeouts.body:
            self._record.reason = "client_stalled"
            self._break_off("client_stalled")
        elif self._write_blocked_at == FAR and self._leg is not None:
            at, reason = self._leg.deadline()
            if now >= at:
                self._time_out(reason)
        if not self._done:
            self._set_deadline()

    def _time_out(self, reason: str) -> None:
        self._cancel_task()
        if self._leg is not None:
            self._leg.expire(reason)
        else:
            self.on_leg_failure(reason)

    def _body_timeout(self) -> None:
        self._cancel_task()
        self._drop_leg("body_timeout")
        self._record.reason = "body_timeout"
        if self._sent_head or self._outward_begun:
            self._break_off("body_timeout")
        else:
            self._close = True
            self._record.decision = "refuse"
            self._answer(Fault(408, "body_timeout", "The request body did not arrive in time."))

    # ---- ends

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _drop_leg(self, reason: str) -> None:
        if self._leg is not None:
            self._leg.abort(reason)

    def _break_off(self, reason: str) -> None:
        """Nothing more can be said to the client: both sides end, and the record says why."""
        self._record.decision = "abort"
        self._record.reason = reason
        self._cancel_task()
        self._drop_leg(reason)
        self._connection.abort()
        self._finish(linger=False, aborted=True)

    def _finish(self, *, linger: bool, aborted: bool = False) -> None:
        if self._done:
            return
        self._done = True
        leg = self._leg
        if leg is not None and leg.connection is not None:
            leg.done()
        if self._passage is not None:
            self._passage.leave(latency(leg.attempts) if leg is not None else None)
            if self._passage.waited is not None:
                self._record.more().queue = self._passage.waited
            self._passage = None
        if self._copy is not None:
            if self._copy.collects:
                self._copy.drop(INCOMPLETE)
            self._copy = None
        if self._run is not None:
            self._run.finish()
        self._publish()
        self._generation.leave()
        # No circles: all of it goes now, and not at a collection.
        self._leg = self._run = self._exchange = self._upstream_body = None
        if not aborted:
            self._connection.exchange_over(keep_alive=not self._close, linger=linger or self._lingers)
        else:
            self._connection.exchange_over(keep_alive=False, linger=False)

    def _publish(self) -> None:
        """Completes the record and hands it over."""
        record, exchange, run = self._record, self._exchange, self._run
        assert exchange is not None
        # The record keeps the exchange, and has no use for its bodies.
        exchange.response = None
        if self.payload is not EMPTY_PAYLOAD:
            if record.aside is not None and record.aside.request_body is not None:
                excerpt, whole = record.aside.request_body, exchange.request.body.complete
                if whole and not excerpt.size:
                    excerpt(whole)  # a filter has collected it, and nobody was sent it
            exchange.request.body = Body()
        record.exchange = exchange
        record.plan = self._plan
        record.peer = self._connection.peer
        now = monotonic()
        record.duration = now - self._clock.monotonic
        under_way = self._listener.under_way
        del under_way[self]
        if under_way:
            record.under_way = now - next(iter(under_way.values()))
        if run is not None:
            record.guards = run.guards
            record.decider = run.decider
        if self._leg is not None:
            record.attempts = self._leg.attempts
        self._listener.publish(record)


# To the parser there is none, to others there may be: it takes `chunked` with a tab behind it for another coding.
_NO_BODY_SEEN: Final = Problem(400, "framing_invalid", "The length of the request body is not certain.")
_LENGTH: Final = frozenset((b"content-length",))
_HOP_BY_HOP_AND_LENGTH: Final = HOP_BY_HOP | _LENGTH
_TRAILER: Final = frozenset((b"trailer",))


def _nominated(index: dict[bytes, bytes | list[bytes]]) -> set[bytes]:
    """The names that the Connection field takes away."""
    return connection_options(index.get(b"connection", b""))


def _first(value: bytes | list[bytes] | None, otherwise: bytes) -> bytes:
    if value is None:
        return otherwise
    return value[0] if isinstance(value, list) else value


def _global_id(fields: Fields) -> str | None:
    """The id that the client has given the request among those of other services; None where it is no valid one."""
    value = fields.index().get(b"x-openstack-request-id")
    if value is None or isinstance(value, list):
        return None
    text = value.decode("latin-1")
    return text if request_ids.valid(text) else None


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


_NOT_FOUND: Final = Fault(404, "route_not_found", "The resource could not be found.")
_NOT_ALLOWED: Final[dict[tuple[str, ...], Fault]] = {}
"""By the methods of a route's template; there are as many as configurations have had."""


def _unrouted(allow: tuple[str, ...] | None) -> Fault:
    if allow is None:
        return _NOT_FOUND
    fault = _NOT_ALLOWED.get(allow)
    if fault is None:
        fault = _NOT_ALLOWED[allow] = Fault(
            405, "method_not_routed", "The method is not allowed.", headers=(("Allow", ", ".join(allow)),)
        )
    return fault


def _placeholder(connection: "Connection", head: Head | None, request_id: str, clock: Instant) -> Exchange:
    """What can be said of an exchange whose head was refused."""
    method, target, version, fields, _ = head if head is not None else _NO_HEAD
    path, mark, query = target.decode("latin-1").partition("?")
    peer = connection.peer
    return Exchange(
        method,
        target,
        path,
        query if mark else None,
        peer.scheme,
        fields.get(b"host") or "",
        peer.address,
        peer.address,
        VERSIONS.get(version, f"{version[0]}.{version[1]}"),
        request_id,
        clock,
        Request(fields, Body()),
    )


_NO_HEAD: Final = Head("", b"", HTTP_11, Fields(), True)
