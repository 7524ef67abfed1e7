"""A request whose header section came before is what it would be without memory."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.testing import exchange
from gateway.http.fields import RawField, folded
from gateway.http.message import field_lines
from gateway.listener import section as module
from gateway.listener.section import MAX_SIZE, Sections, request_line

HOST = (b"Host", b"api.test")


def known(text: bytes, *lines: RawField) -> bool:
    sections = Sections()
    told = exchange(headers=[(name.decode(), value.decode()) for name, value in lines])
    sections.learn("192.0.2.1", text, lines, told, False)
    return sections.get(("192.0.2.1", text)) is not None


def written(*lines: RawField) -> bytes:
    return b"".join([b"%b: %b\r\n" % line for line in lines]) + b"\r\n"


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"GET /a HTTP/1.0",
            b"GET  /a HTTP/1.1",
            b"GET /a  HTTP/1.1",
            b"get /a HTTP/1.1",
            b"GET /a\nX: HTTP/1.1",
        ),
        *(
            b"GET a HTTP/1.1",
            b"GET http://h/a HTTP/1.1",
            b"GET * HTTP/1.1",
            b"GET /a/../b HTTP/1.1",
            b"GET /a%2fb HTTP/1.1",
        ),
        *(
            b"OPTIONS /a HTTP/1.1",
            b"CONNECT /a HTTP/1.1",
            b"BREW /a HTTP/1.1",
            b"GET /a#b HTTP/1.1",
            b" HTTP/1.1",
            b"",
        ),
        *(
            b"\x00GET /a HTTP/1.1",
            b"GET /a?b c HTTP/1.1",
            b"GET\t/a HTTP/1.1",
            b"GET //a HTTP/1.1",
            b"GET /a\x7f HTTP/1.1",
            b"GET /a?\xe4 HTTP/1.1",
        ),
    ],
)
def test_a_line_that_is_not_plain_is_left_to_the_parser(line: bytes) -> None:
    assert request_line(line) is None


def test_a_plain_line_has_four_parts() -> None:
    assert request_line(b"PUT /v2/a?b=c&d HTTP/1.1") == ("PUT", b"/v2/a?b=c&d", "/v2/a", "b=c&d")


def test_a_plain_section_is_kept_for_its_origin() -> None:
    text = written(HOST, (b"X-Auth-Token", b"t"), (b"Connection", b"keep-alive"))
    sections = Sections()
    lines = (HOST, (b"X-Auth-Token", b"t"), (b"Connection", b"keep-alive"))
    sections.learn("192.0.2.1", text, lines, exchange(headers=[("Host", "api.test")]), False)
    assert sections.get(("192.0.2.1", text)) is not None
    assert sections.get(("192.0.2.2", text)) is None
    assert sections.get(("192.0.2.1", text.upper())) is None


@pytest.mark.parametrize(
    "field",
    [
        (b"Content-Length", b"0"),
        (b"transfer-encoding", b"chunked"),
        (b"Expect", b"100-continue"),
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive, x-user"),
        (b"Upgrade", b"websocket"),
        (b"TE", b"trailers"),
        (b"Max-Forwards", b"3"),
        (b"X-Openstack-Request-Id", b"req-1"),
    ],
)
def test_a_section_that_needs_a_look_each_time_is_not_kept(field: RawField) -> None:
    assert not known(written(HOST, field), HOST, field)


def test_a_segment_with_more_than_a_head_is_not_kept() -> None:
    assert not known(written(HOST) + b"GET / HTTP/1.1\r\n\r\n", HOST)
    assert not known(written(HOST) + b"x", HOST)


def test_a_large_section_is_not_kept() -> None:
    large = (b"X-Auth-Token", b"t" * MAX_SIZE)
    assert not known(written(HOST, large), HOST, large)


def test_no_more_are_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL", 15_000)
    sections = Sections()
    texts = [written(HOST, (b"X", b"%d" % number)) for number in range(4)]
    for text in texts:
        sections.learn("192.0.2.1", text, (HOST,), exchange(), False)
    assert [sections.get(("192.0.2.1", text)) is not None for text in texts] == [False, False, False, True]


def test_one_with_a_field_that_some_routes_take_away_is_not_kept() -> None:
    sections = Sections(frozenset((b"x-mine",)))
    for name, kept in (("X-Mine", False), ("x-mine", False), ("X-Other", True)):
        lines = (HOST, (name.encode(), b"1"))
        sections.learn("192.0.2.1", written(*lines), lines, exchange(headers=[(name, "1")]), False)
        assert (sections.get(("192.0.2.1", written(*lines))) is not None) == kept


def test_one_that_is_learned_again_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL", 15_000)
    sections = Sections()
    first, again = written(HOST), written(HOST, (b"X", b"y"))
    sections.learn("192.0.2.1", first, (HOST,), exchange(), False)
    for _ in range(10):
        sections.learn("192.0.2.1", again, (HOST,), exchange(), False)
    assert sections.get(("192.0.2.1", first)) is not None


@pytest.mark.parametrize(("count", "length"), [(0, 0), (2, 3500), (20, 20), (100, 60)])
def test_all_that_is_kept_takes_no_more_memory_than_it_may(
    count: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL", 256 * 1024)
    folded.clear()
    tracemalloc.start()
    try:
        sections = Sections()
        for number in range(200):
            values = [
                (b"X-%d-%d" % (number, of), (b"%d %d" % (number, of)).ljust(length)) for of in range(count)
            ]
            lines = (HOST, (b"X-Number", b"%d" % number), *values)
            told = exchange(headers=[(name.decode(), value.decode()) for name, value in lines])
            text = written(*lines)
            sections.learn("192.0.2.1", text, lines, told, False)
            section = sections.get(("192.0.2.1", text))
            assert section is not None
            section.crossing = field_lines(lines, ())
        del values, lines, told, text
        folded.clear()
        assert tracemalloc.get_traced_memory()[0] < 1.25 * module.MAX_TOTAL
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=40))
def test_whatever_the_line_its_parts_make_it_again(line: bytes) -> None:
    parts = request_line(line)
    if parts is not None:
        assert b"%b %b HTTP/1.1" % (parts[0].encode(), parts[1]) == line
