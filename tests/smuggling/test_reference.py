"""The reference parser against what the texts say, by hand."""

import pytest

from tests.smuggling.reference import (
    Closed,
    Form,
    Incomplete,
    Malformed,
    Message,
    Stream,
    members,
    options,
    parse,
    valid_host,
)

HEAD = b"POST /a HTTP/1.1\r\nHost: a\r\n"


def only(data: bytes) -> Message:
    """The one message of a stream that ends behind it."""
    messages, end = parse(data)
    assert end is None, end
    (message,) = messages
    assert message.end == len(data)
    return message


def reason(data: bytes) -> str:
    """Why the stream is malformed, which it is from its first request on."""
    messages, end = parse(data)
    assert not messages
    assert isinstance(end, Malformed), end
    return end.reason


def test_a_request_is_taken_apart() -> None:
    """RFC 9112 section 2.1."""
    message = only(b"GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-A:\t b \t\r\nx-a:\r\n\r\n")
    assert message == Message(
        b"GET",
        b"/a?b",
        "origin",
        (1, 1),
        ((b"Host", b"a.test"), (b"X-A", b"b"), (b"x-a", b"")),
        b"",
        (),
        "none",
        (),
        False,
        0,
        52,
    )
    assert message.all(b"x-a") == [b"b", b""]


def test_requests_follow_each_other_with_empty_lines_between() -> None:
    """RFC 9112 sections 2.2 and 9.3.2."""
    data = b"\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nab\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n\r\n"
    messages, end = parse(data)
    assert end is None
    assert [(message.method, message.begin, message.body) for message in messages] == [
        (b"POST", 4, b"ab"),
        (b"GET", 56, b""),
    ]


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n"])
def test_empty_lines_are_nothing(data: bytes) -> None:
    assert parse(data) == Stream((), None)


# ---- line ends and white space (RFC 9112 section 2.2)


@pytest.mark.parametrize(
    ("data", "expected", "at"),
    [
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", "bare LF", 14),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "bare LF", 23),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", "bare LF", 25),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare LF", 0),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare LF", 2),
        (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare CR", 0),
        (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "bare CR", 14),
        (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "bare CR", 23),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", "bare CR", 25),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "white space before the first field", 16),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "obs-fold", 25),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\t\r\n\r\n", "obs-fold", 25),
    ],
)
def test_a_line_ends_with_cr_lf_and_begins_with_no_white_space(data: bytes, expected: str, at: int) -> None:
    end = parse(data).end
    assert isinstance(end, Malformed)
    assert (end.reason, end.at) == (expected, at)


# ---- the request line (RFC 9112 section 3)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET / /b HTTP/1.1",
        b"GET HTTP/1.1",
        b"G@T / HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1",
        b"GET / HTTP/11",
        b"GET / RTSP/1.0",
        b"HTTP/1.1 200 OK",
    ],
)
def test_a_request_line_is_three_words_with_one_space_between(line: bytes) -> None:
    assert reason(line + b"\r\nHost: a\r\n\r\n") == "request line"


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9"])
def test_another_major_version_is_another_protocol(version: bytes) -> None:
    assert reason(b"GET / " + version + b"\r\nHost: a\r\n\r\n") == "version"


def test_a_higher_minor_version_is_read_as_the_highest_known() -> None:
    """RFC 9110 section 2.5."""
    assert only(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n").version == (1, 2)


@pytest.mark.parametrize("method", [b"get", b"FOO", b"!#$%&'*+-.^_`|~0"])
def test_a_method_is_any_token(method: bytes) -> None:
    assert only(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n").method == method


@pytest.mark.parametrize(
    ("method", "target", "form"),
    [
        (b"GET", b"/", "origin"),
        (b"GET", b"//a//b/../?c?/", "origin"),
        (b"GET", b"/a%2F;b=c:d@e!$&'()*+,=", "origin"),
        (b"OPTIONS", b"*", "asterisk"),
        (b"GET", b"*", None),
        (b"GET", b"http://a.test", "absolute"),
        (b"GET", b"HTTPS://a.test:80/b?c", "absolute"),
        (b"GET", b"http://[::1]:8/", "absolute"),
        (b"GET", b"http://a%20b/", "absolute"),
        (b"GET", b"urn:a:b", "absolute"),
        (b"GET", b"a.test:80", "absolute"),  # a scheme with a dot in its name
        (b"CONNECT", b"a.test:80", "authority"),
        (b"CONNECT", b"[::1]:80", "authority"),
        (b"GET", b"http:///a", None),
        (b"GET", b"http://:80/", None),
        (b"GET", b"http://u@a/", None),
        (b"GET", b"http://[::1/", None),
        (b"GET", b"http:/a", None),
        (b"GET", b"a", None),
        (b"GET", b"?a", None),
        (b"GET", b"/a#b", None),
        (b"GET", b"/%", None),
        (b"GET", b"/%zz", None),
        (b"GET", b'/"', None),
        (b"GET", b"/a?[b]", None),
        (b"GET", b"\\a", None),
    ],
)
def test_the_form_of_a_target(method: bytes, target: bytes, form: Form | None) -> None:
    """RFC 9112 section 3.2; another form leaves no doubt where the target ends."""
    messages, _ = parse(method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [(message.target, message.form) for message in messages] == [(target, form)]


@pytest.mark.parametrize("target", [b"/", b"a.test", b"http://a.test:80/", b"*", b"u@a:80"])
def test_connect_needs_the_authority_form(target: bytes) -> None:
    assert reason(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n") == "target of CONNECT"


# ---- fields (RFC 9112 section 5)


@pytest.mark.parametrize(
    "line",
    [
        b"X-A : b",
        b"X-A\t: b",
        b"X A: b",
        b": b",
        b"X-A",
        b"X-\xe4: b",
        b"X-\x00: b",
        b'"X": b',
        b"X-A: a\x00b",
        b"X-A: \x01",
        b"X-A: \x0b",
        b"X-A: \x7f",
        b"GET / HTTP/1.1",
    ],
)
def test_a_field_line_is_a_token_a_colon_and_a_value_without_controls(line: bytes) -> None:
    assert reason(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n") == "field line"


def test_a_value_may_hold_white_space_inside_and_bytes_beyond_ascii() -> None:
    """RFC 9110 section 5.5."""
    message = only(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80 \t \xff:\r\n!#$%&'*+-.^_`|~1: a\r\n\r\n")
    assert message.fields[1:] == ((b"X", b"\x80 \t \xff:"), (b"!#$%&'*+-.^_`|~1", b"a"))


# ---- Host (RFC 9112 section 3.2)


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nhost:\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: u@a\r\n",
        b"Host: a:b\r\n",
        b"Host: a:1:2\r\n",
        b"Host: [::1\r\n",
        b"Host: [a]\r\n",
        b"Host: http://a\r\n",
        b"Host: \xe4\r\n",
        b"Host: a%z\r\n",
    ],
)
def test_a_request_has_one_valid_host(lines: bytes) -> None:
    assert reason(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == "host"


@pytest.mark.parametrize(
    "host", [b"", b"a", b"a:", b"a:80", b"1.2.3.4", b"[::1]", b"[::1]:80", b"[v1.a:b]", b"a%41", b"a,b"]
)
def test_a_host_is_one_by_the_grammar(host: bytes) -> None:
    assert valid_host(host)
    assert only(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").all(b"host") == [host]


def test_http_1_0_needs_no_host_and_takes_no_two() -> None:
    assert parse(b"GET / HTTP/1.0\r\n\r\n").messages
    assert reason(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n") == "host"


# ---- where a body ends (RFC 9112 section 6)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (b"Content-Length: 5\r\n", b"hello"),
        (b"content-length:\t005 \r\n", b"hello"),
        (b"Content-Length: 0\r\n", b""),
        (b"Content-Length: 5, 5\r\n", b"hello"),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
        (b"Content-Length: , 5,,\r\n", b"hello"),
    ],
)
def test_a_body_of_a_length(lines: bytes, body: bytes) -> None:
    """Sections 6.2 and 6.3; a list of equals is one number, and empty members are none."""
    message = only(HEAD + lines + b"\r\n" + body)
    assert (message.body, message.framing) == (body, "length")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", "Content-Length"),
        (b",", "Content-Length"),
        (b"+5", "Content-Length"),
        (b"-5", "Content-Length"),
        (b"0x5", "Content-Length"),
        (b"5 5", "Content-Length"),
        (b"5.0", "Content-Length"),
        (b"5_0", "Content-Length"),
        (b'"5"', "Content-Length"),
        (b"\xb2", "Content-Length"),
        (b"5, a", "Content-Length"),
        (b"5, 6", "different Content-Lengths"),
        (b"05, 5", "different Content-Lengths"),
        (b"5\r\nContent-Length: 6", "different Content-Lengths"),
        (b"5\r\nContent-Length:", ""),
    ],
)
def test_a_length_that_is_no_number(value: bytes, expected: str) -> None:
    data = HEAD + b"Content-Length: " + value + b"\r\n\r\nhello"
    if expected:
        assert reason(data) == expected
    else:
        assert only(data).body == b"hello"  # an empty line of a list adds no member


def test_a_length_beyond_the_stream_is_an_unfinished_request() -> None:
    for digits in (b"9", b"18446744073709551621", b"9" * 400):
        messages, end = parse(HEAD + b"Content-Length: " + digits + b"\r\n\r\nhello")
        assert not messages
        assert isinstance(end, Incomplete)
        assert end.begun is not None
        assert end.begun.body == b"hello"


def test_without_a_length_there_is_no_body() -> None:
    """Section 6.3, rule 7: what follows is the next request."""
    messages, end = parse(HEAD + b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [(message.body, message.framing) for message in messages] == [(b"", "none")] * 2
    assert end is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Transfer-Encoding beside Content-Length"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding beside Content-Length"),
        (b"Transfer-Encoding: gzip\r\n", "the last transfer coding is not chunked"),
        (b"Transfer-Encoding: chunked, gzip\r\n", "the last transfer coding is not chunked"),
        (b"Transfer-Encoding: identity\r\n", "the last transfer coding is not chunked"),
        (b"Transfer-Encoding:\r\n", "the last transfer coding is not chunked"),
        (b"Transfer-Encoding: chunked, chunked\r\n", "chunked twice"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "chunked twice"),
        (b"Transfer-Encoding: chunked;a=b\r\n", "transfer coding"),
        (b"Transfer-Encoding: chunked a\r\n", "transfer coding"),
        (b'Transfer-Encoding: "chunked"\r\n', "transfer coding"),
        (b"Transfer-Encoding: \xa0chunked\r\n", "transfer coding"),
        (b'Transfer-Encoding: gzip;a="b, chunked\r\n', "the last transfer coding is not chunked"),
    ],
)
def test_a_framing_that_is_in_doubt(lines: bytes, expected: str) -> None:
    """Sections 6.1, 6.3 and 7."""
    assert reason(HEAD + lines + b"\r\n0\r\n\r\n") == expected


def test_http_1_0_has_no_transfer_codings() -> None:
    assert reason(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == "Transfer-Encoding in HTTP/1.0"


@pytest.mark.parametrize(
    ("value", "codings"),
    [
        (b"chunked", (b"chunked",)),
        (b"\t CHUNKED ", (b"chunked",)),
        (b", chunked ,", (b"chunked",)),
        (b"gzip, chunked", (b"gzip", b"chunked")),
        (b"Cow;a=b, chunked", (b"cow", b"chunked")),
        (b'cow;a="b, c", chunked', (b"cow", b"chunked")),
        (b"gzip\r\nTransfer-Encoding: chunked", (b"gzip", b"chunked")),
    ],
)
def test_transfer_codings_that_end_with_chunked(value: bytes, codings: tuple[bytes, ...]) -> None:
    message = only(HEAD + b"Transfer-Encoding: " + value + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert (message.codings, message.body, message.framing) == (codings, b"abc", "chunked")


# ---- chunks (RFC 9112 section 7.1)

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("coded", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"0000000000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"5\r\n\r\n0\r\n\r\n0\r\n\r\n", b"\r\n0\r\n"),
        (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello"),
        (b'5;a="b;\\"c" ; d = e\r\nhello\r\n0\r\n\r\n', b"hello"),
        (b"5 ;\ta\r\nhello\r\n0\r\n\r\n", b"hello"),
    ],
)
def test_a_chunked_body(coded: bytes, body: bytes) -> None:
    assert only(CHUNKED + coded).body == body


@pytest.mark.parametrize(
    ("coded", "expected"),
    [
        (b"\r\nhello\r\n", "chunk line"),
        (b"g\r\n", "chunk line"),
        (b"+5\r\n", "chunk line"),
        (b"-5\r\n", "chunk line"),
        (b"0x5\r\n", "chunk line"),
        (b" 5\r\n", "chunk line"),
        (b"5 \r\n", "chunk line"),
        (b"5,5\r\n", "chunk line"),
        (b"5;\r\n", "chunk line"),
        (b"5;;a\r\n", "chunk line"),
        (b"5;=a\r\n", "chunk line"),
        (b"5;a=\r\n", "chunk line"),
        (b"5;a b\r\n", "chunk line"),
        (b'5;a="\r\n', "chunk line"),
        (b"5;a=\x00\r\n", "chunk line"),
        (b'5;a="\x01"\r\n', "chunk line"),
        (b"5;a\nhello\r\n", "bare LF"),
        (b"5\nhello\r\n", "bare LF"),
        (b"5\rX\r\n", "bare CR"),
        (b'5;a="\n"\r\n', "bare LF"),
        (b"5\r\nhello!\r\n", "no line end behind the data of a chunk"),
        (b"5\r\nhello\n0\r\n\r\n", "no line end behind the data of a chunk"),
        (b"5\r\nhello\rX", "no line end behind the data of a chunk"),
        (b"5\r\nhello0\r\n\r\n", "no line end behind the data of a chunk"),
        (b"0\r\n\n", "bare LF"),
        (b"0\r\nX Y: a\r\n\r\n", "field line"),
        (b"0\r\nX: a\r\n b\r\n\r\n", "obs-fold"),
        (b"0\r\n X: a\r\n\r\n", "white space before the first field"),
        (b"0\r\nhello\r\n\r\n", "field line"),
    ],
)
def test_a_malformed_chunk_spoils_its_request(coded: bytes, expected: str) -> None:
    messages, end = parse(CHUNKED + b"2\r\nab\r\n" + coded + b"0\r\n\r\n")
    assert not messages
    assert isinstance(end, Malformed)
    assert end.reason == expected
    assert end.begun is not None
    assert end.begun.body.startswith(b"ab")


@pytest.mark.parametrize(
    ("coded", "body"),
    [
        (b"", b""),
        (b"5", b""),
        (b"5\r", b""),
        (b"5\r\nhel", b"hel"),
        (b"5\r\nhello", b"hello"),
        (b"5\r\nhello\r", b"hello"),
        (b"5\r\nhello\r\n0", b"hello"),
        (b"5\r\nhello\r\n0\r\nX: a\r\n", b"hello"),
        (b"fffffffffffffffff\r\nhello", b"hello"),
        (b"f" * 400 + b"\r\nhello", b"hello"),
    ],
)
def test_a_chunked_body_that_has_not_ended(coded: bytes, body: bytes) -> None:
    _, end = parse(CHUNKED + coded)
    assert isinstance(end, Incomplete)
    assert end.begun is not None
    assert end.begun.body == body


def test_trailers_stay_apart_from_the_fields() -> None:
    """Section 7.1.2."""
    message = only(CHUNKED + b"0\r\nHost: evil\r\nX: \ta\r\n\r\n")
    assert message.trailers == ((b"Host", b"evil"), (b"X", b"a"))
    assert message.all(b"host") == [b"a"]


# ---- the end of a connection (RFC 9112 section 9)


@pytest.mark.parametrize(
    ("request_", "closes"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", True),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", False),
    ],
)
def test_what_follows_the_last_request_is_nobodys(request_: bytes, closes: bool) -> None:
    messages, end = parse(request_ + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(messages) == (1 if closes else 2)
    assert end == (Closed(len(request_)) if closes else None)


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n\r"])
def test_an_unfinished_head(data: bytes) -> None:
    messages, end = parse(data)
    assert not messages
    assert isinstance(end, Incomplete)
    assert end.begun is None


def test_every_beginning_of_a_stream_is_unfinished_or_ends_behind_a_message() -> None:
    data = CHUNKED + b'5;a="b"\r\nhello\r\n0\r\nX: a\r\n\r\n' + HEAD + b"Content-Length: 2\r\n\r\nab"
    whole = parse(data).messages
    for size in range(len(data)):
        messages, end = parse(data[:size])
        assert messages == whole[: len(messages)]
        assert end is None or isinstance(end, Incomplete)


# ---- lists (RFC 9110 section 5.6.1)


def test_members_of_a_list() -> None:
    assert members([b"a, b", b",c ,", b'"d, e";f="\\"," , g']) == [
        b"a",
        b"b",
        b"c",
        b'"d, e";f="\\","',
        b"g",
    ]
    assert members([b""]) == []
    assert members([b'a, "b']) is None
    assert options([b"Close, X-A", b"x-B"]) == {b"close", b"x-a", b"x-b"}
