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
from gateway.record import METHODS, Attempt, EntryInfo, PlanFacts, Record, Step
from gateway.redaction import SHORTEST, credentials, is_secret_header, redact_target, redact_value, scrub

RECORD_VERSION: Final = 1


def rule_text(rule: Rule) -> str:
    """A path inside a filter's options as people write it: `limits[2].rate`."""
    text = ""
    for key in rule:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


_MEMO_MAX = 4096
_MEMO_TEXT = 512  # characters of a text that is kept
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


# What stands in a JSON string as it is.
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')


class _Milliseconds(dict[int, bytes]):
    """Whole microseconds -> milliseconds as JSON; filters take few enough of them for a memo."""

    def __missing__(self, micro: int) -> bytes:
        text = b"%d.%03d" % (micro // 1000, micro % 1000)
        if micro < _MEMO_MAX:
            self[micro] = text
        return text


class _Text(dict[str, bytes]):
    """Text -> its JSON; a bounded memo for what most lines have in common."""

    def __missing__(self, text: str) -> bytes:
        known = _json(text)
        if len(self) >= _MEMO_MAX:
            self.clear()
        if len(text) <= _MEMO_TEXT:
            self[text] = known
        return known


_BEGIN = (
    b'{"timestamp":"%b","kind":"request","record_version":1,"gateway.request_id":"%b","http.request.method":%b,'
    b'"url.scheme":%b,"url.path":%b,"gateway.decision":%b,"gateway.reason":%b,"gateway.duration_ms":%b,'
    b'"gateway.chain.in_ms":%b,"gateway.chain.out_ms":%b,"http.request.body.size":%d,"http.response.body.size":%d,'
    b'"client.address":%b,"network.peer.address":%b,"network.peer.port":%d,"network.protocol.version":%b,'
    b'"server.address":%b'
)


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
        self._second_text = b""
        self._plan_facts: PlanFacts | None = None
        self._fields: dict[bytes, _Field | None] = {}
        self._declared: frozenset[bytes] = frozenset()
        self._secret: frozenset[bytes] = frozenset()
        # Each value holds on to the object whose id is in its key, so that no other object can have that id.
        self._prefixes: dict[tuple[Any, ...], tuple[EntryInfo, bytes]] = {}
        self._plain: dict[tuple[int, str], tuple[EntryInfo, bytes]] = {}
        self._milliseconds = _Milliseconds()
        self._principals: dict[int, tuple[Principal, bytes, bytes]] = {}
        self._text = _Text()
        self._hashes: dict[bytes, dict[str, str]] = {}

    def line(self, record: Record, sequence: int) -> bytes:
        """One JSON object and a line feed. Never raises: a record that cannot be told says so itself."""
        try:
            return self._line(record, sequence)
        except Exception as error:  # noqa: BLE001 - a plugin's odd facts must not silence the log
            return _dumps(
                {
                    "timestamp": self._timestamp(record.wall).decode(),
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
                    "timestamp": self._timestamp(wall).decode(),
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
                told = self._hashed(value) if secret else value.decode("latin-1")
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
        host = record.host
        if "@" in host:
            host = _readable(redact_target(host.encode("utf-8", "backslashreplace"), secrets or ()))
        # The line is put together by hand: most of its text is that of the last line, and kept as JSON.
        text = self._text
        milliseconds = self._milliseconds
        method = record.method
        status = record.status
        scheme, client, peer = text[record.scheme], text[record.client], text[record.peer]
        parts = [
            _BEGIN
            % (
                self._timestamp(record.wall),
                record.request_id.encode("ascii"),
                text[method if method in METHODS else "_OTHER"],
                scheme,
                _json(_readable(path)),
                text[record.decision],
                text[record.reason],
                milliseconds[int(record.duration * 1e6)],
                milliseconds[int(record.chain_in * 1e6)],
                milliseconds[int(record.chain_out * 1e6)],
                record.bytes_in,
                record.bytes_out,
                client,
                peer,
                record.peer_port,
                text[record.http_version],
                text[_host_name(host.rpartition("@")[2])],
            )
        ]
        add = parts.append
        if method not in METHODS:
            add(b',"http.request.method_original":' + _json(method))
        if mark:
            add(b',"url.query":' + _json(_readable(query)))
        if status:
            add(b',"http.response.status_code":%d' % status)
        if status >= 400 or not status:
            # The upstream's own refusal has no reason of ours; the conventions then want the status.
            add(b',"error.type":' + text[record.reason if record.reason != "passed" else str(status)])
        if record.route_template is not None:
            add(
                b',"http.route":%b,"gateway.route":%b'
                % (text[record.route_template], _json(record.route_name))
            )
        if user_agent is not None:
            if secrets is not None and not user_agent.isascii():
                user_agent = redact_value(user_agent, secrets)  # decoded, its edges could melt into others
            add(b',"user_agent.original":' + text[_readable(user_agent)])
        if record.global_id is not None:
            add(b',"gateway.global_request_id":' + _json(record.global_id))
        decider = record.decider
        if decider is not None:
            source = decider.entry.source(decider.rule)
            add(b',"gateway.filter":%b,"gateway.source":%b' % (text[decider.entry.name], text[source]))
        if record.upstream_request_id is not None:
            add(b',"gateway.upstream.request_id":' + _json(record.upstream_request_id))
        attempts = record.attempts
        if attempts:
            last = attempts[-1]
            add(
                b',"gateway.upstream.name":%b,"gateway.upstream.address":%b,"gateway.upstream.attempts":[%b]'
                % (
                    text[last.upstream],
                    text[last.address],
                    b",".join([self._attempt(attempt) for attempt in attempts]),
                )
            )
        principal = record.principal
        told_principal = b""
        if principal is not None:
            named, told_principal = self._principal(principal)
            add(named)
        add(b',"gateway.filters":')
        add(self._steps(record.steps))
        add(
            b',"gateway.facts":{"method":%b,"target":%b,"scheme":%b,"host":%b,"client":%b,"peer":%b,"clock":%b,"headers":%b'
            % (
                _json(method),
                _json(target.decode("latin-1")),
                scheme,
                text[host],
                client,
                peer,
                repr(record.wall).encode("ascii"),
                _dumps(headers) if headers else b"{}",
            )
        )
        if content_type is not None:
            add(b',"content_type":' + text[content_type.decode("latin-1")])
        if content_length is not None:
            add(
                b',"content_length":'
                + (
                    b"%d" % int(content_length)
                    if len(content_length) < 19 and content_length.isdigit()
                    else _json(content_length.decode("latin-1"))
                )
            )
        if told_principal:
            add(told_principal)
        if target is not raw_target and target != raw_target:
            add(b',"redacted":true')
        add(
            b'},"gateway.revision":%b,"gateway.worker":%d,"gateway.sequence":%d}\n'
            % (text[record.revision], self._worker, sequence)
        )
        line = b"".join(parts)
        if secrets is not None:
            line = _without(line, secrets)
        return _safe(line)

    def _attempt(self, attempt: Attempt) -> bytes:
        upstream, address, reused, connect, first_byte, total, status, error = attempt
        text, milliseconds = self._text, self._milliseconds
        told = b'{"upstream":%b,"address":%b,"reused":%b,"total_ms":%b' % (
            text[upstream],
            text[address],
            b"true" if reused else b"false",
            milliseconds[int(total * 1e6)],
        )
        if connect is not None:
            told += b',"connect_ms":' + milliseconds[int(connect * 1e6)]
        if first_byte is not None:
            told += b',"first_byte_ms":' + milliseconds[int(first_byte * 1e6)]
        if status:
            told += b',"status":%d' % status
        if error is not None:
            told += b',"error":' + text[error]
        return told + b"}"

    def _timestamp(self, wall: float) -> bytes:
        second = int(wall)
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.").encode()
            self._second = second
        return b"%b%03dZ" % (self._second_text, int((wall - second) * 1000))

    def _learn(self, plan_facts: PlanFacts) -> None:
        self._declared = frozenset(plan_facts.header_names)
        self._secret = plan_facts.secret_names
        self._plan_facts = plan_facts
        self._fields.clear()
        self._plain.clear()
        self._prefixes.clear()

    def _field(self, raw_name: bytes) -> _Field | None:
        lower = raw_name.lower()
        name = lower.decode("latin-1")
        secret = lower in self._secret or is_secret_header(name)
        declared = lower in self._declared
        interesting = secret or declared or name in ("user-agent", "content-type", "content-length")
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
            told = {
                name: value
                for name in Principal.__slots__
                if (value := getattr(principal, name)) not in (None, ())
            }
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

    def _steps(self, steps: Sequence[Step]) -> bytes:
        if not steps:
            return b"[]"
        parts: list[bytes] = []
        plain, prefixes, milliseconds = self._plain, self._prefixes, self._milliseconds
        for step in steps:
            entry, verdict, reason, rule, seconds, status, notes, facts, phase = step
            if notes is None and verdict == "pass":
                key = (id(entry), phase)
                known = plain.get(key)
                if known is None:
                    known = plain[key] = self._prefix(entry, verdict, reason, rule, status, phase)
                parts.append(known[1] + milliseconds[int(seconds * 1e6)])
                continue
            rest: Sequence[Note] = ()
            if notes:
                rest = notes
                if reason is None:
                    reason, noted, told = notes[0]
                    rule = rule or noted
                    facts = facts or told
                    rest = notes[1:]
            long_key = (id(entry), verdict, reason, rule, status, phase)
            known = prefixes.get(long_key)
            if known is None:
                known = prefixes[long_key] = self._prefix(entry, verdict, reason, rule, status, phase)
            part = known[1] + milliseconds[int(seconds * 1e6)]
            if facts:
                part += b',"facts":' + _dumps(facts)
            if rest:
                part += b',"notes":' + _dumps([_note(entry, note) for note in rest])
            parts.append(part)
        return b"[%b}]" % b"},".join(parts)

    def _prefix(
        self, entry: EntryInfo, verdict: str, reason: str | None, rule: Rule, status: int, phase: str
    ) -> tuple[EntryInfo, bytes]:
        """The part of a step's object that is the same every time, up to the number of milliseconds."""
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
        return entry, _dumps(told)[:-1] + b',"ms":'


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


def _json(text: str | None) -> bytes:
    """A text as JSON; what UTF-8 cannot hold is escaped as in a Python literal."""
    try:
        return orjson.dumps(text)
    except TypeError:
        return _dumps(text)


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
