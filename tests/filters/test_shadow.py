"""Filters that change messages change nothing in shadow."""

import gzip
from typing import Any

import pytest

from gateway.trial.given import Answer
from gateway.trial.outcome import Message
from tests.trial.tried import given, outcome

ADD = [{"op": "add", "path": "/added", "value": 1}]

CHANGING: list[dict[str, Any]] = [
    {"headers": {"request": {"set": {"X-A": "1"}, "split": ["Accept"]}, "response": {"set": {"X-A": "1"}}}},
    {"extract": {"fields": [{"header": "X-Part", "path": "/(.*)"}, {"header": "X-B", "json": "$.a"}]}},
    {"query": {"allow": []}},
    {"rewrite": {"strip_prefix": "/a", "preferred": "application/xml"}},
    {"json_patch": {"request": ADD, "response": ADD}},
    {"compression": {"response": {"min_size": 1}}},
    {"cors": {"origins": ["https://app.example"]}},
    {"messages": {"messages": [{"status": [200], "bodies": {"text/plain": "ours"}, "overwrite": True}]}},
    {"respond": {"status": 418}},
    {"content_type": {"strip_without_body": True}},
    {"delegated": {}},
]


def _told(message: Message | None) -> tuple[str, list[tuple[str, str]], bytes]:
    assert message is not None
    changing = ("Date", "X-Compute-Request-Id", "X-Openstack-Request-Id", "X-Part", "Via")
    return message.line, [line for line in message.headers if line[0] not in changing], message.body


@pytest.mark.parametrize("entry", CHANGING, ids=lambda entry: next(iter(entry)))
async def test_in_shadow_both_sides_get_what_they_would_have_got(entry: dict[str, Any]) -> None:
    request = given(
        "POST",
        "/a/b?c=d",
        headers=(
            *(("Content-Type", "application/json"), ("Accept-Encoding", "gzip"), ("Accept", "a/b, c/d")),
            ("Origin", "https://app.example"),
        ),
        body=b'{"a": "b"}',
        answer=Answer(200, (("Content-Type", "application/json"), ("Location", "/x")), b'{"e": 1}'),
    )
    ((name, options),) = entry.items()
    plain = await outcome(request)
    shadowed = await outcome(request, filters=[{name: {**options, "mode": "shadow"}}])
    assert _told(shadowed.forwarded) == _told(plain.forwarded)
    assert _told(shadowed.answer) == _told(plain.answer)


async def test_what_a_shadow_would_have_decoded_is_told_and_not_done() -> None:
    coded = gzip.compress(b"{}")
    request = given("POST", headers=(("Content-Encoding", "br"),), body=coded)
    found = await outcome(request, filters=[{"compression": {"mode": "shadow"}}])
    assert found.forwarded is not None
    assert found.forwarded.body == coded
    (step,) = [step for step in found.steps if step.told["phase"] == "request"]
    assert (step.told["verdict"], step.told["reason"]) == ("refuse", "encoding_unsupported")
