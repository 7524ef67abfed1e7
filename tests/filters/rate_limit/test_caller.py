"""Who is calling."""

from typing import Any

import pytest

from filters.rate_limit.caller import compile_callers
from filters.rate_limit.option import CallerOptions
from gateway.api import Principal
from gateway.api.testing import exchange

CALLER = Principal(user_id="u1", project_id="p1", roles=("Member", "reader"), groups=("gold",))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"roles": ["member"]}, "roles"),
        ({"roles": ["admin"]}, None),
        ({"projects": ["p0", "p1"]}, "projects"),
        ({"projects": ["P1"]}, None),
        ({"users": ["u1"]}, "users"),
        ({"users": ["p1"]}, None),
        ({"groups": ["gold"]}, "groups"),
        ({"groups": ["Gold"]}, None),
        ({"networks": ["192.0.2.0/24"]}, "networks"),
        ({"networks": ["198.51.100.0/24"], "roles": ["reader"]}, "roles"),
    ],
)
def test_one_name_is_enough(options: dict[str, Any], found: str | None) -> None:
    test = compile_callers(CallerOptions.model_validate(options))
    assert test(exchange(principal=CALLER, client="192.0.2.1")) == found


def test_nobody_has_an_address_alone() -> None:
    names = {"roles": ["member"], "projects": ["p1"], "users": ["u1"], "groups": ["gold"]}
    test = compile_callers(CallerOptions.model_validate(names))
    assert test(exchange()) is None
    assert test(exchange(principal=Principal())) is None
    test = compile_callers(CallerOptions.model_validate({**names, "networks": ["192.0.2.1"]}))
    assert test(exchange(client="192.0.2.1")) == "networks"
