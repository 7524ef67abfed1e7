"""The header fields that tell a client where it stands."""

import pytest

from filters.rate_limit.field import Standing, add_lines, closest, header_lines, policy_name
from gateway.http.fields import Fields

MINUTE = Standing('"minute"', 10, 60, 5, 3, 12)
DAY = Standing('"day"', 1000, 86400, 1000, 700, 40_000, "a2V5")


def test_ietf_has_an_item_for_each_limit() -> None:
    assert header_lines(("ietf",), [MINUTE, DAY], MINUTE) == (
        ("RateLimit-Policy", '"minute";q=10;w=60, "day";q=1000;w=86400;pk=:a2V5:'),
        ("RateLimit", '"minute";r=3;t=12, "day";r=700;t=40000;pk=:a2V5:'),
    )


def test_the_older_fields_tell_of_one() -> None:
    assert header_lines(("x-ratelimit", "three-field"), [MINUTE, DAY], MINUTE) == (
        ("X-RateLimit-Limit", "5"),
        ("X-RateLimit-Remaining", "3"),
        ("X-RateLimit-Reset", "12"),
        ("RateLimit-Limit", "5"),
        ("RateLimit-Remaining", "3"),
        ("RateLimit-Reset", "12"),
    )


def test_of_who_is_blocked_no_time_is_told() -> None:
    blocked = Standing('"minute"', 0, 60, 0, 0, None)
    assert header_lines(("ietf", "x-ratelimit"), [blocked, DAY], blocked) == (
        ("RateLimit-Policy", '"minute";q=0;w=60, "day";q=1000;w=86400;pk=:a2V5:'),
        ("RateLimit", '"minute";r=0, "day";r=700;t=40000;pk=:a2V5:'),
        ("X-RateLimit-Limit", "0"),
        ("X-RateLimit-Remaining", "0"),
    )
    assert closest([MINUTE._replace(remaining=0), blocked, DAY]) is blocked
    headers = Fields([(b"X-RateLimit-Remaining", b"5"), (b"X-RateLimit-Reset", b"7")])
    add_lines(headers, ("x-ratelimit",), [blocked], blocked)
    assert (headers.get("X-RateLimit-Remaining"), headers.get("X-RateLimit-Reset")) == ("0", None)


def test_the_closest_is_the_one_of_which_least_remains() -> None:
    assert closest([DAY, MINUTE]) is MINUTE
    slow = MINUTE._replace(reset=99)
    assert closest([MINUTE, slow, DAY]) is slow


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("writes", '"writes"'),
        ("limits[0]", '"limits[0]"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("žluť", ""),
        ("a\n", ""),
    ],
)
def test_a_name_is_a_string_of_structured_fields(label: str, name: str) -> None:
    assert policy_name(label) == name


def test_what_the_upstream_says_of_its_own_limits_stays() -> None:
    headers = Fields([(b"RateLimit", b'"theirs";r=1;t=1')])
    add_lines(headers, ("ietf",), [MINUTE], MINUTE)
    assert headers.all("RateLimit") == ['"theirs";r=1;t=1', '"minute";r=3;t=12']


@pytest.mark.parametrize(
    ("theirs", "remaining"),
    [(b"2", "2"), (b"3", "3"), (b"4", "3"), (b"many", "3"), (b"9" * 5000, "3"), (b"", "3")],
)
def test_of_two_the_closer_limit_is_told(theirs: bytes, remaining: str) -> None:
    headers = Fields([(b"X-RateLimit-Limit", b"77"), (b"x-ratelimit-remaining", theirs)])
    add_lines(headers, ("x-ratelimit",), [MINUTE], MINUTE)
    assert headers.all("X-RateLimit-Remaining") == [remaining]
    assert headers.all("X-RateLimit-Limit") == ["77" if theirs in (b"2", b"3") else "5"]
