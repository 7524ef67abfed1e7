"""What is sent of a request that is supposed."""

from gateway.trial.given import Given


def test_host_and_length_are_added_where_they_are_missing() -> None:
    assert Given("POST", "/a", (("X-Own", "1"),), b"hello").message() == (
        b"POST /a HTTP/1.1\r\nHost: gateway.test\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nhello"
    )


def test_what_the_request_says_itself_is_left_alone() -> None:
    message = Given("POST", "/a", (("host", "b"), ("content-length", "9")), b"hello").message()
    assert message == b"POST /a HTTP/1.1\r\nhost: b\r\ncontent-length: 9\r\n\r\nhello"


def test_a_body_goes_in_chunks_where_the_request_says_so() -> None:
    message = Given("POST", "/", (("Transfer-Encoding", "chunked"),), b"x" * 17).message()
    assert message.endswith(b"\r\n\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n")


def test_text_travels_as_latin_1_or_else_as_utf_8() -> None:
    assert b"X: \xe9\r\n" in Given("GET", "/", (("X", "é"),)).message()
    assert b"X: \xe2\x82\xac\r\n" in Given("GET", "/", (("X", "€"),)).message()
