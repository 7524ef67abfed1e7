"""The filter: which limits a request must fit, what it answers, what it tells the record."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.rate_limit import RateLimit
from filters.rate_limit.option import RateLimitConfig
from gateway.api import Exchange, Fault, Instant, Principal, facts_of
from gateway.api.fact import CLIENT, CLOCK, METHOD, PRINCIPAL, TARGET, header
from gateway.api.testing import FrozenServices, build, exchange, judge

TEN = {"rate": "10/minute"}


def limiter(*limits: dict[str, Any], services: FrozenServices | None = None, **options: Any) -> RateLimit:
    return build(RateLimit, {"limits": list(limits), **options}, services)


def asked(
    method: str = "GET", target: str = "/", at: float = 0.0, project: str | None = "p1", **more: Any
) -> Exchange:
    principal = Principal(project_id=project) if project else None
    return exchange(
        method, target, principal=principal, clock=Instant(1_700_000_000 + at, 1000.0 + at), **more
    )


def passes(filter: RateLimit, made: Exchange) -> bool:
    verdict = judge(filter, made)
    assert verdict is None or isinstance(verdict, Fault)
    return verdict is None


def refused(filter: RateLimit, made: Exchange) -> Fault:
    verdict = judge(filter, made)
    assert isinstance(verdict, Fault)
    return verdict


def spent(filter: RateLimit, count: int, **request: Any) -> None:
    for _ in range(count):
        assert passes(filter, asked(**request))


# ---- the answer


def test_answers_413_with_the_seconds_left_in_novas_words() -> None:
    filter = limiter({"rate": "10/minute", "methods": ["POST"]})
    spent(filter, 10, method="POST")
    fault = refused(filter, asked("POST"))
    assert (fault.status, fault.reason, fault.rule) == (413, "rate_limited", ("limits", 0))
    assert fault.message == "This request was rate-limited."
    assert fault.details == "Only 10 POST request(s) can be made to * every minute."
    assert fault.retry_after == 6
    assert fault.headers == ()
    assert refused(filter, asked("POST", at=5.9)).retry_after == 1
    assert passes(filter, asked("POST", at=6.1))


def test_429_is_one_option_away() -> None:
    filter = limiter({"rate": "1/day"}, status=429)
    spent(filter, 1)
    fault = refused(filter, asked())
    assert (fault.status, fault.retry_after) == (429, 86400)
    assert fault.details == "Only 1 GET request(s) can be made to * every day."


@pytest.mark.parametrize(
    ("path", "uri"), [("/v2/{project_id}/servers", "/v2/{project_id}/servers"), ("regex:/v2/.*", "/v2/.*")]
)
def test_the_details_name_the_path_of_the_limit(path: str, uri: str) -> None:
    filter = limiter({"rate": "1/hour", "path": path})
    spent(filter, 1, target="/v2/p1/servers")
    fault = refused(filter, asked(target="/v2/p1/servers"))
    assert fault.details == f"Only 1 GET request(s) can be made to {uri} every hour."


def test_the_seconds_are_whole_and_never_none() -> None:
    filter = limiter({"rate": "100/second", "burst": 1})
    spent(filter, 1)
    assert refused(filter, asked()).retry_after == 1


def test_a_fixed_window_ends_one_unit_after_its_first_request() -> None:
    filter = limiter({"rate": "2/minute", "algorithm": "fixed_window"})
    assert passes(filter, asked(at=30))
    assert passes(filter, asked(at=50))
    assert refused(filter, asked(at=50.5)).retry_after == 40
    assert passes(filter, asked(at=90))


# ---- which limits match


def test_a_limit_counts_its_methods_only() -> None:
    filter = limiter({"rate": "1/minute", "methods": ["POST", "PUT"]})
    spent(filter, 1, method="POST")
    assert refused(filter, asked("PUT")).status == 413
    assert passes(filter, asked("GET"))
    assert not asked("GET").notes


@pytest.mark.parametrize(
    ("path", "target", "matches"),
    [
        ("/v2/{p}/servers", "/v2/a/servers", True),
        ("/v2/{p}/servers", "/v2/a/servers?x=1", True),
        ("/v2/{p}/servers", "/v2/a/b/servers", False),
        ("/v2/{p}/servers", "/v2//servers", False),
        ("/v2/{p}/servers", "/v2/a/servers/", False),
        ("/v2/{p}/servers", "/v2/a/serv%65rs", True),
        ("/v2/{p}/servers", "/v2/%61/servers", True),
        ("/v2/{p}/servers", "/v2/a%2Fb/servers", True),
        ("/v2/{p}/servers", "/v2/a%2Fservers", True),
        ("/v2.1/x", "/v2x1/x", False),
        ("/a(b", "/a(b", True),
        ("regex:/v2/[^/]+/servers(/.*)?", "/v2/a/servers/1", True),
        ("regex:/v2", "/v2/a", False),
        ("regex:.*", "/any%FF", True),
    ],
)
def test_a_path_is_matched_in_every_spelling(path: str, target: str, matches: bool) -> None:
    filter = limiter({"rate": "1/minute", "path": path})
    assert passes(filter, asked(target=target))
    assert passes(filter, asked(target=target)) is not matches


def test_one_request_is_counted_by_every_limit_that_matches() -> None:
    filter = limiter(
        {"rate": "10/minute", "methods": ["POST"]},
        {"rate": "2/day", "methods": ["POST"], "path": "/servers"},
    )
    spent(filter, 2, method="POST", target="/servers")
    fault = refused(filter, asked("POST", "/servers"))
    assert fault.rule == ("limits", 1)
    assert fault.details == "Only 2 POST request(s) can be made to /servers every day."
    spent(filter, 8, method="POST", target="/images")
    assert refused(filter, asked("POST", "/images")).rule == ("limits", 0)


def test_a_refused_request_is_charged_nowhere() -> None:
    filter = limiter({"rate": "5/minute"}, {"rate": "1/day", "methods": ["POST"]})
    spent(filter, 1, method="POST")
    for _ in range(20):
        assert refused(filter, asked("POST")).rule == ("limits", 1)
    spent(filter, 4)
    assert refused(filter, asked()).rule == ("limits", 0)


def test_the_longest_wait_is_told() -> None:
    filter = limiter({"rate": "1/minute", "name": "a"}, {"rate": "1/day", "name": "b"}, {"rate": "1/second"})
    spent(filter, 1)
    fault = refused(filter, asked())
    assert (fault.rule, fault.retry_after) == (("limits", 1), 86400)


# ---- whom it counts


def test_projects_are_counted_apart() -> None:
    filter = limiter({"rate": "1/minute"})
    spent(filter, 1, project="a")
    spent(filter, 1, project="b")
    assert not passes(filter, asked(project="a"))


def test_without_a_principal_the_address_counts() -> None:
    filter = limiter({"rate": "1/minute"})
    spent(filter, 1, project=None, client="192.0.2.1")
    assert not passes(filter, asked(project=None, client="192.0.2.1"))
    assert passes(filter, asked(project=None, client="192.0.2.2"))
    assert passes(filter, asked(project="192.0.2.1", client="192.0.2.1"))


def test_a_header_may_tell_apart() -> None:
    filter = limiter({"rate": "1/minute", "key": ["header:X-Device", "method"]})
    spent(filter, 1, headers={"x-device": "a"})
    spent(filter, 1, headers={"x-device": "b"})
    spent(filter, 1, headers={"x-device": "a"}, method="PUT")
    assert not passes(filter, asked(headers={"X-Device": "a"}))


# ---- facts and state


def test_a_pass_and_a_refusal_tell_the_record_what_judging_again_needs() -> None:
    services = FrozenServices()
    filter = limiter({"rate": "2/minute", "name": "per-project"}, services=services)
    key = services.keyed_hash(b"'p1'")
    first, second = asked(), asked(at=10)
    assert passes(filter, first)
    assert passes(filter, second)
    assert first.notes is not None
    assert second.notes is not None
    assert first.notes[0].reason == "rate_counted"
    assert first.notes[0].facts == {"instant": 1000.0, "cells": (("per-project", key, 1, None),)}
    assert second.notes[0].facts == {
        "instant": 1010.0,
        "cells": (("per-project", key, 1, (20.0, 0.0, 0.0)),),
    }
    assert refused(filter, asked(at=10)).facts == {
        "instant": 1010.0,
        "cells": (("per-project", key, 1, (50.0, 0.0, 0.0)),),
    }


def test_every_limit_tells_its_cell() -> None:
    filter = limiter(
        {"rate": "2/minute"}, {"rate": "2/minute", "algorithm": "fixed_window", "key": ["client_ip"]}
    )
    spent(filter, 1)
    made = asked(at=10)
    assert passes(filter, made)
    assert made.notes is not None
    cells: Any = made.notes[0].facts["cells"]
    assert [(label, cost, before) for label, _, cost, before in cells] == [
        ("limits[0]", 1, (20.0, 0.0, 0.0)),
        ("limits[1]", 1, (50.0, 1.0, 0.0)),
    ]


def test_a_reload_with_the_same_state_keeps_counting() -> None:
    services = FrozenServices()
    spent(limiter(TEN, services=services), 10)
    assert not passes(limiter(TEN, services=services), asked())
    assert passes(limiter(TEN, services=FrozenServices()), asked())


def test_says_what_it_reads() -> None:
    def reads(*limits: dict[str, Any]) -> Any:
        return facts_of(RateLimit, RateLimitConfig.model_validate({"limits": limits}))

    assert reads(TEN) == {CLOCK, METHOD, CLIENT, PRINCIPAL}
    assert reads({**TEN, "key": ["client_ip", "header:X-Key"], "path": "/a"}) == {
        CLOCK,
        METHOD,
        CLIENT,
        TARGET,
        header("x-key"),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limits": []}, "at least 1 item"),
        ({"limits": [{**TEN, "name": "a"}, {**TEN, "name": "a"}]}, "two limits are named 'a'"),
        ({"limits": [TEN], "status": 503}, "413 or 429"),
    ],
)
def test_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RateLimitConfig.model_validate(options)


@given(
    st.integers(1, 5),
    st.sampled_from(["second", "minute", "hour"]),
    st.sampled_from(["gcra", "fixed_window"]),
    st.lists(st.floats(0, 30), max_size=30),
)
def test_retry_after_is_true(value: int, unit: str, algorithm: str, gaps: list[float]) -> None:
    """Who waits as long as told passes; who waits a second less does not. Each asks a copy of the limiter."""
    options = {"rate": {"value": value, "unit": unit}, "algorithm": algorithm}
    times: list[float] = []
    now = 0.0

    def replayed() -> RateLimit:
        filter = limiter(options)
        for earlier in times:
            filter.on_request(asked(at=earlier))
        return filter

    for gap in gaps:
        now += gap
        verdict = judge(replayed(), asked(at=now))
        if verdict is None:
            times.append(now)
            continue
        assert isinstance(verdict, Fault)
        assert verdict.retry_after is not None
        assert passes(replayed(), asked(at=now + verdict.retry_after))
        if verdict.retry_after > 1:
            assert not passes(replayed(), asked(at=now + verdict.retry_after - 1))
        return


def test_many_keys_do_not_use_up_the_memory_of_hashes() -> None:
    filter = limiter({"rate": "1/second"})
    for number in range(17_000):
        filter._hashes[str(number)]
    assert len(filter._hashes) <= 16_384
