"""Trailer fields: asked for by TE, and only those that may stand behind a body."""

import pytest

from gateway.http.framing import HOP_BY_HOP
from gateway.http.trailer import trailer_section, wanted


@pytest.mark.parametrize(
    "te",
    [
        b"trailers",
        b"Trailers",
        b"gzip;q=0.5, trailers",
        b"trailers , deflate",
        [b"gzip", b"trailers"],
    ],
)
def test_trailers_are_wanted_where_a_member_says_so(te: bytes | list[bytes]) -> None:
    assert wanted(te)


@pytest.mark.parametrize(
    "te",
    [
        b"",
        b"gzip",
        b"trailers;q=0",
        b"x-trailers",
        b"trailers2",
        b'x;a=", trailers, "',
        b'trailers, x;a="',
        [b"gzip", b"deflate"],
    ],
)
def test_trailers_are_not_wanted_otherwise(te: bytes | list[bytes]) -> None:
    assert not wanted(te)


def test_fields_travel_in_order_and_case_as_they_came() -> None:
    lines = [(b"X-Sum", b"1 \t"), (b"eTag", b'"a"'), (b"x-sum", b""), (b"Digest", b"\xe9")]
    assert trailer_section(lines, set()) == b'X-Sum: 1\r\neTag: "a"\r\nx-sum: \r\nDigest: \xe9\r\n'
    assert trailer_section([], set()) == b""


@pytest.mark.parametrize(
    "name",
    [
        *sorted(HOP_BY_HOP),
        *(b"Content-Length", b"Content-Encoding", b"CONTENT-TYPE", b"Content-Range"),  # framing and form
        *(b"Host", b"Via", b"Max-Forwards", b"Expect", b"Range", b"If-Match", b"Cache-Control"),
        *(b"Authorization", b"WWW-Authenticate", b"Set-Cookie", b"X-Auth-Token"),
        *(b"Date", b"Age", b"Expires", b"Location", b"Retry-After", b"Vary"),
        *(b"X-Compute-Request-Id", b"X-Openstack-Request-Id"),
    ],
)
def test_what_is_needed_before_the_body_does_not_travel_behind_it(name: bytes) -> None:
    assert trailer_section([(name, b"a"), (b"X-Sum", b"1")], set()) == b"X-Sum: 1\r\n"


def test_names_of_one_hop_do_not_travel() -> None:
    assert trailer_section([(b"X-Hop", b"a"), (b"X-Sum", b"1")], {b"x-hop"}) == b"X-Sum: 1\r\n"
