from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.date import http_date, valid


def test_writes_imf_fixdate() -> None:
    assert http_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(784111777.999) == b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_the_same_second_is_written_once() -> None:
    assert http_date(784111777.1) is http_date(784111777.9)
    assert http_date(784111777) != http_date(784111778)


@given(st.integers(0, 253402300799))
def test_agrees_with_the_standard_library_and_is_valid(second: int) -> None:
    written = http_date(second)
    assert written == formatdate(second, usegmt=True).encode()
    assert valid(written)


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Wed Nov 16 08:49:37 1994",
        b"Sat, 31 Dec 2016 23:59:60 GMT",
        b"Thu, 29 Feb 2024 00:00:00 GMT",
    ],
)
def test_accepts_the_three_forms(value: bytes) -> None:
    assert valid(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"now",
        b"784111777",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 GMT\n",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 31 Nov 1994 08:49:37 GMT",
        b"Wed, 29 Feb 2023 00:00:00 GMT",
        b"sun, 06 nov 1994 08:49:37 gmt",
        b"Sun, 06-Nov-94 08:49:37 GMT",
        b"Sunday, 00-Nov-94 08:49:37 GMT",
        b"Sun Nov 6 08:49:37 1994",
        b"Sun Nov 31 08:49:37 1994",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_refuses_what_is_no_date(value: bytes) -> None:
    assert not valid(value)
