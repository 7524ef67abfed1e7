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
