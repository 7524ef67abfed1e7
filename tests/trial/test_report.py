"""An outcome as people and programs read it."""

import json
from typing import Any

from gateway.redaction import Redaction
from gateway.trial.given import Answer
from gateway.trial.report import Sources, as_json, as_text
from tests.support.gateway import configuration
from tests.trial.test_trial import CALLER, KEYSTONE, LIMIT
from tests.trial.tried import given, outcome

NOTHING = Redaction()


def _text(found: object, source: str = "") -> str:
    return "\n".join(line.text for line in as_text(found, Sources(source.encode()), NOTHING))  # type: ignore[arg-type]


async def test_the_line_that_decided_is_shown() -> None:
    options: dict[str, Any] = {"filters": [{"methods": {"allow": ["GET"]}}]}
    text = _text(
        await outcome(given("DELETE"), **options), configuration("http://upstream.invalid:1", **options)
    )
    assert text.splitlines()[0].startswith(
        "DELETE /a  405  refuse  method_not_allowed  by methods  gateway.yaml:"
    )
    assert "      | allow:" in text
    assert "405 Method Not Allowed" in text and "Allow: GET" in text


async def test_no_secret_is_shown() -> None:
    found = await outcome(
        given(
            headers=(("X-Auth-Token", "s3cret-token"),),
            answer=Answer(200, (("Set-Cookie", "s3cret-cookie"),)),
        ),
        filters=[KEYSTONE],
    )
    shown = _text(found) + json.dumps(as_json(found, NOTHING))
    assert "s3cret" not in shown and "X-Auth-Token: [redacted]" in shown


async def test_control_characters_are_escaped() -> None:
    found = await outcome(given(answer=Answer(200, (), b"\x1b[31mred")))
    assert "\x1b" not in _text(found)


async def test_what_is_undecidable_is_said_to_be() -> None:
    found = await outcome(given("DELETE", headers=(("X-Auth-Token", "t"),)), filters=[KEYSTONE, LIMIT])
    text = _text(found)
    assert text.splitlines()[0] == "DELETE /a  undecidable: token_auth, rate_limit"
    assert "the upstream gets, if all that is undecidable passes" in text
    told = as_json(found, NOTHING)
    assert (told["decision"], told["answer"], told["source"]) == ("undecidable", None, None)
    assert [step["verdict"] for step in told["filters"]] == ["undecidable", "undecidable"]


async def test_json_has_all_of_it() -> None:
    told = as_json(await outcome(given(identity=CALLER), filters=[KEYSTONE, LIMIT]), NOTHING)
    assert (told["decision"], told["status"], told["route"]) == ("forward", 200, "any")
    assert told["filters"][1]["supposed"] == "nothing has been counted before, as supposed"
    assert ["X-User-Id", "u1"] in told["forwarded"]["headers"]
    assert told["answer"]["body"] == "ok"
    assert told["routes"][0]["because"] == ""


async def test_where_the_answer_is_up_to_the_upstream_it_says_so() -> None:
    assert "what the upstream answers" in _text(await outcome(given(answer=None)))


async def test_a_request_that_is_none_has_no_route() -> None:
    assert "none was looked for" in _text(await outcome(given(target="/a b")))


def test_a_place_that_is_none_has_no_line() -> None:
    sources = Sources(b"one\n  two\n")
    assert [sources.line(place) for place in ("f:2:1", "f:9:1", "f", "")] == ["two", "", "", ""]
