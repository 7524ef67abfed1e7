"""Bodies: what is taken from them, put into them, and answered in place of them."""

import pytest

from gateway.migration.content import statuses


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("413", [413]),
        ("50[0-4]", ["500-504"]),
        ("4..", ["400-499"]),
        ("401|403|50\\d", [401, 403, "500-509"]),
        ("9..", []),
    ],
)
def test_statuses_that_an_expression_matches(expression: str, expected: list[int | str]) -> None:
    assert statuses(expression) == expected
