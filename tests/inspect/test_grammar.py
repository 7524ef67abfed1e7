"""The language of queries: what is said, and what is told of what is not understood."""

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.inspect.field import BY_NAME
from gateway.inspect.grammar import EVERYTHING, MAX_LENGTH, And, Compare, Not, Or, QueryError, parse, pointed


def compare(name: str, operator: str, *values: object) -> Compare:
    return Compare(BY_NAME[name], operator, values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", EVERYTHING),
        ("  ", EVERYTHING),
        ("status >= 400", compare("status", ">=", 400.0)),
        ("status == 404", compare("status", "=", 404.0)),
        ("status = 4xx", compare("status", "range", 400, 499)),
        ("status != 5XX", Not(compare("status", "range", 500, 599))),
        ("reason = rate_limited", compare("reason", "=", "rate_limited")),
        ("reason='rate_limited'", compare("reason", "=", "rate_limited")),
        ('user_name = "O\'Neil ""x"""', compare("user_name", "=", 'O\'Neil "x"')),
        ("user_name = 'O''Neil'", compare("user_name", "=", "O'Neil")),
        ("path ~ /v2/*/images", compare("path", "~", "/v2/*/images")),
        ("path !~ '/v2/*'", Not(compare("path", "~", "/v2/*"))),
        ("method in (GET, 'HEAD')", compare("method", "in", "GET", "HEAD")),
        ("method not in (GET)", Not(compare("method", "in", "GET"))),
        ("project_id is null", compare("project_id", "null")),
        ("project_id IS NOT NULL", Not(compare("project_id", "null"))),
        ("duration > 1.5s", compare("duration", ">", 1500.0)),
        ("duration > 20", compare("duration", ">", 20.0)),
        ("bytes_in >= 64KiB", compare("bytes_in", ">=", 65536.0)),
        ("time >= 2026-01-31T12:00", compare("time", ">=", datetime(2026, 1, 31, 12))),
        ("time < '2026-01-31T12:00:00+02:00'", compare("time", "<", datetime(2026, 1, 31, 10))),
        (
            "status = 413 and method = GET or path = /x",
            Or(
                (
                    And((compare("status", "=", 413.0), compare("method", "=", "GET"))),
                    compare("path", "=", "/x"),
                )
            ),
        ),
        (
            "not (status = 413 or not method = GET)",
            Not(Or((compare("status", "=", 413.0), Not(compare("method", "=", "GET"))))),
        ),
    ],
)
def test_what_is_said(text: str, query: object) -> None:
    assert parse(text) == query


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("stats = 4", 0, "expected a field, not 'stats' (did you mean 'status'?)"),
        ("status >> 4", 8, "expected a value of status"),
        ("status = many", 9, "expected a number"),
        ("status = nan", 9, "expected a number"),
        ("duration > 5 parsecs", 13, "expected and, or or the end, not 'parsecs'"),
        ("duration > 5parsecs", 11, "expected milliseconds"),
        ("time > noon", 7, "expected an instant such as"),
        ("reason > a", 7, "reason is a text"),
        ("status ~ 4*", 7, "status is no text"),
        ("status", 6, "expected = != <"),
        ("and", 0, "expected a field"),
        ("status = 4 and", 14, "expected a field, not the end"),
        ("(status = 4", 11, "expected )"),
        ("method in GET", 10, "expected ( behind in"),
        ("method in (GET", 14, "expected , or )"),
        ("method in ()", 11, "expected a value of method"),
        ("path = 'x", 7, "a quote that does not end"),
        ("path = x!", 8, "unexpected '!'"),
        ("'status' = 4", 0, "expected a field, not \"'status'\""),
        ("path = (", 7, "expected a value of path"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH, "longer than"),
        ("not " * 100 + "status = 4", None, "nested too deep"),
        ("(" * 100 + "status = 4" + ")" * 100, None, "nested too deep"),
    ],
)
def test_what_is_not_understood_is_told_with_its_place(text: str, position: int | None, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert position in (None, caught.value.position)


def test_the_place_is_marked_below_the_query() -> None:
    text = "status\t>> 4"
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert pointed(text, caught.value) == "status >> 4\n        ^\nexpected a value of status"


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["status", "path", "=", "(", ")", "'", '"', "and", "or", "not", "in", ",", "~", "4", "x", "\\"]
        ),
        max_size=30,
    ).map(" ".join)
)
@example("time = 9999-12-31T23:59:59+23:59")
@example("time = 0001-01-01T00:00:00+23:59")
def test_any_text_is_a_query_or_is_told_why_not(text: str) -> None:
    wrong = None
    try:
        parse(text)
    except QueryError as error:
        wrong = error
    if wrong is not None:
        assert 0 <= wrong.position <= len(text)
        assert pointed(text, wrong).count("\n") == 2
