import re
from typing import Any

import orjson
import pytest

from gateway import console
from gateway.record import Record
from gateway.serializer import Serializer
from tests.support.records import Entry, attempt, record, refused, step


def fields(told: Record) -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(Serializer(b"k", 0).line(told, 1))
    return parsed


def plain(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


def test_a_refusal_on_one_line() -> None:
    text = console.line(
        fields(refused(method="DELETE", target=b"/v2/p/images?x=1", duration=0.00034)), colour=False
    )
    assert text.split() == [
        "22:13:20.250",
        "DELETE",
        "/v2/p/images?x=1",
        "405",
        "methods:",
        "method_not_allowed",
        "0.3",
        "ms",
        "req-70a599e0-31e7-49b7-b260-868f441e862b",
    ]


def test_what_was_forwarded_names_the_upstream() -> None:
    assert "passed -> 127.0.0.1:8774" in console.line(fields(record(attempts=[attempt()])), colour=False)


def test_a_shadow_filter_says_what_it_would_have_decided() -> None:
    shadow = step(Entry("try", "methods", "shadow"), "refuse", "method_not_allowed", status=405)
    assert "(shadow try: 405 method_not_allowed)" in console.line(
        fields(record(steps=[shadow])), colour=False
    )


def test_a_filter_named_try_that_enforces_is_not_told_as_shadow() -> None:
    assert "shadow" not in console.line(fields(refused()), colour=False)


def test_the_core_decides_without_a_filter() -> None:
    told = record(status=404, decision="refuse", reason="route_not_found", route_template=None)
    assert "404  route_not_found " in console.line(fields(told), colour=False)


def test_no_answer_shows_dashes() -> None:
    told = record(status=0, decision="abort", reason="client_disconnected")
    assert "---  client_disconnected" in console.line(fields(told), colour=False)


@pytest.mark.parametrize(
    ("status", "colour"),
    [
        (200, "\x1b[32m"),
        (304, "\x1b[36m"),
        (404, "\x1b[33m"),
        (503, "\x1b[31m"),
        (0, "\x1b[35m"),
        (999, "\x1b[31m"),
    ],
)
def test_the_colour_is_the_class_of_the_status(status: int, colour: str) -> None:
    told = fields(record(status=status))
    text = console.line(told, colour=True)
    assert f"{colour}{status or '---'}\x1b[0m" in text
    assert plain(text) == console.line(told, colour=False)


def test_nothing_from_a_client_reaches_the_terminal_as_a_control() -> None:
    nasty = "\x1b[2J\x07\r\n\x9b31m\u202e"
    told = {
        "timestamp": nasty,
        "http.request.method": nasty,
        "url.path": nasty,
        "url.query": nasty,
        "gateway.reason": nasty,
        "gateway.filter": nasty,
        "gateway.request_id": nasty,
        "gateway.upstream.address": nasty,
        "gateway.filters": [{"shadow": True, "verdict": "refuse", "name": nasty, "reason": nasty}],
    }
    assert console.line(told, colour=False).isprintable()
    assert "\\x1b[2J" in console.line(told, colour=False)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {
            "timestamp": 5,
            "http.response.status_code": "200",
            "gateway.duration_ms": "x",
            "gateway.filters": {},
        },
        {"gateway.filters": [1, None, {"shadow": True, "verdict": "refuse"}]},
    ],
)
def test_fields_that_are_missing_or_wrong_are_no_error(told: dict[str, Any]) -> None:
    text = console.line(told, colour=True)
    assert "---" in text
    assert "\n" not in text
