"""A configuration that is tried does what the gateway does."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.api.principal import Principal
from gateway.trial import trial as trial_module
from gateway.trial.given import Answer, Given, Identity
from gateway.trial.memory import answer_bytes
from gateway.trial.outcome import Message
from gateway.trial.trial import NoSuchLimit, TrialError
from tests.support.filters import Hold
from tests.support.gateway import configuration, proxy, test_filters
from tests.support.upstream import Upstream
from tests.trial.tried import NOW, given, outcome, tried

CALLER = Identity(Principal(user_id="u1", project_id="p1", roles=("member",)))
KEYSTONE: dict[str, Any] = {
    "token_auth": {
        "providers": [
            {
                "keystone": {
                    "url": "http://keystone.invalid:5000/v3",
                    "account": {"user": "gateway", "password": "secret", "project_name": "service"},
                }
            }
        ]
    }
}
LIMIT: dict[str, Any] = {
    "rate_limit": {"limits": [{"name": "few", "rate": "2/minute", "burst": 2, "key": ["project_id"]}]}
}
ROUTE: dict[str, Any] = {"name": "images", "path": "/v2/{project_id}/images", "upstream": "main"}

VOLATILE = {
    "date",
    "x-compute-request-id",
    "x-openstack-request-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "host",
}


async def test_what_is_forwarded_is_shown_and_so_is_what_the_client_gets() -> None:
    found = await outcome(given("POST", "/a?b=1", headers=(("X-Own", "1"),), body=b"hello"))
    assert (found.decision, found.reason, found.status, found.route) == ("forward", "passed", 200, "any")
    assert found.forwarded is not None and found.answer is not None
    assert found.forwarded.line == "POST /a?b=1 HTTP/1.1"
    assert ("X-Own", "1") in found.forwarded.headers and found.forwarded.body == b"hello"
    assert found.answer.body == b"ok"
    assert found.params == {"rest": "a"}


async def test_what_the_upstream_answers_need_not_be_known() -> None:
    found = await outcome(given(answer=None))
    assert (found.decision, found.reason) == ("forward", "passed")
    assert found.forwarded is not None
    assert found.answer is None and found.status is None


@pytest.mark.parametrize(
    "request_",
    [
        given(),
        given("HEAD"),
        given("DELETE", answer=Answer(204)),
        given("POST", body=b"x" * 300_000),
        given("POST", headers=(("Transfer-Encoding", "chunked"),), body=b"in chunks"),
        given("PUT", body=b"{", headers=(("Content-Type", "application/json"),)),
        given("PATCH"),
        given("GET", "/a/../b"),
        given("GET", "/nowhere/else"),
        given("GET", headers=(("Host", "a b"),)),
        given("GET", headers=(("Accept", "application/xml"),), target="/nowhere/else"),
        given("GET", headers=(("X-User-Id", "forged"), ("Connection", "X-Own, close"), ("X-Own", "1"))),
        given("POST", headers=(("Content-Length", "1"), ("Content-Length", "2"))),
        given("GET", answer=Answer(200, (("Transfer-Encoding", "chunked"),), b"2\r\nok\r\n0\r\n\r\n")),
        given("GET", answer=Answer(503, (("Retry-After", "7"),), b"{}")),
    ],
    ids=lambda request: f"{request.method} {request.target} {len(request.headers)}",
)
async def test_it_says_what_the_gateway_does(request_: Given) -> None:
    """The same request to a gateway with sockets: the same bytes on both sides, but for what is new each time."""
    options: dict[str, Any] = {
        "routes": [{"name": "any", "path": "/{name}", "upstream": "main"}],
        "filters": [
            {"methods": {"allow": ["GET", "HEAD", "POST", "PUT", "DELETE"]}},
            {"body_size": {"max": "1MiB"}},
        ],
        "trusted_proxies": ["127.0.0.1/32", "192.0.2.1/32"],
    }
    async with Upstream() as upstream, proxy(upstream, **options) as gateway:
        found = await outcome(request_, **options)
        assert request_.answer is not None
        sent: list[Any] = []
        message = replace(request_, headers=(("Connection", "close"), *request_.headers)).message()
        client = await gateway.connect()
        await client.send(message if b"onnection: X-Own" not in message else request_.message())
        if found.forwarded is not None:
            conversation = await upstream.accepted()
            sent.append(await conversation.request())
            await conversation.send(answer_bytes(request_.answer, to_head=request_.method == "HEAD"))
        answer = await client.answer(request_.method)
        assert found.answer is not None
        assert answer.status == found.status
        assert answer.body == found.answer.body
        assert _names(answer.head.lines) == _names(found.answer.headers)
        if sent:
            assert found.forwarded is not None
            assert sent[0].head.first.decode().strip() == found.forwarded.line
            assert sent[0].body == found.forwarded.body
            assert _lines(sent[0].head.lines) == _lines(found.forwarded.headers)


def _names(headers: Any) -> list[str]:
    return sorted(name.lower() for name, _ in headers if name.lower() not in ("connection", "keep-alive"))


def _lines(headers: Any) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in headers if name.lower() not in VOLATILE)


async def test_a_filter_that_would_ask_the_network_is_undecidable_and_so_is_what_depends_on_it() -> None:
    found = await outcome(
        given(headers=(("X-Auth-Token", "t"),)), filters=[KEYSTONE, LIMIT, {"methods": {"allow": ["GET"]}}]
    )
    assert found.decision == found.reason == "undecidable"
    assert found.undecided == {
        "token_auth": "asks the network: http://keystone.invalid:5000/v3",
        "rate_limit": "depends on token_auth",
    }
    assert found.answer is None
    assert [step.told["verdict"] for step in found.steps if not step.undecided] == ["pass"]


async def test_it_is_decided_what_can_be() -> None:
    found = await outcome(given(), filters=[KEYSTONE])
    assert (found.status, found.reason, found.filter) == (401, "token_missing", "token_auth")


async def test_what_a_later_filter_refuses_is_refused_only_if_the_earlier_passes() -> None:
    found = await outcome(
        given("DELETE", headers=(("X-Auth-Token", "t"),)), filters=[KEYSTONE, {"methods": {"allow": ["GET"]}}]
    )
    assert found.decision == "undecidable" and found.answer is None
    assert found.record["gateway.reason"] == "method_not_allowed"


async def test_a_condition_on_the_caller_is_undecidable_where_the_caller_is() -> None:
    methods = {"methods": {"allow": ["GET"], "when": {"role": "guest"}}}
    found = await outcome(given("DELETE", headers=(("X-Auth-Token", "t"),)), filters=[KEYSTONE, methods])
    assert found.undecided["methods"] == "whether its `when` holds depends on token_auth"


async def test_nothing_of_an_undecidable_filter_is_left_in_the_request() -> None:
    found = await outcome(given(headers=(("X-Auth-Token", "t"), ("X-User-Id", "forged"))), filters=[KEYSTONE])
    assert found.forwarded is not None
    names = {name.lower() for name, _ in found.forwarded.headers}
    assert "x-identity-status" not in names and "x-user-id" not in names


async def test_the_caller_is_the_supposed_one() -> None:
    found = await outcome(given(identity=CALLER), filters=[KEYSTONE, LIMIT])
    assert found.status == 200
    assert found.forwarded is not None
    assert ("X-User-Id", "u1") in found.forwarded.headers
    assert found.steps[0].supposed == "the caller is the supposed one"
    assert [change.value for change in found.steps[0].changes if change.kind == "found"] == [
        "user=u1 project=p1 roles=member"
    ]


SERVICES = {"token_auth": {**KEYSTONE["token_auth"], "service_tokens": {}}}
JUDGE = {"external_auth": {"url": "http://judge.invalid/", "request_headers": ["X-Service-Token"]}}
SENT = (("X-Auth-Token", "t"), ("X-Service-Token", "s"))


@pytest.mark.parametrize("identity", [CALLER, None])
@pytest.mark.parametrize("filter", [KEYSTONE, SERVICES])
async def test_a_service_s_token_that_nobody_has_judged_is_not_sent(
    filter: dict[str, Any], identity: Identity | None
) -> None:
    found = await outcome(given(headers=SENT, identity=identity), filters=[filter])
    assert found.forwarded is not None
    names = {name.lower(): value for name, value in found.forwarded.headers}
    assert "x-service-token" not in names and names["x-auth-token"] == "t"


async def test_where_the_decision_is_delayed_an_unjudged_service_s_token_goes_too() -> None:
    delaying = {"token_auth": {**SERVICES["token_auth"], "delay_auth_decision": True}}
    found = await outcome(given(headers=SENT, identity=Identity(None)), filters=[delaying])
    assert found.forwarded is not None
    assert "x-service-token" not in {name.lower() for name, _ in found.forwarded.headers}


async def test_a_service_that_is_not_asked_has_judged_nothing() -> None:
    found = await outcome(given(headers=SENT), filters=[JUDGE])
    assert found.forwarded is not None and found.undecided
    assert "x-service-token" not in {name.lower() for name, _ in found.forwarded.headers}
    found = await outcome(given(headers=SENT, identity=CALLER), filters=[JUDGE])
    assert found.forwarded is not None
    assert ("X-Service-Token", "s") in found.forwarded.headers, "it is supposed to say yes"


@pytest.mark.parametrize(
    ("provider", "sent", "arrives"),
    [
        ("keystone", ("Authorization", "Basic YTpi"), False),
        ("keystone", ("Authorization", "Bearer other"), True),
        ("keystone", ("X-Storage-Token", "u"), False),
        ("keystone", ("X-Auth-Token", "t"), True),
        ("basic", ("X-Auth-Token", "t"), False),
    ],
)
async def test_proofs_go_on_as_they_do_in_the_gateway(
    provider: str, sent: tuple[str, str], arrives: bool
) -> None:
    providers = [*KEYSTONE["token_auth"]["providers"], {"basic": {"url": "http://identity.invalid/v3"}}]
    both = {"token_auth": {**KEYSTONE["token_auth"], "providers": providers}}
    identity = Identity(replace(CALLER.principal, provider=provider)) if CALLER.principal else None
    found = await outcome(given(headers=(sent,), identity=identity), filters=[both])
    assert found.forwarded is not None
    assert (sent in found.forwarded.headers) == arrives


async def test_nobody_has_a_token_that_nobody_knows() -> None:
    found = await outcome(given(identity=Identity(None)), filters=[KEYSTONE])
    assert (found.status, found.reason) == (401, "token_invalid")


async def test_what_was_counted_is_supposed_and_goes_on() -> None:
    async with tried(filters=[KEYSTONE, LIMIT]) as trial:
        first = await trial.run(given(identity=CALLER, counts={"few": 1}))
        assert first.status == 200
        second = await trial.run(given(identity=CALLER))
        assert (second.status, second.filter) == (413, "rate_limit")
        later = await trial.run(given(identity=CALLER, wall=NOW + 31))
        assert later.status == 200
        await trial.renew()
        assert (await trial.run(given(identity=CALLER))).status == 200
        assert trial.limits == {"few"}


async def test_a_limit_that_machines_share_is_counted_here() -> None:
    shared = {"rate_limit": {**LIMIT["rate_limit"], "store": {"url": "redis://redis.invalid:6379"}}}
    found = await outcome(given(identity=CALLER, counts={"few": 2}), filters=[KEYSTONE, shared])
    assert (found.status, found.undecided) == (413, {})


async def test_time_is_that_of_the_request() -> None:
    async with tried(filters=[LIMIT]) as trial:
        found = await trial.run(given(wall=NOW))
        assert found.record["timestamp"] == "2026-01-01T12:00:00.000Z"


async def test_a_filter_in_shadow_is_told_of_and_changes_nothing() -> None:
    shadow = {"methods": {"allow": ["GET"], "mode": "shadow", "shadow_percent": 1}}
    found = await outcome(given("DELETE"), filters=[shadow])
    assert found.status == 200
    assert (found.steps[0].told["verdict"], found.steps[0].told["shadow"]) == ("refuse", True)


async def test_a_filter_in_shadow_that_cannot_judge_leaves_the_outcome_known() -> None:
    shadow = {"token_auth": {**KEYSTONE["token_auth"], "mode": "shadow"}}
    found = await outcome(given(headers=(("X-Auth-Token", "t"),)), filters=[shadow])
    assert (found.status, found.undecided) == (200, {})


async def test_what_filters_change_in_the_answer_is_seen() -> None:
    headers = {"headers": {"response": {"set": {"X-Frame-Options": "DENY"}, "remove": ["Content-Type"]}}}
    found = await outcome(given(), filters=[headers])
    assert found.answer is not None and ("X-Frame-Options", "DENY") in found.answer.headers
    assert [tuple(change) for step in found.steps for change in step.changes] == [
        ("removed", "Content-Type", "text/plain"),
        ("added", "X-Frame-Options", "DENY"),
    ]


async def test_requests_come_one_after_the_other_over_the_same_connection_to_the_upstream() -> None:
    async with tried() as trial:
        found = [await trial.run(given("POST", f"/{number}", body=b"x")) for number in range(3)]
        assert [one.forwarded.line if one.forwarded else "" for one in found] == [
            f"POST /{number} HTTP/1.1" for number in range(3)
        ]


async def test_a_copy_for_a_mirror_is_not_taken_for_the_request() -> None:
    text = configuration("http://upstream.invalid:1", upstream={"mirror": {"upstream": "other"}}).replace(
        "upstreams:\n", "upstreams:\n  other: {endpoints: ['http://other.invalid:1']}\n"
    )
    async with tried(text) as trial:
        found = await trial.run(given())
        assert found.status == 200 and found.forwarded is not None


async def test_a_bug_in_a_filter_is_the_answer_that_it_would_be() -> None:
    found = await outcome(
        given(), registry=test_filters("raise_on_request"), filters=["test.raise_on_request"]
    )
    assert (found.status, found.reason) == (500, "filter_failed")


async def test_a_request_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_module, "PATIENCE", 0.05)
    Hold.gate = asyncio.Event()
    async with tried(registry=test_filters("hold"), filters=["test.hold"]) as trial:
        with pytest.raises(TrialError, match="no end"):
            await trial.run(given("POST", body=b"whole"))


async def test_health_checks_ask_nobody() -> None:
    async with tried(upstream={"health": {"path": "/", "interval": "1s"}}) as trial:
        assert (await trial.run(given())).status == 200


async def test_a_message_is_told_by_its_parts() -> None:
    message = Message("404 Not Found", [("A", "b")], json.dumps({}).encode())
    assert message.status == 404


@pytest.mark.parametrize(
    "filters", [[], [{"json_body": {"max_size": "1KiB"}}]], ids=["streamed", "collected"]
)
async def test_a_request_that_is_not_whole_is_no_riddle_for_half_a_minute(
    filters: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "PATIENCE", 3600.0)
    fields = (("Content-Type", "application/json"), ("Content-Length", "50"))
    with pytest.raises(TrialError, match="not whole"):
        await outcome(given("POST", headers=fields, body=b"{}"), filters=filters)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, (("Content-Length", "50"),), b"short"),
        Answer(200, (("Transfer-Encoding", "chunked"),), b"2\r\nok\r\n"),
    ],
    ids=["length", "chunked"],
)
async def test_an_answer_that_is_not_whole_is_none(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_module, "PATIENCE", 3600.0)
    with pytest.raises(TrialError, match="answer is not whole"):
        await outcome(given(answer=answer))
    assert (await outcome(given("HEAD", answer=answer))).status == 200


async def test_what_is_refused_before_its_body_need_not_be_whole() -> None:
    found = await outcome(
        given("POST", headers=(("Content-Length", "5000"),)), filters=[{"body_size": {"max": 100}}]
    )
    assert found.status == 413


async def test_what_no_limit_has_counted_is_said_with_those_that_there_are() -> None:
    with pytest.raises(NoSuchLimit, match=r"named 'fwe' \(did you mean 'few'\?\): there are 'few'"):
        await outcome(given(counts={"fwe": 1}), filters=[LIMIT])
    with pytest.raises(NoSuchLimit, match="there is none"):
        await outcome(given(counts={"fwe": 1}))
