import pytest

from tests.bench.head import Head, parse

_ANSWER = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:  12 \r\n\r\nbody"


def test_says_where_the_message_ends() -> None:
    head = parse(_ANSWER)
    assert head is not None
    assert (head.status, head.length, head.size) == (200, 12, len(_ANSWER) - 4)
    assert head.whole == head.size + 12


@pytest.mark.parametrize("end", range(len(_ANSWER) - 4))
def test_a_head_that_is_not_complete_is_none(end: int) -> None:
    assert parse(_ANSWER[:end]) is None


def test_a_length_in_the_body_or_in_another_field_is_not_the_length() -> None:
    assert parse(b"GET / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\ncontent-length: 7\r\n") == Head(
        b"GET / HTTP/1.1", None, 39
    )


@pytest.mark.parametrize("first", ["GET /200 HTTP/1.1", "HTTP/1.1 OK", "HTTP/2 200", "HTTP/1.1"])
def test_what_is_no_answer_has_no_status(first: str) -> None:
    head = parse(f"{first}\r\n\r\n".encode())
    assert head is not None
    assert head.status == 0
