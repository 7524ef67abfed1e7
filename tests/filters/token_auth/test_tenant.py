"""The tenant that a request names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.token_auth.option import TenantOptions
from filters.token_auth.tenant import TenantRules, in_tenant
from gateway.api import Principal
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
        # Decoded once, and a slash in a segment parts nothing.
        ("/v2/([^/]+)/.*", "/v2/ten1%2541/x", "ten1%41"),
        ("/v2/([^/]+)/.*", "/v2/ten1%2Fx/y", "ten1/x"),
        ("/v2/([^/]+)/.*", "/v2/ten1%2fx/y", "ten1/x"),
        ("/v2/([^/]+)/.*", "/v2/ten1%252Fx/y", None),
        ("/v2/([^/]+)/.*", "/v2/%FF/y", "\udcff"),
        ("/v2/([^/]*)/.*", "/v2//y%41", None),
    ],
)
def test_a_spelling_of_a_path_names_the_tenant_that_the_service_reads(
    regex: str, path: str, tenant: str | None
) -> None:
    assert TenantRules(TenantOptions(regex=(regex,))).named(exchange(target=path)) == tenant


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
