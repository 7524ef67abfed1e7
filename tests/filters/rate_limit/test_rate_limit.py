"""The filter: which limits a request must fit, what it answers, what it tells the record."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.rate_limit import RateLimit
from filters.rate_limit.algorithm import TOLERANCE
from filters.rate_limit.option import RateLimitConfig
from gateway.api import Exchange, Fault, Instant, Note, Principal, Response, facts_of
from gateway.api.fact import CLIENT, CLOCK, METHOD, PRINCIPAL, TARGET, header
from gateway.api.testing import FrozenServices, build, exchange, judge, judge_response

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
    assert fault.headers == (
        ("RateLimit-Policy", '"limits[0]";q=10;w=60'),
        ("RateLimit", '"limits[0]";r=0;t=6'),
    )
    assert refused(filter, asked("POST", at=5.9)).retry_after == 1
    assert passes(filter, asked("POST", at=6.1))


def test_429_is_one_option_away() -> None:
    filter = limiter({"rate": "1/day"}, status=429)
    spent(filter, 1)
    fault = refused(filter, asked())
    assert (fault.status, fault.retry_after) == (429, 86400)
    assert fault.details == "Only 1 GET request(s) can be made to * every day."


def test_the_details_name_what_the_limit_is_said_to_be_for() -> None:
    filter = limiter({"rate": "1/hour", "path": "regex:/v2/.*", "uri": "/v2/*"})
    spent(filter, 1, target="/v2/p1")
    fault = refused(filter, asked(target="/v2/p1"))
    assert fault.details == "Only 1 GET request(s) can be made to /v2/* every hour."


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
        "limit": "per-project",
        "key": {"project_id": "p1"},
        "consumers": (("192.0.2.1", 2),),
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


@pytest.mark.parametrize("limits", [[TEN], [TEN, {"rate": "9/minute"}]])
def test_the_record_says_where_a_worker_counts_alone(limits: list[dict[str, Any]]) -> None:
    services = FrozenServices()
    filter = limiter(*limits, services=services)
    reasons = []
    for busy in (False, True, False):
        services.table_busy = busy
        made = asked()
        assert passes(filter, made)
        note = made.trail[-1]
        assert isinstance(note, Note)
        reasons.append((note.reason, (note.facts or {}).get("because")))
    assert reasons == [("rate_counted", None), ("rate_counted_locally", "table_busy"), ("rate_counted", None)]


def test_a_changed_limit_begins_anew_and_the_others_count_on() -> None:
    services = FrozenServices()
    few, many = {"name": "few", "rate": "2/minute"}, {"name": "many", "rate": "5/minute"}
    spent(limiter(few, many, services=services), 2)
    changed = limiter(many, {**few, "rate": "4/minute"}, services=services, headers_on="all", status=429)
    spent(changed, 3)
    assert refused(changed, asked()).rule == ("limits", 0)


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
        ({"groups": []}, "at least 1 item"),
        ({"groups": [{"name": "a"}, {"name": "b"}]}, "those behind it can never be reached"),
        ({"groups": [{"name": "a", "for": {"roles": ["x"]}}, {"name": "a"}]}, "two groups are named 'a'"),
        ({"groups": [{"name": "a", "for": {}}]}, "names nobody"),
        (
            {"limits": [{**TEN, "name": "a"}], "groups": [{"name": "g", "limits": [{**TEN, "name": "a"}]}]},
            "two limits",
        ),
        ({"limits": [TEN], "exempt": {}}, "names nobody"),
        ({"limits": [TEN], "headers": ["ietf", "ietf"]}, "stands twice"),
    ],
)
def test_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RateLimitConfig.model_validate(options)


@given(
    st.integers(1, 5),
    st.sampled_from(["second", "minute", "hour"]),
    st.sampled_from(["gcra", "fixed_window", "sliding_window"]),
    st.lists(st.floats(0, 30), max_size=30),
)
@example(1, "second", "sliding_window", [0.0, 1.192092896e-07])
def test_retry_after_is_true(value: int, unit: str, algorithm: str, gaps: list[float]) -> None:
    """Who waits as long as told passes; who waits a second less, and the grain of the arithmetic, does not. Each asks a copy of
    the limiter."""
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
            assert not passes(replayed(), asked(at=now + verdict.retry_after - 1 - 4 * TOLERANCE))
        return


def test_many_keys_do_not_use_up_the_memory_of_hashes() -> None:
    filter = limiter({"rate": "1/second"})
    for number in range(17_000):
        filter._hashes[str(number)]
    assert len(filter._hashes) <= 16_384


# ---- costs


def test_a_request_may_cost_more_than_one() -> None:
    filter = limiter({"rate": "10/minute", "cost": 3})
    spent(filter, 3)
    assert refused(filter, asked()).retry_after == 12


def test_a_cost_may_depend_on_the_method() -> None:
    filter = limiter({"rate": "10/minute", "cost": {"methods": {"POST": 5, "HEAD": 0}}})
    spent(filter, 1, method="POST")
    spent(filter, 30, method="HEAD")
    spent(filter, 5)
    assert not passes(filter, asked())
    assert not passes(filter, asked("POST"))
    assert passes(filter, asked("HEAD"))


BY_ANSWER = {"rate": "10/minute", "cost": {"header": "X-Cost", "max": 30}}


def answered(filter: RateLimit, made: Exchange, *headers: tuple[str, str], status: int = 200) -> Response:
    """The answer to a request that has passed, as the client sees it."""
    made.response = Response(status, headers)
    assert judge_response(filter, made) is None
    for callback in made.take_deferred():
        callback()
    return made.response


def test_an_answer_may_say_what_the_request_has_cost() -> None:
    filter = limiter(BY_ANSWER)
    made = asked()
    assert passes(filter, made)
    answer = answered(filter, made, ("X-Cost", "8"))
    assert answer.headers.get("X-Cost") == "8"
    note = made.notes[-1]
    assert (note.reason, note.rule) == ("rate_charged_late", ("limits", 0, "cost", "header"))
    assert note.facts["instant"] == 1000.0
    cells: Any = note.facts["cells"]
    assert [(label, cost, before) for label, _, cost, before in cells] == [("limits[0]", 7, (6.0, 0.0, 0.0))]
    spent(filter, 2)
    assert refused(filter, asked()).retry_after == 6


def test_what_an_answer_costs_is_bounded() -> None:
    filter = limiter(BY_ANSWER)
    made = asked()
    assert passes(filter, made)
    answered(filter, made, ("X-Cost", "999999999"))
    assert refused(filter, asked()).retry_after == 126  # 30 were taken: until 9 of the 10 are left


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Cost", "-8")],
        [("X-Cost", "8.5")],
        [("X-Cost", "many")],
        [("X-Cost", "9" * 10)],
        [("X-Cost", "\xb2")],
        [("X-Cost", "8"), ("X-Cost", "9")],
        [("X-Cost", "")],
    ],
)
def test_a_cost_that_cannot_be_read_is_noted_and_not_taken(headers: list[tuple[str, str]]) -> None:
    filter = limiter(BY_ANSWER)
    made = asked()
    assert passes(filter, made)
    answered(filter, made, *headers)
    assert made.notes[-1].reason == "rate_cost_invalid"
    spent(filter, 9)
    assert not passes(filter, asked())


def test_a_lower_cost_or_none_is_not_given_back() -> None:
    filter = limiter({**BY_ANSWER, "cost": {"default": 5, "header": "X-Cost", "max": 30}})
    for headers in ((), (("X-Cost", "1"),)):
        made = asked()
        assert passes(filter, made)
        answered(filter, made, *headers)
        assert made.notes[-1].reason == "rate_counted"
    assert not passes(filter, asked())


def test_the_field_of_a_cost_can_be_kept_from_the_client() -> None:
    filter = limiter({"rate": "10/minute", "cost": {"header": "X-Cost", "max": 30, "strip": True}})
    made = asked()
    assert passes(filter, made)
    assert not answered(filter, made, ("x-cost", "3"), ("X-Other", "1")).headers.has("X-Cost")


def test_nothing_is_kept_of_a_request_without_an_answer() -> None:
    filter = limiter(BY_ANSWER)
    made = asked()
    assert passes(filter, made)
    for callback in made.take_deferred():
        callback()
    assert not filter._open


# ---- quotas


def test_a_daily_quota_ends_at_midnight_there() -> None:
    quota = {"rate": "2/day", "algorithm": "calendar_window", "time_zone": "Europe/Prague"}
    filter = limiter(quota)
    spent(filter, 2)
    fault = refused(filter, asked())
    assert fault.retry_after == 2800  # it is 23:13:20 in Prague
    assert fault.details == "Only 2 GET request(s) can be made to * every day."
    assert fault.headers[0] == ("RateLimit-Policy", '"limits[0]";q=2;w=86400')
    assert not passes(filter, asked(at=2799.9))
    assert passes(filter, asked(at=2800))


def test_a_monthly_quota_stands_beside_a_rate() -> None:
    filter = limiter({"rate": "3/month", "algorithm": "calendar_window"}, {"rate": "2/minute"})
    spent(filter, 2)
    assert refused(filter, asked()).rule == ("limits", 1)
    spent(filter, 1, at=60)
    fault = refused(filter, asked(at=120))
    assert (fault.rule, fault.retry_after) == (("limits", 0), 1_388_680)  # the first of December, 0:00 UTC


# ---- which limits match


def test_names_of_query_parameters_choose() -> None:
    filter = limiter({"rate": "1/minute", "query": ["changes-since", "Limit"]})
    spent(filter, 3, target="/servers?changes-since=1")
    spent(filter, 3, target="/servers")
    spent(filter, 1, target="/servers?limit=5&changes-since=1")
    assert not passes(filter, asked(target="/images?LIMIT&chang%65s-since"))


def test_a_form_in_the_body_is_no_query() -> None:
    filter = limiter({"rate": "1/minute", "query": ["a"]})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    spent(filter, 3, method="POST", headers=form, body=b"a=1")


def test_groups_of_the_path_are_part_of_the_key_and_apart() -> None:
    filter = limiter({"rate": "1/minute", "path": "regex:/([a-e]+)/([d-f]+)", "key": ["captures"]})
    spent(filter, 1, target="/abc/def")
    spent(filter, 1, target="/abcde/f")
    assert not passes(filter, asked(target="/abc/def"))
    assert not passes(filter, asked(target="/%61bc/def"))
    facts = refused(filter, asked(target="/abcde/f", project="another")).facts
    assert facts is not None and facts["key"] == {"captures": ("abcde", "f")}


def test_one_parameter_of_the_path_may_be_part_of_the_key() -> None:
    filter = limiter(
        {"rate": "1/minute", "path": "/v2/{project}/{rest*}", "key": ["capture:project", "method"]}
    )
    spent(filter, 1, target="/v2/p/a")
    assert passes(filter, asked(target="/v2/q/a"))
    facts = refused(filter, asked(target="/v2/p/b")).facts
    assert facts is not None and facts["key"] == {"method": "GET", "captures": ("p",)}


# ---- whom they are for


def member(
    project: str, user: str = "u", roles: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> Exchange:
    return exchange(
        principal=Principal(project_id=project, user_id=user, roles=roles, groups=groups),
        clock=Instant(1_700_000_000.0, 1000.0),
    )


GROUPS = {
    "limits": [{"name": "all", "rate": "4/minute", "key": ["global"], "status": 503}],
    "groups": [
        {"name": "gold", "for": {"groups": ["gold"], "roles": ["admin"]}, "limits": [{"rate": "3/minute"}]},
        {"name": "ours", "for": {"projects": ["own"]}},
        {"name": "others", "limits": [{"rate": "1/minute"}]},
    ],
}


@pytest.mark.parametrize(
    ("made", "passed", "rule"),
    [
        (member("p", groups=("gold",)), 3, ("groups", 0, "limits", 0)),
        (member("own", roles=("Admin",)), 3, ("groups", 0, "limits", 0)),
        (member("own"), 4, ("limits", 0)),
        (member("p", roles=("member",)), 1, ("groups", 2, "limits", 0)),
        (asked(project=None), 1, ("groups", 2, "limits", 0)),
    ],
)
def test_the_first_group_of_a_caller_says_which_limits_hold(
    made: Exchange, passed: int, rule: tuple[str | int, ...]
) -> None:
    filter = build(RateLimit, GROUPS)
    for _ in range(passed):
        assert passes(filter, made)
    assert refused(filter, made).rule == rule


def test_a_limit_on_all_together_is_answered_503() -> None:
    filter = build(RateLimit, GROUPS)
    for project in "abcd":
        assert passes(filter, member(project, f"user-{project}"))
    fault = refused(filter, member("e"))
    assert (fault.status, fault.retry_after, fault.message) == (503, 15, "This request was rate-limited.")
    assert fault.facts is not None
    assert (fault.facts["limit"], fault.facts["key"]) == ("all", {})
    assert fault.facts["consumers"] == tuple((f"user-{project}", 1) for project in "abcd")


@pytest.mark.parametrize(
    ("exempt", "option"),
    [
        ({"roles": ["admin"]}, "roles"),
        ({"projects": ["p1"]}, "projects"),
        ({"users": ["u1"]}, "users"),
        ({"groups": ["gold"]}, "groups"),
        ({"networks": ["192.0.2.0/24"]}, "networks"),
        ({"paths": ["/health{rest*}", "regex:/a|/b"]}, "paths"),
    ],
)
def test_some_requests_are_exempt(exempt: dict[str, Any], option: str) -> None:
    filter = limiter({"rate": "1/minute"}, exempt=exempt)
    who = Principal(project_id="p1", user_id="u1", roles=("ADMIN",), groups=("gold",))
    for _ in range(3):
        made = exchange(target="/healthy", principal=who, client="192.0.2.9")
        assert passes(filter, made)
        assert [(note.reason, note.rule) for note in made.notes] == [("rate_exempt", ("exempt", option))]
    others = exchange(target="/x/healthy", principal=Principal(project_id="p2"), client="198.51.100.1")
    assert passes(filter, others)
    assert not passes(filter, others)


def test_a_project_may_have_terms_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("big: { writes: 3/minute }\nfree: unlimited\nout: blocked\n")
    services = FrozenServices(directory=tmp_path)
    filter = limiter(
        {"name": "writes", "rate": "1/minute"}, services=services, overrides={"file": "own.yaml"}
    )
    spent(filter, 1, project="small")
    assert not passes(filter, asked(project="small"))
    spent(filter, 3, project="big")
    fault = refused(filter, asked(project="big"))
    assert fault.details == "Only 3 GET request(s) can be made to * every minute."
    assert fault.facts is not None and fault.facts["override"] == "own.yaml:1:8"
    assert fault.headers[0][1] == '"writes";q=3;w=60'
    spent(filter, 9, project="free")
    assert refused(filter, asked(project="out")).retry_after is None
    assert refused(filter, asked(project="out")).rule == ("limits", 0)


# ---- what the client hears


def test_who_is_blocked_hears_of_no_time_by_any_limit(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("out: { writes: blocked }\n")
    filter = limiter(
        {"name": "slow", "rate": "1/day"},
        {"name": "writes", "rate": "1/minute"},
        services=FrozenServices(directory=tmp_path),
        overrides={"file": "own.yaml"},
        headers=["ietf", "x-ratelimit", "three-field"],
    )
    fault = refused(filter, asked(project="out"))
    assert fault.retry_after is None
    assert fault.headers == (
        ("RateLimit-Policy", '"slow";q=1;w=86400, "writes";q=0;w=60'),
        ("RateLimit", '"slow";r=1;t=0, "writes";r=0'),
        ("X-RateLimit-Limit", "0"),
        ("X-RateLimit-Remaining", "0"),
        ("RateLimit-Limit", "0"),
        ("RateLimit-Remaining", "0"),
    )


@pytest.mark.parametrize("algorithm", ["gcra", "fixed_window", "sliding_window", "calendar_window"])
def test_who_waits_as_long_as_told_passes_and_no_sooner(algorithm: str) -> None:
    limits: list[dict[str, Any]] = [
        {"name": "one", "rate": "3/day", "algorithm": algorithm},
        {"name": "two", "rate": "2/minute", "key": ["user_id"]},
    ]
    filter = limiter(*limits, headers=["ietf", "x-ratelimit"])
    at = 0.37
    spent(filter, 2, at=at)
    for _ in range(3):
        fault = refused(filter, asked(at=at))
        wait = fault.retry_after
        assert wait is not None
        told = dict(fault.headers)
        assert told["X-RateLimit-Reset"] == str(wait)
        full = [int(item.rpartition("t=")[2]) for item in told["RateLimit"].split(", ") if ";r=0;" in item]
        assert max(full) == wait
        assert not passes(filter, asked(at=at + wait - 1.01))
        at += wait
        assert passes(filter, asked(at=at))
        while passes(filter, asked(at=at)):
            pass


def test_retry_after_may_be_a_date() -> None:
    filter = limiter({"rate": "1/minute"}, retry_after="date")
    spent(filter, 1)
    fault = refused(filter, asked())
    assert (fault.retry_after, fault.retry_date) == (60, True)


def test_a_refusal_tells_of_every_limit_until_when_it_has_no_room() -> None:
    filter = limiter(
        {"name": "burst", "rate": "2/minute", "burst": 2},
        {"name": "day", "rate": "5/day", "algorithm": "fixed_window", "key": ["user_id"]},
        headers=["ietf", "x-ratelimit", "three-field"],
        partition_key=True,
    )
    spent(filter, 2)
    fault = refused(filter, asked())
    policies, states = (dict(fault.headers)[name] for name in ("RateLimit-Policy", "RateLimit"))
    form = re.compile(r'"burst";(.*);pk=:([A-Za-z0-9+/]{12}):, "day";(.*);pk=:([A-Za-z0-9+/]{12}):')
    first, second = form.fullmatch(policies), form.fullmatch(states)
    assert first is not None and second is not None
    assert first.group(1, 3) == ("q=2;w=60", "q=5;w=86400")
    assert second.group(1, 3) == ("r=0;t=30", "r=3;t=86400")
    assert first.group(2, 4) == second.group(2, 4)
    assert fault.headers[2:] == (
        ("X-RateLimit-Limit", "2"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "30"),
        ("RateLimit-Limit", "2"),
        ("RateLimit-Remaining", "0"),
        ("RateLimit-Reset", "30"),
    )


def test_no_header_fields_where_none_are_wanted() -> None:
    filter = limiter({"rate": "1/minute"}, headers=[])
    spent(filter, 1)
    assert refused(filter, asked()).headers == ()


def test_answers_tell_where_a_client_stands_where_asked_for() -> None:
    filter = limiter(
        {"name": "m", "rate": "10/minute"},
        {"name": "h", "rate": "100/hour", "algorithm": "fixed_window"},
        headers=["ietf", "x-ratelimit"],
        headers_on="all",
    )
    for number in range(3):
        made = asked(at=number)
        assert passes(filter, made)
        headers = answered(filter, made, ("X-Own", "1"), status=404).headers
    assert headers.get("RateLimit-Policy") == '"m";q=10;w=60, "h";q=100;w=3600'
    assert headers.get("RateLimit") == '"m";r=7;t=16, "h";r=97;t=3598'
    assert headers.get("X-RateLimit-Remaining") == "7"
    assert headers.get("X-Own") == "1"


def test_an_answer_costs_nothing_where_nothing_is_to_be_said() -> None:
    assert limiter(TEN).statuses == frozenset()
    assert limiter(TEN, headers=[], headers_on="all").statuses == frozenset()
    assert limiter(TEN, headers_on="all").statuses is None
    assert limiter(BY_ANSWER).statuses is None


def test_what_an_answer_costs_counts_in_what_it_tells() -> None:
    filter = limiter(BY_ANSWER, headers_on="all")
    made = asked()
    assert passes(filter, made)
    assert answered(filter, made, ("X-Cost", "4")).headers.get("RateLimit") == '"limits[0]";r=6;t=24'
    made = asked()
    assert passes(filter, made)
    assert answered(filter, made, ("X-Cost", "40")).headers.get("RateLimit") == '"limits[0]";r=0;t=150'


@given(
    st.lists(
        st.sampled_from(
            [
                {"rate": "3/minute"},
                {"rate": "5/minute", "burst": 2},
                {"rate": "4/minute", "algorithm": "sliding_window"},
                {"rate": "3/second", "algorithm": "fixed_window"},
                {"rate": "9/day", "algorithm": "calendar_window"},
            ]
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.sampled_from([0.0, 0.5, 3.0, 20.0, 60.0]), max_size=25),
)
def test_a_client_that_believes_what_it_is_told_is_never_refused(
    limits: list[dict[str, Any]], pauses: list[float]
) -> None:
    """It asks as long as something remains of every limit, and else waits until something does."""
    filter = limiter(*limits, headers_on="all")
    at, last, told = 0.0, 0.0, ""
    for pause in pauses:
        at += pause
        standing = re.findall(r";r=(\d+);t=(\d+)", told)
        at = max([at, *(last + int(reset) for remaining, reset in standing if remaining == "0")])
        made = asked(at=at)
        assert passes(filter, made), (at, told)
        told, last = answered(filter, made).headers.get("RateLimit") or "", at


# ---- who has filled a bucket


def test_a_refusal_names_the_consumers_of_a_bucket_that_several_share() -> None:
    filter = limiter({"rate": "10/minute"})
    for user, count in (("ann", 3), ("bob", 6), ("eve", 1)):
        for _ in range(count):
            assert passes(filter, member("p", user))
    facts = refused(filter, member("p", "ann")).facts
    assert facts is not None
    assert facts["consumers"] == (("bob", 6), ("ann", 3), ("eve", 1))


def test_what_an_answer_has_cost_is_its_callers_too() -> None:
    filter = limiter({"rate": "10/minute", "cost": {"header": "X-Cost", "max": 10}})
    made = member("p", "ann")
    assert passes(filter, made)
    answered(filter, made, ("X-Cost", "8"))
    for _ in range(2):
        assert passes(filter, member("p", "bob"))
    facts = refused(filter, member("p", "bob")).facts
    assert facts is not None
    assert facts["consumers"] == (("ann", 8), ("bob", 2))


@pytest.mark.parametrize("key", ["user_id", "token", "client_ip"])
def test_a_bucket_of_one_has_no_consumers(key: str) -> None:
    filter = limiter({"rate": "1/minute", "key": [key]})
    spent(filter, 1)
    facts = refused(filter, asked()).facts
    assert facts is not None and "consumers" not in facts


def test_consumers_need_not_be_remembered() -> None:
    filter = limiter({"rate": "1/minute"}, consumers=False)
    spent(filter, 1)
    facts = refused(filter, asked()).facts
    assert facts is not None and "consumers" not in facts


def test_what_may_be_secret_is_not_told() -> None:
    services = FrozenServices()
    filter = limiter({"rate": "1/minute", "key": ["header:X-Secret", "project_id"]}, services=services)
    spent(filter, 1, headers={"X-Secret": "hidden"})
    fault = refused(filter, asked(headers={"X-Secret": "hidden"}))
    assert fault.facts is not None and fault.facts["key"] == {"project_id": "p1"}
    assert "hidden" not in repr((fault.facts, fault.headers, fault.details))


def test_consumers_outlive_a_reload() -> None:
    services = FrozenServices()
    spent(limiter({"rate": "1/minute"}, services=services), 1)
    facts = refused(limiter({"rate": "1/minute"}, services=services), asked()).facts
    assert facts is not None and facts["consumers"] == (("192.0.2.1", 1),)
