"""Which class a request is of."""

from typing import Any

import pytest

from gateway.api.exchange import Exchange
from gateway.api.principal import Principal
from gateway.config.traffic import PriorityClass
from gateway.upstream.priority import Ranking
from tests.support.records import record

CLASSES = [
    {"name": "operators", "roles": ["admin", "operator"]},
    {"name": "console", "routes": ["images"], "projects": ["p-1", "demo"]},
    {"name": "normal", "users": ["u-1", "alice"]},
    {"name": "rest", "routes": ["images"]},
]


def exchange(**changes: Any) -> Exchange:
    return record(**changes).exchange


@pytest.mark.parametrize(
    ("principal", "route", "rank"),
    [
        (Principal(roles=("member", "operator")), "images", 0),
        (Principal(project_id="p-1"), "images", 1),
        (Principal(project_name="demo"), "images", 1),
        (Principal(project_name="demo", user_name="alice"), "other", 2),
        (Principal(user_id="u-1"), "images", 2),
        (Principal(user_id="u-2"), "images", 3),
        (None, "images", 3),
        (None, "other", 4),
        (Principal(), "other", 4),
    ],
)
def test_is_of_the_first_class_that_fits(principal: Principal | None, route: str, rank: int) -> None:
    ranking = Ranking([PriorityClass.model_validate(one) for one in CLASSES])
    assert ranking.of(exchange(principal=principal, route_name=route)) == rank


def test_a_class_without_a_key_fits_everything() -> None:
    assert Ranking([PriorityClass(name="all")]).of(exchange()) == 0
    assert Ranking([]).of(exchange()) == 0


def test_what_has_no_route_is_of_no_class_that_names_one() -> None:
    ranking = Ranking([PriorityClass(name="a", routes=("images",))])
    assert ranking.of(exchange(route_template=None)) == 1
