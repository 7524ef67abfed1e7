"""Who is calling, as options name callers: by role, project, user, group or network."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from filters._network import membership
from filters.rate_limit.option import CallerOptions
from gateway.api import Exchange, Principal

CallerTest: TypeAlias = Callable[[Exchange], str | None]
"""The option that names the caller; None where none does."""


@lru_cache(maxsize=4096)
def _lowered(roles: tuple[str, ...]) -> frozenset[str]:
    return frozenset(role.lower() for role in roles)


def compile_callers(options: CallerOptions) -> CallerTest:
    """One of the names is enough. Roles compare without regard to case, as Keystone compares them."""
    roles = frozenset(role.lower() for role in options.roles)
    projects, users, groups = map(frozenset, (options.projects, options.users, options.groups))
    member = membership(options.networks) if options.networks else None

    def of_principal(principal: Principal) -> str | None:
        if principal.project_id in projects:
            return "projects"
        if principal.user_id in users:
            return "users"
        if roles and not roles.isdisjoint(_lowered(principal.roles)):
            return "roles"
        if groups and not groups.isdisjoint(principal.groups):
            return "groups"
        return None

    def test(exchange: Exchange) -> str | None:
        principal = exchange.principal
        found = of_principal(principal) if principal is not None else None
        if found is None and member is not None and member(exchange.client):
            return "networks"
        return found

    return test
