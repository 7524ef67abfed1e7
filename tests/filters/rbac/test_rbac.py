"""Who may do what."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.rbac import Rbac
from gateway.api import Fault, OptionError, Principal, Response, Verdict
from gateway.api.testing import build, exchange, judge
from tests.support.client import get
from tests.support.gateway import proxy
from tests.support.upstream import Upstream, echo

ROWS: list[dict[str, Any]] = [
    {"path": "/v2/{project_id}/servers", "methods": ["GET", "HEAD"], "roles": ["reader", "member"]},
    {"path": "/v2/{project_id}/servers", "methods": ["POST"], "roles": "member"},
    {"path": "/", "methods": ["GET"], "roles": "any"},
    {"path": "/admin/{rest*}", "roles": {"all": ["admin", {"not": ["suspended"]}]}},
]


def caller(*roles: str, project: str | None = "p1") -> Principal:
    return Principal(user_id="u1", project_id=project, roles=roles)


def answer(
    method: str,
    target: str,
    *roles: str,
    rows: list[dict[str, Any]] = ROWS,
    principal: Principal | None = None,
    params: dict[str, str] | None = None,
    **options: Any,
) -> Verdict:
    guard = build(Rbac, {"rows": rows, **options})
    who = principal or (caller(*roles) if roles else None)
    return judge(guard, exchange(method, target, principal=who, params=params))


def status(method: str, target: str, *roles: str, **options: Any) -> int:
    verdict = answer(method, target, *roles, **options)
    assert not isinstance(verdict, Response)
    return 200 if verdict is None else verdict.status


def test_a_caller_with_a_role_of_the_row_passes_and_the_row_is_named() -> None:
    guard = build(Rbac, {"rows": ROWS})
    asked = exchange("POST", "/v2/p1/servers?x=1", principal=caller("Member"))
    assert judge(guard, asked) is None
    (note,) = asked.notes
    assert (note.reason, note.rule) == ("access_granted", ("rows", 1))


def test_answers_403_to_a_caller_without_the_roles() -> None:
    assert answer("POST", "/v2/p1/servers", "reader") == Fault(
        403, "role_missing", "Your roles do not allow this.", rule=("rows", 1)
    )
    assert status("GET", "/admin/x", "admin", "suspended") == 403
    assert status("GET", "/admin/x", "admin") == 200


def test_answers_405_with_the_methods_that_the_path_has() -> None:
    verdict = answer("DELETE", "/v2/p1/servers", "member")
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (405, "method_not_allowed")
    assert verdict.headers == (("Allow", "GET, HEAD, POST"),)


def test_a_path_that_no_row_has_is_answered_403_unless_all_are_allowed() -> None:
    assert status("GET", "/elsewhere", "member") == 403
    guard = build(Rbac, {"rows": ROWS, "default": "allow"})
    asked = exchange("GET", "/elsewhere")
    assert judge(guard, asked) is None
    assert [(note.reason, note.rule) for note in asked.notes] == [("path_not_listed", ("default",))]


def test_who_has_no_principal_learns_nothing_but_401() -> None:
    for method, target in (("GET", "/v2/p1/servers"), ("DELETE", "/v2/p1/servers"), ("GET", "/elsewhere")):
        masks: list[dict[str, Any]] = [{}, {"mask": 404}]
        for options in masks:
            verdict = answer(method, target, challenge="Bearer", **options)
            assert isinstance(verdict, Fault)
            assert (verdict.status, verdict.reason) == (401, "principal_missing")
            assert verdict.headers == (("WWW-Authenticate", "Bearer"),)
    assert status("GET", "/") == 200


def test_where_no_row_asks_for_a_role_nobody_is_asked_who_it_is() -> None:
    rows = [{"path": "/a", "methods": ["GET"], "roles": "any"}]
    assert status("GET", "/b", rows=rows) == 403
    assert status("PUT", "/a", rows=rows) == 405
    assert status("GET", "/a", rows=rows) == 200


def test_a_mask_turns_403_and_405_into_404_without_a_word_of_methods() -> None:
    for method, target in (("POST", "/v2/p1/servers"), ("DELETE", "/v2/p1/servers"), ("GET", "/elsewhere")):
        verdict = answer(method, target, "reader", mask=404)
        assert isinstance(verdict, Fault)
        assert (verdict.status, verdict.message, verdict.headers) == (404, "Resource not found.", ())


OVERLAPPING: list[dict[str, Any]] = [
    {"path": "/v2/{p}/{rest*}", "methods": ["GET"], "roles": "member"},
    {"regex": "/v2/[^/]+/secrets(/.*)?", "roles": "auditor"},
    {"path": "/v2/{p}/{rest*}", "methods": ["PUT"], "roles": "writer"},
]


def test_the_first_row_with_path_and_method_decides() -> None:
    assert status("GET", "/v2/p1/secrets", "member", rows=OVERLAPPING) == 200
    assert status("GET", "/v2/p1/secrets", "auditor", rows=OVERLAPPING) == 403
    assert status("PUT", "/v2/p1/secrets", "auditor", rows=OVERLAPPING) == 200


def test_all_rows_with_path_and_method_must_be_satisfied() -> None:
    every = {"rows": OVERLAPPING, "match": "all"}
    assert status("GET", "/v2/p1/secrets", "member", **every) == 403
    assert status("GET", "/v2/p1/secrets", "member", "auditor", **every) == 200
    assert status("PUT", "/v2/p1/secrets/x", "auditor", **every) == 403
    assert status("PUT", "/v2/p1/other", "writer", **every) == 200


CATCHING: list[dict[str, Any]] = [
    {"path": "/admin", "roles": "admin"},
    {"path": "/admin/{rest*}", "roles": "admin"},
    {"path": "/os-a:b", "roles": "admin"},
    {"regex": "/secret/.*", "roles": "admin"},
    {"path": "/{rest*}", "roles": "member"},
]


@pytest.mark.parametrize(
    "target",
    [
        "/admin",
        "/admin/",
        "/%61dmin",
        "/%61%64%6D%69%6E/users",
        "/admin;x=1",
        "/admin;x/users",
        "/admin/;",
        "/os-a%3Ab",
        "/os-a%3ab",
        "/os-a:b;",
        "/secret/x%0Ay",
        "/s%65cret/x",
        # On a route that lets through what could be read in two ways:
        "//admin",
        "/admin//users",
        "/admin%2Fusers",
        "/admin%5Cusers",
        "/;/admin",
        "/secret%2fx",
        "//secret/x",
    ],
)
def test_no_spelling_of_a_path_is_a_way_around_its_row(target: str) -> None:
    assert status("GET", target, "member", rows=CATCHING) == 403
    assert status("GET", target, "member", "admin", rows=CATCHING) == 200


@pytest.mark.parametrize(
    "target", ["/a/../admin", "/%2e%2e/admin", "/a/.%2E/admin", "/./a", "/a/..;x/admin", "/a%2F..%2Fadmin"]
)
@pytest.mark.parametrize("default", ["deny", "allow"])
def test_a_dot_segment_is_answered_400(target: str, default: str) -> None:
    assert status("GET", target, "member", "admin", rows=CATCHING[:-1], default=default) == 400


def test_a_double_escape_is_what_it_says() -> None:
    assert status("GET", "/%2561dmin", "member", rows=CATCHING) == 200
    assert status("GET", "/%2561dmin", "member", rows=CATCHING[:-1]) == 403


@pytest.mark.parametrize("target", ["/Admin", "/ADMIN", "/admins", "/admin/", "/admin;x", "/", "*"])
def test_another_path_is_another_path(target: str) -> None:
    """With regard to case, a slash at the end, and parameters: what is not listed is refused."""
    assert status("GET", target, "admin", rows=[{"path": "/admin", "roles": "admin"}]) == 403


@example(";%5C2")
@given(st.text(alphabet="/ab;%2eEfF5cC.x", max_size=12))
def test_what_is_plainly_a_row_s_path_is_never_let_through_by_a_broader_row(tail: str) -> None:
    """Whatever is written: where the path reads as /admin or below to a plain server, the row of /admin is asked."""
    target = "/" + tail + "/admin"
    verdict = answer("GET", target, "member", rows=[*CATCHING[:2], CATCHING[-1]])
    plain = [part.partition(";")[0] for part in tail.replace("%2F", "/").replace("%2f", "/").split("/")]
    if not any(plain):
        assert isinstance(verdict, Fault)


def test_a_path_too_long_for_a_regular_expression_is_answered_414() -> None:
    long = "/secret/" + "x" * 3000
    assert status("GET", long, "admin", rows=CATCHING) == 414
    assert status("GET", long, "member", rows=[CATCHING[-1]]) == 200


PROJECT = [{"path": "/v2/{project_id}/{rest*}", "roles": ["member", "admin"]}]


def test_the_project_in_the_path_must_be_the_callers_own() -> None:
    options: dict[str, Any] = {"rows": PROJECT, "project_param": "project_id"}
    assert status("GET", "/v2/p1/servers", "member", **options) == 200
    assert answer("GET", "/v2/p2/servers", "member", **options) == Fault(
        403,
        "project_mismatch",
        "The project in the path is not the one of the token.",
        rule=("project_param",),
    )
    assert status("GET", "/v2/p%31/servers", "member", **options) == 200
    assert status("GET", "/v2/P1/servers", "member", **options) == 403
    unscoped = caller("member", project=None)
    assert status("GET", "/v2/p1/servers", principal=unscoped, **options) == 403
    assert status("GET", "/v2/p2/servers", "member", mask=404, **options) == 404


def test_the_project_is_asked_of_the_route_too_and_of_groups() -> None:
    by_route = build(Rbac, {"rows": [{"path": "/{rest*}", "roles": "any"}], "project_param": "tenant"})
    assert by_route.params == {"tenant": ("project_param",)}
    rows = [{"path": "/{rest*}", "roles": "any"}]
    for tenant, expected in (("p1", 200), ("p2", 403)):
        options: dict[str, Any] = {"rows": rows, "project_param": "tenant", "params": {"tenant": tenant}}
        assert status("GET", f"/x/{tenant}", "member", **options) == expected
    assert status("GET", "/x/p1", rows=rows, project_param="tenant", params={"tenant": "p1"}) == 401
    group = [{"regex": "/v2/(?P<tenant>[^/]+)/.*", "roles": "member"}]
    assert build(Rbac, {"rows": group, "project_param": "tenant"}).params == {}
    assert status("GET", "/v2/p1/x", "member", rows=group, project_param="tenant") == 200
    assert status("GET", "/v2/p2/x", "member", rows=group, project_param="tenant") == 403


def test_prefixes_are_left_out_of_the_comparison_the_longest_first() -> None:
    options: dict[str, Any] = {
        "rows": PROJECT,
        "project_param": "project_id",
        "strip_prefixes": ["AUTH_", "AUTH_X_"],
    }
    assert status("GET", "/v2/AUTH_p1/a", "member", **options) == 200
    assert status("GET", "/v2/AUTH_X_p1/a", "member", **options) == 200
    assert status("GET", "/v2/AUTH_p2/a", "member", **options) == 403
    assert status("GET", "/v2/AUTH_AUTH_p1/a", "member", **options) == 403
    assert status("GET", "/v2/AUTH_/a", principal=caller("member", project=""), **options) == 403


def test_a_role_may_bypass_the_project_but_not_the_row() -> None:
    options: dict[str, Any] = {
        "rows": PROJECT,
        "project_param": "project_id",
        "bypass_roles": ["Admin", "auditor"],
    }
    assert status("GET", "/v2/p2/a", "admin", **options) == 200
    assert status("GET", "/v2/p2/a", "auditor", **options) == 403
    assert status("GET", "/v2/p2/a", "member", **options) == 403


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([{"path": "/a/{x}", "roles": "any"}, {"path": "/a/b", "roles": "admin"}], 1),
        (
            [
                {"path": "/{x*}", "methods": ["GET"], "roles": "a"},
                {"path": "/a", "methods": ["POST"], "roles": "a"},
                {"path": "/a", "methods": ["GET", "POST"], "roles": "a"},
            ],
            2,
        ),
        ([{"regex": "/a.*", "roles": "any"}, {"regex": "/a.*", "methods": ["GET"], "roles": "a"}], 1),
        ([{"path": "/{rest*}", "roles": "any"}, {"regex": "/a.*", "roles": "a"}], 1),
    ],
)
def test_a_row_that_can_never_be_reached_is_an_error(rows: list[dict[str, Any]], wrong: int) -> None:
    with pytest.raises(OptionError, match="can never be reached") as error:
        build(Rbac, {"rows": rows})
    assert error.value.rule == ("rows", wrong)
    build(Rbac, {"rows": rows, "match": "all"})


async def test_through_the_gateway_the_record_names_the_row_and_shadow_lets_pass() -> None:
    rows = [{"path": "/a", "roles": "any"}, {"path": "/b", "roles": "admin"}]
    known = {"token": "t1", "user_id": "u1", "project_id": "p1", "roles": ["member"]}
    tokens = [{"token_auth": {"providers": [{"static": {"tokens": [known]}}]}}]
    async with Upstream(echo) as upstream:
        for mode, expected in (("enforce", 403), ("shadow", 200)):
            filters = [*tokens, {"rbac": {"mode": mode, "rows": rows}}]
            async with proxy(upstream, filters=filters) as gateway:
                client = await gateway.connect()
                answered = await client.ask(get("/b", "X-Auth-Token: t1"))
                assert answered.status == expected
                record = await gateway.record()
                step = next(step for step in record["gateway.filters"] if step["type"] == "rbac")
                assert (step["reason"], step["rule"]) == ("role_missing", "rows[1]")
                assert step["source"].startswith("gateway.yaml:")
