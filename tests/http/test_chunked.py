"""The end of a chunked body is found wherever the segments are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.chunked import MAX_LINE, ChunkedEnd

NEXT = b"GET /next HTTP/1.1\r\n"

extensions = st.sampled_from([b"", b";a=b", b' ;q="x"'])
trailers = st.lists(st.sampled_from([b"T: 1\r\n", b"X-Auth-Token: t\r\n"]), max_size=2)


def written(chunks: list[bytes], extension: bytes, fields: list[bytes]) -> bytes:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return body + b"0\r\n" + b"".join(fields) + b"\r\n"


def follow(segments: list[bytes]) -> tuple[ChunkedEnd, int]:
    end, consumed = ChunkedEnd(), 0
    for segment in segments:
        consumed += end.consume(segment)
        if end.done or end.broken:
            break
    return end, consumed


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), extensions, trailers, st.data())
def test_finds_the_last_byte_however_the_segments_are_cut(
    chunks: list[bytes], extension: bytes, fields: list[bytes], data: st.DataObject
) -> None:
    body = written(chunks, extension, fields)
    wire = body + NEXT
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    edges = [0, *cuts, len(wire)]
    segments = [wire[start:stop] for start, stop in pairwise(edges)]
    end, consumed = follow(segments)
    assert end.done
    assert not end.broken
    assert consumed == len(body)
    assert end.trailers is bool(fields)


@pytest.mark.parametrize(
    "wire",
    [
        b"zz\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1\n",
        b"F" * 17 + b"\r\n",
        b"1;" + b"a" * MAX_LINE + b"\r\n",
        b"1" * (MAX_LINE + 1),
    ],
)
def test_what_is_no_chunk_ends_the_following(wire: bytes) -> None:
    end, _ = follow([wire])
    assert end.broken
    assert not end.done


def test_a_body_that_is_not_whole_is_not_done() -> None:
    for cut in range(len(b"3\r\nabc\r\n0\r\n\r\n")):
        end, consumed = follow([b"3\r\nabc\r\n0\r\n\r\n"[:cut]])
        assert not end.done
        assert consumed == cut


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    extensions,
    trailers,
    st.integers(1, 3),
    st.integers(1, 50),
)
def test_so_many_lines_at_a_time_end_at_the_same_byte(
    chunks: list[bytes], extension: bytes, fields: list[bytes], most: int, step: int
) -> None:
    body = written(chunks, extension, fields)
    data = body + NEXT
    end, consumed, followed = ChunkedEnd(), 0, 0
    while not end.done:
        size = end.consume(data[consumed : consumed + step], most)
        assert 0 < size <= step
        assert end.lines <= most
        consumed += size
        followed += end.lines
    assert consumed == len(body)
    assert not end.broken
    assert followed >= len(chunks) + len(fields) + 2


def test_the_data_of_the_last_line_is_taken_with_it() -> None:
    end = ChunkedEnd()
    assert end.consume(b"2\r\nab\r\n1\r\nc\r\n", 1) == len(b"2\r\nab\r\n")
    assert (end.lines, end.done, end.broken) == (1, False, False)
