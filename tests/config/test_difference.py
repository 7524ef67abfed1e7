"""What of two configurations is different, and what that does to access."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import Effect
from gateway.config import difference
from gateway.config.difference import EITHER, LOOSENS, NEUTRAL, TIGHTENS, Change, differences
from gateway.config.load import Loaded, loads
from gateway.config.model import Configuration
from gateway.registry import Registry
from tests.support.gateway import configuration

REGISTRY = Registry()
BASE: dict[str, Any] = {
    "upstreams": {"main": {"endpoints": ["http://a:1"]}, "copy": {"endpoints": ["http://b:1"]}},
    "filters": [
        {"rate_limit": {"limits": [{"name": "few", "rate": "10/minute", "burst": 5, "key": ["project_id"]}]}},
        {"methods": {"allow": ["GET", "POST"]}},
    ],
    "routes": [
        {"name": "one", "path": "/one", "upstream": "main", "filters": [{"body_size": {"max": 1024}}]},
        {"name": "two", "path": "/two", "upstream": "main"},
    ],
}


def _loaded(options: dict[str, Any], file: str = "new.yaml") -> Loaded:
    return loads(configuration("http://a:1", **{"workers": None, **options}), file, registry=REGISTRY)


def _changed(**paths: Any) -> dict[str, Any]:
    """BASE with other values: each key is a path, its parts between double underscores; None takes away."""
    made = copy.deepcopy(BASE)
    for path, value in paths.items():
        *way, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        place: Any = made
        for part in way:
            place = place[part]
        if value is None:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return made


def _found(**paths: Any) -> list[Change]:
    return differences(_loaded(BASE, "old.yaml"), _loaded(_changed(**paths)), REGISTRY)


LIMIT = "filters__0__rate_limit__limits__0"


def _limited(of_group: bool, **options: Any) -> Loaded:
    limit = {"name": "few", "key": ["project_id"], **options}
    group = {"name": "gold", "limits": [limit]}
    told = {"limits": [], "groups": [group]} if of_group else {"limits": [limit]}
    return _loaded({"filters": [{"rate_limit": told}], "routes": BASE["routes"]})


_FIXED = {"algorithm": "fixed_window"}
_SLIDING = {"algorithm": "sliding_window"}
_QUOTA = {"algorithm": "calendar_window"}
RATES: list[tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = [
    ({"rate": "10/minute"}, {"rate": "5/minute"}, [(TIGHTENS, "rate: 10/minute -> 5/minute")]),
    (
        {"rate": "10/minute"},
        {"rate": "600/hour"},
        [(LOOSENS, "rate: 10/minute -> 600/hour (the same rate, more at once: 10 -> 600)")],
    ),
    (
        {"rate": "10/minute", "burst": 7},
        {"rate": "600/hour", "burst": 7},
        [(NEUTRAL, "rate: 10/minute -> 600/hour (the same rate)")],
    ),
    (
        {"rate": "10/minute"},
        {"rate": "300/hour"},
        [(EITHER, "rate: 10/minute -> 300/hour (a lower rate, more at once: 10 -> 300)")],
    ),
    ({"rate": "10/minute"}, {"rate": "10/minute", "burst": 10}, []),
    ({"rate": "10/minute"}, {"rate": "10/minute", "burst": 20}, [(LOOSENS, "burst: 10 -> 20")]),
    (
        {"rate": "10/minute", "burst": 10},
        {"rate": "5/minute", "burst": 10},
        [(TIGHTENS, "rate: 10/minute -> 5/minute")],
    ),
    (
        {"rate": "10/minute"},
        {"rate": "5/minute", "burst": 20},
        [(LOOSENS, "burst: 10 -> 20"), (TIGHTENS, "rate: 10/minute -> 5/minute")],
    ),
    (
        {"rate": "60/hour", **_FIXED},
        {"rate": "1/minute", **_FIXED},
        [(TIGHTENS, "rate: 60/hour -> 1/minute (the same rate, less at once: 60 -> 1)")],
    ),
    (
        {"rate": "10/minute", **_SLIDING},
        {"rate": "1200/hour", **_SLIDING},
        [(LOOSENS, "rate: 10/minute -> 1200/hour (a higher rate, more at once: 10 -> 1200)")],
    ),
    (
        {"rate": "10/minute", "burst": 5},
        {"rate": "10/minute", **_SLIDING},
        [(LOOSENS, "burst: 5 -> 10"), (EITHER, "algorithm: gcra -> sliding_window")],
    ),
    (
        {"rate": "1000/day", **_QUOTA},
        {"rate": "900/day", **_QUOTA},
        [(TIGHTENS, "rate: 1000/day -> 900/day")],
    ),
    (
        {"rate": "1000/day", **_QUOTA},
        {"rate": "31000/month", **_QUOTA},
        [
            (
                LOOSENS,
                "rate: 1000/day -> 31000/month (the same rate or a higher one, by the month, more at once: 1000 -> 31000)",
            )
        ],
    ),
    (
        {"rate": "1000/day", **_QUOTA},
        {"rate": "30000/month", **_QUOTA},
        [
            (
                EITHER,
                "rate: 1000/day -> 30000/month (a lower or a higher rate, by the month, more at once: 1000 -> 30000)",
            )
        ],
    ),
    ({"rate": "9/day", **_QUOTA}, {"rate": "9/day", "time_zone": "UTC", **_QUOTA}, []),
    ({"rate": "9/day"}, {"rate": "9/day", "status": 413, "methods": []}, []),
    ({"rate": "9/day"}, {"rate": "9/day", "cost": {"default": 1, "methods": {"GET": 1}}}, []),
    (
        {"rate": "9/day", "cost": 2},
        {"rate": "9/day", "cost": {"default": 2, "methods": {"GET": 1}}},
        [(LOOSENS, "cost.methods.GET: 2 -> 1")],
    ),
    (
        {"rate": "9/day"},
        {"rate": "9/day", "cost": {"header": "X-Cost", "max": 5}},
        [(TIGHTENS, "cost.header: added X-Cost"), (TIGHTENS, "cost.max: added 5")],
    ),
]


@pytest.mark.parametrize("of_group", [False, True], ids=["for all", "of a group"])
@pytest.mark.parametrize(("old", "new", "told"), RATES, ids=lambda value: str(value)[:40])
def test_a_limit_is_held_against_another_by_what_it_lets_through(
    old: dict[str, Any], new: dict[str, Any], told: list[tuple[str, str]], of_group: bool
) -> None:
    what = "rate_limit 'gold' 'few'" if of_group else "rate_limit 'few'"
    sides = _limited(of_group, **old), _limited(of_group, **new)
    found = differences(*sides, REGISTRY)
    assert sorted((change.risk, str(change).removeprefix(f"{what} ")) for change in found) == sorted(told)
    back = differences(*sides[::-1], REGISTRY)
    assert sorted(_FLIP[change.risk] for change in back) == sorted(risk for risk, _ in told)
    if not told:
        assert sides[0].revision == sides[1].revision


def test_what_is_in_a_file_that_an_entry_names_counts_too(tmp_path: Path) -> None:
    def made(name: str, content: str) -> Loaded:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "terms.yaml").write_text(content)
        limits = {"limits": [{"name": "few", "rate": "1/day"}], "overrides": {"file": "terms.yaml"}}
        text = configuration("http://a:1", filters=[{"rate_limit": limits}])
        return loads(text, "gateway.yaml", registry=REGISTRY, directory=directory)

    old, new = made("old", "p1: blocked"), made("new", "p1: unlimited")
    (change,) = differences(old, new, REGISTRY)
    assert str(change).startswith("rate_limit file terms.yaml: ") and change.risk == EITHER
    assert differences(old, made("same", "p1: blocked"), REGISTRY) == []


def test_what_is_in_a_file_that_such_a_file_names_counts_too(tmp_path: Path) -> None:
    text = configuration("http://a:1", filters=[{"api": {"description": "api.wadl"}}])
    sides = []
    for name, pattern in (("old", "[0-9]"), ("new", ".*")):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "api.wadl").write_text(
            '<application><grammars><include href="g.xsd"/></grammars></application>'
        )
        (directory / "g.xsd").write_text(f'<schema><pattern value="{pattern}"/></schema>')
        loaded = loads(text, "gateway.yaml", registry=REGISTRY, directory=directory)
        sides.append(loaded.with_files())
    (change,) = differences(sides[0], sides[1], REGISTRY)
    assert str(change).startswith("api file g.xsd: ") and change.risk == EITHER
    assert differences(sides[0], sides[0], REGISTRY) == []


def test_a_limit_more_for_a_group_tightens() -> None:
    none = _loaded({"filters": [{"rate_limit": {"groups": [{"name": "gold"}]}}], "routes": BASE["routes"]})
    (change,) = differences(none, _limited(True, rate="1/day"), REGISTRY)
    assert (change.kind, change.what, change.risk) == ("added", "rate_limit 'gold' 'few'", TIGHTENS)


CASES: list[tuple[dict[str, Any], str, str]] = [
    ({f"{LIMIT}__rate": "5/minute"}, TIGHTENS, "rate_limit 'few' rate: 10/minute -> 5/minute"),
    ({f"{LIMIT}__rate": "1/second"}, LOOSENS, "rate_limit 'few' rate: 10/minute -> 1/second"),
    ({f"{LIMIT}__burst": 9}, LOOSENS, "rate_limit 'few' burst: 5 -> 9"),
    ({f"{LIMIT}__cost": 2}, TIGHTENS, "rate_limit 'few' cost.default: 1 -> 2"),
    ({f"{LIMIT}__key": ["user_id"]}, EITHER, "rate_limit 'few' key"),
    ({"filters__0__rate_limit__status": 429}, NEUTRAL, "rate_limit status: 413 -> 429"),
    ({"filters__0__rate_limit__exempt": {"roles": ["admin"]}}, LOOSENS, "rate_limit exempt: added"),
    ({f"{LIMIT}__name": "many"}, LOOSENS, "rate_limit 'few': removed"),
    ({"filters__1__methods__allow": ["GET"]}, TIGHTENS, "methods allow: removed POST"),
    ({"filters__1__methods__allow": ["GET", "POST", "PUT"]}, LOOSENS, "methods allow: added PUT"),
    ({"filters__1__methods__allow": ["POST", "GET"]}, NEUTRAL, "methods allow: moved"),
    ({"filters__1__methods__mode": "shadow"}, LOOSENS, "methods mode: enforce -> shadow"),
    ({"filters__1__methods__when": {"path": "/one"}}, LOOSENS, "methods when: added {path: [/one]}"),
    ({"filters__1": None}, LOOSENS, "methods: removed"),
    ({"filters__2": {"ip_allow": {"allow": ["10.0.0.0/8"]}}}, TIGHTENS, "ip_allow: added"),
    (
        {"filters__2": {"ip_allow": {"allow": ["10.0.0.0/8"], "mode": "shadow"}}},
        NEUTRAL,
        "ip_allow: added in shadow",
    ),
    ({"routes__0__filters__0__body_size__max": 2048}, LOOSENS, "route one: body_size max: 1024 -> 2048"),
    ({"routes__0__filters": []}, LOOSENS, "route one: body_size: removed"),
    ({"routes__1": None}, TIGHTENS, "route two: removed /two"),
    (
        {"routes__2": {"name": "three", "path": "/three", "upstream": "main"}},
        LOOSENS,
        "route three: added /three",
    ),
    ({"routes__1__path": "/deux"}, EITHER, "route two path: /two -> /deux"),
    ({"routes__1__target": "lenient"}, LOOSENS, "route two target: strict -> lenient"),
    ({"routes__1__methods": ["GET"]}, TIGHTENS, "route two methods: added [GET]"),
    ({"routes__1__concurrency": {"limit": 5}}, TIGHTENS, "route two concurrency: added"),
    ({"limits": {"body": 10}}, TIGHTENS, "limits body"),
    ({"limits": {"header_count": 10}}, TIGHTENS, "limits header_count"),
    ({"trusted_proxies": ["10.0.0.0/8"]}, EITHER, "trusted_proxies: added 10.0.0.0/8"),
    ({"forwarded": "off"}, EITHER, "forwarded: x -> off"),
    ({"upstreams__main__host": "inner.test"}, EITHER, "upstream main host: keep -> inner.test"),
    ({"upstreams__main__mirror": {"upstream": "copy"}}, EITHER, "upstream main mirror: added"),
    ({"routes__0__mirror": {"upstream": "copy"}}, EITHER, "route one mirror: added"),
    ({"upstreams__main__max_connections": 9}, TIGHTENS, "upstream main max_connections: added 9"),
    ({"upstreams__main__retries": {}}, NEUTRAL, "upstream main retries: added"),
    ({"trace": {"allow": {"roles": ["admin"]}}}, LOOSENS, "trace: added"),
    (
        {"routes__2": {"name": "any", "path": "/{rest*}", "upstream": "main"}},
        EITHER,
        "route any: added /{rest*}",
    ),
    (
        {"routes__2": {"name": "deep", "path": "/{a}/{b}", "upstream": "main"}},
        LOOSENS,
        "route deep: added /{a}/{b}",
    ),
    ({"faults": "problem"}, NEUTRAL, "faults: compute -> problem"),
    ({"drain_timeout": "9s"}, NEUTRAL, "drain_timeout: 5 -> 9"),
]


@pytest.mark.parametrize(
    ("paths", "risk", "text"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_change_and_what_it_does_to_access(paths: dict[str, Any], risk: str, text: str) -> None:
    found = _found(**paths)
    told = [(change.risk, str(change)) for change in found]
    assert any(told_risk == risk and told_text.startswith(text) for told_risk, told_text in told), told
    assert found[0].source.startswith("old.yaml:" if found[0].kind == "removed" else "new.yaml:")


def _token(**options: Any) -> dict[str, Any]:
    token = {"token": "t1", "user_id": "u1", "roles": ["member"], **options}
    return {"token_auth": {"providers": [{"static": {"tokens": [token]}}]}}


def _rbac(roles: Any) -> dict[str, Any]:
    return {"rbac": {"rows": [{"path": "/one", "roles": roles}]}}


def _of_project(*prefixes: str) -> dict[str, Any]:
    rows = [{"path": "/{project_id}", "roles": ["member"]}]
    return {"rbac": {"rows": rows, "project_param": "project_id", "strip_prefixes": list(prefixes)}}


def _admins(**keys: Any) -> dict[str, Any]:
    groups = [{"name": "inside", "networks": ["10.0.0.0/8"], "roles": ["admin"]}]
    return {"principal": {"sources": [{"ip": {"groups": groups}}], **keys}}


def _says_admin(**keys: Any) -> dict[str, Any]:
    return {"headers": {"request": {"set": {"X-Roles": "admin"}}, **keys}}


_INSIDE = {"ip_allow": {"allow": ["10.0.0.0/8"]}}
_GENERAL = {"name": "general", "path": "/{rest*}", "upstream": "main"}
_GUARDED = {"name": "guarded", "path": "/one", "upstream": "main", "filters": [_rbac(["admin"])]}
_BELOW = {**_GUARDED, "host": "*.a.test"}


def _query(**options: Any) -> list[dict[str, Any]]:
    return [{"query": {"allow": [{"name": "a", **options}], "others": "refuse"}}]


def _at_once(*key: str) -> list[dict[str, Any]]:
    return [{"concurrency": {"limits": [{"max": 2, "key": list(key)}]}}]


OPENS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a route goes whose requests another one takes": (
        {"routes": [_GUARDED, _GENERAL]},
        {"routes": [_GENERAL]},
    ),
    "a route goes, of a host whose requests another one takes": (
        {"routes": [_BELOW, {**_GENERAL, "host": "b.a.test"}]},
        {"routes": [{**_GENERAL, "host": "b.a.test"}]},
    ),
    "a route goes that answers the methods of another with 405": (
        {"routes": [{**_GENERAL, "methods": ["POST"]}, {**_GUARDED, "filters": [], "methods": ["GET"]}]},
        {"routes": [{**_GENERAL, "methods": ["POST"]}]},
    ),
    "a route gets another name": (
        {"routes": [_GUARDED]},
        {"routes": [{**_GUARDED, "name": "open", "filters": []}]},
    ),
    "somebody is known": ({"filters": [_rbac(["admin"])]}, {"filters": [_admins(), _rbac(["admin"])]}),
    "somebody is known in earnest": (
        {"filters": [_admins(mode="shadow"), _rbac(["admin"])]},
        {"filters": [_admins(), _rbac(["admin"])]},
    ),
    "a token does not expire": (
        {"filters": [_token(expires="2026-01-01T00:00:00Z")]},
        {"filters": [_token()]},
    ),
    "a token goes where the decision is delayed": (
        {"filters": [{"token_auth": {**_token()["token_auth"], "delay_auth_decision": True}}]},
        {
            "filters": [
                {"token_auth": {**_token(token="t2")["token_auth"], "delay_auth_decision": True}},
            ]
        },
    ),
    "a role is taken from who must not have it": (
        {"filters": [_token(), _rbac({"not": ["member"]})]},
        {"filters": [_token(roles=[]), _rbac({"not": ["member"]})]},
    ),
    "a proxy is a client again": (
        {"filters": [_INSIDE], "trusted_proxies": ["10.0.0.5"]},
        {"filters": [_INSIDE]},
    ),
    "a parameter is allowed in every case": (
        {"filters": _query()},
        {"filters": _query(case_sensitive=False)},
    ),
    "a limit is of each user": (
        {"filters": _at_once("project_id")},
        {"filters": _at_once("project_id", "user_id")},
    ),
    "a field says so": ({"filters": [_token()]}, {"filters": [_token(), _says_admin()]}),
    "a field says so of everybody": (
        {"filters": [_token(), _says_admin(when={"role": "admin"})]},
        {"filters": [_token(), _says_admin()]},
    ),
    "the path is another": ({"filters": []}, {"filters": [{"rewrite": {"strip_prefix": "/one"}}]}),
    "a parameter becomes a field": (
        {"filters": []},
        {"filters": [{"extract": {"fields": [{"header": "X-Who", "query": "who"}]}}]},
    ),
    "preflights are answered": (
        {"filters": [_token()]},
        {"filters": [{"cors": {"origins": ["*"]}}, _token()]},
    ),
    "limits are told": (
        {"filters": [_token()]},
        {
            "filters": [
                {"rate_limit": {"limits": [{"rate": "1/second"}], "endpoint": {"path": "/limits"}}},
                _token(),
            ]
        },
    ),
    "a shorter wait for a service that may be away": (
        {"filters": [{"external_auth": {"url": "http://a:1/", "on_error": "allow"}}]},
        {"filters": [{"external_auth": {"url": "http://a:1/", "on_error": "allow", "timeout": "50ms"}}]},
    ),
    "fewer prefixes, of which the longest is left out": (
        {"filters": [_of_project("A", "AA")]},
        {"filters": [_of_project("A")]},
    ),
}


@pytest.mark.parametrize(("old", "new"), OPENS.values(), ids=OPENS)
def test_what_may_let_somebody_pass_is_not_said_to_tighten(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = _loaded(old), _loaded(new)
    there, back = differences(before, after, REGISTRY), differences(after, before, REGISTRY)
    assert there and {change.risk for change in there} <= {LOOSENS, EITHER}
    assert {change.risk for change in back} <= {TIGHTENS, EITHER}


def test_what_is_said_of_an_option_is_said_of_its_parts_only_where_it_does_nothing_or_says_so() -> None:
    table: dict[str, Effect] = {
        "a": "more",
        "b": "none",
        "b.c": "less",
        "d.*": "greater",
        "d.e": "fewer",
    }
    told = {
        ("a",): "more",
        ("a", "x"): "either",
        ("b", "x"): "none",
        ("b", "c"): "less",
        ("d",): "either",
        ("d", "x", "y"): "greater",
        ("d", "e"): "fewer",
        ("z",): "either",
    }
    assert {place: difference._effect(place, table) for place in told} == told


@pytest.mark.parametrize(
    ("entry", "risk"),
    [
        ({"rate_limit": {"limits": [{"rate": "1/second"}]}}, TIGHTENS),
        ({"content_type": {"allow": ["a/b"]}}, TIGHTENS),
        ({"content_type": {"allow": ["a/b"], "strip_without_body": True}}, EITHER),
        ({"query": {"allow": ["a"], "others": "refuse"}}, TIGHTENS),
        ({"query": {"allow": ["a"]}}, EITHER),
        ({"uuid": {"params": ["a"], "mode": "shadow", "delegate": 0.5}}, EITHER),
        ({"principal": {"sources": [{"ip": {"others": True}}], "mode": "shadow"}}, NEUTRAL),
    ],
    ids=str,
)
def test_an_entry_more_tightens_where_all_it_does_is_to_refuse(entry: dict[str, Any], risk: str) -> None:
    without = {"routes": [{"name": "one", "path": "/{a}", "upstream": "main"}]}
    sides = _loaded(without), _loaded({**without, "filters": [entry]})
    assert [change.risk for change in differences(*sides, REGISTRY)] == [risk]
    assert [change.risk for change in differences(*sides[::-1], REGISTRY)] == [_FLIP[risk]]


def test_how_it_is_written_does_not_count() -> None:
    written = _changed(filters__0__rate_limit__status=413, routes__1__target="strict")
    assert differences(_loaded(BASE), _loaded(written), REGISTRY) == []


def test_what_loosens_comes_first() -> None:
    risks = [
        change.risk
        for change in _found(**{f"{LIMIT}__rate": "5/minute", f"{LIMIT}__burst": 9, "faults": "problem"})
    ]
    assert risks == [LOOSENS, TIGHTENS, NEUTRAL]


def test_another_order_of_filters_may_do_either() -> None:
    other = {**BASE, "filters": BASE["filters"][::-1]}
    (change,) = differences(_loaded(BASE), _loaded(other), REGISTRY)
    assert (change.kind, change.what, change.risk) == ("moved", "methods", EITHER)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("bcda", ["cors a: moved behind d"]),
        ("dabc", ["cors d: moved before a"]),
        ("acbd", ["cors c: moved behind a"]),
        ("adbc", ["cors d: moved behind a"]),
        ("badc", ["cors b: moved before a", "cors d: moved behind a"]),
        ("bxca", ["cors a: moved behind c", "cors d: removed", "cors x: added"]),
    ],
)
def test_what_has_moved_is_named_and_not_what_it_moved_past(order: str, told: list[str]) -> None:
    def made(names: str) -> Loaded:
        return _loaded(
            {"filters": [{"cors": {"name": name, "origins": ["https://a.test"]}} for name in names]}
        )

    assert sorted(map(str, differences(made("abcd"), made(order), REGISTRY))) == told


def test_the_place_of_what_judges_in_shadow_is_neutral() -> None:
    shadow = {"methods": {"allow": ["GET"], "mode": "shadow"}}
    one = _loaded({"filters": [shadow, {"ip_allow": {"allow": ["10.0.0.0/8"]}}, {"body_size": {"max": 1}}]})
    other = _loaded({"filters": [{"ip_allow": {"allow": ["10.0.0.0/8"]}}, {"body_size": {"max": 1}}, shadow]})
    (change,) = differences(one, other, REGISTRY)
    assert (str(change), change.risk) == ("methods: moved behind body_size", NEUTRAL)


def test_a_filter_that_only_judges_in_shadow_changes_no_access() -> None:
    shadow = _changed(filters__1__methods__mode="shadow")
    wider = copy.deepcopy(shadow)
    wider["filters"][1]["methods"]["allow"] = ["GET"]
    assert [change.risk for change in differences(_loaded(shadow), _loaded(wider), REGISTRY)] == [NEUTRAL]


def test_of_words_each_lets_more_pass_than_those_before_it() -> None:
    shared = {"filters__0__rate_limit__store": {"url": "redis://a:1"}}
    local = _loaded(_changed(**shared))
    deny = _loaded(_changed(**shared, filters__0__rate_limit__on_store_error="deny"))
    assert [(change.risk, str(change)) for change in differences(local, deny, REGISTRY)] == [
        (TIGHTENS, "rate_limit on_store_error: local -> deny")
    ]
    assert [change.risk for change in differences(deny, local, REGISTRY)] == [LOOSENS]


def test_no_secret_is_shown() -> None:
    def made(token: str) -> Loaded:
        tokens = [{"token": token, "user": "u"}]
        return _loaded({"filters": [{"token_auth": {"providers": [{"static": {"tokens": tokens}}]}}]})

    (change,) = differences(made("secret-number-one"), made("secret-number-two"), REGISTRY)
    assert "secret-number" not in str(change) and change.new == "another"


def test_the_number_of_workers_needs_a_restart() -> None:
    (change,) = _found(workers=3)
    assert change.restart and str(change) == "workers: added 3"
    assert not any(one.restart for one in _found(faults="problem"))


_FLIP = {LOOSENS: TIGHTENS, TIGHTENS: LOOSENS, EITHER: EITHER, NEUTRAL: NEUTRAL}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([case[0] for case in CASES]), max_size=3))
def test_the_way_back_undoes_what_the_way_there_does(cases: list[dict[str, Any]]) -> None:
    """The same number of changes, each with the opposite risk; and no change from a configuration to itself."""
    paths: dict[str, Any] = {}
    for case in cases:
        paths.update(case)
    try:
        old, new = _loaded(BASE), _loaded(_changed(**paths))
    except (IndexError, KeyError):
        return  # one takes away what another changes
    there, back = differences(old, new, REGISTRY), differences(new, old, REGISTRY)
    assert sorted(_FLIP[change.risk] for change in there) == sorted(change.risk for change in back)
    assert differences(new, new, REGISTRY) == []


def _paths(schema: dict[str, Any], definitions: dict[str, Any], depth: int = 0) -> set[str]:
    """The paths of all options, without numbers."""
    if depth > 9:
        return set()
    found: set[str] = set()
    if "$ref" in schema:
        found |= _paths(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        found |= _paths(part, definitions, depth + 1)
    if "items" in schema:
        found |= _paths(schema["items"], definitions, depth + 1)
    for name, inner in schema.get("properties", {}).items():
        found |= {name, *(f"{name}.{path}" for path in _paths(inner, definitions, depth + 1))}
    return found


@pytest.mark.parametrize("name", sorted(REGISTRY.names()))
def test_every_option_that_is_said_to_change_access_is_there(name: str) -> None:
    filter_class = REGISTRY.get(name)
    schema = filter_class.Config.model_json_schema()
    known = _paths(schema, schema.get("$defs", {}))
    assert {option.removesuffix(".*") for option in filter_class.access} <= known


def test_every_option_of_the_gateway_that_is_said_to_change_access_is_there() -> None:
    schema = Configuration.model_json_schema()
    known = {path.removesuffix(".*") for path in difference._CORE}
    for definition, place in (("Upstream", "upstreams."), ("Route", "routes."), ("", "")):
        part = schema["$defs"][definition] if definition else schema
        there = {place + path for path in _paths(part, schema["$defs"])}
        known -= there
    assert not known


def test_a_shadow_that_delegates_may_do_either() -> None:
    shadow = _changed(filters__1__methods__mode="shadow")
    told = copy.deepcopy(shadow)
    told["filters"][1]["methods"]["delegate"] = 0.5
    (change,) = differences(_loaded(shadow), _loaded(told), REGISTRY)
    assert (str(change), change.risk) == ("methods delegate: added 0.5", EITHER)
    (change,) = differences(_loaded(told), _loaded(shadow), REGISTRY)
    assert (change.kind, change.old, change.risk) == ("removed", "0.5", EITHER)


@pytest.mark.parametrize("delegate", [None, 0.5])
@pytest.mark.parametrize(
    "change",
    [{"shadow_percent": 50}, {"allow": ["GET"]}, {"when": {"path": "/one"}}, {"mode": "off"}],
    ids=str,
)
def test_what_a_shadow_does_is_neutral_but_where_it_delegates(
    change: dict[str, Any], delegate: float | None
) -> None:
    keys = {"mode": "shadow", "allow": ["GET", "POST"], "delegate": delegate}
    old, new = (_loaded({"filters": [{"methods": options}]}) for options in (keys, {**keys, **change}))
    risks = [found.risk for found in differences(old, new, REGISTRY)]
    assert risks == [NEUTRAL if delegate is None else EITHER]
