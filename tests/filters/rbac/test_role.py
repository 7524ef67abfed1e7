"""Expressions of roles."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from filters.rbac.role import RequiredRoles, RoleExpression, compile_roles, role_names

ADAPTER: TypeAdapter[Any] = TypeAdapter(RequiredRoles)


def holds(roles: Any, *held: str) -> bool:
    test = compile_roles(ADAPTER.validate_python(roles))
    assert test is not None
    return test(frozenset(held))


def test_one_role_of_a_list_is_enough() -> None:
    assert holds("member", "reader", "member")
    assert holds(["admin", "member"], "member")
    assert not holds(["admin", "member"], "reader")
    assert not holds("member")


def test_case_is_ignored_as_keystone_ignores_it() -> None:
    assert holds("Member", "member")
    assert holds({"not": ["ADMIN"]}, "member")
    assert not holds({"not": ["ADMIN"]}, "admin")


def test_keys_side_by_side_must_all_hold() -> None:
    roles = {"all": ["member", ["a", "b"]], "any": ["x", {"all": ["y", "z"]}], "not": "suspended"}
    assert holds(roles, "member", "b", "x")
    assert holds(roles, "member", "a", "y", "z")
    assert not holds(roles, "member", "a", "y")
    assert not holds(roles, "member", "x")
    assert not holds(roles, "member", "b", "x", "suspended")


@pytest.mark.parametrize("roles", ["any", "ANY", ["any"]])
def test_any_asks_for_no_role(roles: Any) -> None:
    assert compile_roles(ADAPTER.validate_python(roles)) is None


@pytest.mark.parametrize(
    ("roles", "why"),
    [
        (["any", "admin"], "nothing can stand beside it"),
        ({"not": "any"}, "nothing can stand beside it"),
        ({"all": [["Any"]]}, "nothing can stand beside it"),
        ({}, "at least one of all, any, not"),
        ({"al": ["admin"]}, "Extra inputs"),
        ([], "at least 1 item"),
        ("", "without outer white space"),
        (" admin", "without outer white space"),
        (7, "valid string"),
    ],
)
def test_what_is_no_expression_is_refused(roles: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ADAPTER.validate_python(roles)


def test_all_roles_that_an_expression_speaks_of_are_named() -> None:
    expression = RoleExpression.model_validate({"all": ["A", ["b", "c"]], "not": {"any": ["d"]}})
    assert role_names(expression) == {"a", "b", "c", "d"}
