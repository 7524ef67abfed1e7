"""Limits: the same requests are refused as in Repose."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.migration.repose import Migration, migrate
from gateway.trial.given import Given, Identity
from gateway.trial.identity import identity_of
from gateway.trial.outcome import Outcome
from tests.migration.installed import (
    KEYSTONE,
    KNOWN,
    SYSTEM_MODEL,
    installed,
    moved_filter,
    notes,
    part,
    plan,
)
from tests.trial.tried import given, tried

LIMIT = '<limit id="l" uri="u" uri-regex="%s" http-methods="%s" unit="%s" value="%s"/>'


def _moved(directory: Path, body: str, attributes: str = "", **options: str) -> Migration:
    options.setdefault("before", KNOWN)
    return moved_filter(
        directory, "rate-limiting", f"<rate-limiting {attributes}>\n{body}</rate-limiting>", **options
    )


def _group(limits: str, attributes: str = 'groups="a"', default: str = "true", id: str = "g") -> str:
    return f'<limit-group id="{id}" {attributes} default="{default}">\n{limits}</limit-group>'


def _of(user: str, *groups: str) -> Identity:
    return identity_of({"user": user, "user_name": user, "groups": groups})


async def _all(made: Migration, *requests: Given) -> list[Outcome]:
    async with tried(made.text) as trial:
        return [await trial.run(request) for request in requests]


async def _statuses(made: Migration, *requests: tuple[str, str, dict[str, Any]]) -> list[int | None]:
    found = await _all(made, *(given(method, target, **options) for method, target, options in requests))
    return [one.status for one in found]


ANN, BOB = {"identity": _of("ann")}, {"identity": _of("bob")}


@pytest.mark.parametrize(
    ("expression", "methods", "requests", "expected"),
    [
        # A limit for a path and a method, apart for each user.
        (
            "/s/.*",
            "GET",
            [
                ("GET", "/s/1", ANN),
                ("GET", "/s/2", ANN),
                ("GET", "/s/1", BOB),
                ("POST", "/s/1", ANN),
                ("GET", "/t", ANN),
            ],
            [200, 413, 200, 200, 200],
        ),
        # Groups count what they capture apart.
        (
            "/s/([^/]+).*",
            "ALL",
            [("GET", "/s/1", ANN), ("GET", "/s/2", ANN), ("GET", "/s/1/x", ANN)],
            [200, 200, 413],
        ),
        # The path is read percent-decoded.
        ("/s/a", "GET", [("GET", "/s/%61", ANN), ("GET", "/s/a", ANN)], [200, 413]),
        # All methods of a limit together.
        (".*", "GET POST", [("GET", "/s", ANN), ("POST", "/t", ANN), ("PUT", "/t", ANN)], [200, 413, 200]),
    ],
)
async def test_what_is_counted(
    tmp_path: Path,
    expression: str,
    methods: str,
    requests: list[tuple[str, str, dict[str, Any]]],
    expected: list[int],
) -> None:
    made = _moved(tmp_path, _group(LIMIT % (expression, methods, "MINUTE", 1)))
    assert await _statuses(made, *requests) == expected


async def test_without_capture_groups_there_is_one_counter(tmp_path: Path) -> None:
    made = _moved(tmp_path, _group(LIMIT % ("/s/([^/]+)", "ALL", "MINUTE", 1)), 'use-capture-groups="false"')
    assert await _statuses(made, ("GET", "/s/1", ANN), ("GET", "/s/2", ANN)) == [200, 413]


@pytest.mark.parametrize(("unit", "seconds"), [("SECOND", 1), ("MINUTE", 60), ("HOUR", 3600), ("DAY", 86400)])
async def test_a_window_begins_with_the_first_request_and_gives_all_back(
    tmp_path: Path, unit: str, seconds: int
) -> None:
    made = _moved(tmp_path, _group(LIMIT % (".*", "ALL", unit, 2)))
    noon = given().wall
    first, second, third, fourth = await _all(
        made,
        *(
            given(identity=_of("ann"), wall=noon + later)
            for later in (0, 0.75 * seconds, 0.75 * seconds, seconds + 0.01)
        ),
    )
    assert [one.status for one in (first, second, third, fourth)] == [200, 200, 413, 200]
    assert third.answer is not None
    assert dict(third.answer.headers)["Retry-After"] == str(-(-seconds // 4))


@pytest.mark.parametrize(
    ("groups", "allowed"),
    [((), 1), (("gold",), 3), (("silver", "gold"), 3), (("silver",), 2), (("other",), 1)],
)
async def test_the_first_group_that_fits_is_the_only_one(
    tmp_path: Path, groups: tuple[str, ...], allowed: int
) -> None:
    made = _moved(
        tmp_path,
        _group((LIMIT % (".*", "ALL", "DAY", 1)).replace('"l"', '"d"'), 'groups="bronze"', id="d")
        + _group(LIMIT % (".*", "ALL", "DAY", 3), 'groups="gold platinum"', "false", "gold")
        + _group(
            (LIMIT % (".*", "ALL", "DAY", 2)).replace('"l"', '"s"'), 'groups="silver"', "false", "silver"
        ),
    )
    request = ("GET", "/", {"identity": _of("ann", *groups)})
    assert await _statuses(made, *[request] * (allowed + 1)) == [200] * allowed + [413]


async def test_a_default_group_that_has_names_comes_where_it_stands_too(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        _group((LIMIT % (".*", "ALL", "DAY", 1)).replace('"l"', '"d"'), 'groups="both"', id="d")
        + _group(LIMIT % (".*", "ALL", "DAY", 3), 'groups="both"', "false", "other"),
    )
    request = ("GET", "/", {"identity": _of("ann", "both")})
    assert await _statuses(made, request, request) == [200, 413]


async def test_without_a_default_who_is_in_no_group_has_no_limit(tmp_path: Path) -> None:
    made = _moved(tmp_path, _group(LIMIT % (".*", "ALL", "DAY", 1), 'groups="a"', "false"))
    assert await _statuses(made, *[("GET", "/", ANN)] * 3) == [200, 200, 200]


async def test_all_together_are_answered_503(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        f"<global-limit-group>{LIMIT % ('/s/.*', 'ALL', 'MINUTE', 2)}</global-limit-group>",
        'overLimit-429-responseCode="true"',
    )
    assert await _statuses(made, ("GET", "/s/1", ANN), ("GET", "/s/2", BOB), ("GET", "/s/3", ANN)) == [
        200,
        200,
        503,
    ]


async def test_parameters_of_the_query_are_needed_all(tmp_path: Path) -> None:
    limit = (LIMIT % (".*", "ALL", "MINUTE", 1)).replace("/>", ' query-param-names="a b"/>')
    made = _moved(tmp_path, _group(limit), 'overLimit-429-responseCode="true"')
    targets = ("/?a=1", "/?a", "/?B=1&%41=2", "/?b&a", "/?a=1")
    assert await _statuses(made, *(("GET", target, ANN) for target in targets)) == [200, 200, 200, 429, 200]


async def test_callers_ask_for_their_limits(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        '<request-endpoint uri-regex="/limits/?" include-absolute-limits="false"/>'
        + _group(LIMIT % ("/s", "GET", "MINUTE", 5)),
    )
    (got,) = await _all(made, given(target="/limits", identity=_of("ann")))
    assert got.answer is not None and got.status == 200
    assert b'"value":5' in got.answer.body.replace(b" ", b"")


async def test_limits_are_listed_by_the_uri_of_repose_and_those_by_a_group_are_told(tmp_path: Path) -> None:
    limits = LIMIT % ("/s/[^/]*", "GET", "MINUTE", 5) + (LIMIT % ("/t/([^/]*)", "GET", "MINUTE", 5)).replace(
        'id="l"', 'id="t"'
    )
    made = _moved(tmp_path, '<request-endpoint uri-regex="/limits/?"/>\n' + _group(limits))
    (got,) = await _all(made, given(target="/limits", identity=_of("ann")))
    assert got.answer is not None
    (rate,) = json.loads(got.answer.body)["limits"]["rate"]
    assert rate["uri"] == "u"
    assert "is not listed where clients ask for their limits: t" in notes(made, "rate-limiting")


def test_a_uri_that_says_no_more_is_not_written(tmp_path: Path) -> None:
    made = _moved(tmp_path, _group((LIMIT % (".*", "ALL", "MINUTE", 5)).replace('"u"', '"*"')))
    assert "uri:" not in made.text


def test_what_has_no_equal_is_told(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        _group(
            LIMIT % (".*", "ALL", "MINUTE", 0)
            + "\n"
            + LIMIT % (".*", "ALL", "WEEK", 1)
            + "\n"
            + LIMIT % ("(a+)+b", "ALL", "DAY", 1)
        )
        + '<limit-group id="nobody"/>',
        'datastore="distributed/hash-ring" datastore-warn-limit="500"',
    )
    said = notes(made, "rate-limiting")
    for line, text in (
        ("rate-limiting.cfg.xml:3 ", "a limit of 0"),
        ("rate-limiting.cfg.xml:4 ", "the unit 'WEEK'"),
        ("rate-limiting.cfg.xml:5 ", "may match for ever"),
        ("rate-limiting.cfg.xml:5 ", "names no group"),
        ("rate-limiting.cfg.xml:1 ", "datastore-warn-limit"),
        ("rate-limiting.cfg.xml:1 ", "Redis"),
    ):
        assert any(text in one and one.startswith(line) for one in said.splitlines()), (text, said)


@pytest.mark.parametrize("regex", ["/(.*)", "(.*)"])
async def test_a_group_that_takes_the_whole_path_counts_each_path(tmp_path: Path, regex: str) -> None:
    requests = [("GET", "/a", ANN), ("GET", "/b", ANN), ("GET", "/a", ANN)]
    each = _moved(tmp_path, _group(LIMIT % (regex, "GET", "MINUTE", "1")))
    assert await _statuses(each, *requests) == [200, 200, 413]
    together = _moved(tmp_path, _group(LIMIT % (regex, "GET", "MINUTE", "1")), 'use-capture-groups="false"')
    assert await _statuses(together, *requests) == [200, 413, 413]
    assert "regex:" not in together.text


def test_attributes_of_a_limit_that_is_not_moved_are_not_called_unknown(tmp_path: Path) -> None:
    limit = (LIMIT % ("(a+)+b", "GET", "MINUTE", "1")).replace("/>", ' query-param-names="a"/>')
    said = notes(_moved(tmp_path, _group(limit + LIMIT % ("/s", "GET", "MINUTE", "1"))), "rate-limiting")
    assert "the expression '(a+)+b'" in said and "unknown" not in said


@pytest.mark.parametrize(
    ("limit", "requests"),
    [
        (
            LIMIT % ("/admin/.*", "GET", "MINUTE", 0),
            [("GET", "/admin/a", 503), ("POST", "/admin/a", 200), ("GET", "/x", 200)],
        ),
        (LIMIT % ("/admin/.*", "ALL", "WEEK", 1), [("GET", "/admin/a", 503), ("GET", "/x", 200)]),
        (
            LIMIT % ("(a+)+b", "GET PUT", "DAY", 1),
            [("GET", "/x", 503), ("PUT", "/x", 503), ("POST", "/x", 200)],
        ),
    ],
)
async def test_a_limit_that_cannot_be_said_refuses_what_it_counted(
    tmp_path: Path, limit: str, requests: list[tuple[str, str, int]]
) -> None:
    made = _moved(tmp_path, _group(limit + LIMIT % ("/other", "GET", "MINUTE", 5)))
    asked = [(method, target, ANN) for method, target, _ in requests]
    assert await _statuses(made, *asked) == [status for _, _, status in requests]
    assert part(made, "rate-limiting").outcome == "not moved"


IP_USER = '<ip-user><group name="g"><cidr-ip>192.0.2.0/24</cidr-ip></group></ip-user>'


@pytest.mark.parametrize(
    ("before", "status"),
    [('<filter name="ip-user" uri-regex="/a/.*"/>', 401), ('<filter name="ip-user"/>', 200)],
)
async def test_who_is_not_known_is_refused_and_not_counted(tmp_path: Path, before: str, status: int) -> None:
    made = _moved(
        tmp_path,
        _group(LIMIT % (".*", "ALL", "MINUTE", 5)),
        before=before,
        **{"ip-user": IP_USER},
    )
    assert await _statuses(made, ("GET", "/", {})) == [status]
    assert ("rate-limiting-nobody" in made.text) is (status == 401)


NAMES = {
    "header-translation": "<h><header original-name='X-Plan' new-name='x-pp-groups' %s/></h>",
    "add-header": "<a><request><header name='X-PP-Groups' quality='0.9'>gold</header></request></a>",
    "url-extractor-to-header": "<u><extraction header='X-PP-User' url-regex='/v1/([^/]+)/.*'/></u>",
    "body-extractor-to-header": "<b><extraction header='X-PP-User' jsonpath='$.user'/></b>",
}
TAKEN = {
    "header-translation": "<h><header original-name='X-PP-User' new-name='X-Who' remove-original='true'/></h>",
    "header-normalization": "<h><target><request><blacklist><header id='X-PP-Groups'/></blacklist></request></target></h>",
    "merge-header": "<m><request><header>X-PP-User</header></request></m>",
}
KEPT = "<h><target><request><whitelist><header id='X-PP-User'/>%s</whitelist></request></target></h>"


def _chained(directory: Path, names: str, files: dict[str, str]) -> Migration:
    chain = "".join(f'<filter name="{name}"/>' for name in names.split())
    limits = f"<rate-limiting>{_group(LIMIT % ('.*', 'ALL', 'MINUTE', 5))}</rate-limiting>"
    installed(directory, chain, {"ip-user": IP_USER, "rate-limiting": limits, **files})
    made = migrate(directory, environment={})
    plan(made)
    return made


@pytest.mark.parametrize("before", ["ip-user ", ""])
@pytest.mark.parametrize("name", NAMES)
async def test_limits_of_a_user_or_a_group_that_a_field_is_made_for_refuse(
    tmp_path: Path, before: str, name: str
) -> None:
    made = _chained(tmp_path, f"{before}{name} rate-limiting", {name: NAMES[name].replace("%s", "")})
    assert await _statuses(made, ("GET", "/v1/t1/a", {"headers": (("X-Plan", "gold"),)})) == [503]
    assert f"those of {name}.cfg.xml:1" in notes(made, "rate-limiting")
    assert part(made, "rate-limiting").outcome == "not moved"


@pytest.mark.parametrize(("name", "text"), [*TAKEN.items(), ("header-normalization", KEPT % "")])
async def test_limits_refuse_where_a_user_or_a_group_is_taken_away_from_the_fields(
    tmp_path: Path, name: str, text: str
) -> None:
    made = _chained(tmp_path, f"ip-user {name} rate-limiting", {name: text})
    assert await _statuses(made, ("GET", "/", {})) == [503]
    assert f"those of {name}.cfg.xml:1" in notes(made, "rate-limiting")


@pytest.mark.parametrize(
    ("chain", "files"),
    [
        *((f"ip-user rate-limiting {name}", {name: text.replace("%s", "")}) for name, text in NAMES.items()),
        *((f"{name} ip-user rate-limiting", {name: text}) for name, text in TAKEN.items()),
        (
            "ip-user header-normalization rate-limiting",
            {"header-normalization": KEPT % "<header id='X-PP-Groups'/><header id='X-Roles'/>"},
        ),
    ],
)
async def test_limits_count_where_nothing_is_written_before_them(
    tmp_path: Path, chain: str, files: dict[str, str]
) -> None:
    made = _chained(tmp_path, chain, files)
    assert part(made, "rate-limiting").outcome == "moved with a difference"
    requests = [given("GET", "/v1/t1/a") for _ in range(6)]
    statuses = [one.status for one in await _all(made, *requests)]
    assert 503 not in statuses and statuses[-1] == 413


async def test_limits_of_users_whom_a_node_in_front_names_refuse(tmp_path: Path) -> None:
    made = _chained(tmp_path, "rate-limiting", {})
    told = {"headers": (("X-PP-User", "joe"), ("X-PP-Groups", "a"))}
    assert await _statuses(made, ("GET", "/", told)) == [503]
    assert "no filter before this one says who is calling" in notes(made, "rate-limiting")


async def test_limits_for_all_together_need_to_know_nobody(tmp_path: Path) -> None:
    limits = f"<global-limit-group>{LIMIT % ('.*', 'ALL', 'MINUTE', 1)}</global-limit-group>"
    made = _moved(tmp_path, limits, before="")
    told = {"headers": (("X-PP-User", "joe"),)}
    assert await _statuses(made, ("GET", "/", told), ("GET", "/", told), ("GET", "/", {})) == [200, 503, 401]


@pytest.mark.parametrize(
    ("nodes", "datastore", "together"),
    [
        (2, "distributed/hash-ring", True),
        (2, "local/default", False),
        (2, "", False),
        (1, "distributed/hash-ring", False),
    ],
)
def test_machines_that_have_counted_together_go_on_to(
    tmp_path: Path, nodes: int, datastore: str, together: bool
) -> None:
    model = SYSTEM_MODEL.format(chain=f'{KNOWN}<filter name="rate-limiting"/>').replace(
        "</nodes>", '<node id="m" hostname="m" http-port="8080"/></nodes>' if nodes == 2 else "</nodes>"
    )
    limits = _group(LIMIT % (".*", "ALL", "MINUTE", 5))
    installed(
        tmp_path,
        "",
        {
            "keystone-v2": KEYSTONE,
            "rate-limiting": f'<rate-limiting datastore="{datastore}">{limits}</rate-limiting>',
            "system-model": model,
        },
    )
    made = migrate(tmp_path, environment={})
    plan(made)
    assert ('store: { url: "${RATE_LIMIT_STORE:-redis://127.0.0.1:6379}" }' in made.text) is together
    assert ("on_store_error: deny" in made.text) is together
