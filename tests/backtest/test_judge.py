"""The way of a recorded exchange through a chain."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.backtest.judge import Count, Judge, Skip, Trace
from gateway.backtest.recorded import FORWARD, REFUSE, UNDECIDABLE, past_of
from gateway.backtest.tariff import Placed
from gateway.config.load import loads
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.backtest.logged import KEYSTONE, NOW, Asked, logged, recorded, text_of

LIMIT: dict[str, Any] = {
    "rate_limit": {"limits": [{"name": "few", "rate": "2/minute", "burst": 1, "key": ["project_id"]}]}
}
METHODS: dict[str, Any] = {"methods": {"allow": ["GET"]}}


async def _judged(
    old: str, new: str, *requests: Asked, **options: Any
) -> tuple[list[Trace], Sequence[Placed]]:
    """With the tariffs that the traces name."""
    plan, *records = await logged(old, requests)
    registry = Registry()
    judge = Judge(build_plan(loads(new, "new.yaml", registry=registry), registry), **options)
    past = past_of(plan)
    return [judge.trace(recorded(record, past)) for record in records], judge.tariffs.all


async def _traces(old: str, new: str, *requests: Asked, **options: Any) -> list[Trace]:
    return (await _judged(old, new, *requests, **options))[0]


async def _trace(old: list[Any], new: list[Any], request: Asked = Asked(0), **options: Any) -> Trace:
    (trace,) = await _traces(text_of(filters=old), text_of(filters=new), request, **options)
    return trace


async def test_filters_that_judge_by_what_is_recorded_judge_again() -> None:
    trace = await _trace([], [METHODS], Asked(0, method="PUT"))
    assert (trace.end.kind, trace.end.status, trace.end.filter) == (REFUSE, 405, "methods")
    assert trace.end.source.startswith("new.yaml:")


async def test_what_was_learnt_of_the_network_counts_where_the_filter_is_the_same() -> None:
    assert (await _trace([KEYSTONE], [KEYSTONE])).end.kind == FORWARD
    other = {"token_auth": {**KEYSTONE["token_auth"], "auth_url": "http://other.invalid/"}}
    (part,) = (await _trace([KEYSTONE], [other])).parts
    assert part.kind == UNDECIDABLE and "another than it was" in part.reason  # type: ignore[union-attr]
    assert (await _trace([KEYSTONE], [other], callers=True)).parts == []


async def test_who_was_calling_is_known_behind_it_and_not_otherwise() -> None:
    rbac = {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}]}}
    assert (await _trace([KEYSTONE], [KEYSTONE, rbac])).end.kind == FORWARD
    trace = await _trace([], [KEYSTONE, rbac])
    assert [part.filter for part in trace.parts] == ["token_auth", "rbac"]  # type: ignore[union-attr]


@pytest.mark.parametrize("trusted", [True, False])
async def test_what_only_some_peers_may_say_no_filter_hears_of_others(trusted: bool) -> None:
    """As in the gateway, also before the filter that believes them."""
    peers = ["0.0.0.0/0"] if trusted else ["10.255.255.1"]
    front = {"principal": {"sources": [{"repose": {"trusted_peers": peers, "roles": ["member"]}}]}}
    named = {"methods": {"allow": ["PUT"], "when": {"header": {"X-PP-User": "ann"}}}}
    rbac = {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}]}}
    asked = Asked(0, headers=(("X-PP-User", "ann"),))
    for then in ([front], [front, rbac]):
        trace = await _trace(then, [front, rbac], asked)
        assert trace.end.kind == (FORWARD if trusted else REFUSE)
        assert trace.end.filter == ("" if trusted else "rbac")
    trace = await _trace([front], [named, front], asked)
    assert (trace.end.kind, trace.end.filter) == ((REFUSE, "methods") if trusted else (FORWARD, ""))


async def test_what_limits_would_charge_is_told() -> None:
    text = text_of(filters=[KEYSTONE, LIMIT])
    (trace,), (tariff,) = await _judged(text, text, Asked(5))
    (count,) = trace.parts
    assert isinstance(count, Count)
    assert (count.instant, count.passed) == (NOW + 5, True)
    ((number, key, cost, hashed, tells, held, late, spelling),) = count.draws
    assert (number, key, cost, tells, held, late, spelling) == (0, "p1", 1, True, None, False, ())
    assert (tariff.place, tariff.limit, tariff.age) == (1, "few", 30.0)
    assert hashed


async def test_how_long_it_was_on_its_way_to_a_limit_is_told() -> None:
    old, moved = text_of(filters=[METHODS, KEYSTONE, LIMIT]), text_of(filters=[METHODS, LIMIT, KEYSTONE])
    plan, record = await logged(old, [Asked(0)])
    for step, ms in zip(record["gateway.filters"], (0.25, 400.0, 7.0), strict=False):
        step["ms"] = ms
    record["gateway.chain.in_ms"] = 407.25
    registry = Registry()
    waited = []
    for text in (old, moved):
        judge = Judge(build_plan(loads(text, "new.yaml", registry=registry), registry))
        parts = judge.trace(recorded(record, past_of(plan))).parts
        waited += [part.waited for part in parts if isinstance(part, Count)]
    assert waited == pytest.approx([0.40025, 0.00025])


async def test_what_a_cell_held_is_believed_only_of_the_same_limit() -> None:
    other = {"rate_limit": {"limits": [{"name": "few", "rate": "9/minute", "key": ["project_id"]}]}}
    (count,) = (await _trace([KEYSTONE, LIMIT], [KEYSTONE, other])).parts
    assert isinstance(count, Count) and count.passed is True
    assert [(tells, held) for _, _, _, _, tells, held, _, _ in count.draws] == [(False, None)]


async def test_what_is_not_charged_any_more_is_told_too() -> None:
    trace = await _trace([KEYSTONE, LIMIT], [METHODS, KEYSTONE, LIMIT], Asked(0, method="PUT"))
    (skip,) = trace.parts
    assert isinstance(skip, Skip) and list(skip.hashes) == ["few"]


async def test_what_is_charged_under_another_condition_is_told_too() -> None:
    never = {"rate_limit": {**LIMIT["rate_limit"], "when": {"method": ["PUT"]}}}
    (skip,) = (await _trace([KEYSTONE, LIMIT], [KEYSTONE, never])).parts
    assert isinstance(skip, Skip) and list(skip.hashes) == ["few"]


async def test_one_that_counts_may_have_charged_where_its_condition_is_not_known() -> None:
    by_field = {"rate_limit": {**LIMIT["rate_limit"], "when": {"header": {"x-own": {"regex": "1"}}}}}
    parts = (await _trace([KEYSTONE], [KEYSTONE, by_field])).parts
    assert [type(part).__name__ for part in parts] == ["Verdict", "Loss"]


async def test_an_entry_in_shadow_judges_its_share_as_it_does_in_the_gateway() -> None:
    shared = {"rate_limit": {**LIMIT["rate_limit"], "mode": "shadow", "shadow_percent": 50}}
    old, new = text_of(filters=[KEYSTONE, LIMIT]), text_of(filters=[KEYSTONE, shared])
    plan, *records = await logged(old, [Asked(at * 100) for at in range(4)])
    registry = Registry()
    judge = Judge(build_plan(loads(new, "new.yaml", registry=registry), registry))
    for number, last in enumerate(("00000000", "00001387", "00001388", "0000270f")):
        records[number]["gateway.request_id"] = records[number]["gateway.request_id"][:-8] + last
    parts = [judge.trace(recorded(record, past_of(plan))).parts for record in records]
    assert [[type(part).__name__ for part in each] for each in parts] == [
        ["Count"],
        ["Count"],
        ["Skip"],
        ["Skip"],
    ]


async def test_who_cannot_be_known_may_be_anybody_to_a_limit() -> None:
    trace = await _trace([], [KEYSTONE, LIMIT])
    assert [type(part).__name__ for part in trace.parts] == ["Verdict", "Verdict", "Loss"]


async def test_bodies_are_judged_by_the_record_where_the_filter_is_the_same() -> None:
    json_body: dict[str, Any] = {"json_body": {}}
    request = Asked(0, method="POST", body=b"{")
    same = await _trace([json_body], [json_body], request)
    assert (same.end.kind, same.end.filter) == (REFUSE, "json_body")
    (part,) = (await _trace([], [json_body], request)).parts
    assert part.reason == "bodies are not recorded"  # type: ignore[union-attr]


async def test_bodies_that_were_judged_by_another_parameter_are_not_judged_by_the_record() -> None:
    def text(path: str) -> str:
        routes = [{"name": "any", "path": path, "upstream": "main"}]
        return text_of(filters=[{"json_body": {"metadata": "item", "key_param": "key"}}], routes=routes)

    item = Asked(0, method="PUT", target="/m/a/b", body=b'{"meta": {"b": "x"}}')
    old, new = text("/m/{name}/{key}"), text("/m/{key}/{name}")
    (same,) = await _traces(old, old, item)
    assert (same.parts, same.end.kind) == ([], FORWARD)
    (trace,) = await _traces(old, new, item)
    (part,) = trace.parts
    assert part.reason == "the path of its route was another"  # type: ignore[union-attr]


async def test_header_fields_that_were_not_recorded() -> None:
    by_field = {**METHODS["methods"], "when": {"header": {"x-own": {"regex": "1"}}}}
    (part,) = (await _trace([], [{"methods": by_field}])).parts
    assert part.reason == "whether its `when` holds is not known"  # type: ignore[union-attr]
    assert (await _trace([{"methods": by_field}], [{"methods": by_field}])).parts == []


BEARER = Asked(0, headers=(("Authorization", "Bearer abcdefghijk"),))
BASIC = Asked(0, headers=(("Authorization", "Basic abcdefghijk"),))


def _posts_only(name: str, test: Any) -> dict[str, Any]:
    return {"methods": {"allow": ["POST"], "when": {"header": {name: test}}}}


async def test_what_is_secret_was_judged_and_is_not_judged_anew() -> None:
    bearer, basic = ([_posts_only("Authorization", {"regex": f"{word} .*"})] for word in ("Bearer", "Basic"))
    for request, kind in ((BEARER, REFUSE), (BASIC, FORWARD), (Asked(0), FORWARD)):
        assert (await _trace(bearer, bearer, request)).end.kind == kind
    for request in (BEARER, BASIC):
        (part,) = (await _trace(bearer, basic, request)).parts
        assert part.reason == "whether its `when` holds is not known"  # type: ignore[union-attr]
    exact = [_posts_only("Authorization", "Basic abcdefghijk")]
    (part,) = (await _trace(bearer, exact, BASIC)).parts
    assert part.reason == "whether its `when` holds is not known"  # type: ignore[union-attr]


async def test_that_something_secret_is_there_is_known() -> None:
    matching, there = ([_posts_only("Authorization", test)] for test in ({"regex": "Basic .*"}, True))
    assert (await _trace(matching, there, BEARER)).end.kind == REFUSE
    assert (await _trace(matching, there)).end.kind == FORWARD


async def test_a_copy_of_something_secret_is_secret() -> None:
    copying = {"headers": {"request": {"copy": {"Authorization": ["X-A"]}}}}
    old = [copying, _posts_only("X-A", {"regex": "Bearer .*"})]
    assert (await _trace(old, old, BEARER)).end.kind == REFUSE
    (part,) = (await _trace(old, [copying, _posts_only("X-A", {"regex": "Basic .*"})], BEARER)).parts
    assert part.kind == UNDECIDABLE  # type: ignore[union-attr]


async def test_in_shadow_too() -> None:
    def shadow(word: str) -> list[Any]:
        (entry,) = [_posts_only("Authorization", {"regex": f"{word} .*"})]
        return [{"methods": {**entry["methods"], "mode": "shadow"}}]

    (told,) = (await _trace(shadow("Bearer"), shadow("Bearer"), BEARER)).shadows
    assert (told.before.kind, told.after.kind) == (REFUSE, REFUSE)
    trace = await _trace(shadow("Bearer"), shadow("Basic"), BEARER)
    assert (trace.end.kind, list(trace.shadows)) == (FORWARD, [])


async def test_a_field_that_connection_names_was_not_there() -> None:
    there = [_posts_only("X-Color", True)]
    color = ("X-Color", "red")
    assert (await _trace(there, there, Asked(0, headers=(color,)))).end.kind == REFUSE
    assert (
        await _trace(there, there, Asked(0, headers=(("Connection", "X-Color"), color)))
    ).end.kind == FORWARD


PRINCIPAL: dict[str, Any] = {
    "principal": {"sources": [{"header": {"name": "X-Auth-Key", "trusted_peers": ["0.0.0.0/0"]}}]}
}


async def test_a_caller_who_is_known_by_something_secret_is_not_known_anew() -> None:
    exempt = {"rate_limit": {**LIMIT["rate_limit"], "exempt": {"users": ["bob-the-user"]}}}
    bob, eve = (Asked(0, headers=(("X-Auth-Key", name),)) for name in ("bob-the-user", "eve-the-user"))
    same = text_of(filters=[PRINCIPAL, exempt])
    of_bob, of_eve = await _traces(same, same, bob, eve)
    assert (of_bob.end.kind, of_bob.parts) == (FORWARD, [])
    assert [type(part).__name__ for part in of_eve.parts] == ["Count"]
    changed = text_of(filters=[PRINCIPAL, METHODS, exempt])
    for trace in await _traces(same, changed, bob, eve):
        (part, *_) = trace.parts
        assert (part.filter, part.reason) == ("rate_limit", "who was calling is not known")  # type: ignore[union-attr]


async def test_a_limit_tells_callers_apart_by_the_hashes_of_their_secrets() -> None:
    by_key = {
        "rate_limit": {"limits": [{"name": "few", "rate": "2/minute", "key": ["header:Authorization"]}]}
    }
    old, new = text_of(filters=[by_key]), text_of(filters=[METHODS, by_key])
    counts = [trace.parts[0] for trace in await _traces(old, new, BEARER, BASIC, BEARER)]
    first, second, third = (count.draws[0][1] for count in counts if isinstance(count, Count))
    assert first == third != second


async def test_a_parameter_that_is_secret_was_judged_and_is_not_judged_anew(tmp_path: Path) -> None:
    for name, pattern in (("old.yaml", "^key-"), ("new.yaml", "^other-")):
        (tmp_path / name).write_text(
            "openapi: 3.0.3\ninfo: {title: t, version: '1'}\nservers: [{url: /}]\n"
            "paths: {/a: {get: {parameters: [{name: X-Api-Key, in: header, required: true, "
            f"schema: {{type: string, pattern: '{pattern}'}}}}], responses: {{'200': {{description: ok}}}}}}}}}}\n"
        )
    old, new = ([{"api": {"description": str(tmp_path / name)}}] for name in ("old.yaml", "new.yaml"))
    right, wrong = (Asked(0, headers=(("X-Api-Key", key),)) for key in ("key-12345678", "nokey-12345678"))
    assert (await _trace(old, [*old, METHODS], right)).end.kind == FORWARD
    assert (await _trace(old, old, wrong)).end.reason == "parameter_invalid"
    (part,) = (await _trace(old, new, right)).parts
    assert part.reason == "the value of X-Api-Key is secret, and not recorded"  # type: ignore[union-attr]


RBAC: dict[str, Any] = {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}]}}
REDACTED = Asked(0, target="/a?token=sekret123")


async def test_what_a_filter_said_counts_only_where_the_request_comes_to_it_as_it_did() -> None:
    assert (await _trace([KEYSTONE, RBAC], [KEYSTONE, RBAC], REDACTED)).parts == []
    (part,) = (await _trace([KEYSTONE, RBAC], [RBAC, KEYSTONE], REDACTED)).parts
    assert part.filter == "rbac"  # type: ignore[union-attr]
    assert part.reason == "what is made of the request before it is another than it was"  # type: ignore[union-attr]
    on_route = text_of(
        filters=[RBAC],
        routes=[{"name": "any", "path": "/{rest*}", "upstream": "main", "filters": [KEYSTONE]}],
    )
    (trace,) = await _traces(text_of(filters=[KEYSTONE, RBAC]), on_route, REDACTED)
    assert [part.filter for part in trace.parts] == ["rbac"]  # type: ignore[union-attr]


async def test_a_filter_that_only_refuses_may_come_before_another_of_the_kind() -> None:
    trace = await _trace([KEYSTONE, METHODS, RBAC], [KEYSTONE, RBAC, METHODS], REDACTED)
    assert (trace.parts, trace.end.kind) == ([], FORWARD)


async def test_what_was_refused_before_filters_is_refused_by_every_configuration_or_undecidable() -> None:
    old = text_of(filters=[])
    traces = await _traces(old, old, Asked(0, target="/a/../b"), Asked(0, target="/a b"))
    assert [trace.end.kind for trace in traces] == [REFUSE, REFUSE]
    lenient = text_of(routes=[{"name": "any", "path": "/{rest*}", "upstream": "main", "target": "lenient"}])
    (trace,) = await _traces(old, lenient, Asked(0, target="/a/../b"))
    assert trace.end.kind == UNDECIDABLE
    long = Asked(0, target="/" + "a" * 20_000)
    (trace,) = await _traces(old, old, long)
    assert (trace.end.kind, trace.end.status) == (REFUSE, 414)
    (trace,) = await _traces(old, text_of(limits={"target_length": "4KiB"}), long)
    assert trace.end.kind == UNDECIDABLE


async def test_bodies_beyond_a_limit_are_refused_by_the_size_that_they_announce() -> None:
    old, new = text_of(), text_of(limits={"body": 100})
    plan, record = await logged(old, [Asked(0, method="POST", body=b"x" * 150)])
    facts = record["gateway.facts"]
    chunked = {**record, "gateway.facts": {name: facts[name] for name in facts if name != "content_length"}}
    small = {**chunked, "http.request.body.size": 100}
    registry = Registry()

    def ends(text: str) -> list[tuple[str, str]]:
        judge = Judge(build_plan(loads(text, "new.yaml", registry=registry), registry))
        traces = [judge.trace(recorded(told, past_of(plan))) for told in (record, chunked, small)]
        return [(trace.end.kind, trace.end.reason) for trace in traces]

    assert ends(new) == [
        (REFUSE, "request_too_large"),
        (UNDECIDABLE, "whether its body was whole when its size was looked at is not recorded"),
        (FORWARD, "passed"),
    ]
    assert ends(text_of(limits={"body": 150})) == [(FORWARD, "passed")] * 3


async def test_a_chunked_body_that_was_let_pass_is_let_pass_by_the_same_limit() -> None:
    text = text_of(limits={"body": 100})
    plan, record = await logged(text, [Asked(0, method="POST", body=b"x" * 50)])
    del record["gateway.facts"]["content_length"]
    registry = Registry()
    judge = Judge(build_plan(loads(text, "new.yaml", registry=registry), registry))
    trace = judge.trace(recorded({**record, "http.request.body.size": 5000}, past_of(plan)))
    assert trace.end.kind == FORWARD


async def test_what_a_record_of_another_version_says_nobody_knows() -> None:
    text = text_of(filters=[LIMIT])
    plan, record = await logged(text, [Asked(0)])
    registry = Registry()
    judge = Judge(build_plan(loads(text, "new.yaml", registry=registry), registry))
    versions: list[tuple[Any, list[str]]] = [(1, ["Count"]), (2, ["Count"])]
    versions += [(other, ["Loss"]) for other in (0, 3, "2", None, 2.0, True)]
    for version, kinds in versions:
        trace = judge.trace(recorded({**record, "record_version": version}, past_of(plan)))
        assert [type(part).__name__ for part in trace.parts] == kinds
        assert (trace.end.reason == "its record is of another version") is (kinds == ["Loss"])


async def test_routes_that_are_gone() -> None:
    old = text_of()
    new = text_of(routes=[{"name": "a", "path": "/a", "upstream": "main", "methods": ["GET"]}])
    traces = await _traces(old, new, Asked(0), Asked(0, method="PUT"), Asked(0, target="/b"))
    assert [(trace.end.status, trace.end.reason) for trace in traces] == [
        (0, "passed"),
        (405, "method_not_routed"),
        (404, "route_not_found"),
    ]


async def test_filters_in_shadow_are_compared_with_what_they_would_have_done() -> None:
    old = {"methods": {"allow": ["GET"], "mode": "shadow"}}
    new = {"methods": {"allow": ["GET", "PUT"], "mode": "shadow"}}
    (shadow,) = (await _trace([old], [new], Asked(0, method="PUT"))).shadows
    assert (shadow.name, shadow.before.kind, shadow.after.kind) == ("methods", REFUSE, FORWARD)
