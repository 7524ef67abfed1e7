"""Edits of header fields, both ways."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.headers import Headers
from gateway.api import Exchange, Response, ShadowExchange, facts_of
from gateway.api.fact import RESPONSE, header
from gateway.api.testing import build, exchange, judge, judge_response

Lines = list[tuple[str, str]]


def edited(rules: dict[str, Any], lines: Lines) -> Lines:
    """The request's lines after the filter; the response's rules must do the same to the response."""
    made = exchange(headers=lines)
    assert judge(build(Headers, {"request": rules}), made) is None
    answered = exchange(response=Response(200, lines))
    assert judge_response(build(Headers, {"response": rules}), answered) is None
    after = text_of(made)
    assert answered.response is not None
    assert [(n.decode("latin-1"), v.decode("latin-1")) for n, v in answered.response.headers] == after
    return after


def text_of(made: Exchange) -> Lines:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in made.request.headers]


def test_set_replaces_every_line_whatever_its_case() -> None:
    lines = [("x-role", "admin"), ("Accept", "*/*"), ("X-ROLE", "root")]
    assert edited({"set": {"X-Role": "user"}}, lines) == [("X-Role", "user"), ("Accept", "*/*")]
    assert edited({"set": {"X-A": "1", "X-B": "2"}}, [("x-b", "0")]) == [("X-B", "2"), ("X-A", "1")]


def test_add_keeps_the_lines_that_are_there() -> None:
    assert edited({"add": {"X-Tag": "b"}}, [("X-Tag", "a")]) == [("X-Tag", "a"), ("X-Tag", "b")]


def test_remove_takes_every_line() -> None:
    assert edited(
        {"remove": ["X-Debug", "X-Not-There"]}, [("x-debug", "1"), ("A", "b"), ("X-DEBUG", "2")]
    ) == [("A", "b")]


def test_rename_keeps_place_order_and_the_lines_of_the_new_name() -> None:
    lines = [("x-old", "1"), ("X-New", "0"), ("A", "b"), ("X-Old", "2")]
    assert edited({"rename": {"X-Old": "X-New"}}, lines) == [
        ("X-New", "1"),
        ("X-New", "0"),
        ("A", "b"),
        ("X-New", "2"),
    ]


def test_rename_goes_by_the_names_as_they_arrived() -> None:
    assert edited({"rename": {"A": "B", "B": "A"}}, [("A", "1"), ("B", "2")]) == [("B", "1"), ("A", "2")]
    assert edited({"rename": {"A": "B", "B": "C"}}, [("A", "1")]) == [("B", "1")]


def test_copy_keeps_the_original() -> None:
    assert edited({"copy": {"A": "B"}}, [("a", "1"), ("B", "0"), ("A", "2")]) == [
        ("a", "1"),
        ("B", "1"),
        ("B", "0"),
        ("A", "2"),
        ("B", "2"),
    ]


def test_a_field_may_be_renamed_and_copied() -> None:
    assert edited({"rename": {"A": "B"}, "copy": {"a": "C"}}, [("A", "1")]) == [("B", "1"), ("C", "1")]


def test_keep_only_removes_all_others_but_the_gateways_own() -> None:
    lines = [
        ("Host", "a"),
        ("Accept", "*/*"),
        ("X-Spoof", "1"),
        ("content-length", "2"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Date", "now"),
        ("Via", "1.1 a"),
    ]
    assert edited({"keep_only": ["accept"]}, lines) == [line for line in lines if line[0] != "X-Spoof"]
    assert edited({"keep_only": []}, [("Accept", "*/*"), ("Host", "a")]) == [("Host", "a")]


def test_the_order_is_thin_out_then_move_then_set_then_add() -> None:
    rules = {
        "add": {"X-Role": "added"},
        "set": {"X-Trace": "set"},
        "copy": {"X-Internal": "X-Trace"},
        "rename": {"X-Internal": "X-Role"},
        "remove": ["X-Role"],
        "keep_only": ["X-Role", "X-Internal"],
    }
    lines = [("X-Role", "spoofed"), ("X-Internal", "real"), ("X-Trace", "spoofed")]
    assert edited(rules, lines) == [("X-Role", "real"), ("X-Trace", "set"), ("X-Role", "added")]


def test_without_rules_nothing_changes() -> None:
    lines = [("a", "1"), ("A", "2"), ("b", "")]
    assert edited({}, lines) == lines
    assert edited({"rename": {"X": "Y"}, "copy": {"X": "Z"}, "remove": ["X"]}, lines) == lines


def test_each_direction_has_its_own_rules() -> None:
    guard = build(Headers, {"request": {"set": {"A": "1"}}, "response": {"set": {"Server": "weir"}}})
    made = exchange(response=Response(200, [("Server", "origin")]))
    assert judge(guard, made) is None
    assert judge_response(guard, made) is None
    assert text_of(made) == [("A", "1")]
    assert made.response is not None
    assert list(made.response.headers) == [(b"Server", b"weir")]


def test_in_shadow_the_real_request_stays_as_it_came() -> None:
    base = exchange(headers=[("A", "1"), ("B", "2")])
    shadow = ShadowExchange(base, base.request.body)
    rules = {"keep_only": ["A"], "rename": {"A": "C"}, "set": {"D": "3"}}
    assert build(Headers, {"request": rules}).on_request(shadow) is None
    assert text_of(base) == [("A", "1"), ("B", "2")]
    assert sorted(text_of(shadow)) == [("C", "1"), ("D", "3")]


def test_declares_what_it_moves_and_whether_it_sees_the_response() -> None:
    def facts(options: dict[str, Any]) -> frozenset[Any]:
        return facts_of(Headers, Headers.Config.model_validate(options))

    assert facts({"request": {"set": {"A": "1"}, "remove": ["B"]}}) == frozenset()
    assert facts({"request": {"rename": {"A": "B"}, "copy": {"C": "D"}}}) == {header("a"), header("c")}
    assert facts({"response": {"remove": ["Server"]}}) == {RESPONSE}


names = st.sampled_from(["A", "a", "B", "b", "C", "c", "D", "X-Long", "x-long"])
header_lines = st.lists(st.tuples(names, st.text("xyz", max_size=2)), max_size=10)
moves = st.dictionaries(st.sampled_from(["A", "B", "C", "X-Long"]), st.sampled_from(["a", "B", "D", "E"]))


@given(header_lines, moves, moves)
def test_rename_and_copy_lose_no_line(lines: Lines, renames: dict[str, str], copies: dict[str, str]) -> None:
    after = edited({"rename": renames, "copy": copies}, lines)
    old = {name.lower() for name in renames}
    assert len(after) == len(lines) + sum(
        name.lower() == source.lower() for name, _ in lines for source in copies
    )
    untouched = [line for line in lines if line[0].lower() not in old | {name.lower() for name in copies}]
    remaining = iter(after)
    assert all(line in remaining for line in untouched)
    for source, target in {**copies, **renames}.items():
        moved = [value for name, value in lines if name.lower() == source.lower()]
        found = iter([value for name, value in after if name.lower() == target.lower()])
        assert all(value in found for value in moved)


@given(
    header_lines,
    st.lists(names, max_size=4),
    st.dictionaries(st.sampled_from(["A", "B", "E"]), st.text("xyz")),
)
def test_remove_and_set_leave_the_lines_of_other_names_in_order(
    lines: Lines, removed: list[str], values: dict[str, str]
) -> None:
    after = edited({"remove": removed, "set": values}, lines)
    touched = {name.lower() for name in (*removed, *values)}
    assert [line for line in after if line[0].lower() not in touched] == [
        line for line in lines if line[0].lower() not in touched
    ]
    for name, value in values.items():
        assert [v for n, v in after if n.lower() == name.lower()] == [value]


OWN = [
    "Content-Length",
    "transfer-encoding",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Upgrade",
    "Host",
    "VIA",
    "Date",
    "Expect",
    "Proxy-Authorization",
]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    "rules",
    [
        lambda name: {"set": {name: "x"}},
        lambda name: {"add": {name: "x"}},
        lambda name: {"remove": [name]},
        lambda name: {"rename": {name: "X"}},
        lambda name: {"rename": {"X": name}},
        lambda name: {"copy": {name: "X"}},
        lambda name: {"copy": {"X": name}},
    ],
)
def test_refuses_to_touch_the_gateways_own_fields(name: str, rules: Any) -> None:
    for direction in ("request", "response"):
        with pytest.raises(ValidationError, match=f"{name} cannot be edited: "):
            build(Headers, {direction: rules(name)})


@pytest.mark.parametrize(
    "rules",
    [
        {"set": {"X A": "1"}},
        {"set": {"": "1"}},
        {"set": {"X": "a\r\nY: b"}},
        {"set": {"X": "a\x00"}},
        {"add": {"X": "\x7f"}},
        {"add": {"X:": "a"}},
        {"set": {"X": 1}},
        {"set": {"X": "1", "x": "2"}},
        {"rename": {"X": "A", "x": "B"}},
        {"rename": {"X": "A\n"}},
        {"remove": ["a b"]},
        {"remove": "X"},
        {"keep_only": ["a b"]},
        {"replace": {"X": "1"}},
        {"copy_": {"X": "Y"}},
    ],
)
def test_refuses_wrong_rules(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(Headers, {"request": rules})


def test_a_value_beyond_latin_1_is_sent_as_utf_8() -> None:
    made = exchange()
    judge(build(Headers, {"request": {"set": {"X-Name": " \u0159eka "}}}), made)
    assert list(made.request.headers) == [(b"X-Name", "\u0159eka".encode())]


def test_split_makes_a_line_of_each_member_outside_of_quotes() -> None:
    lines = [("x-roles", "a, b,,c"), ("A", "1, 2"), ("X-Roles", '"d, e", f'), ("X-Roles", "")]
    assert edited({"split": ["X-Roles"]}, lines) == [
        *[("x-roles", value) for value in ("a", "b", "c", '"d, e"', "f", "")],
        ("A", "1, 2"),
    ]
    open_quote = [("X-Roles", 'a, "b')]
    assert edited({"split": ["X-Roles"]}, open_quote) == open_quote


def test_merge_makes_one_line_in_the_place_of_the_first() -> None:
    lines = [("A", "1"), ("x-tag", "a"), ("B", "2"), ("X-Tag", "b, c")]
    assert edited({"merge": ["X-Tag"]}, lines) == [("A", "1"), ("x-tag", "a, b, c"), ("B", "2")]


@given(st.lists(st.text("abc", min_size=1), min_size=1))
def test_what_was_split_is_merged_again(values: list[str]) -> None:
    lines = [("X-Tag", value) for value in values]
    merged = edited({"merge": ["X-Tag"]}, lines)
    assert edited({"split": ["X-Tag"]}, merged) == lines


def test_a_field_may_be_copied_to_several() -> None:
    assert edited({"copy": {"A": ["B", "C"]}}, [("A", "1")]) == [("A", "1"), ("B", "1"), ("C", "1")]


def test_quality_is_given_to_lines_that_have_none_wherever_they_come_from() -> None:
    rules = {"rename": {"Old": "New"}, "add": {"New": "b"}, "quality": {"new": 0.25}}
    lines = [("Old", "a"), ("New", "c; Q=1"), ("New", "d;v=q"), ("New", "")]
    assert edited(rules, lines) == [
        *(("New", "a;q=0.25"), ("New", "c; Q=1"), ("New", "d;v=q;q=0.25"), ("New", "")),
        ("New", "b;q=0.25"),
    ]


@pytest.mark.parametrize(
    "rules",
    [
        {"merge": ["Set-Cookie"]},
        {"merge": ["A"], "split": ["a"]},
        {"split": ["A", "a"]},
        {"split": ["Host"]},
        {"copy": {"A": []}},
        {"copy": {"A": ["Host"]}},
        {"quality": {"A": 1.5}},
    ],
)
def test_what_cannot_be_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(Headers, {"request": rules})
