"""Expressions over the roles of a principal: data, checked when they are loaded and compiled to closures."""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from gateway.api import Options

ANYBODY: Final = "any"
"""Stands for no role at all."""

RoleTest: TypeAlias = Callable[[frozenset[str]], bool]
"""Whether roles, in lower case, are enough."""


def _name(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("a role has a name without outer white space")
    return value


RoleName = Annotated[str, AfterValidator(_name)]


def _kind(value: Any) -> str:
    if isinstance(value, (dict, RoleExpression)):
        return "expression"
    return "names" if isinstance(value, (list, tuple)) else "name"


class RoleExpression(Options):
    """What is asked of the roles of a principal; keys side by side must all hold."""

    all: "tuple[Roles, ...] | None" = Field(
        None, min_length=1, description="Roles and expressions that all hold."
    )
    any: "tuple[Roles, ...] | None" = Field(
        None, min_length=1, description="Roles and expressions of which one holds."
    )
    not_: "Roles | None" = Field(
        None, alias="not", description="A role, a list of roles, or an expression that does not hold."
    )

    @model_validator(mode="after")
    def _says_something(self) -> "RoleExpression":
        if self.all is None and self.any is None and self.not_ is None:
            raise ValueError("an expression of roles needs at least one of all, any, not")
        return self


Roles: TypeAlias = Annotated[
    Annotated[RoleName, Tag("name")]
    | Annotated[tuple[RoleName, ...], Field(min_length=1), Tag("names")]
    | Annotated[RoleExpression, Tag("expression")],
    Discriminator(_kind),
]
"""A role, a list of which one is enough, or an expression."""

RoleExpression.model_rebuild()


def _is_anybody(roles: Any) -> bool:
    names = (roles,) if isinstance(roles, str) else roles
    return isinstance(names, tuple) and len(names) == 1 and names[0].lower() == ANYBODY


def _stands_alone(roles: Any) -> Any:
    if not _is_anybody(roles) and ANYBODY in role_names(roles):
        raise ValueError(f"{ANYBODY!r} stands for no role at all, so nothing can stand beside it")
    return roles


RequiredRoles: TypeAlias = Annotated[Roles, AfterValidator(_stands_alone)]
"""As `Roles`; or `any`, which asks for no role."""


def role_names(roles: Any) -> frozenset[str]:
    """Lower-case names of all roles that an expression speaks of."""
    if isinstance(roles, str):
        return frozenset((roles.lower(),))
    if isinstance(roles, RoleExpression):
        parts = (*(roles.all or ()), *(roles.any or ()), *((roles.not_,) if roles.not_ is not None else ()))
    else:
        parts = roles
    return frozenset().union(*map(role_names, parts))


def compile_roles(roles: Any) -> RoleTest | None:
    """The test of an expression; None where no role is asked for. Case is ignored, as Keystone ignores it."""
    return None if _is_anybody(roles) else _compiled(roles)


def _compiled(roles: Any) -> RoleTest:
    if isinstance(roles, str):
        name = roles.lower()
        return lambda held: name in held
    if isinstance(roles, tuple):
        names = frozenset(role.lower() for role in roles)
        return lambda held: not names.isdisjoint(held)
    tests: list[RoleTest] = []
    if roles.all is not None:
        tests.extend(map(_compiled, roles.all))
    if roles.any is not None:
        tests.append(_either([_compiled(part) for part in roles.any]))
    if roles.not_ is not None:
        tests.append(_negated(_compiled(roles.not_)))
    return tests[0] if len(tests) == 1 else _every(tests)


def _negated(test: RoleTest) -> RoleTest:
    return lambda held: not test(held)


def _either(tests: list[RoleTest]) -> RoleTest:
    return lambda held: any(test(held) for test in tests)


def _every(tests: list[RoleTest]) -> RoleTest:
    return lambda held: all(test(held) for test in tests)
