"""The header profile `repose`."""

import json
from base64 import b64decode
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters._identity import IDENTITY_NAMES
from filters._repose import Repose, ReposeOptions
from gateway.api import Principal

ANNE = Principal(
    user_id="u1",
    user_name="anne",
    project_id="t1",
    project_name="web",
    roles=("admin", "member"),
    expires_at=1_700_003_600.0,
    groups=("gold", "beta"),
)
SEVERAL = replace(
    ANNE,
    assignments=(("admin", None), ("member", "t1"), ("reader", "t2"), ("billing", "t2")),
    default_project_id="t1",
)
RATED: dict[str, Any] = {"tenant_quality": {}}


def told(
    principal: Principal, *, catalog: str | None = None, chosen: bool = False, **options: Any
) -> dict[str, str]:
    made = Repose(ReposeOptions.model_validate(options), "token_auth")
    lines = list(made.fields(principal, catalog, chosen=chosen))
    read = {name.decode(): value.decode() for name, value in lines}
    assert len(read) == len(lines)
    return read


def map_of(read: dict[str, str]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = json.loads(b64decode(read["X-Map-Roles"]))
    return made


def test_a_caller_is_told_as_repose_told_it() -> None:
    read = told(ANNE)
    assert map_of(read) == {"t1": ["admin", "member"]}
    del read["X-Map-Roles"]
    assert read == {
        "X-Identity-Status": "Confirmed",
        "X-Authorization": "Proxy t1",
        "X-PP-User": "anne;q=1.0",
        "X-PP-Groups": "gold;q=1.0,beta;q=1.0",
        "X-User-Id": "u1",
        "X-User-Name": "anne",
        "X-Roles": "admin,member",
        "X-Tenant-Id": "t1",
        "X-Tenant-Name": "web",
        "X-Project-Id": "t1",
        "X-Project-Name": "web",
        "X-Token-Expires": "Tue, 14 Nov 2023 23:13:20 GMT",
    }


def test_all_that_rackspace_knows_of_a_user() -> None:
    principal = replace(
        ANNE,
        user_domain_id="d1",
        default_region="ORD",
        contact_id="c1",
        authenticated_by=("PASSWORD", "PASSCODE"),
        impersonator_id="i1",
        impersonator_name="support",
        impersonator_roles=("racker", "x,y"),
    )
    read = told(principal, catalog='[{"name":"é"}]')
    assert {name: read[name] for name in read.keys() - told(ANNE).keys()} == {
        "X-Domain-Id": "d1",
        "X-Default-Region": "ORD",
        "X-Contact-Id": "c1",
        "X-Authenticated-By": "PASSWORD,PASSCODE",
        "X-Impersonator-Id": "i1",
        "X-Impersonator-Name": "support",
        "X-Impersonator-Roles": "racker,x%2Cy",
        "X-Catalog": read["X-Catalog"],
    }
    assert b64decode(read["X-Catalog"]).decode() == '[{"name":"é"}]'


def test_somebody_of_whom_little_is_known() -> None:
    assert told(Principal(user_id="u1")) == {
        "X-Identity-Status": "Confirmed",
        "X-Authorization": "Proxy",
        "X-User-Id": "u1",
    }
    assert map_of(told(Principal(roles=("reader",)))) == {"repose/domain/roles": ["reader"]}
    assert map_of(told(Principal(project_id="t1"))) == {"t1": []}


def test_qualities_are_options() -> None:
    read = told(ANNE, user_quality=0.4, group_quality=None)
    assert (read["X-PP-User"], read["X-PP-Groups"]) == ("anne;q=0.4", "gold,beta")
    assert told(ANNE, user_quality=None)["X-PP-User"] == "anne"


@pytest.mark.parametrize(
    ("options", "chosen", "expected"),
    [
        ({}, False, "t1"),
        ({}, True, "t1"),
        (RATED, False, "t1;q=0.7"),
        (RATED, True, "t1;q=0.9"),
        ({"all_tenants": True}, False, "t1,t2"),
        ({"all_tenants": True, **RATED}, False, "t1;q=0.7,t2;q=0.5"),
        ({"all_tenants": True, **RATED}, True, "t1;q=0.9,t2;q=0.5"),
        ({"tenant_quality": {"chosen": 0.1, "default": 0.8}}, True, "t1;q=0.8"),
    ],
)
def test_which_tenants_are_told(options: dict[str, Any], chosen: bool, expected: str) -> None:
    assert told(SEVERAL, chosen=chosen, **options)["X-Tenant-Id"] == expected


def test_a_tenant_that_the_request_names_comes_before_the_default() -> None:
    elsewhere = replace(SEVERAL, project_id="t2", roles=("admin", "reader", "billing"))
    assert told(elsewhere, chosen=True)["X-Tenant-Id"] == "t2"
    assert told(elsewhere, chosen=True, **RATED)["X-Tenant-Id"] == "t2;q=0.9"
    assert told(elsewhere, chosen=True, all_tenants=True, **RATED)["X-Tenant-Id"] == "t2;q=0.9,t1;q=0.7"
    assert told(elsewhere, chosen=True)["X-Authorization"] == "Proxy t2"


def test_without_a_default_the_first_tenant_with_roles_is_told() -> None:
    none = replace(SEVERAL, project_id=None, default_project_id=None)
    assert told(none)["X-Tenant-Id"] == "t1"
    assert told(none, **RATED)["X-Tenant-Id"] == "t1;q=0.5"


def test_the_map_of_roles_says_which_are_held_where() -> None:
    everywhere = {"repose/domain/roles": ["admin"], "t1": ["member"], "t2": ["reader", "billing"]}
    assert map_of(told(SEVERAL)) == everywhere
    assert map_of(told(SEVERAL, chosen=True)) == {"repose/domain/roles": ["admin"], "t1": ["member"]}
    assert map_of(told(SEVERAL, chosen=True, all_tenants=True)) == everywhere


def test_a_name_cannot_say_that_it_is_two_or_counts_more() -> None:
    sly = replace(ANNE, user_name="anne;q=0.1,root", groups=("a,b", "c;q=9", "50%"))
    read = told(sly)
    assert read["X-PP-User"] == "anne%3Bq=0.1%2Croot;q=1.0"
    assert read["X-PP-Groups"] == "a%2Cb;q=1.0,c%3Bq=9;q=1.0,50%25;q=1.0"
    assert read["X-User-Name"] == "anne;q=0.1,root"


@given(st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"), min_size=1))
def test_no_two_users_are_told_alike(name: str) -> None:
    if not name.strip(" \t"):
        return
    value = told(replace(ANNE, user_name=name), user_quality=None).get("X-PP-User", "")
    assert "," not in value and ";" not in value
    back = value.replace("%2C", ",").replace("%3B", ";").replace("%25", "%")
    assert back == name.strip(" \t")


@pytest.mark.parametrize(
    "principal",
    [
        replace(ANNE, user_name="a\r\nX-Roles: admin"),
        replace(ANNE, roles=("member", "x,admin")),
        replace(ANNE, groups=("a\0",)),
        replace(ANNE, default_region="\ud800"),
        replace(ANNE, impersonator_roles=("\n",)),
    ],
)
def test_refuses_text_that_would_say_something_else(principal: Principal) -> None:
    with pytest.raises(ValueError, match="X-"):
        told(principal)


@pytest.mark.parametrize("expires", [1e300, 253402300800.0])
def test_a_time_beyond_all_dates_is_the_last(expires: float) -> None:
    assert told(replace(ANNE, expires_at=expires))["X-Token-Expires"] == "Fri, 31 Dec 9999 23:59:59 GMT"


def test_who_is_let_through_undecided_is_indeterminate() -> None:
    made = Repose(ReposeOptions(delegation_quality=0.5), "token_auth")
    lines = made.invalid(401, "The token is not valid.")
    assert list(lines) == [
        (b"X-Identity-Status", b"Indeterminate"),
        (b"X-Authorization", b"Proxy"),
        (b"X-Delegated", b"status_code=401`component=token_auth`message=The token is not valid.;q=0.5"),
    ]
    assert made.invalid(401, "The token is not valid.") is lines


def test_a_service_is_not_told() -> None:
    assert list(Repose(ReposeOptions(), "token_auth").service_fields(ANNE)) == []


def test_all_that_is_told_is_stripped_from_clients() -> None:
    text = {field.name: "x" for field in fields(Principal) if str(field.type) == "str | None"}
    principal = Principal(**text, roles=("r",), groups=("g",), expires_at=1.0, authenticated_by=("a",))  # type: ignore[arg-type]
    names = {name.lower() for name in told(replace(principal, impersonator_roles=("i",)), catalog="[]")}
    assert len(names) == 21
    assert names | {"x-delegated"} <= {name.lower() for name in IDENTITY_NAMES}
