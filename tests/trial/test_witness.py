"""What is seen of the hooks of a chain."""

from gateway.api.principal import Principal
from gateway.trial.given import Identity
from tests.trial.tried import given, outcome


async def test_each_change_is_that_of_the_filter_that_made_it() -> None:
    first = {"headers": {"name": "first", "request": {"set": {"X-A": "1", "X-B": "1"}}}}
    second = {"headers": {"name": "second", "request": {"set": {"X-A": "2"}, "remove": ["X-Own"]}}}
    found = await outcome(given(headers=(("X-Own", "o"),)), filters=[first, second])
    told = {
        step.told["name"]: [tuple(change) for change in step.changes]
        for step in found.steps
        if step.told["phase"] == "request"
    }
    assert told == {
        "first": [("added", "X-A", "1"), ("added", "X-B", "1")],
        "second": [("removed", "X-Own", "o"), ("removed", "X-A", "1"), ("added", "X-A", "2")],
    }


async def test_a_supposed_caller_is_asked_of_no_filter_that_finds_out_nothing() -> None:
    found = await outcome(
        given(identity=Identity(Principal(user_id="u"))), filters=[{"methods": {"allow": ["GET"]}}]
    )
    assert found.steps[0].supposed == ""


async def test_a_service_that_judges_says_yes_to_a_supposed_caller_and_no_to_nobody() -> None:
    judge = {"external_auth": {"url": "http://judge.invalid/", "request_headers": ["Cookie"]}}
    known = await outcome(given(identity=Identity(Principal(user_id="u"))), filters=[judge])
    assert known.status == 200
    unknown = await outcome(given(identity=Identity(None)), filters=[judge])
    assert (unknown.status, unknown.reason) == (403, "external_auth_denied")
    neither = await outcome(given(), filters=[judge])
    assert neither.undecided == {"external_auth": "asks the network: http://judge.invalid/"}


async def test_a_filter_that_asks_on_the_way_outward_is_undecidable_there() -> None:
    """And what it would have done to the answer is not told."""
    keystone = {
        "token_auth": {
            "delay_auth_decision": True,
            "providers": [
                {"introspection": {"url": "http://idp.invalid/", "client_id": "a", "client_secret": "b"}}
            ],
        }
    }
    found = await outcome(given(headers=(("X-Auth-Token", "t"),)), filters=[keystone])
    assert list(found.undecided) == ["token_auth"]


async def test_another_target_is_told_by_the_filter_that_sends_it() -> None:
    first = {"query": {"allow": ["b"]}}
    second = {"rewrite": {"strip_prefix": "/a"}}
    found = await outcome(given(target="/a/x?b=1&c=2"), filters=[first, second])
    told = {step.told["name"]: list(step.changes) for step in found.steps if step.told["phase"] == "request"}
    assert told == {
        "query": [("sent", "target", "/a/x?b=1")],
        "rewrite": [("sent", "target", "/x?b=1")],
    }
