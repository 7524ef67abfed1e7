"""Queries in SQL: nothing that somebody has typed becomes part of its text."""

import pytest

from gateway.inspect.grammar import parse
from gateway.inspect.sql import condition, quoted


@pytest.mark.parametrize(
    ("text", "sql", "parameters"),
    [
        ("", "true", ()),
        ("status = 404", '"status" = ?', (404.0,)),
        ("status = 4xx", '"status" BETWEEN ? AND ?', (400, 499)),
        ("method in (GET, HEAD)", '"method" IN (?, ?)', ("GET", "HEAD")),
        ("path ~ '/a_b%*'", "\"path\" LIKE ? ESCAPE '\\'", ("/a\\_b\\%%",)),
        ("roles = admin", 'len(list_filter("roles", lambda x: x = ?)) > 0', ("admin",)),
        ("project_id != p", 'NOT coalesce("project_id" = ?, false)', ("p",)),
        ("status = 1 or status = 2", '("status" = ?) OR ("status" = ?)', (1.0, 2.0)),
    ],
)
def test_values_are_parameters(text: str, sql: str, parameters: tuple[object, ...]) -> None:
    assert condition(parse(text)) == (sql, parameters)


def test_a_value_that_looks_like_sql_is_a_value() -> None:
    evil = "x' OR 1=1; DROP VIEW records; --"
    found = condition(parse(f'path = "{evil}"'))
    assert found == ('"path" = ?', (evil,))
    assert quoted('a"b') == '"a""b"'
