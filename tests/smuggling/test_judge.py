"""The judge condemns what it has to, and nothing else."""

import pytest

from tests.smuggling.judge import Answer, Outcome, Speaker, expected_target, judge
from tests.smuggling.recorder import Entry
from tests.smuggling.reference import Message, parse
from tests.smuggling.spelling import SMUGGLED

SPEAKER = Speaker(b"127.1.0.1", b"weir-test", b"127.0.0.1:8774")
OURS = (
    b"X-Forwarded-For: 127.1.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 weir-test\r\n"
    b"X-Openstack-Request-Id: req-70a599e0-31e7-49b7-b260-868f441e862b\r\n"
)
POST = b"POST /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nConnection: x-c\r\nX-C: d\r\nTransfer-Encoding: chunked\r\n\r\n"
SENT = POST + b"5\r\nhello\r\n0\r\n\r\n"
GOT = (
    b"POST /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n"
    + OURS
    + b"\r\n5\r\nhello\r\n0\r\n\r\n"
)
GET = b"GET /c HTTP/1.1\r\nHost: a\r\n\r\n"
GOT_GET = b"GET /c HTTP/1.1\r\nHost: a\r\n" + OURS + b"\r\n"


def entries(*data: bytes) -> list[Entry]:
    """What reached the upstream, whole or in part."""
    found = []
    for number, part in enumerate(data):
        messages, end = parse(part)
        message = messages[0] if messages else getattr(end, "begun", None)
        assert message is not None
        found.append(Entry(number, message, bool(messages)))
    return found


def verdict(sent: bytes, got: list[Entry], *answers: tuple[int, int | None]) -> str | None:
    return judge(Outcome(parse(sent), [Answer(*answer) for answer in answers], got, sent), SPEAKER)


def test_what_was_sent_reached_the_upstream() -> None:
    assert verdict(SENT, entries(GOT), (200, 0)) is None
    assert verdict(SENT + GET, entries(GOT, GOT_GET), (200, 0), (200, 1)) is None


@pytest.mark.parametrize("status", [400, 404, 413, 414, 417, 431, 501, 505, 508])
def test_nothing_reached_the_upstream_and_the_client_was_refused(status: int) -> None:
    assert verdict(SENT, [], (status, None)) is None
    assert verdict(SENT + GET, entries(GOT_GET), (status, None), (200, 0)) is None
    assert verdict(SENT + GET, entries(GOT), (200, 0), (status, None)) is None


def test_nothing_reached_the_upstream_and_the_connection_ended() -> None:
    assert verdict(SENT, []) is None
    assert verdict(SENT + GET, entries(GOT), (200, 0)) is None


@pytest.mark.parametrize("status", [200, 204, 301, 500, 502, 503, 504])
def test_an_answer_of_the_gateways_own_is_a_refusal(status: int) -> None:
    assert verdict(SENT, [], (status, None)) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"PUT"),
        (b"/a?b", b"/a"),
        (b"/a?b", b"/A?b"),
        (b"5\r\nhello", b"4\r\nhell"),
        (b"Host: a\r\n", b"Host: b\r\n"),
        (b"X-A: b", b"X-A: c"),
        (b"X-A: b", b"x-a: b"),
        (b"X-A: b\r\n", b""),
        (b"X-A: b\r\n", b"X-A: b\r\nX-A: b\r\n"),
        (b"X-A: b\r\n", b"X-A: b\r\nX-C: d\r\n"),
        (b"X-A: b\r\n", b"X-A: b\r\nConnection: x-c\r\n"),
        (b"X-A: b\r\n", b"X-A: b\r\nTE: trailers\r\n"),
        (b"X-A: b\r\n", b"X-A: b\r\nExpect: 100-continue\r\n"),
        (b"X-A: b\r\n", b"X-A: b\r\nForwarded: for=1\r\n"),
        (b"X-A: b\r\n", b"X-A: b\r\nMax-Forwards: 1\r\n"),
        (b"1.1 weir-test", b"1.0 weir-test"),
        (b"For: 127.1.0.1", b"For: 127.1.0.2"),
        (b"req-7", b"req-x"),
        (b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n"),
        (b"Encoding: chunked", b"Encoding: gzip, chunked"),
    ],
)
def test_what_reached_the_upstream_is_something_else(old: bytes, new: bytes) -> None:
    assert old in GOT
    assert verdict(SENT, entries(GOT.replace(old, new)), (200, 0)) is not None


def test_a_smuggled_request_is_one_that_the_client_did_not_send() -> None:
    smuggled = entries(GOT, SMUGGLED)
    assert verdict(SENT, smuggled, (200, 0)) is not None
    assert verdict(SENT, smuggled, (200, 0), (200, 1)) is not None
    hidden = POST.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED
    assert verdict(hidden, entries(GOT, SMUGGLED), (200, 0)) is not None


def test_order_and_number_of_requests_are_kept() -> None:
    assert verdict(SENT + GET, entries(GOT_GET, GOT), (200, 0), (200, 1)) is not None
    assert verdict(GET + SENT, entries(GOT, GOT_GET)) is not None
    assert verdict(GET, entries(GOT_GET, GOT_GET), (200, 0)) is not None
    assert verdict(GET + GET, entries(GOT_GET), (200, 0), (200, 0)) is not None


def test_answers_are_those_to_the_clients_own_requests() -> None:
    assert verdict(GET, entries(GOT_GET), (200, 7)) is not None
    assert verdict(GET, [], (200, 0)) is not None
    assert verdict(GET, entries(GOT_GET), (200, 0), (400, None)) is not None
    assert verdict(GET + SENT, entries(GOT_GET, GOT), (200, 1), (200, 0)) is not None


def test_a_refused_request_did_not_reach_the_upstream() -> None:
    assert verdict(GET, entries(GOT_GET), (400, None)) is not None


def test_what_is_malformed_reaches_the_upstream_in_part_at_most() -> None:
    broken = POST + b"5\r\nhello\r\nX\r\n"
    part = GOT[: GOT.index(b"0\r\n\r\n")]
    assert verdict(broken, entries(part), (400, None)) is None
    assert verdict(broken, entries(part)) is None
    assert verdict(broken, [], (400, None)) is None
    assert verdict(broken, entries(GOT), (200, 0)) is not None
    assert verdict(broken, entries(GOT), (400, None)) is not None
    assert verdict(broken, [], (200, None)) is not None
    assert verdict(broken, entries(part.replace(b"hello", b"jello")), (400, None)) is not None
    assert verdict(broken + GET, entries(part, GOT_GET), (400, None)) is not None


def test_a_refused_request_may_have_reached_the_upstream_in_part() -> None:
    part = GOT[: GOT.index(b"lo\r\n0")]
    assert verdict(GET + SENT, entries(GOT_GET, part), (200, 0), (400, None)) is None
    assert verdict(SENT + GET, entries(part, GOT_GET), (400, None), (200, 1)) is None


def test_behind_the_last_request_there_is_none() -> None:
    close = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert verdict(close + GET, entries(GOT_GET), (200, 0)) is None
    assert verdict(close + GET, entries(GOT_GET, GOT_GET), (200, 0), (200, 1)) is not None


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"/a//b?", b"/a//b?"),
        (b"GET", b'/"', b'/"'),
        (b"GET", b"/a#b", None),
        (b"OPTIONS", b"*", b"*"),
        (b"GET", b"*", None),
        (b"GET", b"http://b/c?d", b"/c?d"),
        (b"GET", b"http://b", b"/"),
        (b"GET", b"http://b?c", b"/?c"),
        (b"GET", b"http://b/]", b"/]"),
        (b"GET", b'http://b/c?"', b'/c?"'),
        (b"GET", b"http://b/c#d", None),
        (b"GET", b"http://b]/", None),
        (b"GET", b"http://u@b/", None),
        (b"OPTIONS", b"http://b", b"*"),
        (b"OPTIONS", b"http://b/", b"/"),
        (b"GET", b"ftp://b/", None),
        (b"GET", b"a", None),
    ],
)
def test_the_target_that_goes_on(method: bytes, target: bytes, expected: bytes | None) -> None:
    """RFC 9112 sections 3.2.1, 3.2.2 and 3.2.4."""
    (message,) = parse(method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").messages
    assert expected_target(message) == expected


def test_an_absolute_form_says_the_host() -> None:
    """RFC 9112 section 3.2.2."""
    absolute = b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n"
    for host, right in ((b"a", False), (b"b", True)):
        got = GOT_GET.replace(b"Host: a\r\n", b"Host: " + host + b"\r\n", 1).replace(b"-Host: a", b"-Host: b")
        assert (verdict(absolute, entries(got), (200, 0)) is None) is right


def test_a_field_that_connection_names_may_stay_where_the_message_stands_on_it() -> None:
    sent = GET.replace(b"\r\n\r\n", b"\r\nConnection: X-Auth-Token\r\nX-Auth-Token: t\r\n\r\n")
    assert verdict(sent, entries(GOT_GET), (200, 0)) is None
    kept = GOT_GET.replace(b"Host: a\r\n", b"Host: a\r\nX-Auth-Token: t\r\n", 1)
    assert verdict(sent, entries(kept), (200, 0)) is None
    assert verdict(sent, entries(kept.replace(b": t", b": u")), (200, 0)) is not None


@pytest.mark.parametrize(
    ("said", "asked", "right"),
    [
        (b"TE: gzip, Trailers\r\nConnection: te\r\n", b"TE: trailers\r\nConnection: TE\r\n", True),
        (b"TE: trailers\r\nConnection: TE\r\n", b"", True),
        (b"TE: trailers\r\n", b"TE: trailers\r\nConnection: TE\r\n", False),
        (b"TE: trailers\r\nConnection: TE\r\n", b"TE: trailers\r\n", False),
        (b"TE: trailers\r\nConnection: TE\r\n", b"TE: trailers\r\nConnection: TE, X\r\n", False),
        (b"TE: gzip\r\nConnection: TE\r\n", b"TE: trailers\r\nConnection: TE\r\n", False),
        (b"TE: a, trailers\r\nConnection: TE\r\n", b"TE: a, trailers\r\nConnection: TE\r\n", False),
    ],
)
def test_the_upstream_is_asked_for_trailers_where_the_client_takes_them(
    said: bytes, asked: bytes, right: bool
) -> None:
    sent = SENT.replace(b"X-A: b\r\n", b"X-A: b\r\n" + said)
    got = GOT.replace(b"X-A: b\r\n", b"X-A: b\r\n" + asked)
    assert (verdict(sent, entries(got), (200, 0)) is None) == right


ASKS = b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, x\r\nUpgrade: h2c, WebSocket\r\n\r\n"
ASKED = b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" + OURS + b"\r\n"


def switched(sent: bytes, got: bytes, brought: bytes, *more: bytes, tunnels: bool = True) -> str | None:
    first, *others = entries(got, *more)
    found = [first._replace(tunnel=bytearray(brought)), *others]
    speaker = SPEAKER._replace(tunnels=tunnels)
    return judge(Outcome(parse(sent), [Answer(101, 0)], found, sent), speaker)


def test_behind_a_101_all_that_the_client_sends_is_the_tunnels() -> None:
    for behind in (b"", b"\x81\x05hello", GET, GET + GET, b"GET / HTTP/1.1\r\n\r\n"):
        assert switched(ASKS + behind, ASKED, behind) is None
        assert switched(ASKS + behind, ASKED, behind[:5]) is None, "the client may be gone before"
    assert switched(ASKS + GET, ASKED, b"", GOT_GET) is not None
    assert switched(ASKS + b"hello", ASKED, b"jello") is not None
    assert switched(ASKS, ASKED, b"hello") is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Upgrade: WebSocket", b"Upgrade: websocket"),
        (b"Upgrade: WebSocket", b"Upgrade: h2c"),
        (b"Upgrade: WebSocket", b"Upgrade: h2c, WebSocket"),
        (b"Connection: Upgrade\r\n", b""),
        (b"Connection: Upgrade", b"Connection: Upgrade, x"),
    ],
)
def test_nothing_is_offered_but_what_the_client_offers(old: bytes, new: bytes) -> None:
    assert old in ASKED
    assert switched(ASKS, ASKED.replace(old, new), b"") is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET", b"POST"),
        (b"Connection: Upgrade, x\r\n", b""),
        (b"Connection: Upgrade", b"Connection: Upgrade, close"),
        (b"Upgrade: h2c, WebSocket", b"Upgrade: h2c"),
        (b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"),
    ],
)
def test_nothing_is_offered_for_a_client_that_offers_nothing(old: bytes, new: bytes) -> None:
    assert old in ASKS
    assert (
        switched(ASKS.replace(old, new), ASKED.replace(b"GET", new if old == b"GET" else b"GET"), b"")
        is not None
    )


def test_nothing_is_offered_on_a_route_without_tunnels() -> None:
    assert switched(ASKS, ASKED, b"", tunnels=False) is not None


def test_a_101_answers_an_offer() -> None:
    assert verdict(GET, entries(GOT_GET), (101, 0)) is not None


def test_max_forwards_counts_down_for_options_only() -> None:
    """RFC 9110 section 7.6.2."""
    for method, right in ((b"OPTIONS", True), (b"GET", False)):
        sent = GET.replace(b"GET", method).replace(b"\r\n\r\n", b"\r\nMax-Forwards: 2\r\n\r\n")
        got = GOT_GET.replace(b"GET", method).replace(b"Host: a\r\n", b"Host: a\r\nMax-Forwards: 1\r\n", 1)
        assert (verdict(sent, entries(got), (200, 0)) is None) is right
    assert verdict(sent.replace(b"s: 2", b"s: 0").replace(b"GET", b"OPTIONS"), [], (200, None)) is None


def test_the_length_that_is_told_is_that_of_the_body() -> None:
    sent = b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello"
    got = GOT_GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello")
    assert verdict(sent, entries(got), (200, 0)) is None
    listed = got.replace(b"Length: 5", b"Length: 5, 5")
    assert verdict(sent, entries(listed), (200, 0)) is not None
    assert verdict(GET.replace(b"GET", b"POST"), entries(got), (200, 0)) is not None


def test_messages_of_the_tests_are_what_they_seem() -> None:
    found: list[Message] = [entry.message for entry in entries(GOT, GOT_GET, SMUGGLED)]
    assert [message.method for message in found] == [b"POST", b"GET", b"GET"]
