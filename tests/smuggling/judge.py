"""The verdict on one case: what reached the upstream is what the client said, or nothing did (RFC 9112).

The judge forbids one thing: that something reaches the upstream as something else than was sent. A gateway
that refuses more than the text asks for is right by it.
"""

import re
from collections.abc import Container, Sequence
from typing import Final, NamedTuple

from tests.smuggling.recorder import Entry
from tests.smuggling.reference import Malformed, Message, Stream, http_uri, members, options, valid_host

REFUSALS: Final = frozenset((400, 404, 405, 408, 413, 414, 417, 431, 501, 505, 508))
"""What a client may be told of a bad request. A 500, 502, 503 or 504 would mean that we made one."""

_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_REWRITTEN: Final = frozenset(
    (
        b"content-length",
        b"expect",
        b"forwarded",
        b"host",
        b"max-forwards",
        b"via",
        b"x-collected",
        b"x-forwarded-by",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-openstack-request-id",
        b"x-real-ip",
    )
)
"""Fields that a proxy speaks of itself with, or has to write anew: each is judged by a rule of its own."""

_NEEDED: Final = frozenset(
    (b"authorization", b"date", b"x-auth-token", b"x-compute-request-id", b"x-service-token")
)
"""End-to-end fields that a gateway may keep although Connection names them: the message stands on them."""

_FRAMES: Final = frozenset((b"transfer-encoding",))
"""A field of one hop that the next hop gets anew."""

_REQUEST_ID = re.compile(rb"req-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Answer(NamedTuple):
    """A final response as the client read it; `seen` is the number of the request that the upstream answered."""

    status: int
    seen: int | None


class Outcome(NamedTuple):
    """What came of a case.

    stream    what the client said, by the reference
    answers   what it was answered; behind a 101 there are none
    entries   what reached the upstream of it, in the order of their heads
    data      what the client said, as it was
    """

    stream: Stream
    answers: Sequence[Answer]
    entries: Sequence[Entry]
    data: bytes


class Speaker(NamedTuple):
    """What the gateway says of the client and of itself; `tunnels` is whether it lets a client switch to WebSocket."""

    address: bytes
    pseudonym: bytes
    endpoint: bytes
    tunnels: bool = False


def judge(outcome: Outcome, speaker: Speaker) -> str | None:
    """What is wrong with the outcome, in one sentence; None where nothing is."""
    messages, end = outcome.stream
    answers = outcome.answers
    if len(answers) > len(messages) + (end is not None):
        return f"{len(answers)} answers to {len(messages)} requests"
    by_number = {entry.number: entry for entry in outcome.entries}
    places: dict[int, int] = {}  # number of an entry -> index of its message, by the answers
    for index, answer in enumerate(answers):
        if answer.seen is None:
            if not _own(answer.status, messages[index] if index < len(messages) else None):
                return f"answer {index} is {answer.status}"
            continue
        if answer.seen not in by_number:
            return (
                f"answer {index} is to request {answer.seen} of the upstream, which this client did not send"
            )
        if answer.seen in places:
            return f"answer {index} comes a second time"
        places[answer.seen] = index
    refused = {index for index, answer in enumerate(answers) if answer.seen is None}
    place = -1
    for entry in outcome.entries:
        known = places.get(entry.number)
        found = _place(outcome.stream, entry, speaker, place, refused, known)
        if isinstance(found, str):
            return found
        place = found
        problem = _tunnel_differs(outcome, entry, found)
        if problem is not None:
            return problem
    last = answers[-1] if len(answers) > len(messages) else None
    # An upstream that answers before the body is whole may have been passed on.
    if (
        last is not None
        and isinstance(end, Malformed)
        and last.status < 400
        and (end.begun is None or last.seen is None)
    ):
        return f"answer {last.status} to what is malformed: {end.reason}"
    return None


def _place(
    stream: Stream, entry: Entry, speaker: Speaker, place: int, refused: Container[int], known: int | None
) -> int | str:
    """Which message behind `place` the entry is: the one that its answer says, else the next that it can be.

    A message that was refused may have reached the upstream in part, and only so.
    """
    messages, end = stream
    begun = getattr(end, "begun", None)
    candidates = [*messages, begun] if begun is not None else [*messages]
    problem = f"the upstream has got what the client did not send: {_told(entry.message)}"
    for index in range(place + 1, len(candidates)):
        if known is not None and index != known:
            continue
        if entry.whole and (index in refused or index == len(messages)):
            continue
        found = difference(candidates[index], entry, speaker)
        if found is None:
            return index
        problem = f"request {index} at the upstream: {found}"
        if known is None and index not in refused:
            break
    return problem


def _tunnel_differs(outcome: Outcome, entry: Entry, place: int) -> str | None:
    """Behind a 101 all is the tunnel's, and none of it a request (RFC 9110 section 7.8)."""
    switched = [answer for answer in outcome.answers if answer.seen == entry.number and answer.status == 101]
    if entry.tunnel is None:
        return "answer 101 to a request that offers nothing" if switched else None
    behind = outcome.data[outcome.stream.messages[place].end :]
    if not behind.startswith(entry.tunnel):
        return f"the tunnel has brought {bytes(entry.tunnel)!r} for {behind!r}"
    if entry is not outcome.entries[-1]:
        return f"a request behind a tunnel: {_told(outcome.entries[-1].message)}"
    return None


def _own(status: int, message: Message | None) -> bool:
    if status in REFUSALS:
        return True
    # RFC 9110 section 7.6.2: the gateway is the last hop.
    return status == 200 and message is not None and message.all(b"max-forwards") != []


def difference(sent: Message, entry: Entry, speaker: Speaker) -> str | None:
    """How what reached the upstream is not what was sent; of an unfinished request, the beginning counts."""
    got = entry.message
    if got.method != sent.method:
        return f"method {got.method!r} for {sent.method!r}"
    target = expected_target(sent)
    if target is None:
        return f"target {sent.target!r} has no origin form, and {got.target!r} was sent"
    if got.target != target:
        return f"target {got.target!r} for {target!r}"
    if got.version != (1, 1):
        return f"version {got.version}"
    if entry.whole:
        if got.body != sent.body:
            return f"body {got.body!r} for {sent.body!r}"
        if got.trailers not in ((), sent.trailers):
            return f"trailers {got.trailers!r} for {sent.trailers!r}"
    elif not sent.body.startswith(got.body):
        return f"body begins with {got.body!r}, not {sent.body!r}"
    coded = [coding for coding in sent.codings if coding != b"chunked"]
    if [coding for coding in got.codings if coding != b"chunked"] != coded:
        return f"transfer codings {got.codings!r} for {sent.codings!r}"
    return _fields_differ(sent, got, speaker)


def expected_target(sent: Message) -> bytes | None:
    """The target that goes on to an origin server, None where there is none (RFC 9112 section 3.2)."""
    if sent.target.startswith(b"/"):
        return None if b"#" in sent.target else sent.target
    if sent.form == "asterisk":
        return sent.target
    uri = _uri(sent)
    if uri is None:
        return None
    _, path, query = uri
    if sent.method == b"OPTIONS" and not path and not query:
        return b"*"
    return (path or b"/") + query


def _uri(sent: Message) -> tuple[bytes, bytes, bytes] | None:
    """Authority, path and query of an absolute form, also where only its path or query is outside the grammar."""
    if sent.form == "absolute":
        return http_uri(sent.target)
    odd = _ODD_URI.fullmatch(sent.target) if sent.form is None else None
    return (odd[1], odd[2], odd[3]) if odd is not None and valid_host(odd[1]) else None


_ODD_URI = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#:][^/?#]*)((?:/[^?#]*)?)((?:\?[^#]*)?)")


def _fields_differ(sent: Message, got: Message, speaker: Speaker) -> str | None:
    named = options(sent.all(b"connection"))
    judged = _HOP_BY_HOP | _REWRITTEN
    wanted = [line for line in sent.fields if line[0].lower() not in judged | named]
    kept = [line for line in got.fields if line[0].lower() not in judged | named]
    if wanted != kept:
        return f"fields {kept!r} for {wanted!r}"
    for name, value in got.fields:
        key = name.lower()
        if key in named - _REWRITTEN - _HOP_BY_HOP and (
            key not in _NEEDED or (name, value) not in sent.fields
        ):
            return f"field {name!r}, which Connection names"
    return _hop_differs(sent, got, speaker) or _spoken_differ(sent, got, speaker)


def _hop_differs(sent: Message, got: Message, speaker: Speaker) -> str | None:
    """Fields of one hop: those that the gateway asks of the upstream are what the client has asked of it."""
    crossed = _HOP_BY_HOP & {name.lower() for name, _ in got.fields} - _FRAMES
    asked: set[bytes] = set()
    if got.all(b"te") == [b"trailers"] and _takes_trailers(sent):
        asked.add(b"te")
    offers = _offers(sent) if speaker.tunnels else []
    if offers and members(got.all(b"upgrade")) == offers:
        asked.add(b"upgrade")
    if asked and options(got.all(b"connection")) == asked:
        crossed -= asked | {b"connection"}
    return f"fields of one hop: {crossed!r}" if crossed else None


def _offers(sent: Message) -> list[bytes]:
    """What the upstream may be offered of the protocols that the client offers (RFC 9110 section 7.8)."""
    said = options(sent.all(b"connection"))
    plain = sent.method == b"GET" and sent.version == (1, 1) and not sent.body and not sent.codings
    if not plain or b"upgrade" not in said or b"close" in said:
        return []
    names = members(sent.all(b"upgrade")) or ()
    return list(dict.fromkeys(name for name in names if name.lower() == b"websocket"))


def _takes_trailers(sent: Message) -> bool:
    """RFC 9110 section 10.1.4."""
    said = [member.lower() for member in members(sent.all(b"te")) or ()]
    return sent.version >= (1, 1) and b"trailers" in said and b"te" in options(sent.all(b"connection"))


def _spoken_differ(sent: Message, got: Message, speaker: Speaker) -> str | None:
    """The fields that the gateway writes itself."""
    uri = _uri(sent)
    host = [uri[0]] if uri is not None else [value for value in sent.all(b"host") if value]
    if got.all(b"host") != (host or [speaker.endpoint]):
        return f"Host {got.all(b'host')!r} for {host!r}"
    version = b"%d.%d" % sent.version
    checks: list[tuple[bytes, Sequence[bytes]]] = [
        (b"via", [*sent.all(b"via"), version + b" " + speaker.pseudonym]),
        (b"x-forwarded-for", [speaker.address]),
        (b"x-forwarded-proto", [b"http"]),
        (b"x-forwarded-host", host),
        *((name, []) for name in (b"forwarded", b"x-real-ip", b"x-forwarded-port", b"x-forwarded-prefix")),
    ]
    for name, values in checks:
        if got.all(name) != list(values):
            return f"{name.decode()} {got.all(name)!r} for {list(values)!r}"
    ids = got.all(b"x-openstack-request-id")
    if len(ids) != 1 or _REQUEST_ID.fullmatch(ids[0]) is None:
        return f"request id {ids!r}"
    if got.all(b"expect") not in ([], sent.all(b"expect")):
        return f"Expect {got.all(b'expect')!r}"
    return _hops_differ(sent, got) or _length_differs(sent, got)


def _hops_differ(sent: Message, got: Message) -> str | None:
    """Max-Forwards counts down for OPTIONS and TRACE, by more where it is very great, and is kept for others (RFC 9110 section 7.6.2)."""
    before, after = sent.all(b"max-forwards"), got.all(b"max-forwards")
    if before == after:
        return None
    counted = sent.method in (b"OPTIONS", b"TRACE") and len(before) == len(after) == 1
    if counted and before[0].isdigit() and _size(before[0]) > _size(after[0]):
        return None
    return f"Max-Forwards {after!r} for {before!r}"


def _size(number: bytes) -> tuple[int, bytes]:
    """In the order of the numbers, whose digits may be too many for one."""
    digits = number.lstrip(b"0")
    return len(digits), digits


def _length_differs(sent: Message, got: Message) -> str | None:
    """A length is told once and as a number; where none was sent, none but of what there is."""
    lengths = got.all(b"content-length")
    if got.framing == "length" and len(members(lengths) or ()) != 1:
        return f"Content-Length {lengths!r}"
    if got.framing != "none" and sent.framing == "none":
        return f"{got.framing} for a request without a body"
    if got.framing == "none" and sent.body:
        return "a body without a length"
    if got.codings and got.all(b"transfer-encoding") != [b"chunked"]:
        return f"Transfer-Encoding {got.all(b'transfer-encoding')!r}"
    return None


def _told(message: Message) -> str:
    return f"{message.method!r} {message.target!r} {message.body[:60]!r}"
