"""A query says the same of a record and of a row: the test of one is held against the database."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.inspect.database import Database
from gateway.inspect.field import FIELDS, Field
from gateway.inspect.grammar import And, Compare, Not, Or, Query, parse
from gateway.inspect.predicate import predicate
from tests.inspect.lines import RECORDS, write

VALUES: dict[str, list[Any]] = {
    field.name: sorted(
        {
            item
            for record in RECORDS
            for value in [field.value(record)]
            for item in (value if isinstance(value, list) else [value])
            if item is not None
        }
    )
    for field in FIELDS
}
ORDERED = ["=", "<", "<=", ">", ">="]


def values(field: Field) -> st.SearchStrategy[Any]:
    known = st.sampled_from(VALUES[field.name]) if VALUES[field.name] else st.nothing()
    match field.kind:
        case "text" | "texts":
            return known | st.text(st.sampled_from("ab/*%_\\'é"), max_size=4)
        case "time":
            return known | st.datetimes()
        case _:
            return known | st.integers(-5, 10_000)


def patterns(field: Field) -> st.SearchStrategy[str]:
    """Values of the field with pieces of them left open."""

    def opened(value: Any, cuts: list[int]) -> str:
        text = str(value)
        for cut in cuts:
            at = cut % (len(text) + 1)
            text = text[:at] + "*" + text[at + cut % 3 :]
        return text

    return st.builds(opened, values(field), st.lists(st.integers(0, 50), max_size=3))


def comparisons() -> st.SearchStrategy[Query]:
    def of(field: Field) -> st.SearchStrategy[Query]:
        textual = field.kind in ("text", "texts")
        choices: list[st.SearchStrategy[Query]] = [
            st.just(Compare(field, "null")),
            st.builds(
                lambda operator, value: Compare(field, operator, (value,)),
                st.sampled_from(["="] if textual else ORDERED),
                values(field),
            ),
            st.lists(values(field), min_size=1, max_size=3).map(
                lambda found: Compare(field, "in", tuple(found))
            ),
        ]
        if textual:
            choices.append(patterns(field).map(lambda pattern: Compare(field, "~", (pattern,))))
        return st.one_of(choices)

    return st.sampled_from(FIELDS).flatmap(of)


queries = st.recursive(
    comparisons(),
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts)))
        | st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts)))
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("log") / "requests.log"
    write(path, RECORDS)
    made = Database(path)
    yield made
    made.close()


@given(query=queries)
@settings(deadline=None)
def test_the_test_of_a_record_says_what_the_database_says(database: Database, query: Query) -> None:
    test = predicate(query)
    wanted = sorted(record["gateway.request_id"] for record in RECORDS if test(record))
    found = database.records(query, columns=[field for field in FIELDS if field.name == "request_id"])
    assert sorted(row[0] for row in found.rows) == wanted


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("status = 405", 1),
        ("status != 405", len(RECORDS) - 1),
        # What a record does not have is not equal to anything, and neither more nor less.
        ("project_id = p-1", 2),
        ("project_id != p-1", len(RECORDS) - 2),
        ("not project_id = p-1", len(RECORDS) - 2),
        ("status < 600 or status >= 600", len(RECORDS) - 1),
        ("roles = reader", 2),
        ("roles != reader", len(RECORDS) - 2),
        ("shadow = rate_limited", 1),
        ("attempts > 1", 1),
        ("upstream_time > 5ms", 1),
        ("path ~ '*/images*' and path !~ '*meta*'", 2),
        ("path ~ '/100%25_*'", 1),
        ("path ~ '/100%_*'", 0),
    ],
)
def test_what_is_found(database: Database, text: str, count: int) -> None:
    assert len(list(database.records(parse(text)).rows)) == count
    test = predicate(parse(text))
    assert sum(map(test, RECORDS)) == count


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"timestamp": 7, "http.response.status_code": "405", "user.roles": "admin", "gateway.filters": 3},
        {
            "timestamp": "noon",
            "user.roles": [1, None],
            "gateway.filters": [1, {"shadow": True, "verdict": "refuse"}],
        },
        {"gateway.upstream.attempts": [{"total_ms": "x"}, 3], "http.response.status_code": True},
    ],
)
def test_a_record_that_is_none_is_not_asked_for(odd: dict[str, Any]) -> None:
    for field in FIELDS:
        value = field.value(odd)
        assert value in (None, [], 0, 1)
        assert json.dumps(value) is not None
    assert not predicate(parse("status = 405 or roles = admin or time > 2020-01-01"))(odd)


def test_a_pattern_of_many_stars_takes_no_longer_than_a_few(tmp_path: Path) -> None:
    test = predicate(parse(f"path ~ '{'*a' * 1000}b'"))
    assert not test({"url.path": "a" * 8000})
