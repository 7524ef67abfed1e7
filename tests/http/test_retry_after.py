"""Retry-After (RFC 9110 section 10.2.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.date import http_date
from gateway.http.retry_after import LONGEST, seconds_of

NOW = 784111777.0
"""Sun, 06 Nov 1994 08:49:37 GMT."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"120", 120.0),
        (b"9" * 400, LONGEST),
        (b"Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        (b"Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        (b"Sun Nov  6 08:50:37 1994", 60.0),
        (b"Sun, 06 Nov 1994 08:48:37 GMT", 0.0),
        (b"Sun, 06 Nov 9999 08:48:37 GMT", LONGEST),
        (b"Sun, 06 Nov 1994 08:49:60 GMT", None),
        (b"", None),
        (b"-1", None),
        (b"1.5", None),
        (b" 1", None),
        (b"1, 2", None),
        (b"soon", None),
        (b"\xb2", None),
    ],
)
def test_reads(value: bytes, seconds: float | None) -> None:
    assert seconds_of(value, NOW) == seconds


@given(st.integers(0, 10**8))
def test_a_date_is_as_far_as_it_is(ahead: int) -> None:
    assert seconds_of(http_date(NOW + ahead), NOW) == ahead


@given(st.binary(max_size=40))
def test_never_fails(value: bytes) -> None:
    seconds = seconds_of(value, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST
