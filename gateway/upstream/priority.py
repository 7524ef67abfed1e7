"""Which class a request is of: how high it ranks where requests have to wait."""

from collections.abc import Sequence

from gateway.api.exchange import Exchange
from gateway.config.traffic import PriorityClass


class Ranking:
    """The classes of a configuration, ready for use."""

    __slots__ = ("_classes",)

    def __init__(self, classes: Sequence[PriorityClass]) -> None:
        self._classes = tuple(
            (
                _set(one.roles),
                _set(one.users),
                _set(one.projects),
                _set(one.routes),
            )
            for one in classes
        )

    def of(self, exchange: Exchange) -> int:
        """The place of the first class that fits, 0 for the highest; behind all of them where none does."""
        principal = exchange.principal
        route = exchange.route
        for rank, (roles, users, projects, routes) in enumerate(self._classes):
            if routes is not None and (route is None or route.name not in routes):
                continue
            if roles is None and users is None and projects is None:
                return rank
            if principal is None:
                continue
            if roles is not None and roles.isdisjoint(principal.roles):
                continue
            if users is not None and users.isdisjoint((principal.user_id, principal.user_name)):
                continue
            if projects is not None and projects.isdisjoint((principal.project_id, principal.project_name)):
                continue
            return rank
        return len(self._classes)


def _set(names: Sequence[str] | None) -> frozenset[str | None] | None:
    return None if names is None else frozenset(names)
