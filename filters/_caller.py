"""Who is calling, for filters that ask for roles: the roles in lower case, and the answer to whoever is not known."""

from functools import lru_cache
from typing import Final

from gateway.api import Exchange, Fault, Rule

_ANY: Final = "Keystone"
"""The challenge where nobody knows of another."""
_DELAYED: Final = "auth_decision_delayed"
"""The reason of a filter that has let a request without a principal pass, and says in a 401 how to get one."""

NO_ROLES: Final[frozenset[str]] = frozenset()


@lru_cache(maxsize=4096)
def lowered(roles: tuple[str, ...]) -> frozenset[str]:
    """Roles in lower case."""
    return frozenset(role.lower() for role in roles)


def roles_of(exchange: Exchange) -> frozenset[str]:
    """Those of the principal, in lower case; none where there is no principal."""
    principal = exchange.principal
    return lowered(principal.roles) if principal is not None else NO_ROLES


def unknown_caller(exchange: Exchange, rule: Rule, challenge: str | None) -> Fault:
    """The 401 for a request without a principal; `challenge` is its WWW-Authenticate, where one is configured."""
    told_by_another = challenge is None and any(note.reason == _DELAYED for note in exchange.notes)
    return Fault(
        401,
        "principal_missing",
        "The request you have made requires authentication.",
        rule=rule,
        headers=() if told_by_another else (("WWW-Authenticate", challenge or _ANY),),
    )
