"""The fields that tell the upstream who is calling."""

import pytest

from filters._identity import (
    IDENTITY_NAMES,
    STRIPPED,
    identity_fields,
    line_of,
    service_fields,
    travels,
)
from gateway.api import Principal
from gateway.http.spelling import spellings


def test_every_name_that_keystonemiddleware_strips_is_stripped() -> None:
    names = [
        "Identity-Status",
        "Domain-Id",
        "Domain-Name",
        "Project-Id",
        "Project-Name",
        "Project-Domain-Id",
        "Project-Domain-Name",
        "User-Id",
        "User-Name",
        "User-Domain-Id",
        "User-Domain-Name",
        "Roles",
    ]
    listed = [f"X-{name}" for name in names] + [f"X-Service-{name}" for name in names]
    listed += ["X-Is-Admin-Project", "X-Service-Catalog"]
    listed += ["X-User", "X-Tenant-Id", "X-Tenant-Name", "X-Tenant", "X-Role"]
    assert len(listed) == 31
    for name in [
        *listed,
        "OpenStack-System-Scope",
        "X-PP-User",
        "X-PP-Groups",
        "X-Authorization",
        "X-Map-Roles",
    ]:
        assert spellings(name) <= STRIPPED, name


def test_the_token_fields_are_left_alone() -> None:
    assert {b"x-auth-token", b"x-service-token", b"x_auth_token"}.isdisjoint(STRIPPED)


def test_all_that_is_set_is_also_stripped() -> None:
    principal = Principal(
        *("u", "n", "ud", "udn", "p", "pn", "pd", "pdn"),
        ("r",),
        domain_id="d",
        domain_name="dn",
        system_scope="all",
        is_admin_project=False,
    )
    lines = [*identity_fields(principal, "[]"), *service_fields(principal)]
    names = {name.decode().lower() for name, _ in lines}
    assert len(names) == len(lines) == 20 + 12
    assert names <= {name.lower() for name in IDENTITY_NAMES}


def test_sets_names_and_the_deprecated_copies() -> None:
    principal = Principal(
        user_id="u1", user_name="demo", project_id="p1", project_name="web", roles=("member", "reader")
    )
    assert list(identity_fields(principal)) == [
        (b"X-Identity-Status", b"Confirmed"),
        (b"X-User-Id", b"u1"),
        (b"X-User-Name", b"demo"),
        (b"X-Project-Id", b"p1"),
        (b"X-Project-Name", b"web"),
        (b"X-Roles", b"member,reader"),
        (b"X-User", b"demo"),
        (b"X-Role", b"member,reader"),
        (b"X-Tenant-Id", b"p1"),
        (b"X-Tenant-Name", b"web"),
        (b"X-Tenant", b"web"),
    ]


def test_text_travels_as_utf8_even_where_latin_1_would_do() -> None:
    assert identity_fields(Principal(user_name="José")).index()[b"x-user-name"] == "José".encode()


@pytest.mark.parametrize(
    "principal",
    [
        Principal(user_name="a\r\nX-Roles: admin"),
        Principal(user_id="a\0"),
        Principal(project_name="\ud800"),
        Principal(roles=("member", "x,admin")),
        Principal(roles=(",",)),
    ],
)
def test_refuses_text_that_would_say_something_else(principal: Principal) -> None:
    with pytest.raises(ValueError, match="X-"):
        identity_fields(principal)


def test_a_text_travels_where_a_line_can_be_made_of_it() -> None:
    for code in (*range(0x100), 0x2028, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0x1F600):
        try:
            line_of("X-User", f"a{chr(code)}b")
        except ValueError:
            assert not travels(f"a{chr(code)}b"), hex(code)
        else:
            assert travels(f"a{chr(code)}b"), hex(code)
