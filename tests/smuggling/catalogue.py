"""Known payloads by name: what proxies have let through, from the texts and from public knowledge.

CL.TE means that one reader takes Content-Length and the next Transfer-Encoding; TE.CL the reverse; 0.CL and CL.0 that
one of them does not see a body. A name says what is odd, never what the answer must be: that is the judge's.
"""

from collections.abc import Iterator
from typing import Final

from tests.smuggling import spelling
from tests.smuggling.spelling import PREFIX, SMUGGLED, length_line, size_line

HOST: Final = b"Host: api.test\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
UPGRADE: Final = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
NEXT: Final = b"GET /next HTTP/1.1\r\nHost: api.test\r\n\r\n"


def request(
    *lines: bytes,
    body: bytes = b"",
    method: bytes = b"POST",
    target: bytes = b"/a",
    version: bytes = b"HTTP/1.1",
    host: bytes = HOST,
    end: bytes = b"\r\n",
) -> bytes:
    """A request of the parts; lines come with their ends."""
    return b"%b %b %b\r\n%b%b%b%b" % (method, target, version, host, b"".join(lines), end, body)


def chunks(*data: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in data) + last


def length(number: int) -> bytes:
    return b"Content-Length: %d\r\n" % number


def _short(line: bytes) -> str:
    return repr(line) if len(line) <= 90 else f"{line[:30]!r} and more, {len(line)} bytes"


def _two_framings() -> Iterator[tuple[str, bytes]]:
    """Each spelling of Transfer-Encoding beside a Content-Length, in both orders, and without one."""
    hidden = b"0\r\n\r\n" + SMUGGLED
    shown = chunks(SMUGGLED)
    for name, line in spelling.TRANSFER_ENCODING.items():
        yield f"CL.TE: {name}", request(length(len(hidden)), line, body=hidden)
        yield f"CL.TE turned: {name}", request(line, length(len(hidden)), body=hidden)
        yield f"TE.CL: {name}", request(length(4), line, body=shown + NEXT)
        yield f"TE.CL turned: {name}", request(line, length(4), body=shown + NEXT)
        yield f"TE only: {name}", request(line, body=shown + NEXT)
        yield f"TE.0: {name}", request(line, body=chunks(PREFIX), method=b"OPTIONS")
        yield f"TE in HTTP/1.0: {name}", request(line, body=hidden, version=b"HTTP/1.0")
        yield f"TE and an upgrade: {name}", request(UPGRADE, line, body=shown + NEXT)
        yield f"TE before an upgrade: {name}", request(line, UPGRADE, body=shown + NEXT)
        yield f"TE and an upgrade of a GET: {name}", request(UPGRADE, line, body=shown + NEXT, method=b"GET")
        yield f"TE last: {name}", request(b"X-A: b\r\n", line, body=hidden, host=b"X-B: c\r\n" + HOST)
    for name, line in spelling.CONTENT_LENGTH.items():
        spelt = length_line(line, 5)
        yield f"TE beside length: {name}", request(CHUNKED, spelt, body=hidden)


def _lengths() -> Iterator[tuple[str, bytes]]:
    for name, line in spelling.CONTENT_LENGTH.items():
        yield f"length: {name}", request(length_line(line, 5), body=b"hello" + NEXT)
        yield f"length and an upgrade: {name}", request(length_line(line, 5), UPGRADE, body=b"hello" + NEXT)
        yield (
            f"length and an upgrade of a GET: {name}",
            request(length_line(line, 5), UPGRADE, body=b"hello" + NEXT, method=b"GET"),
        )
        yield (
            f"length 0 and an upgrade of a GET: {name}",
            request(UPGRADE, length_line(line, 0), body=b"hello" + NEXT, method=b"GET"),
        )
        yield f"length of a GET: {name}", request(length_line(line, 5), body=b"hello" + NEXT, method=b"GET")
        yield (
            f"length of a request: {name}",
            request(length_line(line, len(SMUGGLED)), body=SMUGGLED + NEXT),
        )
        yield (
            f"length in HTTP/1.0: {name}",
            request(length_line(line, 5), body=b"hello" + SMUGGLED, version=b"HTTP/1.0"),
        )
    for first, second in ((5, 6), (6, 5), (0, 5), (5, 0), (5, 5)):
        spelt = length(first) + length(second)
        yield f"lengths {first} and {second}", request(spelt, body=b"hello" + SMUGGLED)
    for number in (0, 1, 4, 5, 6, 60):
        yield f"length {number} of 5", request(length(number), body=b"hello" + NEXT)
        yield f"length {number} of a request", request(length(number), body=SMUGGLED)


def _chunks() -> Iterator[tuple[str, bytes]]:
    for name, line in spelling.CHUNK_SIZE.items():
        body = size_line(line, 5) + b"hello\r\n0\r\n\r\n"
        yield f"chunk size: {name}", request(CHUNKED, body=body + SMUGGLED)
        yield f"chunk size, second: {name}", request(CHUNKED, body=b"2\r\nab\r\n" + body + SMUGGLED)
        wrapped = size_line(line, len(SMUGGLED)) + SMUGGLED + b"\r\n0\r\n\r\n"
        yield f"chunk of a request: {name}", request(CHUNKED, body=wrapped + NEXT)
        yield f"last chunk size: {name}", request(CHUNKED, body=size_line(line, 0) + b"\r\n" + SMUGGLED)
    for name, end in spelling.CHUNK_END.items():
        yield (
            f"chunk end: {name}",
            request(CHUNKED, body=b"5\r\nhello" + end + b"0\r\n\r\n" + SMUGGLED),
        )
        yield (
            f"chunk end behind nothing: {name}",
            request(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + end + SMUGGLED),
        )
        yield (
            f"chunk end, the second: {name}",
            request(CHUNKED, body=b"1\r\na\r\n5\r\nhello" + end + b"3\r\nabc\r\n0\r\n\r\n" + NEXT),
        )
    for name, last in spelling.LAST_CHUNK.items():
        yield f"last chunk: {name}", request(CHUNKED, body=b"5\r\nhello\r\n" + last + SMUGGLED)
        yield f"only a last chunk: {name}", request(CHUNKED, body=last + NEXT)
    # Two readers of one line of extensions: who ends it at LF sees a chunk where the other still reads the line.
    inner = b"%x\r\n" % len(SMUGGLED)
    yield (
        "TERM.EXT",
        request(CHUNKED, body=b"2;\nxx\r\n" + inner + b"0\r\n\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    )
    yield "EXT.TERM", request(CHUNKED, body=b"2;\nxxxx\r\n4c\r\n0\r\n\r\n" + SMUGGLED)
    yield "TERM.EXT by CR", request(CHUNKED, body=b"2;\rxx\r\n" + inner + SMUGGLED + b"\r\n0\r\n\r\n")
    yield "TERM.EXT without ;", request(CHUNKED, body=b"2\nxx\r\n" + inner + SMUGGLED + b"\r\n0\r\n\r\n")
    # Two readers of the end of a chunk: who skips two bytes unseen, and who looks for a line end.
    yield "TERM.SPILL", request(CHUNKED, body=b"5\r\nhello\n2;\n00\r\n\r\n" + SMUGGLED)
    yield "SPILL.TERM", request(CHUNKED, body=b"5\r\nhelloXX\r\n0\r\n\r\n" + SMUGGLED)
    yield "ONE.TWO", request(CHUNKED, body=b"5\r\nhello\n\r0\r\n\r\n" + SMUGGLED)
    yield "TWO.ONE", request(CHUNKED, body=b"5\r\nhello\r\r\n0\r\n\r\n" + SMUGGLED)
    yield "ZERO.TWO", request(CHUNKED, body=b"5\r\nhello0\r\n\r\n" + SMUGGLED)
    yield "a request in an extension", request(CHUNKED, body=b"0;" + SMUGGLED)
    yield "a request in the trailers", request(CHUNKED, body=b"0\r\n" + SMUGGLED)
    yield "chunks of one byte", request(CHUNKED, body=chunks(*(bytes([b]) for b in SMUGGLED)) + NEXT)
    yield "an open chunk", request(CHUNKED, body=b"ff\r\n" + SMUGGLED)
    yield "a chunk and half a line end", request(CHUNKED, body=b"5\r\nhello\r")
    yield "chunks that end too early", request(CHUNKED, body=b"5\r\nhello\r\n")


def _heads() -> Iterator[tuple[str, bytes]]:
    for name, end in spelling.REQUEST_LINE_END.items():
        yield f"request line end: {name}", b"GET /a HTTP/1.1" + end + HOST + b"\r\n" + NEXT
    for name, end in spelling.HEAD_END.items():
        yield f"head end: {name}", b"GET /a HTTP/1.1\r\n" + HOST + end + SMUGGLED
        yield f"head end before a body: {name}", request(length(5), end=end, body=b"hello" + SMUGGLED)
        yield f"head end before chunks: {name}", request(CHUNKED, end=end, body=chunks(b"hello") + SMUGGLED)
    for name, data in spelling.BEFORE.items():
        yield f"before the first request: {name}", data + NEXT
        yield f"before the second request: {name}", NEXT + data + SMUGGLED
        yield f"behind a body: {name}", request(length(5), body=b"hello" + data + SMUGGLED)
        yield f"behind chunks: {name}", request(CHUNKED, body=chunks(b"hello") + data + SMUGGLED)
        yield f"at the end: {name}", NEXT + data
    for name, line in spelling.REQUEST_LINE.items():
        yield f"request line: {name}", line + HOST + b"\r\n" + NEXT
        yield f"second request line: {name}", NEXT + line + HOST + b"\r\n" + NEXT
    for version in spelling.VERSION:
        yield f"version {version!r}", request(length(5), version=version, body=b"hello" + NEXT)
        yield f"version {version!r} without a body", request(version=version, method=b"GET", body=NEXT)
        yield (
            f"version {version!r} with chunks",
            request(CHUNKED, version=version, body=chunks(b"hello") + SMUGGLED),
        )
        yield (
            f"version {version!r}, kept alive",
            request(b"Connection: keep-alive\r\n", version=version, method=b"GET", body=NEXT),
        )
    for method in spelling.METHOD:
        yield f"method {_short(method)}", request(method=method, body=NEXT)
        yield (
            f"method {_short(method)}, 0.CL",
            request(length(len(SMUGGLED)), method=method, body=SMUGGLED + NEXT),
        )
        yield f"method {_short(method)}, CL.0", request(length(0), method=method, body=SMUGGLED)
        yield (
            f"method {_short(method)}, chunks",
            request(CHUNKED, method=method, body=chunks(SMUGGLED) + NEXT),
        )
    for line in spelling.HOST:
        yield f"host line {_short(line)}", request(host=line, method=b"GET", body=NEXT)
        yield (
            f"host line {_short(line)} beside an absolute form",
            request(host=line, method=b"GET", target=b"http://evil.test/a", body=NEXT),
        )
        yield (
            f"host line {_short(line)} in HTTP/1.0",
            request(host=line, method=b"GET", version=b"HTTP/1.0", body=SMUGGLED),
        )
    for line in spelling.FIELD:
        yield f"field {_short(line)}", request(line, method=b"GET", body=NEXT)
        yield f"field {_short(line)} before Host", request(host=line + HOST, method=b"GET", body=NEXT)
        yield f"field {_short(line)} and a body", request(line, length(5), body=b"hello" + NEXT)
        yield f"field {_short(line)} and chunks", request(CHUNKED, line, body=chunks(b"hello") + NEXT)


def _targets() -> Iterator[tuple[str, bytes]]:
    for target in spelling.TARGET:
        for method in (b"GET", b"OPTIONS", b"CONNECT"):
            yield (
                f"target {_short(target)} of {method.decode()}",
                request(target=target, method=method, body=NEXT),
            )
    yield (
        "OPTIONS, TRACE and Max-Forwards",
        request(b"Max-Forwards: 1\r\n", method=b"OPTIONS", target=b"http://api.test", body=NEXT),
    )
    yield (
        "absolute form in HTTP/1.0",
        request(method=b"GET", target=b"http://api.test/a", version=b"HTTP/1.0", host=b""),
    )


def _streams() -> Iterator[tuple[str, bytes]]:
    bad = request(b"Content-Length: +5\r\n", body=b"hello")
    post = request(length(5), body=b"hello")
    chunked = request(CHUNKED, body=chunks(b"he", b"llo"))
    head = request(method=b"HEAD")
    close = request(b"Connection: close\r\n", method=b"GET")
    old = request(method=b"GET", version=b"HTTP/1.0")
    yield "two", NEXT + NEXT
    yield "twenty", NEXT * 20
    yield "twenty with bodies", (post + chunked) * 10
    yield "of all kinds", post + NEXT + chunked + head + NEXT + post
    yield "empty lines between", post + b"\r\n" + NEXT + b"\r\n\r\n" + chunked + b"\r\n"
    yield "malformed first", bad + SMUGGLED
    yield "malformed second", NEXT + bad + SMUGGLED
    yield "malformed third", post + NEXT + bad + SMUGGLED
    yield "malformed behind chunks", chunked + bad + SMUGGLED
    yield "malformed behind HEAD", head + bad + SMUGGLED
    yield "malformed chunks first", request(CHUNKED, body=b"5\r\nhelloX\r\n0\r\n\r\n") + SMUGGLED
    yield "malformed chunks second", NEXT + request(CHUNKED, body=b"5\r\nhelloX\r\n") + SMUGGLED
    yield "two framings first", request(length(4), CHUNKED, body=chunks(b"hello")) + SMUGGLED
    yield "two framings second", NEXT + request(length(4), CHUNKED, body=chunks(b"hello")) + SMUGGLED
    yield "behind close", close + SMUGGLED
    yield "behind close and a body", request(b"Connection: close\r\n", length(5), body=b"hello" + SMUGGLED)
    yield "behind close and chunks", request(b"Connection: close\r\n", CHUNKED, body=chunks(b"a") + SMUGGLED)
    yield "behind HTTP/1.0", old + SMUGGLED
    yield (
        "behind HTTP/1.0 that is kept alive",
        request(b"Connection: keep-alive\r\n", method=b"GET", version=b"HTTP/1.0") + NEXT,
    )
    yield "behind close in capitals", request(b"CONNECTION: CLOSE\r\n", method=b"GET") + SMUGGLED
    yield "behind HEAD with a body", request(length(5), method=b"HEAD", body=b"hello" + NEXT)
    yield "behind CONNECT", request(method=b"CONNECT", target=b"api.test:80", host=HOST) + SMUGGLED
    yield (
        "behind CONNECT with a length",
        request(length(5), method=b"CONNECT", target=b"api.test:80", body=b"hello" + SMUGGLED),
    )
    yield "behind TRACE", request(method=b"TRACE") + SMUGGLED
    yield "behind a refused target", request(method=b"GET", target=b"/a/../b") + NEXT
    yield "behind a refused target with a body", request(length(5), target=b"/a/../b", body=b"hello" + NEXT)
    yield "behind a refused target with chunks", request(CHUNKED, target=b"//", body=chunks(b"hello") + NEXT)
    yield "behind an asterisk", request(method=b"OPTIONS", target=b"*") + NEXT
    expect = b"Expect: 100-continue\r\n"
    yield "behind an expectation", request(expect, length(5), body=b"hello" + NEXT)
    yield "behind an expectation and chunks", request(expect, CHUNKED, body=chunks(b"hello") + NEXT)
    yield "behind an expectation without a body", request(expect, method=b"GET") + NEXT
    yield "an expectation without its body", request(expect, length(5)) + SMUGGLED[:4]
    yield "an expectation of HTTP/1.0", request(expect, length(5), body=b"hello", version=b"HTTP/1.0")
    yield "an expectation, 0.CL", request(expect, length(len(SMUGGLED)), method=b"GET", body=SMUGGLED)
    yield "an expectation that is refused", request(b"Expect: x\r\n", length(5), body=b"hello" + SMUGGLED)
    names = (
        b"h2c",
        b"websocket",
        b"TLS/1.0",
        b"x",
        b"h2c, WebSocket",
        b"websocket/13",
        b'"h2c, websocket, x"',
    )
    for name in names:
        upgrade = b"Connection: Upgrade\r\nUpgrade: " + name + b"\r\n"
        yield f"behind an upgrade to {name.decode()}", request(upgrade, method=b"GET") + NEXT
        yield (
            f"behind an upgrade to {name.decode()} and a body",
            request(upgrade, length(5), body=b"hello" + NEXT),
        )
        yield (
            f"behind an upgrade to {name.decode()} and chunks",
            request(upgrade, CHUNKED, body=chunks(b"hello") + NEXT),
        )
    yield "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    yield "a request in a body", request(length(len(SMUGGLED)), body=SMUGGLED) + NEXT
    yield "requests in chunks", request(CHUNKED, body=chunks(SMUGGLED, SMUGGLED)) + NEXT
    yield "half a request in a body", request(length(len(PREFIX)), body=PREFIX) + NEXT
    yield "an answer in a body", request(length(19), body=b"HTTP/1.1 200 OK\r\n\r\n") + NEXT
    yield "the end inside a request line", NEXT + b"GET /smug"
    yield "the end inside a head", NEXT + b"GET /smuggled HTTP/1.1\r\nHost: evil.test\r\n"
    yield "the end inside a body", NEXT + request(length(60), body=SMUGGLED)
    yield "the end inside a chunk", NEXT + request(CHUNKED, body=b"60\r\n" + SMUGGLED)
    yield "nothing but line ends", b"\r\n\r\n\r\n"
    yield "noise", b"\x00\x01\x02\xff\xfe\r\n\r\n"


def _named(*parts: tuple[str, Iterator[tuple[str, bytes]]]) -> dict[str, bytes]:
    named: dict[str, bytes] = {}
    for part, payloads in parts:
        for name, data in payloads:
            key = f"{part}: {name}"
            assert key not in named, key
            named[key] = data
    return named


CATALOGUE: Final[dict[str, bytes]] = _named(
    ("framing", _two_framings()),
    ("length", _lengths()),
    ("chunks", _chunks()),
    ("head", _heads()),
    ("target", _targets()),
    ("stream", _streams()),
)


def _dialogues() -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """What follows when a reader has come to know a head: it must not see less of the next one for that."""
    rest = HOST + b"\r\n"
    for name, line in spelling.REQUEST_LINE.items():
        yield f"request line: {name}", (NEXT, NEXT, NEXT, line + rest, SMUGGLED)
    for name, end in spelling.REQUEST_LINE_END.items():
        yield f"request line end: {name}", (NEXT, NEXT, NEXT, b"GET /a HTTP/1.1" + end + rest, SMUGGLED)
    for word in spelling.METHOD:
        yield f"method {_short(word)}", (NEXT, NEXT, NEXT, word + b" /a HTTP/1.1\r\n" + rest, NEXT)
    for word in spelling.TARGET:
        yield f"target {_short(word)}", (NEXT, NEXT, NEXT, b"GET " + word + b" HTTP/1.1\r\n" + rest, NEXT)
    for word in spelling.VERSION:
        yield f"version {word!r}", (NEXT, NEXT, NEXT, b"GET /a " + word + b"\r\n" + rest, NEXT)
    for name, data in spelling.BEFORE.items():
        yield f"before it: {name}", (NEXT, NEXT, NEXT, data + NEXT, NEXT)
        yield f"before it, apart: {name}", (NEXT, NEXT, NEXT, data, NEXT, NEXT)
        yield f"before each: {name}", (data + NEXT, data + NEXT, data + NEXT, NEXT)
        yield (
            f"known with what is before: {name}",
            (
                *((data + NEXT,) * 3),
                b"GET /smuggled HTTP/1.1" + data + NEXT,
                b"GET /smuggled HTTP/1.1\r\n" + NEXT,
            ),
        )
    for name, end in spelling.HEAD_END.items():
        head = b"GET /a HTTP/1.1\r\n" + HOST + end
        yield f"head end: {name}", (NEXT, NEXT, NEXT, head, NEXT)
        yield f"head end of each: {name}", (head, head, head, NEXT)
    for line in spelling.FIELD:
        plain = request(line, method=b"GET")
        posted = request(line, length(5), body=b"hello")
        yield f"field {_short(line)}", (plain, plain, plain, NEXT, plain, posted, posted, plain)
        yield f"field {_short(line)} now and then", (NEXT, plain, NEXT, plain, NEXT, plain)
    for line in spelling.HOST:
        plain = request(host=line, method=b"GET")
        absolute = request(host=line, method=b"GET", target=b"http://evil.test/a")
        old = request(host=line, method=b"GET", version=b"HTTP/1.0")
        yield f"host line {_short(line)}", (plain, plain, plain, absolute, plain, old)
        yield f"host line {_short(line)}, absolute form", (absolute, absolute, absolute, plain, plain, old)
    for name, line in spelling.TRANSFER_ENCODING.items():
        framed = request(line, body=b"0\r\n\r\n")
        yield f"coding: {name}", (framed, framed, framed, NEXT, framed + NEXT)
    for name, line in spelling.CONTENT_LENGTH.items():
        framed = request(length_line(line, 5), body=b"hello")
        yield f"length: {name}", (framed, framed, framed, NEXT, framed + NEXT)
    first, second = request(length(len(NEXT)), body=NEXT)[: -len(NEXT)], NEXT
    yield "a body that is a known head", (NEXT, NEXT, NEXT, first, second, NEXT)
    yield "a chunk that is a known head", (NEXT, NEXT, request(CHUNKED) + b"2a\r\n", NEXT, b"0\r\n\r\n")
    yield "a known head in two segments", (NEXT, NEXT, NEXT[:25], NEXT[25:], NEXT)
    yield "two known heads at once", (NEXT, NEXT, NEXT + NEXT, NEXT, NEXT + SMUGGLED)
    yield "a field before a known head", (NEXT, NEXT, b"GET /a HTTP/1.1\r\nX-A: b\r\n", HOST + b"\r\n", NEXT)
    tail = (b"POST /a HTTP/1.1\r\nX-A: b\r\n", b"X-B: c\r\n" + HOST + b"\r\n")
    yield "a head whose end comes again", (*tail, *tail, *tail, NEXT, NEXT)


def _distinct(payloads: Iterator[tuple[str, tuple[bytes, ...]]]) -> dict[str, tuple[bytes, ...]]:
    named: dict[str, tuple[bytes, ...]] = {}
    for name, segments in payloads:
        assert name not in named, name
        named[name] = tuple(segment for segment in segments if segment)
    return named


DIALOGUES: Final[dict[str, tuple[bytes, ...]]] = _distinct(_dialogues())
"""Segments of which each is sent when what came before it has been answered."""

PLACES: Final[dict[str, bytes]] = {
    "in a method": b"GE@T /a HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "before a target": b"GET @/a HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "in a path": b"GET /a@b HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "in a query": b"GET /a?b@c HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "in an absolute form": b"GET http://api.test@/a HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "in a version": b"GET /a HTTP/1.@1\r\nHost: api.test\r\n\r\n",
    "behind a version": b"GET /a HTTP/1.1@\r\nHost: api.test\r\n\r\n",
    "for CR": b"GET /a HTTP/1.1@\nHost: api.test\r\n\r\n",
    "for LF": b"GET /a HTTP/1.1\r@Host: api.test\r\n\r\n",
    "before a field name": b"GET /a HTTP/1.1\r\n@Host: api.test\r\n\r\n",
    "in a field name": b"GET /a HTTP/1.1\r\nHost: api.test\r\nX-@: b\r\n\r\n",
    "before a colon": b"GET /a HTTP/1.1\r\nHost: api.test\r\nX-A@: b\r\n\r\n",
    "before a value": b"GET /a HTTP/1.1\r\nHost: api.test\r\nX-A:@b\r\n\r\n",
    "in a value": b"GET /a HTTP/1.1\r\nHost: api.test\r\nX-A: b@c\r\n\r\n",
    "behind a value": b"GET /a HTTP/1.1\r\nHost: api.test\r\nX-A: b@\r\n\r\n",
    "in a host": b"GET /a HTTP/1.1\r\nHost: api@test\r\n\r\n",
    "before the end of a head": b"GET /a HTTP/1.1\r\nHost: api.test\r\n@\r\n" + SMUGGLED,
    "before a length": request(b"Content-Length: @5\r\n", body=b"hello" + NEXT),
    "behind a length": request(b"Content-Length: 5@\r\n", body=b"hello" + NEXT),
    "before a coding": request(b"Transfer-Encoding: @chunked\r\n", body=chunks(b"hello") + NEXT),
    "behind a coding": request(b"Transfer-Encoding: chunked@\r\n", body=chunks(b"hello") + NEXT),
    "in the name of a coding": request(
        b"Transfer-Encoding@: chunked\r\n", length(5), body=b"0\r\n\r\n" + NEXT
    ),
    "before a size": request(CHUNKED, body=b"@5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "behind a size": request(CHUNKED, body=b"5@\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "in an extension": request(CHUNKED, body=b"5;a=@\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "in a quoted extension": request(CHUNKED, body=b'5;a="@"\r\nhello\r\n0\r\n\r\n' + SMUGGLED),
    "for LF of a size": request(CHUNKED, body=b"5\r@hello\r\n0\r\n\r\n" + SMUGGLED),
    "behind a chunk": request(CHUNKED, body=b"5\r\nhello@\r\n0\r\n\r\n" + SMUGGLED),
    "for CR of a chunk": request(CHUNKED, body=b"5\r\nhello@\n0\r\n\r\n" + SMUGGLED),
    "for LF of a chunk": request(CHUNKED, body=b"5\r\nhello\r@0\r\n\r\n" + SMUGGLED),
    "behind the last size": request(CHUNKED, body=b"0@\r\n\r\n" + SMUGGLED),
    "before the last line": request(CHUNKED, body=b"0\r\n@\r\n" + SMUGGLED),
    "in the name of a trailer": request(CHUNKED, body=b"0\r\nX-@: a\r\n\r\n" + SMUGGLED),
    "in a trailer": request(CHUNKED, body=b"0\r\nX-A: @\r\n\r\n" + SMUGGLED),
    "between requests": NEXT + b"@" + SMUGGLED,
    "in Connection": request(b"Connection: X@A\r\nX-A: b\r\n", method=b"GET", body=NEXT),
    "in Expect": request(b"Expect: 100-continue@\r\n", length(5), body=b"hello" + NEXT),
}
"""Where a byte is put, in place of the `@`."""

SWEPT: Final = tuple(
    byte for byte in range(256) if not chr(byte).isalnum() or byte > 127 or chr(byte) in "01afgAZ"
)
"""The bytes that are put there: all but most digits and letters."""


def with_byte(place: bytes, byte: int) -> bytes:
    """The payload with the byte at its place."""
    return place.replace(b"@", bytes([byte]))
