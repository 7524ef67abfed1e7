"""Regular expressions that an option may hold: none that runs for long."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.api.regex import LONGEST, PathRegex, compile_path

ADAPTER: TypeAdapter[str] = TypeAdapter(PathRegex)


@pytest.mark.parametrize(
    "text",
    [
        "/v2/[^/]+/servers(?:/[^/]+)?",
        "/v2/.*/servers/.*",
        "/(?P<project_id>[0-9a-f]{32})/(?:images|servers)(?:/.*)?",
        "(?:/[^/]++)*",
        "(?:/[a-z]{1,16}+)+",
        "(?>a|ab)*",
        "[^/]+/[^/]+/[^/]+/[^/]+/[^/]+",
    ],
)
def test_what_is_bounded_is_taken(text: str) -> None:
    assert ADAPTER.validate_python(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(/[^/]+)*", "varies inside a repeat"),
        ("(?:x+)+y", "varies inside a repeat"),
        ("(.*,){16}x", "varies inside a repeat"),
        ("(?:(?:a*)b?)+", "varies inside a repeat"),
        ("(a|ab)*c", "alternatives inside a repeat"),
        ("/.*/.*/.*", "more than 2 repeats side by side"),
        ("[^/]+[a-z]+[^/]*x", "more than 2 repeats side by side"),
        ("(?:aa?)+x", "varies inside a repeat"),
        (r"\S+\S+\W+x", "more than 2 repeats side by side"),
        ("/(", "not a regular expression"),
        ("x{99999999999999999999}", "not a regular expression"),
    ],
)
def test_what_may_run_for_ever_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ADAPTER.validate_python(text)


PIECES = st.sampled_from(["a", "/", "[^/]", ".", "(?:a|aa)", "(?:ab?)"])
PATTERNS = st.lists(
    st.tuples(PIECES, st.sampled_from(["", "+", "*", "++", "?", "{2,9}", "+?"])).map("".join), max_size=5
).map("".join)


@given(PATTERNS, st.sampled_from(["", "+", "*", "{3}"]), st.sampled_from(["a", "/", "a/", "ab"]))
def test_no_expression_that_is_taken_is_slow(inner: str, outer: str, unit: str) -> None:
    text = f"(?:{inner}){outer}x" if outer else f"{inner}x"
    try:
        ADAPTER.validate_python(text)
    except ValidationError:
        return
    longest = (unit * LONGEST)[:LONGEST]
    begun = time.process_time()
    compile_path(text).fullmatch(longest)
    assert time.process_time() - begun < 5


def test_a_line_end_is_a_character_as_any_other() -> None:
    assert compile_path("/admin/.*").fullmatch("/admin/\n") is not None
    assert isinstance(compile_path("/"), re.Pattern)
