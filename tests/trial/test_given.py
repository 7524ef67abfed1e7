"""What is sent of a request that is supposed."""

import pytest

from gateway.trial.given import LATEST, Given, address_of, instant_of


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


def test_no_body_in_chunks_has_its_end_too() -> None:
    message = Given("POST", "/", (("Transfer-Encoding", "chunked"),)).message()
    assert message.endswith(b"chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("text", ["999", "", "example.com", "192.0.2.1/24"])
def test_an_address_is_one(text: str) -> None:
    assert address_of("2001:DB8::1") == "2001:db8::1"
    with pytest.raises(ValueError, match="expected an IP address"):
        address_of(text)


@pytest.mark.parametrize("seconds", [-1, 1e300, float("inf"), float("nan"), LATEST])
def test_a_time_is_one_that_can_be_written(seconds: float) -> None:
    assert instant_of(LATEST - 1) == LATEST - 1
    with pytest.raises(ValueError, match="between 1970 and 2999"):
        instant_of(seconds)
