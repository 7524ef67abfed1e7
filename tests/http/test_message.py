"""Heads as bytes: what goes on the wire of what came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.message import _status_lines, chunk, field_lines, first_lines_only, status_line


@pytest.mark.parametrize(
    ("status", "phrase", "line"),
    [
        (200, b"", b"HTTP/1.1 200 OK\r\n"),
        (200, b"Fine", b"HTTP/1.1 200 Fine\r\n"),
        (299, b"", b"HTTP/1.1 299 \r\n"),
    ],
)
def test_a_status_line_keeps_the_phrase_or_gives_the_usual_one(
    status: int, phrase: bytes, line: bytes
) -> None:
    assert status_line(status, phrase) == line


def test_lines_keep_order_case_and_repetition() -> None:
    lines = [(b"b", b"1"), (b"A", b"2"), (b"B", b"3")]
    assert field_lines(lines, ()) == b"b: 1\r\nA: 2\r\nB: 3\r\n"
    assert field_lines(lines, {b"b"}) == b"A: 2\r\n"


def test_only_the_first_line_of_a_singleton_stays() -> None:
    lines = [(b"Date", b"1"), (b"X", b"a"), (b"date", b"2"), (b"X", b"b")]
    assert first_lines_only(lines, (b"date",)) == [(b"Date", b"1"), (b"X", b"a"), (b"X", b"b")]


@given(st.binary(min_size=1))
def test_a_chunk_says_its_own_length(data: bytes) -> None:
    size, _, rest = chunk(data).partition(b"\r\n")
    assert int(size, 16) == len(data)
    assert rest == data + b"\r\n"


def test_the_memo_of_status_lines_is_bounded_in_bytes() -> None:
    """An upstream chooses the phrase, and its length."""
    _status_lines.clear()
    for number in range(100):
        status_line(200, b"%d" % number + b"p" * 100_000)
    try:
        assert sum(len(phrase) + len(line) for (_, phrase), line in _status_lines.items()) < 1 << 20
    finally:
        _status_lines.clear()
