"""The tenant that a request names."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.token_auth.option import TenantOptions
from filters.token_auth.tenant import TenantRules, in_tenant
from gateway.api import Principal, Route
from gateway.api.testing import exchange

NAMES = st.sampled_from(["a", "b", "x-a", "c"])
ASSIGNMENTS = st.lists(st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.none() | NAMES)).map(tuple)


def test_the_first_expression_that_matches_names_the_tenant() -> None:
    rules = TenantRules(TenantOptions(regex=("/a/([^/]*)", "/(?:a|b)/([^/]+)(?:/.*)?")))
    assert rules.named(exchange(target="/a/one")) == "one"
    assert rules.named(exchange(target="/b/two%20x/y")) == "two x"
    assert rules.named(exchange(target="/a/")) is None
    assert rules.named(exchange(target="/c/two")) is None
    assert rules.named(exchange(target="/a/one%0A")) == "one\n"
    assert rules.named(exchange(target="/a/" + "x" * 2048)) is None


@pytest.mark.parametrize(
    ("regex", "path", "tenant"),
    [
        # An escape of a character that needs none is that character.
        ("/v2/([-\\w]+)/?.*", "/v2/ten1%41/x", "ten1A"),
        ("/v2/([-\\w]+)/?.*", "/v2/ten1%2Dother/x", "ten1-other"),
        ("/v2/([-\\w]+)/?.*", "/v2/%74en1/x", "ten1"),
        ("/v2/([^/]+)/.*", "/%762/ten1/x", "ten1"),
        # An escape that goes on with the tenant, or ends it, by how the path is read.
        ("/v2/([-|\\w]+)/?.*", "/v2/ten1%7Cx/y", None),
        ("/v2/([-\\w]+)/?.*", "/v2/ten1%C3%A9/x", None),
        ("/v2/([^/?]+).*", "/v2/ten1%3Fx/y", None),
        ("/v2/([^/?]+)/.*", "/v2/ten1%3Fx/y", "ten1?x"),
        ("/v2/([^/]+)/.*", "/v2/ten1%C3%A9/x", "ten1\xe9"),
        ("/a:b/([^/]+)", "/a%3Ab/ten1", "ten1"),
        ("/v2/([^/]+)/.*", "/v2/ten1/a%20b", "ten1"),
        # Decoded once; a slash in a segment may part it.
        ("/v2/([^/]+)/.*", "/v2/ten1%2541/x", "ten1%41"),
        ("/v2/([^/]+)/.*", "/v2/ten1%2Fx/y", None),
        ("/v2/([^/]+)/.*", "/v2/ten1%2fx/y", None),
        ("/v2/([^/]+)", "/v2/ten1%2Fx", "ten1/x"),
        ("/v2/([^/]+)/.*", "/v2/ten1%252Fx/y", None),
        ("/v2/([^/]+)/.*", "/v2/%FF/y", "\udcff"),
        ("/v2/([^/]*)/.*", "/v2//y%41", None),
    ],
)
def test_a_spelling_of_a_path_names_the_tenant_that_the_service_reads(
    regex: str, path: str, tenant: str | None
) -> None:
    assert TenantRules(TenantOptions(regex=(regex,))).named(exchange(target=path)) == tenant


ANYWHERE = ".*?/v1/([^/]+)/.*"
SECOND = "/v2/[^/]+/([^/]+)(?:/.*)?"


@pytest.mark.parametrize(
    ("regex", "path"),
    [
        (SECOND, "/v2/x%2FB/A/y"),
        (SECOND, "/v2/x%5cB/A/y"),
        (SECOND, "/v2/x\\B/A/y"),
        (SECOND, "/v2/;x/B/A/y"),
        (SECOND, "/v2/%3Bx/B/A/y"),
        (SECOND, "/v2/x%2F;y/A/B"),
        (ANYWHERE, "/v1//B/v1/A/x"),
        (ANYWHERE, "/v1%2FB/v1/A/x"),
        (ANYWHERE, "/v1;x/B/v1/A/x"),
        (ANYWHERE, "/v1%3bx/B/v1/A/x"),
        # With encoded slashes for slashes it is A, and B where only empty segments are left out.
        (ANYWHERE, "/v1%2FA/v1//B/v1/A/x"),
        ("/v2/([^/]+)/.*", "/v2/A;x/y"),
    ],
)
def test_a_path_that_another_server_may_read_as_of_another_tenant_names_none(regex: str, path: str) -> None:
    assert TenantRules(TenantOptions(regex=(regex,))).named(exchange(target=path)) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v2/A/x;y/z",
        "/v2/A//x",
        "/v2/A/x%2Fy%5Cz",
        "/v2/A/x%252Fy",
        "/v2/A/x/",
        "/v2/A/caf\xc3\xa9",
        "/v2//A/x",
    ],
)
def test_what_stands_behind_the_tenant_is_nothing_to_it(path: str) -> None:
    named = "A" if not path.startswith("/v2//") else None
    assert TenantRules(TenantOptions(regex=("/v2/([^/]+)/.*",))).named(exchange(target=path)) == named
    if named is not None:
        route = Route("r", "/v2/{tenant}/{rest*}", "upstream")
        made = exchange(target=path, params={"tenant": "A"}, route=route)
        assert TenantRules(TenantOptions(param="tenant")).named(made) == "A"


@pytest.mark.parametrize(
    "path", ["/v2/x%2FB/A/y", "/v2/x%5CB/A/y", "/v2/;x/A/B", "/v2/x//A/B", "/v2/x/A;y/B", "/v2/x/A%2Fy/B"]
)
def test_a_parameter_that_another_server_may_find_elsewhere_names_no_tenant(path: str) -> None:
    route = Route("r", "/v2/{region}/{tenant}/{rest*}", "upstream")
    rules = TenantRules(TenantOptions(param="tenant"))
    assert rules.named(exchange(target=path, params={"tenant": "A"}, route=route)) is None
    assert rules.named(exchange(target=path, params={"tenant": "A"}, route=None)) is None
    assert rules.named(exchange(target="/v2/x%41/A/y", params={"tenant": "A"}, route=route)) == "A"


def test_a_long_path_that_can_be_read_in_many_ways_names_none() -> None:
    rules = TenantRules(TenantOptions(regex=("/v2/([^/]+)/.*",)))
    assert rules.named(exchange(target="/v2/A/" + "x;y%2F/%5C%3Bz/" * 20)) == "A"
    assert rules.named(exchange(target="/v2/A/" + "x;y%2F/%5C%3Bz/" * 120)) is None
    assert rules.named(exchange(target="/v2/A/" + "x%20y/" * 330)) == "A"


@given(st.text("AB/%2F5C;.v1\\", max_size=24), st.sampled_from([ANYWHERE, SECOND, "/v1/([^/]+)/.*"]))
def test_no_two_servers_find_two_tenants_in_a_path(text: str, regex: str) -> None:
    """Whatever is taken for a slash, left out, or cut off before or after it is decoded."""
    path = f"/{text}"
    named = TenantRules(TenantOptions(regex=(regex,))).named(exchange(target=path))
    for cut in ("", ";", "%3B"):
        for slashes in (("%2F",), ("%5C", "\\"), ("%2F", "%5C", "\\")):
            for collapse in (False, True):
                read = path
                for slash in slashes:
                    read = read.replace(slash, "/")
                segments = [unquote(one.partition(cut)[0] if cut else one) for one in read[1:].split("/")]
                read = "/" + "/".join(one.replace("/", "%2F") for one in segments if one or not collapse)
                found = re.fullmatch(regex, read)
                if named is not None and found is not None:
                    assert found[1].replace("%2F", "/") == named


@given(st.text("aA1-", min_size=1), st.data())
def test_no_spelling_of_a_tenant_is_another(tenant: str, data: st.DataObject) -> None:
    spelled = "".join(data.draw(st.sampled_from([char, f"%{ord(char):02X}"])) for char in tenant)
    rules = TenantRules(TenantOptions(regex=("/v2/([-A-Za-z0-9]+)/?.*",)))
    assert rules.named(exchange(target=f"/v2/{spelled}/x")) == tenant


@pytest.mark.parametrize("regex", ["/v1/((?:[a-z]+)+)/.*", "/v1/(.*).*.*", "/v1/(", "/v1/x", "/(a)/(b)"])
def test_an_expression_that_may_match_for_ever_or_names_no_tenant_is_refused(regex: str) -> None:
    with pytest.raises(ValidationError):
        TenantOptions(regex=(regex,))


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/a/%2e%2E/b", "/a/..;/b", "/a/..%3B/b", "/a/x%2f..%5Cb", "/a/x\\../b", "/a/b/.", "/a/b/.."],
)
def test_a_path_that_could_name_another_tenant_names_none(path: str) -> None:
    for rules in (TenantRules(TenantOptions(param="t")), TenantRules(TenantOptions(regex=("/([^/]+)/.*",)))):
        assert rules.named(exchange(target=path, params={"t": "a"})) is None
        assert rules.named(exchange(target="/a/..b/.c/d..", params={"t": "a"})) == "a"


@given(ASSIGNMENTS, st.none() | NAMES, NAMES)
def test_nobody_has_a_role_in_a_tenant_that_is_held_in_another(
    assignments: tuple[tuple[str, str | None], ...], default: str | None, named: str
) -> None:
    principal = Principal(assignments=assignments, default_project_id=default)
    rules = TenantRules(TenantOptions(param="t", strip_prefixes=("x-",)))
    narrow = rules.narrowed(principal, named)
    held = {tenant for _, tenant in assignments} | {default}
    if narrow is None:
        assert named not in held and f"x-{named}" not in held
        return
    assert narrow.project_id in held and narrow.project_id in (named, f"x-{named}")
    assert set(narrow.roles) == {role for role, tenant in assignments if tenant in (None, narrow.project_id)}
    assert len(set(narrow.roles)) == len(narrow.roles)


def test_a_tenant_has_its_name_where_it_is_known() -> None:
    principal = Principal(default_project_id="a", project_name="web", assignments=(("r", "b"),))
    assert in_tenant(principal, "a").project_name == "web"
    assert in_tenant(principal, "b").project_name is None
