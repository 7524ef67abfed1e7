"""What can be said of a table, and what cannot."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters.rbac.option import RbacConfig
from gateway.api.fact import METHOD, PARAMS, PRINCIPAL, TARGET

ROW = {"path": "/a", "roles": "any"}


def test_facts_are_those_that_the_table_judges_by() -> None:
    assert RbacConfig.model_validate({"rows": [ROW]}).reads() == {METHOD, TARGET, PRINCIPAL}
    with_project = RbacConfig.model_validate({"rows": [ROW], "project_param": "p"})
    assert with_project.reads() == {METHOD, TARGET, PRINCIPAL, PARAMS}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"rows": []}, "at least 1 item"),
        ({"rows": [{"path": "/a"}]}, "roles"),
        ({"rows": [{"roles": "any"}]}, "one of path and regex"),
        ({"rows": [{**ROW, "regex": "/a"}]}, "one of path and regex"),
        ({"rows": [{**ROW, "path": "a"}]}, "begins with '/'"),
        ({"rows": [{"regex": "(/[^/]+)*", "roles": "any"}]}, "match for ever"),
        ({"rows": [{**ROW, "methods": ["GE T"]}]}, "not a method"),
        ({"rows": [{**ROW, "methods": []}]}, "at least 1 item"),
        ({"rows": [ROW], "mask": 403}, "404"),
        ({"rows": [ROW], "strip_prefixes": ["AUTH_"]}, "without project_param"),
        ({"rows": [ROW], "challenge": "a\nb"}, "control character"),
        ({"rows": [ROW], "challenge": " "}, "names a scheme"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RbacConfig.model_validate(options)


def test_methods_are_held_in_upper_case() -> None:
    assert RbacConfig.model_validate({"rows": [{**ROW, "methods": ["get"]}]}).rows[0].methods == ("GET",)
