"""From a record to a line of the request log.

Field names follow the OpenTelemetry conventions for HTTP servers; what they have no name for is under `gateway.`.
The keys are flat and dotted (`"http.request.method"`), not nested: a line is found with grep by the name under which
the documentation has it, and a table of columns (SQLite, DuckDB) takes it as it is.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from gateway.api.exchange import Note
from gateway.api.principal import Principal
from gateway.api.verdict import Rule
from gateway.excerpt import tell
from gateway.flow import Flow, Flows
from gateway.http.framing import PROTECTED, connection_options
from gateway.record import METHODS, Aside, Attempt, EntryInfo, PlanFacts, Record, Step, members
from gateway.redaction import SHORTEST, Redaction, credentials, redact_target, redact_value, scrub

RECORD_VERSION: Final = 2
"""From 2 on a worker that ends in order writes a line of kind `end`, and records say in which memory limits were counted."""


def rule_text(rule: Rule) -> str:
    """A path inside a filter's options as people write it: `limits[2].rate`."""
    text = ""
    for key in rule:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


_MEMO_MAX = 4096
_SECRET_END = (
    24  # bytes of a secret that are looked for first: a long text is found at several times the cost
)
_MEMO_TEXT = 512  # characters of a text that is kept
_MAX_DEPTH = 12
_UNSEEN: Any = object()
_dump: Final = orjson.dumps

# Bytes of UTF-8 text that a terminal or a reader of lines could take for more than a character: DEL, the C1
# controls, and the two line separators of Unicode. JSON lets them stand; escaped they mean the same.
_RISKY = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")

# Fields of a line that may hold what a client, an identity service or an upstream has written.
_FOREIGN = (
    "gateway.facts",
    "gateway.global_request_id",
    "gateway.project.id",
    "gateway.project.name",
    "gateway.upstream.request_id",
    "http.request.method_original",
    "server.address",
    "tls.client.subject",
    "url.path",
    "url.query",
    "user.id",
    "user.name",
    "user.roles",
    "user_agent.original",
)


# What stands in a JSON string as it is; and a table that leaves just that as it is.
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
_AS_IT_IS: Final = bytes(byte if byte in _PLAIN else byte ^ 0xFF for byte in range(256))

# Leaves as it is what `safe` leaves as it is: one pass over a short text, where two questions would be two calls.
_HARMLESS: Final = bytes(byte if byte < 0x7F else 0 for byte in range(256))

_FRACTION: Final = [b"%03d" % number for number in range(1000)]
_SHORT: Final = 10_000
_MILLISECONDS: Final = [b"%d.%03d" % divmod(micro, 1000) for micro in range(_SHORT)]

_FEW: Final = 4096
_NUMBERS: Final = [b"%d" % number for number in range(_FEW)]


def _number(number: int) -> bytes:
    """A whole number as JSON."""
    return _NUMBERS[number] if 0 <= number < _FEW else b"%d" % number


def _ms(seconds: float) -> bytes:
    """Seconds as milliseconds in JSON."""
    micro = int(seconds * 1e6 + 0.5)
    return _MILLISECONDS[micro] if 0 <= micro < _SHORT else b"%.3f" % (micro / 1000)


class _Text(dict[str, bytes]):
    """Text -> its JSON; a bounded memo for what most lines have in common."""

    def __missing__(self, text: str) -> bytes:
        known = _json(text)
        if len(self) >= _MEMO_MAX:
            self.clear()
        if len(text) <= _MEMO_TEXT:
            self[text] = known
        return known


# Leaves as it is what stands in a path of a record as it is: neither an escape, which may hide a secret, nor the end of the
# path. A table costs a third of what it takes to look for something else.
_PLAIN_PATH: Final = bytes(
    byte if byte in _PLAIN and byte not in b"%?@" else byte ^ 0xFF for byte in range(256)
)

# A line, with a NUL for each hole: a raw NUL is never part of JSON. `_template` fills in what the lines of a flow have
# in common. At each SOH goes what the header section or the principal has to say.
_LINE = (
    b'{"timestamp":"\0Z","kind":"request","record_version":2,"gateway.request_id":"\0","http.request.method":%b,'
    b'"url.scheme":%b,"url.path":\0,"gateway.decision":%b,"gateway.reason":%b,"gateway.duration_ms":\0,'
    b'"gateway.chain.in_ms":\0,"gateway.chain.out_ms":\0,"http.request.body.size":\0,'
    b'"http.response.body.size":\0,\1"network.peer.port":\0,"network.protocol.name":"http",'
    b'"network.protocol.version":%b%b\0\1,'
    b'"gateway.filters":%b,"gateway.facts":{"method":%b,"target":\0,"scheme":%b,\1,"clock":\0\1\0},'
    b'"gateway.revision":%b,%b,"gateway.sequence":\0}\n'
)


class _Template(NamedTuple):
    """The line of a flow.

    pieces  each second of them is empty: there goes what differs
    halves  of the four pieces in whose midst the header section (the first and the third) and the principal have their say:
            where each is among the pieces, and what is before and behind
    """

    pieces: list[bytes]
    halves: tuple[tuple[int, bytes, bytes], ...]


class _Pattern:
    """The line of a flow for one header section and one principal.

    pieces  as in `_Template`
    again   whether it has been used before: then it is worth to know of what does not differ
    clean   whether nothing in it is to be looked at in each line: it holds no secret and no risky character
    noted   of each step with a note, what it was the first time: all requests of a token, say, have one and the same. Its members of
            the line, and whether they are clean; `_DIFFERS` where another has come
    """

    __slots__ = ("again", "clean", "flow", "noted", "pieces", "principal")

    def __init__(self, flow: Flow, principal: Principal | None, pieces: list[bytes]) -> None:
        self.flow = flow
        self.principal = principal
        self.pieces = pieces
        self.again = False
        self.clean = False
        self.noted: list[tuple[object, bytes, bool]] = []


class _Field(NamedTuple):
    """What the serializer does with the lines of one header field."""

    name: str
    secret: bool
    declared: bool


_KEY_OF_HASHES: Final = b"\0key"
"""What no header field holds: its hash tells one key from another."""
_TOLD_APART: Final = 12
_OF_EVERY_REQUEST: Final = ("user-agent", "content-type", "content-length", "connection")
_PLAIN_CONNECTION: Final = (b"keep-alive", b"close")
_DIFFERS: Final[tuple[object, bytes, bool]] = (None, b"", False)


class _Told:
    """What a header section has to say in a line, with the addresses that go with it.

    plan     whose declarations it was worked out by
    who      fields that name the client and the server, each with a comma behind it
    facts    members of the facts
    secrets  values that must not be in the line, longest first; None when there are none
    needles  the end of each, which is looked for first, and all of it
    odd      whether any of them is written otherwise in JSON
    careful  whether any target may hold a secret: because one is so short that it is looked for as a whole segment only,
             or because paths have some by their place
    pattern  of the last line
    """

    __slots__ = ("careful", "facts", "needles", "odd", "pattern", "plan", "secrets", "who")

    def __init__(
        self, plan: PlanFacts, who: bytes, facts: bytes, secrets: list[bytes] | None, careful: bool
    ) -> None:
        self.plan = plan
        self.who = who
        self.facts = facts
        self.secrets = secrets
        self.careful = careful
        long = [secret for secret in secrets or () if len(secret) >= SHORTEST]
        self.odd = any(secret.translate(_AS_IT_IS) != secret for secret in long)
        self.needles = [(secret[-_SECRET_END:], secret) for secret in long]
        self.pattern: _Pattern | None = None

    def betrayed_by(self, text: bytes) -> bool:
        """Whether a part of a line may hold one of the secrets."""
        size = len(text)
        return any(
            len(secret) <= size and text.find(end) >= 0 and text.find(secret) >= 0
            for end, secret in self.needles
        )

    def is_clean(self, text: bytes) -> bool:
        """Whether a part of a line needs no look at the whole: no secret may be in it, and no risky character."""
        return text.translate(_HARMLESS) == text and not self.betrayed_by(text)


class Serializer:
    """Makes the JSON line of a record. For one thread at a time.

    hash_key  of the configurations that it tells of; in a record the key is that of the plan that the exchange ran under, which
              may be one before
    worker    number of this worker process
    since     since when there has been the memory that limits are counted in, which tells gateways apart
    """

    def __init__(self, hash_key: bytes, worker: int, since: float | None = None) -> None:
        self._hash_key = hash_key
        self._hmac = hmac.new(hash_key, b"", "sha256")
        self._writer: dict[str, object] = {"gateway.worker": worker}
        if since is not None:
            self._writer["gateway.since"] = since
        self._writer_text = _dumps(self._writer)[1:-1]
        self._second = -1
        self._second_text = self._second_digits = b""
        self._plan: PlanFacts | None = None
        self._redaction = Redaction()
        self._fields: dict[bytes, _Field | None] = {}
        self._declared: frozenset[bytes] = frozenset()
        self._secret: frozenset[bytes] = frozenset()
        self._flows = Flows()  # of records that nobody has counted
        # Each value holds on to the object whose id is its key, so that no other object can have that id.
        self._principals: dict[int, tuple[Principal, bytes, bytes]] = {}
        self._text = _Text()
        self._hashes: dict[bytes, dict[str, str]] = {}
        self._hashed_by = self._hashed(_KEY_OF_HASHES)["hash"][:_TOLD_APART]

    def line(self, record: Record, sequence: int) -> bytes:
        """One JSON object and a line feed. Never raises: a record that cannot be told says so itself."""
        try:
            return self._line(record, sequence)
        except Exception as error:  # noqa: BLE001 - a plugin's odd facts must not silence the log
            return _dumps(
                {
                    "timestamp": self._timestamp(record.exchange.clock.wall),
                    "kind": "request",
                    "record_version": RECORD_VERSION,
                    "gateway.request_id": record.exchange.request_id,
                    "gateway.decision": record.decision,
                    "gateway.reason": record.reason,
                    "http.response.status_code": record.status,
                    "gateway.record_error": type(error).__name__,
                    "gateway.revision": record.plan.revision,
                    **self._writer,
                    "gateway.sequence": sequence,
                },
                orjson.OPT_APPEND_NEWLINE,
            )

    def plan(
        self,
        revision: str,
        description: Mapping[str, object],
        wall: float,
        generation: int | None = None,
        under_way: float = 0.0,
        *,
        begins: bool = False,
        workers: Sequence[int] | None = None,
    ) -> bytes:
        """The line that describes a configuration which is now in force; `begins` where it is the worker's first line. `generation` is the
        number of that configuration, None where it is not known, and `under_way` for how many seconds the oldest exchange had been under
        way then, 0 for none. `workers` are those at work at that instant, None where that is not known."""
        return safe(
            _dumps(
                {
                    "timestamp": self._timestamp(wall),
                    "kind": "plan",
                    "record_version": RECORD_VERSION,
                    "gateway.revision": revision,
                    **self._writer,
                    "gateway.begins": begins,
                    **_generation(generation),
                    **_under_way(under_way),
                    **_at_work(workers),
                    "gateway.plan": {**description, "hashed_by": self._hashed_by},
                },
                orjson.OPT_APPEND_NEWLINE,
            )
        )

    def mark(
        self,
        sequence: int,
        wall: float,
        last: float | None,
        under_way: float = 0.0,
        workers: Sequence[int] | None = None,
        generation: int | None = None,
    ) -> bytes:
        """The line that says that of a worker nothing is missing up to this instant. `sequence` is the number of its last record, and
        `last` when the exchange of that was over, in seconds since the epoch, None where there is none; `under_way` for how many
        seconds the oldest of its exchanges has been under way. `workers` and `generation` as in `plan`."""
        extra = {**_under_way(under_way), **_at_work(workers), **_generation(generation)}
        return self._state("mark", sequence, wall, last, extra)

    def end(
        self,
        sequence: int,
        wall: float,
        last: float | None,
        workers: Sequence[int] | None = None,
        generation: int | None = None,
    ) -> bytes:
        """The last line of a worker that ends in order: as that of `mark`, and nothing is under way."""
        return self._state("end", sequence, wall, last, {**_at_work(workers), **_generation(generation)})

    def _state(
        self, kind: str, sequence: int, wall: float, last: float | None, extra: Mapping[str, object]
    ) -> bytes:
        return _dumps(
            {
                "timestamp": self._timestamp(wall),
                "kind": kind,
                "record_version": RECORD_VERSION,
                **self._writer,
                "gateway.sequence": sequence,
                **({} if last is None else {"gateway.last": last}),
                **extra,
            },
            orjson.OPT_APPEND_NEWLINE,
        )

    def _line(self, record: Record, sequence: int) -> bytes:
        exchange = record.exchange
        received = record.received
        told: _Told | None = received.told
        if told is None or told.plan is not record.plan:
            told = received.told = self._tell(record)
        principal = exchange.principal
        flow = record.flow or self._flows.of(record)
        pattern = told.pattern
        if pattern is None or pattern.flow is not flow or pattern.principal is not principal:
            pattern = told.pattern = self._pattern(record, flow, told, principal)
        elif not pattern.again:
            pattern.again = True
            self._examine(pattern, told)
        clean = pattern.clean

        target = exchange.target
        extra = mark = b""
        placed: Sequence[bytes] = ()
        if told.careful or target.translate(_PLAIN_PATH) != target:
            path, target_text, extra, mark, placed = self._redacted(record, told.secrets or (), told.careful)
            clean = False
        else:
            path = target_text = b'"%b"' % target
            clean = clean and not told.betrayed_by(target)
        if exchange.method not in METHODS:
            extra += b',"http.request.method_original":' + _json(exchange.method)
        if record.global_id is not None:
            extra += b',"gateway.global_request_id":' + _json(record.global_id)
        if record.upstream_request_id is not None:
            extra += b',"gateway.upstream.request_id":' + _json(record.upstream_request_id)
        trace = record.trace
        if trace is not None:
            extra += f',"trace_id":"{trace.trace_id}","span_id":"{trace.span_id}"'.encode("ascii")
        if record.aside is not None:
            extra += _aside(record.aside)
            if record.aside.request_body is not None or record.aside.response_body is not None:
                bodies, values = _bodies(record.aside, [*(told.secrets or ()), *placed])
                extra += bodies
                placed = [*placed, *values]
        clean = clean and not extra
        if record.under_way:
            extra += b',"gateway.under_way_ms":' + _ms(record.under_way)

        wall = exchange.clock.wall
        stamp, clock = self._instant(wall)
        values = [
            stamp,
            exchange.request_id.encode("ascii"),
            path,
            _ms(record.duration),
            _ms(record.chain_in),
            _ms(record.chain_out),
            _number(record.bytes_in),
            _number(record.bytes_out),
            b"%d" % record.peer.port,
        ]
        for attempt in record.attempts:
            if attempt.connect is not None:
                values.append(_ms(attempt.connect))
            total, first_byte = attempt.total, attempt.first_byte
            if first_byte is not None:
                values.append(_ms(first_byte))
                values.append(_ms(total - first_byte))
            values.append(_ms(total))
        values.append(extra)
        told_cleanly = self._fill_steps(values, record, flow, pattern, told)
        values += (target_text, clock, mark, b"%d" % sequence)
        parts = pattern.pieces.copy()
        parts[1::2] = values
        line = b"".join(parts)
        if clean and told_cleanly:
            return line
        if placed or told.odd or told.betrayed_by(line):
            line = _without(line, told.secrets or (), placed)
        return safe(line)

    def _pattern(self, record: Record, flow: Flow, told: _Told, principal: Principal | None) -> _Pattern:
        template: _Template | None = flow.template
        if template is None:
            template = flow.template = self._template(record, flow)
        named, whole = self._principal(principal) if principal is not None else (b"", b"")
        pieces = template.pieces.copy()
        number = 0
        for part in (told.who, named, told.facts, whole):
            place, before, behind = template.halves[number]
            pieces[place] = before + part + behind
            number += 1  # noqa: SIM113 - enumerate() would make a pair for each
        return _Pattern(flow, principal, pieces)

    def _examine(self, pattern: _Pattern, told: _Told) -> None:
        """Looks at what the lines of a pattern have in common, so that nobody has to look at it in each line."""
        pattern.pieces = [safe(piece) for piece in pattern.pieces]
        # With what JSON writes as it is there is no secret that lies in two strings: there are quotes between.
        pattern.clean = not told.odd and not told.betrayed_by(b"".join(pattern.pieces))

    def _fill_steps(
        self, holes: list[bytes], record: Record, flow: Flow, pattern: _Pattern, told: _Told
    ) -> bool:
        """Appends what differs between the steps of two records of one flow, in the order of the steps; and whether nothing of it
        is to be looked at again."""
        spans = flow.spans
        if spans is None:
            for step in record.steps:
                _fill_step(holes, step)
            return False
        clean = True
        number = 0
        noted = pattern.noted
        trail = record.exchange.trail
        for begin, end, entry in spans:
            if begin == end:
                text = _fill_step(holes, trail[begin])
                clean = clean and (not text or told.is_clean(text))
                continue
            began: float = trail[begin]
            ended: float = trail[end]
            holes.append(_ms(ended - began))
            if end - begin == 1:
                continue
            note: Note = trail[begin + 1]
            if number == len(noted):
                text = _told(entry, note.facts, trail[begin + 2 : end])
                noted.append((note if end - begin == 2 else None, text, told.is_clean(text)))
                sound = noted[number][2]
            elif noted[number][0] is note:
                _, text, sound = noted[number]
            else:
                noted[number] = _DIFFERS
                text = _told(entry, note.facts, trail[begin + 2 : end])
                sound = told.is_clean(text)
            number += 1
            holes.append(text)
            clean = clean and sound
        return clean

    def _tell(self, record: Record) -> _Told:
        """What the request's header section has to say, by what the plan declares of its fields."""
        if record.plan is not self._plan:
            self._learn(record.plan)
        headers: dict[str, object] = {}
        secrets: list[bytes] | None = None
        careful = record.plan.redaction.by_place
        user_agent = content_type = content_length = connection = None
        known = self._fields
        for raw_name, value in record.received.lines:
            field = known.get(raw_name, _UNSEEN)
            if field is _UNSEEN:
                field = self._field(raw_name)
            if field is None:
                continue
            name, secret, declared = field
            if secret:
                found = credentials(name, value)
                secrets = found if secrets is None else sorted(secrets + found, key=len, reverse=True)
                if found and len(found[-1]) < SHORTEST:
                    careful = True
            if declared:
                if secret and value:
                    told: object = self._hashed(value)
                elif name == "referer":  # it is a target too
                    told = redact_target(value, secrets or ()).decode("latin-1")
                else:
                    told = value.decode("latin-1")
                if name in headers:
                    earlier = headers[name]
                    headers[name] = [*earlier, told] if isinstance(earlier, list) else [earlier, told]
                else:
                    headers[name] = told
            if name == "user-agent":
                user_agent = value
            elif name == "content-type":
                content_type = value
            elif name == "content-length":
                content_length = value
            elif name == "connection":
                connection = value if connection is None else b"%b,%b" % (connection, value)
        if connection is not None and (connection.lower() not in _PLAIN_CONNECTION or "close" in headers):
            # No filter has seen what the field names.
            for option in connection_options(connection) - PROTECTED:
                headers.pop(option.decode("latin-1"), None)
                if option == b"content-type":
                    content_type = None

        exchange = record.exchange
        host = exchange.host
        if "@" in host:
            host = readable(redact_target(host.encode("utf-8", "backslashreplace"), secrets or ()))
        name, port = host_parts(host.rpartition("@")[2])
        text = self._text
        client, peer = text[exchange.client], text[exchange.peer]
        who = b'"client.address":%b,"network.peer.address":%b,"server.address":%b,' % (
            client,
            peer,
            text[name],
        )
        if port is not None:
            who += b'"server.port":%d,' % port
        peer_end = record.peer
        if peer_end.proxy is not None:
            who += b'"gateway.proxy.address":%b,' % text[peer_end.proxy]
        if peer_end.tls is not None:
            who += b'"tls.protocol.version":%b,' % text[peer_end.tls]
        certificate = peer_end.certificate
        if certificate is not None:
            who += b'"tls.client.subject":%b,"tls.client.hash.sha256":%b,' % (
                _json(certificate.subject),
                _json(certificate.fingerprint.upper()),
            )
        if user_agent is not None:
            if secrets is not None and not user_agent.isascii():
                user_agent = redact_value(user_agent, secrets)  # decoded, its edges could melt into others
            who += b'"user_agent.original":%b,' % text[readable(user_agent)]
        facts = b'"host":%b,"client":%b,"peer":%b,"headers":%b' % (
            text[host],
            client,
            peer,
            _dumps(headers) if headers else b"{}",
        )
        if certificate is not None:
            facts += b',"certificate":' + _dumps(members(certificate))
        if content_type is not None:
            facts += b',"content_type":' + text[content_type.decode("latin-1")]
        if content_length is not None:
            if len(content_length) < 19 and content_length.isdigit():
                facts += b',"content_length":%d' % int(content_length)
            else:
                facts += b',"content_length":' + _json(content_length.decode("latin-1"))
        return _Told(record.plan, who, facts, secrets, careful)

    def _redacted(
        self, record: Record, secrets: Sequence[bytes], careful: bool
    ) -> tuple[bytes, bytes, bytes, bytes, Sequence[bytes]]:
        """The path, the target, the field of the query and the mark of a redaction, as JSON; and what was secret by its place."""
        target = raw_target = record.exchange.target
        placed: Sequence[bytes] = ()
        if careful or b"?" in target or b"%" in target or b"@" in target or not target.isascii():
            route = record.exchange.route
            target, placed = record.plan.redaction.target(
                target, secrets, None if route is None else route.template
            )
        path, mark, query = target.partition(b"?")
        return (
            _json(readable(path)),
            _json(target.decode("latin-1")),
            b',"url.query":' + _json(readable(query)) if mark else b"",
            b',"redacted":true' if target != raw_target else b"",
            placed,
        )

    def _template(self, record: Record, flow: Flow) -> _Template:
        """The line of the flow of `record`."""
        text = self._text
        exchange = record.exchange
        method, status = exchange.method, record.status
        common = b""
        if status:
            common += b',"http.response.status_code":%d' % status
        if status >= 400 or not status:
            # The upstream's own refusal has no reason of ours; the conventions then want the status.
            common += b',"error.type":' + text[record.reason if record.reason != "passed" else str(status)]
        route = exchange.route
        if route is not None:
            common += b',"http.route":%b,"gateway.route":%b' % (text[route.template], _json(route.name))
        decider = record.decider
        if decider is not None:
            source = decider.entry.source(decider.rule)
            common += b',"gateway.filter":%b,"gateway.source":%b' % (text[decider.entry.name], text[source])
        if record.attempts:
            last = record.attempts[-1]
            common += b',"gateway.upstream.name":%b,"gateway.upstream.address":%b' % (
                text[last.upstream],
                text[last.address],
            )
        if record.attempts:
            common += b',"gateway.upstream.attempts":[%b]' % b",".join(map(self._attempt, record.attempts))
        spans = flow.spans
        steps = [
            self._step(step, step.note is not None or spans is None or spans[place][0] == spans[place][1])
            for place, step in enumerate(record.steps)
        ]
        known = text[method if method in METHODS else "_OTHER"]
        line = _LINE % (
            known,
            text[exchange.scheme],
            text[record.decision],
            text[record.reason],
            text[exchange.http_version],
            common,
            b"[%b]" % b",".join(steps),
            _json(method),
            text[exchange.scheme],
            text[record.plan.revision],
            self._writer_text,
        )
        pieces = line.split(b"\0")
        template = [b""] * (2 * len(pieces) - 1)
        template[0::2] = pieces
        halves = []
        for place, piece in enumerate(template):
            before, mark, behind = piece.partition(b"\1")
            if mark:
                halves.append((place, before, behind))
        return _Template(template, tuple(halves))

    def _attempt(self, attempt: Attempt) -> bytes:
        upstream, address, reused, status, error, detail, peer, connect, first_byte, _ = attempt
        told = b'{"upstream":%b,"address":%b,"reused":%b' % (
            self._text[upstream],
            self._text[address],
            b"true" if reused else b"false",
        )
        if status:
            told += b',"status":%d' % status
        if error is not None:
            told += b',"error":' + self._text[error]
        if detail is not None:
            told += b',"detail":' + _json(detail)
        if peer is not None:
            told += b',"peer":' + self._text[peer]
        if connect is not None:
            told += b',"connect_ms":\0'
        if first_byte is not None:
            told += b',"first_byte_ms":\0,"body_ms":\0'
        return told + b',"total_ms":\0}'

    def _step(self, step: Step, noted: bool) -> bytes:
        """A step's object; `noted` leaves a hole for facts and notes behind that for the milliseconds."""
        entry, reason, rule = step.entry, step.reason, step.rule
        if reason is None and step.note:
            reason = step.note[0].reason
            rule = rule or step.note[0].rule
        told: dict[str, object] = {
            "name": entry.name,
            "type": entry.type,
            "mode": entry.mode,
            "phase": step.phase,
            "verdict": step.verdict,
            "source": entry.source(rule),
        }
        if reason is not None:
            told["reason"] = reason
        if rule:
            told["rule"] = rule_text(rule)
        if step.status:
            told["status"] = step.status
        if entry.mode == "shadow":
            told["shadow"] = True
        return _dumps(told)[:-1] + (b',"ms":\0\0}' if noted else b',"ms":\0}')

    def _instant(self, wall: float) -> tuple[bytes, bytes]:
        """The time of day, to the millisecond and without its Z, and seconds since the epoch, to the microsecond."""
        second = int(wall)
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.").encode()
            self._second_digits = b"%d." % second
            self._second = second
        micro = min(int((wall - second) * 1e6 + 0.5), 999_999)
        milli = _FRACTION[micro // 1000]
        return self._second_text + milli, self._second_digits + milli + _FRACTION[micro % 1000]

    def _timestamp(self, wall: float) -> str:
        return self._instant(wall)[0].decode() + "Z"

    def _learn(self, plan: PlanFacts) -> None:
        self._declared = frozenset(plan.header_names)
        self._secret = plan.secret_names
        self._redaction = plan.redaction
        if plan.hash_key != self._hash_key:
            self._hash_key = plan.hash_key
            self._hmac = hmac.new(plan.hash_key, b"", "sha256")
            self._hashes.clear()
        self._plan = plan
        self._fields.clear()

    def _field(self, raw_name: bytes) -> _Field | None:
        lower = raw_name.lower()
        name = lower.decode("latin-1")
        secret = lower in self._secret or self._redaction.is_secret_header(name)
        declared = lower in self._declared
        interesting = secret or declared or name in _OF_EVERY_REQUEST
        if len(self._fields) >= _MEMO_MAX:
            self._fields.clear()
        field = self._fields[raw_name] = _Field(name, secret, declared) if interesting else None
        return field

    def _hashed(self, value: bytes) -> dict[str, str]:
        """What stands for a secret value: the same value gives the same under one key."""
        known = self._hashes.get(value)
        if known is None:
            if len(self._hashes) >= _MEMO_MAX:
                self._hashes.clear()
            keyed = self._hmac.copy()
            keyed.update(value)
            known = self._hashes[value] = {"hash": keyed.hexdigest()[:32]}
        return known

    def _principal(self, principal: Principal) -> tuple[bytes, bytes]:
        """The fields that name the principal, and the member of the facts that holds all of it."""
        known = self._principals.get(id(principal))
        if known is None:
            if len(self._principals) >= _MEMO_MAX:
                self._principals.clear()
            told = members(principal)
            names = {
                "user.id": principal.user_id,
                "user.name": principal.user_name,
                "user.roles": principal.roles,
                "gateway.project.id": principal.project_id,
                "gateway.project.name": principal.project_name,
            }
            fields = {name: value for name, value in names.items() if value is not None}
            named = b"," + _dumps(fields)[1:-1]
            known = (principal, named, b',"principal":' + _dumps(told))
            self._principals[id(principal)] = known
        return known[1], known[2]


def _generation(number: int | None) -> dict[str, object]:
    return {} if number is None else {"gateway.generation": number}


def _under_way(seconds: float) -> dict[str, object]:
    return {"gateway.under_way_ms": round(seconds * 1000, 3)} if seconds else {}


def _at_work(workers: Sequence[int] | None) -> dict[str, object]:
    return {} if workers is None else {"gateway.workers": workers}


def _aside(aside: Aside) -> bytes:
    """The fields that few records have."""
    told = b""
    if aside.queue is not None:
        told += b',"gateway.queue_ms":' + _ms(aside.queue)
    if aside.share is not None:
        told += b',"gateway.sample":' + _dumps(aside.share)
    if aside.traced:
        told += b',"gateway.trace_request":true'
    return told


def _bodies(aside: Aside, secrets: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    """The fields that tell of bodies, and what in them is secret."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    told = tell({"request": aside.request_body, "response": aside.response_body}, sorted(forms))
    return (b"," + _dumps(told.fields)[1:-1] if told.fields else b""), told.values


def _fill_step(holes: list[bytes], step: Step) -> bytes:
    """Appends what a whole step has of its own, and gives of it what is no number."""
    facts, notes = step.facts, list(step.note or ())
    if notes and step.reason is None:
        facts = facts or notes.pop(0).facts
    holes.append(_ms(step.seconds))
    text = _told(step.entry, facts, notes)
    holes.append(text)
    return text


def _told(entry: EntryInfo, facts: Mapping[str, object] | None, notes: Sequence[Note]) -> bytes:
    """The members of a step's object that hold its facts and its further notes."""
    told = b',"facts":' + _dumps(facts) if facts else b""
    if notes:
        told += b',"notes":' + _dumps([_note(entry, note) for note in notes])
    return told


def _note(entry: EntryInfo, note: Note) -> dict[str, object]:
    told: dict[str, object] = {"reason": note.reason, "source": entry.source(note.rule)}
    if note.rule:
        told["rule"] = rule_text(note.rule)
    if note.facts:
        told["facts"] = note.facts
    return told


def readable(raw: bytes) -> str:
    """Bytes as text for people: what is not UTF-8, or does not print, is escaped as in a Python literal."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def host_parts(host: str) -> tuple[str, int | None]:
    """The host of a Host field, without the brackets of an IPv6 address, and its port where one is written."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port.isascii() and port.isdigit() and len(port) <= 5:
        return name, int(port)
    return name, None


def _json(text: str | None) -> bytes:
    """A text as JSON; what UTF-8 cannot hold is escaped as in a Python literal."""
    try:
        return orjson.dumps(text)
    except TypeError:
        return _dumps(text)


def _dumps(value: object, option: int = 0) -> bytes:
    try:
        return _dump(value, default=str, option=option)
    except TypeError:  # keys that are no texts, most likely, which are dearer to look out for
        pass
    try:
        return _dump(value, default=str, option=option | orjson.OPT_NON_STR_KEYS)
    except (
        TypeError
    ):  # a lone surrogate, a whole number beyond 64 bits, a cycle: what filters may put in facts
        return _dump(_cleaned(value, 0), default=str, option=option | orjson.OPT_NON_STR_KEYS)


def _cleaned(value: object, depth: int) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, bool) or value is None or isinstance(value, (float, orjson.Fragment)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {str(_cleaned(str(key), 0)): _cleaned(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_cleaned(item, depth + 1) for item in value]
    return _cleaned(str(value), depth)


def _without(line: bytes, secrets: Sequence[bytes], placed: Sequence[bytes] = ()) -> bytes:
    """The line with no secret left in it, wherever a client has written it or a filter has told it.

    Of those that are `placed`, secret by their place in the target, short ones are looked for as whole texts.
    """
    texts: list[str] = []
    wholes: set[str] = set()
    if placed:
        secrets = sorted({*secrets, *placed}, key=len, reverse=True)
        wholes = {form for value in placed if len(value) < SHORTEST for form in _forms(value)}
        wholes = {form for form in wholes if form and orjson.dumps(form) in line}
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        if secret.translate(_AS_IT_IS) == secret:  # the common case: one search, for a short end of it
            if line.find(secret[-_SECRET_END:]) >= 0 and line.find(secret) >= 0:
                texts.append(secret.decode("ascii"))
            continue
        texts.extend(form for form in sorted(_forms(secret)) if orjson.dumps(form)[1:-1] in line)
    if not texts and not wholes:
        return line
    fields = orjson.loads(line)
    for name in _FOREIGN:
        if name == "gateway.facts":
            facts = fields[name]
            scrubbed = {key: scrub(value, texts, wholes) for key, value in facts.items()}
            fields[name] = {**scrubbed, "redacted": True}
        elif name in fields:
            fields[name] = scrub(fields[name], texts)
    for step in fields["gateway.filters"]:
        for name in ("facts", "notes"):
            if name in step:
                step[name] = scrub(step[name], texts, wholes)
    for attempt in fields.get("gateway.upstream.attempts", ()):
        if "detail" in attempt:
            attempt["detail"] = scrub(attempt["detail"], texts)
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _forms(secret: bytes) -> set[str]:
    """A secret as it may stand in what is told."""
    return {secret.decode("latin-1"), secret.decode("utf-8", "backslashreplace"), readable(secret)}


def safe(line: bytes) -> bytes:
    """A line of JSON in which nothing is left that a terminal or a reader of lines could take for more than a character."""
    if line.isascii() and 0x7F not in line:
        return line
    return _RISKY.sub(lambda match: b"\\u%04x" % ord(match[0].decode("utf-8")), line)
