"""The decision record of an exchange, and the request log's writer.

The end of an exchange costs one `Record` and one `put`: no dictionary is built and nothing is formatted there.
A thread of the log turns records into JSON lines and appends them in whole batches. Field names follow the
OpenTelemetry conventions for HTTP servers; what they have no name for is under `gateway.`. The keys are flat
and dotted (`"http.request.method"`), not nested: a line is found with grep by the name under which the
documentation has it, and a table of columns (SQLite, DuckDB) takes it as it is.
"""

import fcntl
import hmac
import os
import re
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import orjson

from gateway.api.exchange import Note
from gateway.api.principal import Principal
from gateway.api.verdict import Rule
from gateway.redaction import SHORTEST, credentials, is_secret_header, redact_target, redact_value, scrub

RECORD_VERSION: Final = 1

METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Methods with a name of their own in records and metrics; any other is `_OTHER`."""


class EntryInfo(Protocol):
    """What the record needs to know of an entry of the chain."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def source(self) -> Callable[[Rule], str]:
        """Gives `file:line:column` of the entry, or of a rule inside its options."""


class PlanFacts(Protocol):
    """What a plan's filters declare that they read."""

    @property
    def header_names(self) -> tuple[bytes, ...]:
        """Names of request header fields, lower case."""


class Step(NamedTuple):
    """One filter's part in an exchange.

    verdict  "pass", "refuse", "answer", "skip", "error" or "undecided"
    status   0 for a pass
    phase    "request" or "response"
    """

    entry: EntryInfo
    verdict: str
    reason: str | None
    rule: Rule
    seconds: float
    status: int
    note: tuple[Note, ...] | None
    facts: Mapping[str, object] | None
    phase: str


class Attempt(NamedTuple):
    """One attempt to forward an exchange to an upstream; seconds, None where it was not reached."""

    upstream: str
    address: str
    reused: bool
    connect: float | None
    first_byte: float | None
    total: float
    status: int
    error: str | None


class Record:
    """All that is known of one exchange when it is over; never changed afterwards.

    Give the arguments by position on the hot path: by keyword the call costs three times as much.

    method               as received, "" when the head could not be read
    global_id            the X-Openstack-Request-Id that the client sent, when it is a valid one
    upstream_request_id  the id in the upstream's answer
    wall                 seconds since the epoch when the head arrived
    duration             seconds from the head to the end of the answer
    chain_in, chain_out  seconds spent in filters, inward and outward
    route_template       None when no route was found
    request_lines        the raw header lines as received
    status               0 when nothing was sent
    decision             "forward", "refuse", "answer", "fail" or "abort"
    decider              the step that decided, None when it was the core
    bytes_in, bytes_out  size of the bodies as they travelled
    revision             of the configuration that the exchange ran under
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "chain_in",
        "chain_out",
        "client",
        "decider",
        "decision",
        "duration",
        "global_id",
        "host",
        "http_version",
        "method",
        "peer",
        "peer_port",
        "plan_facts",
        "principal",
        "reason",
        "request_id",
        "request_lines",
        "revision",
        "route_name",
        "route_template",
        "scheme",
        "status",
        "steps",
        "target",
        "upstream_request_id",
        "wall",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        host: str,
        scheme: str,
        http_version: str,
        peer: str,
        peer_port: int,
        client: str,
        request_id: str,
        global_id: str | None,
        upstream_request_id: str | None,
        wall: float,
        duration: float,
        chain_in: float,
        chain_out: float,
        route_name: str | None,
        route_template: str | None,
        principal: Principal | None,
        request_lines: Sequence[tuple[bytes, bytes]],
        status: int,
        decision: str,
        reason: str,
        decider: Step | None,
        steps: Sequence[Step],
        attempts: Sequence[Attempt],
        bytes_in: int,
        bytes_out: int,
        revision: str,
        plan_facts: PlanFacts,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.scheme = scheme
        self.http_version = http_version
        self.peer = peer
        self.peer_port = peer_port
        self.client = client
        self.request_id = request_id
        self.global_id = global_id
        self.upstream_request_id = upstream_request_id
        self.wall = wall
        self.duration = duration
        self.chain_in = chain_in
        self.chain_out = chain_out
        self.route_name = route_name
        self.route_template = route_template
        self.principal = principal
        self.request_lines = request_lines
        self.status = status
        self.decision = decision
        self.reason = reason
        self.decider = decider
        self.steps = steps
        self.attempts = attempts
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out
        self.revision = revision
        self.plan_facts = plan_facts


def rule_text(rule: Rule) -> str:
    """A path inside a filter's options as people write it: `limits[2].rate`."""
    text = ""
    for key in rule:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


_MEMO_MAX = 4096
_MAX_DEPTH = 12
_UNSEEN: Any = object()

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
    "url.path",
    "url.query",
    "user.id",
    "user.name",
    "user.roles",
    "user_agent.original",
)


# Text of 0 to 999, three digits: putting a number together costs more than looking it up.
_THOUSANDTHS = tuple(f"{number:03d}" for number in range(1000))

# What stands in a JSON string as it is.
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')


class _Milliseconds(dict[int, bytes]):
    """Whole microseconds -> milliseconds as JSON; filters take few enough of them for a memo."""

    def __missing__(self, micro: int) -> bytes:
        text = b"%d.%03d" % (micro // 1000, micro % 1000)
        if micro < _MEMO_MAX:
            self[micro] = text
        return text


class _Field(NamedTuple):
    """What the serializer does with the lines of one header field."""

    name: str
    secret: bool
    declared: bool


class Serializer:
    """Makes the JSON line of a record. For one thread at a time.

    hash_key  the key of the hashes that stand for secret header values
    worker    number of this worker process
    """

    def __init__(self, hash_key: bytes, worker: int) -> None:
        self._hmac = hmac.new(hash_key, b"", "sha256")
        self._worker = worker
        self._second = -1
        self._second_text = ""
        self._plan_facts: PlanFacts | None = None
        self._fields: dict[bytes, _Field | None] = {}
        self._declared: frozenset[bytes] = frozenset()
        # Each value holds on to the object whose id is its key, so that no other object can have that id.
        self._prefixes: dict[tuple[Any, ...], tuple[EntryInfo, bytes]] = {}
        self._milliseconds = _Milliseconds()
        self._principals: dict[int, tuple[Principal, orjson.Fragment]] = {}

    def line(self, record: Record, sequence: int) -> bytes:
        """One JSON object and a line feed. Never raises: a record that cannot be told says so itself."""
        try:
            return self._line(record, sequence)
        except Exception as error:  # noqa: BLE001 - a plugin's odd facts must not silence the log
            return _dumps(
                {
                    "timestamp": self._timestamp(record.wall),
                    "kind": "request",
                    "record_version": RECORD_VERSION,
                    "gateway.request_id": record.request_id,
                    "gateway.decision": record.decision,
                    "gateway.reason": record.reason,
                    "http.response.status_code": record.status,
                    "gateway.record_error": type(error).__name__,
                    "gateway.revision": record.revision,
                    "gateway.worker": self._worker,
                    "gateway.sequence": sequence,
                },
                orjson.OPT_APPEND_NEWLINE,
            )

    def plan(self, revision: str, description: Mapping[str, object], wall: float) -> bytes:
        """The line that describes a configuration which is now in force."""
        return _safe(
            _dumps(
                {
                    "timestamp": self._timestamp(wall),
                    "kind": "plan",
                    "record_version": RECORD_VERSION,
                    "gateway.revision": revision,
                    "gateway.worker": self._worker,
                    "gateway.plan": description,
                },
                orjson.OPT_APPEND_NEWLINE,
            )
        )

    def _line(self, record: Record, sequence: int) -> bytes:
        if record.plan_facts is not self._plan_facts:
            self._learn(record.plan_facts)
        headers: dict[str, object] = {}
        secrets: list[bytes] | None = None
        short = False
        user_agent = content_type = content_length = None
        known = self._fields
        for raw_name, value in record.request_lines:
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
                    short = True
            if declared:
                told = {"hash": self._hash(value)} if secret else value.decode("latin-1")
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

        raw_target = record.target
        target = raw_target
        if b"?" in target or b"%" in target or b"@" in target or short or not target.isascii():
            target = redact_target(target, secrets or ())
        path, mark, query = target.partition(b"?")
        method = record.method
        host = record.host
        if "@" in host:
            host = _readable(redact_target(host.encode("utf-8", "backslashreplace"), secrets or ()))
        status = record.status
        reason = record.reason
        fields: dict[str, object] = {
            "timestamp": self._timestamp(record.wall),
            "kind": "request",
            "record_version": RECORD_VERSION,
            "gateway.request_id": record.request_id,
            "http.request.method": method if method in METHODS else "_OTHER",
            "url.scheme": record.scheme,
            "url.path": _readable(path),
            "gateway.decision": record.decision,
            "gateway.reason": reason,
            "gateway.duration_ms": int(record.duration * 1e6) / 1e3,
            "gateway.chain.in_ms": int(record.chain_in * 1e6) / 1e3,
            "gateway.chain.out_ms": int(record.chain_out * 1e6) / 1e3,
            "http.request.body.size": record.bytes_in,
            "http.response.body.size": record.bytes_out,
            "client.address": record.client,
            "network.peer.address": record.peer,
            "network.peer.port": record.peer_port,
            "network.protocol.version": record.http_version,
            "server.address": _host_name(host.rpartition("@")[2]),
        }
        if method not in METHODS:
            fields["http.request.method_original"] = method
        if mark:
            fields["url.query"] = _readable(query)
        if status:
            fields["http.response.status_code"] = status
        if status >= 400 or not status:
            fields["error.type"] = reason
        if record.route_template is not None:
            fields["http.route"] = record.route_template
            fields["gateway.route"] = record.route_name
        if user_agent is not None:
            if secrets is not None and not user_agent.isascii():
                user_agent = redact_value(user_agent, secrets)  # decoded, its edges could melt into others
            fields["user_agent.original"] = _readable(user_agent)
        if record.global_id is not None:
            fields["gateway.global_request_id"] = record.global_id
        decider = record.decider
        if decider is not None:
            fields["gateway.filter"] = decider.entry.name
            fields["gateway.source"] = decider.entry.source(decider.rule)
        if record.upstream_request_id is not None:
            fields["gateway.upstream.request_id"] = record.upstream_request_id
        attempts = record.attempts
        if attempts:
            last = attempts[-1]
            fields["gateway.upstream.name"] = last.upstream
            fields["gateway.upstream.address"] = last.address
            fields["gateway.upstream.attempts"] = [_attempt(attempt) for attempt in attempts]
        facts: dict[str, object] = {
            "method": method,
            "target": target.decode("latin-1"),
            "scheme": record.scheme,
            "host": host,
            "client": record.client,
            "peer": record.peer,
            "clock": record.wall,
            "headers": headers,
        }
        if content_type is not None:
            facts["content_type"] = content_type.decode("latin-1")
        if content_length is not None:
            facts["content_length"] = (
                int(content_length)
                if len(content_length) < 19 and content_length.isdigit()
                else content_length.decode("latin-1")
            )
        principal = record.principal
        if principal is not None:
            if principal.user_id is not None:
                fields["user.id"] = principal.user_id
            if principal.user_name is not None:
                fields["user.name"] = principal.user_name
            fields["user.roles"] = principal.roles
            if principal.project_id is not None:
                fields["gateway.project.id"] = principal.project_id
            if principal.project_name is not None:
                fields["gateway.project.name"] = principal.project_name
            facts["principal"] = self._principal(principal)
        if target is not raw_target and target != raw_target:
            facts["redacted"] = True
        fields["gateway.filters"] = self._steps(record.steps)
        fields["gateway.facts"] = facts
        fields["gateway.revision"] = record.revision
        fields["gateway.worker"] = self._worker
        fields["gateway.sequence"] = sequence
        line = _dumps(fields, orjson.OPT_APPEND_NEWLINE)
        if secrets is not None:
            line = _without(line, secrets)
        return _safe(line)

    def _timestamp(self, wall: float) -> str:
        second = int(wall)
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._second = second
        return self._second_text + _THOUSANDTHS[int((wall - second) * 1000)] + "Z"

    def _learn(self, plan_facts: PlanFacts) -> None:
        self._declared = frozenset(plan_facts.header_names)
        self._plan_facts = plan_facts
        self._fields.clear()

    def _field(self, raw_name: bytes) -> _Field | None:
        lower = raw_name.lower()
        name = lower.decode("latin-1")
        secret = is_secret_header(name)
        declared = lower in self._declared
        interesting = secret or declared or name in ("user-agent", "content-type", "content-length")
        if len(self._fields) >= _MEMO_MAX:
            self._fields.clear()
        field = self._fields[raw_name] = _Field(name, secret, declared) if interesting else None
        return field

    def _hash(self, value: bytes) -> str:
        keyed = self._hmac.copy()
        keyed.update(value)
        return keyed.hexdigest()[:32]

    def _principal(self, principal: Principal) -> orjson.Fragment:
        known = self._principals.get(id(principal))
        if known is None:
            if len(self._principals) >= _MEMO_MAX:
                self._principals.clear()
            told = {
                name: value
                for name in Principal.__slots__
                if (value := getattr(principal, name)) not in (None, ())
            }
            known = self._principals[id(principal)] = (principal, orjson.Fragment(_dumps(told)))
        return known[1]

    def _steps(self, steps: Sequence[Step]) -> orjson.Fragment:
        parts: list[bytes] = []
        add = parts.append
        prefixes = self._prefixes
        milliseconds = self._milliseconds
        begin = b"["
        for step in steps:
            entry, verdict, reason, rule, seconds, status, notes, facts, phase = step
            rest: Sequence[Note] = ()
            if notes is not None:
                rest = notes
                if reason is None and notes:
                    reason, noted, told = notes[0]
                    rule = rule or noted
                    facts = facts or told
                    rest = notes[1:]
            key = (id(entry), verdict, reason, rule, status, phase)
            known = prefixes.get(key)
            if known is None:
                known = self._prefix(key, entry)
            add(begin)
            begin = b","
            add(known[1])
            add(milliseconds[int(seconds * 1e6)])
            if facts:
                add(b',"facts":')
                add(_dumps(facts))
            if rest:
                add(b',"notes":')
                add(_dumps([_note(entry, note) for note in rest]))
            add(b"}")
        if not parts:
            return orjson.Fragment(b"[]")
        add(b"]")
        return orjson.Fragment(b"".join(parts))

    def _prefix(self, key: tuple[Any, ...], entry: EntryInfo) -> tuple[EntryInfo, bytes]:
        """The part of a step's object that is the same every time, up to the number of milliseconds."""
        _, verdict, reason, rule, status, phase = key
        told: dict[str, object] = {
            "name": entry.name,
            "type": entry.type,
            "mode": entry.mode,
            "phase": phase,
            "verdict": verdict,
            "source": entry.source(rule),
        }
        if reason is not None:
            told["reason"] = reason
        if rule:
            told["rule"] = rule_text(rule)
        if status:
            told["status"] = status
        if entry.mode == "shadow":
            told["shadow"] = True
        if len(self._prefixes) >= _MEMO_MAX:
            self._prefixes.clear()
        known = self._prefixes[key] = (entry, _dumps(told)[:-1] + b',"ms":')
        return known


def _attempt(attempt: Attempt) -> dict[str, object]:
    upstream, address, reused, connect, first_byte, total, status, error = attempt
    told: dict[str, object] = {
        "upstream": upstream,
        "address": address,
        "reused": reused,
        "total_ms": int(total * 1e6) / 1e3,
    }
    if connect is not None:
        told["connect_ms"] = int(connect * 1e6) / 1e3
    if first_byte is not None:
        told["first_byte_ms"] = int(first_byte * 1e6) / 1e3
    if status:
        told["status"] = status
    if error is not None:
        told["error"] = error
    return told


def _note(entry: EntryInfo, note: Note) -> dict[str, object]:
    told: dict[str, object] = {"reason": note.reason, "source": entry.source(note.rule)}
    if note.rule:
        told["rule"] = rule_text(note.rule)
    if note.facts:
        told["facts"] = note.facts
    return told


def _readable(raw: bytes) -> str:
    """Bytes as text for people: what is not UTF-8, or does not print, is escaped as in a Python literal."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _host_name(host: str) -> str:
    """The host of a Host field, without its port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _dumps(value: object, option: int = 0) -> bytes:
    option |= orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(value, default=str, option=option)
    except (
        TypeError
    ):  # a lone surrogate, a whole number beyond 64 bits, a cycle: what filters may put in facts
        return orjson.dumps(_cleaned(value, 0), default=str, option=option)


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


def _without(line: bytes, secrets: Sequence[bytes]) -> bytes:
    """The line with no secret left in it, wherever a client has written it or a filter has told it."""
    texts: list[str] = []
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        if not secret.translate(None, _PLAIN):  # the common case: one search
            if secret in line:
                texts.append(secret.decode("ascii"))
            continue
        forms = {secret.decode("latin-1"), secret.decode("utf-8", "backslashreplace"), _readable(secret)}
        texts.extend(form for form in sorted(forms) if orjson.dumps(form)[1:-1] in line)
    if not texts:
        return line
    fields = orjson.loads(line)
    for name in _FOREIGN:
        if name == "gateway.facts":
            facts = fields[name]
            scrubbed = {key: scrub(value, texts) for key, value in facts.items()}
            fields[name] = {**scrubbed, "redacted": True}
        elif name in fields:
            fields[name] = scrub(fields[name], texts)
    for step in fields["gateway.filters"]:
        for name in ("facts", "notes"):
            if name in step:
                step[name] = scrub(step[name], texts)
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _safe(line: bytes) -> bytes:
    if line.isascii() and 0x7F not in line:
        return line
    return _RISKY.sub(lambda match: b"\\u%04x" % ord(match[0].decode("utf-8")), line)


Listener: TypeAlias = Callable[[Mapping[str, Any]], None]

STANDARD_OUTPUT: Final = "-"

_INTERVAL = 0.1  # seconds that a batch is given to fill; a record is in the file twice that later at most
_BATCH = 128  # records per write: between two batches the event loop's thread gets its turn
_CLOSE = 5.0  # seconds that close() waits for a reader of standard output that has stopped reading


class LogFile:
    """A file of whole lines, appended to and rotated by size: PATH, then PATH.1 (newest) to PATH.N.

    Several processes may append to one file: a line is never torn by another's, and a file that somebody else
    has moved away is opened anew. Raises OSError; what could not be written is kept and goes first next time.
    """

    def __init__(self, path: str, max_size: int, max_files: int) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._rest = b""
        self.preamble = b""
        """Lines that every new file begins with."""
        self._standard = path == STANDARD_OUTPUT
        self._fd = 1 if self._standard else self._open()

    @property
    def pending(self) -> int:
        """Lines that wait for the file to be written again."""
        return self._rest.count(b"\n")

    def append(self, lines: bytes) -> None:
        self._rest += lines
        self.flush()

    def flush(self) -> None:
        if not self._rest:
            return
        if not self._standard:
            self._turn(len(self._rest))
        data, written = self._rest, 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            self._rest = data[written:]
            if not self._standard:
                # The disk filled up inside a line. Others may append after the torn piece: end it, and say
                # the whole line again.
                start = data.rfind(b"\n", 0, written) + 1
                if start < written:
                    self._rest = b"\n" + data[start:]
            raise
        self._rest = b""

    def close(self) -> None:
        if not self._standard and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self.preamble and os.fstat(fd).st_size == 0:
            self._rest = self.preamble + self._rest
        return fd

    def _turn(self, size: int) -> None:
        """Sees to it that the file is the one at the path, and that `size` more bytes fit."""
        if not self._current():
            self._reopen()
        if not self._max_size:
            return
        state = os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode) or not state.st_size or state.st_size + size <= self._max_size:
            return
        # One process rotates, the others find the file moved. The lock goes with the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        if self._current():
            self._shift()
        self._reopen()

    def _current(self) -> bool:
        try:
            there, ours = os.stat(self._path), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _reopen(self) -> None:
        fd = self._open()
        os.close(self._fd)
        self._fd = fd

    def _shift(self) -> None:
        for suffix in ("", ".gz"):  # an operator may have compressed what was rotated
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{self._max_files}{suffix}")
            for number in range(self._max_files - 1, 0, -1):
                with suppress(FileNotFoundError):
                    os.replace(f"{self._path}.{number}{suffix}", f"{self._path}.{number + 1}{suffix}")
        if self._max_files:
            os.replace(self._path, f"{self._path}.1")
        else:
            os.unlink(self._path)


class _Plan(NamedTuple):
    revision: str
    description: Mapping[str, object]
    wall: float


class RequestLog:
    """The request log of one worker: takes records at once, writes them in a thread of its own.

    path       of the file; "-" is standard output, None writes nothing
    max_size   bytes after which the file is rotated, 0 for never
    max_files  how many rotated files are kept
    queue      how many records may wait; one more is dropped and counted
    on_drop    called in the writer's thread with the number of records dropped since the last call

    Sequence numbers are given out at `put`, so that a dropped record leaves a gap. A disk that is full or a
    directory that cannot be written is warned of once and tried again; requests never wait for it.
    """

    def __init__(
        self,
        path: str | None,
        *,
        serializer: Serializer,
        max_size: int,
        max_files: int,
        queue: int,
        on_drop: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._serializer = serializer
        self._max_size = max_size
        self._max_files = max_files
        self._limit = queue
        self._on_drop = on_drop
        self._clock = clock
        self._queue: deque[tuple[int, Record] | _Plan] = deque()
        self._sequence = 0
        self._off = path is None
        self._awake = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._file: LogFile | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._announced: set[str] = set()
        self._told = 0
        self._failing = False
        self.dropped = 0
        """Records that were not written."""
        self.write_errors = 0
        """Attempts to write that failed."""

    @property
    def depth(self) -> int:
        """Records that wait to be written."""
        return len(self._queue)

    def start(self) -> None:
        """Opens the file and starts the writer. Raises OSError when the file cannot be opened."""
        if self._path is not None:
            self._file = LogFile(self._path, self._max_size, self._max_files)
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Hands over a record. Never waits, never raises."""
        if self._off:
            return
        self._sequence = sequence = self._sequence + 1
        queue = self._queue
        if len(queue) >= self._limit:
            self.dropped += 1
        else:
            queue.append((sequence, record))
        if not self._awake:
            self._awake = True
            self._wake.set()

    def announce(self, revision: str, description: Mapping[str, object]) -> None:
        """Writes the line that describes a configuration, once per revision; every new file repeats the last."""
        if self._path is None or revision in self._announced:
            return
        self._announced.add(revision)
        self._queue.append(_Plan(revision, description, self._clock()))
        self._awake = True
        self._wake.set()

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` with the fields of every record from now on, in the writer's thread."""
        self._listeners = (*self._listeners, listener)
        self._off = False

    def close(self) -> None:
        """Writes what waits and stops. Records put from now on are counted as dropped."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._limit = 0
        self._stop.set()
        self._wake.set()
        thread.join(_CLOSE)  # longer only if standard output is a pipe that nobody reads any more

    # ---- in the writer's thread

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(_INTERVAL if self._failing else None)
            self._stop.wait(_INTERVAL)
            stopping = self._stop.is_set()
            self._wake.clear()
            self._awake = False
            self._drain()
            self._tell_drops()
        file = self._file
        self.dropped += len(self._queue)
        if file is not None:
            self.dropped += file.pending
            file.close()
        self._tell_drops()

    def _drain(self) -> None:
        if self._file is not None and self._file.pending and not self._written(b""):
            return
        queue, line = self._queue, self._serializer.line
        while queue:
            lines: list[bytes] = []
            plan: bytes | None = None
            while queue and len(lines) < _BATCH and plan is None:
                item = queue.popleft()
                if isinstance(item, _Plan):
                    plan = self._serializer.plan(*item)
                else:
                    lines.append(line(item[1], item[0]))
            written = self._written(b"".join(lines))
            if plan is not None:
                written = self._written(plan)
                if self._file is not None:
                    self._file.preamble = plan
            if self._listeners:
                self._tell(lines)
            if not written:
                return

    def _written(self, lines: bytes) -> bool:
        if self._file is None:
            return True
        try:
            self._file.append(lines)
        except OSError as error:
            self.write_errors += 1
            if not self._failing:
                _warn("request_log_failing", path=self._path, error=error.strerror)
            self._failing = True
            return False
        if self._failing:
            _warn("request_log_recovered", path=self._path, write_errors=self.write_errors)
            self._failing = False
        return True

    def _tell(self, lines: Sequence[bytes]) -> None:
        for text in lines:
            fields = orjson.loads(text)
            for listener in self._listeners:
                try:
                    listener(fields)
                except Exception as error:  # noqa: BLE001 - a view that fails must not stop the log
                    self._listeners = tuple(other for other in self._listeners if other is not listener)
                    _warn("request_log_listener_failed", error=repr(error))

    def _tell_drops(self) -> None:
        new = self.dropped - self._told
        if new and self._on_drop is not None:
            self._told += new
            self._on_drop(new)


def _warn(event: str, **facts: object) -> None:
    import structlog

    structlog.get_logger("gateway.record").warning(event, **facts)
