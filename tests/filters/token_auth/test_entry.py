"""An entry comes out as it went in, and has every mark by which a revocation would take its caller."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.access_rule import AccessRule, AccessRules
from filters.token_auth.entry import EVERYBODY, FORM, mark_of, marks_of, read, written
from filters.token_auth.provider import Grant
from gateway.api import Principal, Revocation

WHO = Principal(
    user_id="u1",
    project_id="p1",
    user_domain_id="d1",
    roles=("member", "reader"),
    expires_at=1_700_003_600.5,
    audit_ids=("a1", "a2"),
    assignments=(("member", "p7"), ("admin", None)),
    default_project_id="p8",
    is_admin_project=True,
)


def test_an_entry_comes_out_as_it_went_in() -> None:
    rules = AccessRules([AccessRule("compute", "GET", "/v2.1/**")], "compute")
    found = read(json.loads(json.dumps(written(Grant(WHO, "[]", rules)))))
    assert (found.principal, found.catalog) == (WHO, "[]")
    assert found.rules is not None
    assert [found.rules.allow(method, "/v2.1/x") for method in ("GET", "PUT")] == [True, False]
    assert read(json.loads(json.dumps(written(Grant(WHO))))) == Grant(WHO)


@pytest.mark.parametrize("told", [None, {}, {"principal": {"unknown": 1}, "catalog": None, "rules": None}])
def test_an_entry_of_another_version_is_none(told: Any) -> None:
    with pytest.raises((TypeError, ValueError, LookupError)):
        read(told)


def test_its_form_changes_with_what_is_known_of_a_caller() -> None:
    assert FORM.decode().split() == [field.name for field in fields(Principal)]


_IDS = st.none() | st.sampled_from(["u1", "u2", "p1", "p7", "p8", "d1", "d2", "a1", "a2", "k1", "k2"])


@given(_IDS, _IDS, _IDS, _IDS, _IDS)
def test_whoever_fits_a_revocation_has_its_mark(
    key: str | None, user: str | None, project: str | None, audit: str | None, domain: str | None
) -> None:
    revocation = Revocation(key, user, project, audit, domain)
    marks = set(marks_of(WHO, "k1"))
    if revocation.fits(replace(WHO, token_key="k1")):
        assert mark_of(revocation) in marks
    alone = [each for each in (key, user, project, audit, domain) if each is not None]
    if len(alone) == 1:
        assert (mark_of(revocation) in marks) == revocation.fits(replace(WHO, token_key="k1"))


def test_a_revocation_of_everybody_has_one_mark() -> None:
    assert mark_of(Revocation()) == EVERYBODY
    assert EVERYBODY in set(marks_of(Principal(), ""))
