"""Lines of a web server's log: what the codes stand for, what is escaped, what is refused."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Principal
from gateway.line_format import COMBINED, LineFormat
from gateway.serializer import Serializer
from tests.support.records import ALICE, Facts, record, refused

COMBINED_LINE = re.compile(
    rb'(\S+) - (\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "([^"\\]|\\.)*" (\d{3}|-) (\d+|-) "([^"\\]|\\.)*" "([^"\\]|\\.)*"\n'
)


def fields(**changes: Any) -> dict[str, Any]:
    facts = Facts((b"referer", b"x-auth-token", b"x-two"))
    made = (refused if "filter" in changes else record)(plan=facts, **changes)
    told: dict[str, Any] = orjson.loads(Serializer(b"k" * 32, 0).line(made, 1))
    return told


def line(text: str, **changes: Any) -> str:
    written = LineFormat(text).line(fields(**changes))
    assert written.endswith(b"\n") and written.count(b"\n") == 1
    return written[:-1].decode("ascii")


def test_combined_is_as_apache_writes_it() -> None:
    told = {
        "target": b"/v2/p-1/images?limit=5",
        "principal": ALICE,
        "request_lines": ((b"User-Agent", b'nova "client"/1'), (b"Referer", b"http://a.test/?token=abc")),
    }
    assert line(COMBINED, **told) == (
        '198.51.100.9 - alice [14/Nov/2023:22:13:20 +0000] "GET /v2/p-1/images?limit=5 HTTP/1.1" 200 870 '
        '"http://a.test/?token=[redacted]" "nova \\"client\\"/1"'
    )
    assert LineFormat(COMBINED).headers == {"referer"}, "records tell of User-Agent in any case"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("%a %h %l %u", "198.51.100.9 198.51.100.9 - alice"),
        ("%b %B", "870 870"),
        ("%D %T", "12500 0"),
        ("%g", "req-70a599e0-31e7-49b7-b260-868f441e862b"),
        ("%m %U%q %H", "GET /v2/p-1/images?a=b HTTP/1.1"),
        ("%r", "GET /v2/p-1/images?a=b HTTP/1.1"),
        ("%M %s %>s %<s", "passed 200 200 200"),
        ("%p %v", "8080 api.example"),
        ("%t", "[14/Nov/2023:22:13:20 +0000]"),
        ("%{ISO_8601}t", "2023-11-14T22:13:20.250Z"),
        ("%{sec}t %{msec}t", "1700000000 1700000000250"),
        ("%{%Y-%m-%d}t", "2023-11-14"),
        ("%200,201s|%404s|%!200s|%!404s", "200|-|-|200"),
        ("100%% \\t \\\\ %s", "100% \t \\ 200"),
        ("%{X-Auth-Token}i", "[redacted]"),
        ("%{X-Two}i", "one,\\x20two"),
        ('"%{x-two}i"', '"one, two"'),
        ("%{X-None}i", "-"),
    ],
)
def test_codes(text: str, written: str) -> None:
    lines = ((b"X-Auth-Token", b"a-token-of-the-test"), (b"X-Two", b"one"), (b"X-Two", b"two"))
    assert line(text, target=b"/v2/p-1/images?a=b", principal=ALICE, request_lines=lines) == written


def test_what_is_not_there_is_a_dash() -> None:
    assert line("%u %s %b %q %p", status=0, bytes_out=0, host="a", decision="abort") == "- - -  80"
    assert (
        line("%M %s", reason="method_not_allowed", filter="methods", status=405) == "method_not_allowed 405"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("%h %A", r"%A, the address that a request came to, is not in records, at character 4 of the format"),
        ("%{ETag}o", r"%o, a field of the answer, is not in records, at character 1"),
        ("ab %Z", r"%Z is none of the codes .*, at character 4"),
        ("%", r"what follows % at character 1"),
        ("%{a", r"what follows % at character 1"),
        ("%i", r"%i needs the name of a header field, .*, at character 1"),
        ("%{a b}i", r"%i needs the name of a header field"),
        ("%{x}h", r"%h takes nothing in braces, at character 1"),
        ("%{yyyy-MM-dd}t", r"%t takes ISO_8601, sec, msec"),
        ("a\\nb", r"expected \\t, .* at character 2"),
        ("a\nb", r"a record is one line: .* at character 2"),
        ("common", r"expected combined, ecs, or a format"),
        ("", r"expected combined, ecs, or a format"),
    ],
)
def test_says_where_a_format_cannot_be_written(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        LineFormat(text)


def test_hostile_text_is_escaped_as_apache_does() -> None:
    made = fields()
    made["gateway.facts"]["headers"] = {"referer": '"\\\x00\x1b[31m\n\r\t\v\b\u00e4\x7f'}
    written = LineFormat('"%{Referer}i"').line(made)
    assert written == b'"\\"\\\\\\x00\\x1b[31m\\n\\r\\t\\v\\b\\xc3\\xa4\\x7f"\n'


@given(
    user=st.text(max_size=12),
    agent=st.binary(max_size=20),
    target=st.binary(max_size=20),
    host=st.text(max_size=8),
    method=st.text(max_size=5),
)
def test_no_client_can_write_a_line_that_is_none(
    user: str, agent: bytes, target: bytes, host: str, method: str
) -> None:
    facts = Facts((b"referer", b"user-agent"))
    made = record(
        plan=facts,
        principal=Principal("u", user),
        target=target,
        host=host,
        method=method,
        request_lines=((b"User-Agent", agent), (b"Referer", agent)),
    )
    told = orjson.loads(Serializer(b"k" * 32, 0).line(made, 1))
    written = LineFormat(COMBINED).line(told)
    assert COMBINED_LINE.fullmatch(written), written
