"""The chain in the making: conditions joined, names told apart, and nothing in it that could not be put in force."""

from pathlib import Path
from typing import Any

import pytest

from gateway.migration.draft import Chain, Draft, apart, holds, joined, methods, negated
from gateway.migration.report import Report
from gateway.migration.source import Element, Installation, Place
from gateway.migration.writing import Reference
from gateway.registry import Registry

HERE = Place("a.cfg.xml", 7)


def _draft(**environment: str) -> Draft:
    return Draft(Installation(Path(), environment), Report(), Registry())


def _chain(draft: Draft, name: str = "a") -> Chain:
    return Chain(draft, draft.report.part(name, HERE), name, [{"not": {"path": ["/free"]}}])


def test_conditions_side_by_side_and_those_that_cannot_stand_so() -> None:
    assert joined([{"path": ["/a"]}]) == {"path": ["/a"]}
    assert joined([{"path": ["/a"]}, {"method": ["GET"]}]) == {"path": ["/a"], "method": ["GET"]}
    assert joined([{"path": ["/a"]}, {"path": ["/b"]}]) == {"all": [{"path": ["/a"]}, {"path": ["/b"]}]}


PATH, POST, FIELD = {"path": ["/a"]}, {"method": ["POST"]}, {"header": {"X-A": True}}


@pytest.mark.parametrize(
    ("conditions", "other", "expected"),
    [
        ([PATH], PATH, True),
        ([PATH, POST], {**PATH, **POST}, True),
        ([{**PATH, **POST}], POST, True),
        ([PATH, {"all": [POST, FIELD]}], {"all": [FIELD, PATH]}, True),
        ([{"not": {"path": ["/a", "/b"]}}], {"not": PATH}, True),
        ([PATH], {**PATH, **POST}, False),
        ([{"any": [PATH, POST]}], PATH, False),
        ([], PATH, False),
    ],
)
def test_whether_a_condition_holds_where_others_do(
    conditions: list[dict[str, Any]], other: dict[str, Any], expected: bool
) -> None:
    assert holds(conditions, other) is expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([POST, {"method": ["GET", "PUT"]}], True),
        ([POST, {"method": ["GET", "POST"]}], False),
        ([{"path": ["/a/{rest*}"]}, {"path": ["/b", "/c"]}], True),
        ([{"path": ["/a/{rest*}"]}, {"path": ["/b", "/a/c"]}], False),
        ([PATH, {"path": ["regex:/b"]}], False),
        ([{**PATH, **POST}, negated(POST)], True),
        ([PATH, POST, negated({**PATH, **POST})], True),
        ([PATH, negated({**PATH, **POST})], False),
        ([{"any": [PATH, POST]}, negated(PATH)], False),
        ([], False),
    ],
)
def test_whether_no_request_fulfils_all_of_some_conditions(
    conditions: list[dict[str, Any]], expected: bool
) -> None:
    assert apart(conditions) is expected


def test_twice_negated_is_as_it_was() -> None:
    assert negated(negated(PATH)) == PATH


def test_all_methods_are_no_condition() -> None:
    assert methods(["get", "POST"]) == ["GET", "POST"]
    assert methods(["GET", "ALL"]) == []


def test_entries_are_named_apart() -> None:
    draft = _draft()
    assert [draft.named(name) for name in ("a b", "a-b", "", "é", "a b")] == [
        "a-b",
        "a-b-2",
        "filter",
        "filter-2",
        "a-b-3",
    ]


def test_an_entry_stands_under_the_condition_of_its_filter() -> None:
    draft = _draft()
    chain = _chain(draft)
    chain.add("methods", {"allow": ["GET"]}, HERE, when=[{"method": ["GET"]}])
    value = draft.entries[0].value()
    assert value.comment == ("a.cfg.xml:7",)
    assert value.value == {
        "methods": {"name": "a", "when": {"not": {"path": ["/free"]}, "method": ["GET"]}, "allow": ["GET"]}
    }
    assert chain.part.into == ["methods 'a'"]


def test_what_could_not_be_put_in_force_is_left_out_and_told() -> None:
    draft = _draft()
    chain = _chain(draft)
    chain.add("methods", {"allow": ["G E T"]}, HERE)
    chain.add("no_such_filter", {}, HERE)
    chain.add("methods", {"allow": ["GET"]}, HERE, when=[{"path": ["regex:("]}])
    chain.add("methods", {"allow": ["GET"]}, HERE, rest={"colour": "red"})
    assert [(entry.type, entry.options) for entry in draft.entries] == [("respond", {"status": 503})], (
        "once for the same requests"
    )
    assert draft.entries[0].when == [{"not": {"path": ["/free"]}}], (
        "what cannot be said of requests refuses more of them"
    )
    assert chain.part.outcome == "not moved"
    said = [note.text for note in chain.part.notes if "all its requests" not in note.text]
    assert [text.partition(":")[0] for text in said] == ["methods", "no_such_filter", "methods", "methods"]
    assert "allow[0]: 'G E T' is not a method" in said[0]
    assert "there is no colour of entries" in said[3]


def test_what_checks_nothing_is_left_out_with_a_note() -> None:
    draft = _draft()
    chain = _chain(draft)
    chain.add("compression", {"colour": "red"}, HERE, checks=False)
    assert draft.entries == [] and not chain.part.refuses
    assert chain.part.outcome == "not moved"


@pytest.mark.parametrize(
    ("type", "options", "when", "refused"),
    [
        ("rate_limit", {"limits": [{"rate": "1/minute", "key": ["global"], "path": "/a"}]}, [], True),
        ("rate_limit", {"limits": [{"rate": "1/minute", "key": ["global"]}]}, [], False),
        ("headers", {"request": {"remove": ["X-A"]}}, [{"path": ["/a"]}], True),
        ("headers", {"request": {"remove": ["X-A"]}}, [{"not": {"method": ["GET"]}}], False),
        ("json_patch", {"request": [{"op": "remove", "path": "/a"}]}, [], False),
    ],
)
def test_behind_a_change_of_the_path_what_goes_by_the_path_refuses(
    type: str, options: dict[str, Any], when: list[dict[str, Any]], refused: bool
) -> None:
    draft = _draft()
    draft.rewritten = Place("b.cfg.xml", 2)
    chain = Chain(draft, draft.report.part("a", HERE), "a", [])
    chain.add(type, options, HERE, when=when)
    assert [entry.type for entry in draft.entries] == ["respond" if refused else type]
    assert [entry.when for entry in draft.entries] == [[] if refused else when]
    assert ("b.cfg.xml:2" in str(chain.part.notes)) is refused


@pytest.mark.parametrize(
    ("own", "asked", "seen"),
    [
        ([], {"method": ["GET"]}, False),
        ([{"method": ["GET"]}, {"path": ["/a"]}], {"path": ["/a"]}, True),
        ([{"not": {"path": ["/a", "/b"]}}], {"not": {"path": ["/a"]}}, True),
        ([{"not": {"path": ["/a"]}}], {"not": {"path": ["/a", "/b"]}}, False),
        ([{"not": {"path": ["/a"]}}], {"not": {"method": ["GET"]}}, False),
    ],
)
def test_what_requests_of_a_place_fulfil(
    own: list[dict[str, Any]], asked: dict[str, Any], seen: bool
) -> None:
    draft = _draft()
    assert Chain(draft, draft.report.part("a", HERE), "a", own).seen_by(asked) is seen


def test_a_variable_of_the_environment_is_judged_by_its_value() -> None:
    draft = _draft(METHOD="GET")
    _chain(draft).add("methods", {"allow": ["{$ METHOD $}"]}, HERE)
    assert len(draft.entries) == 1


@pytest.mark.parametrize(
    ("type", "options"),
    [
        ("methods", {"allow": ["{$ X $}"]}),
        ("rate_limit", {"limits": [{"rate": "{$ X $}/minute"}]}),
        ("headers", {"request": {"set": {"X-A": "{$ X $}"}}}),
    ],
)
def test_a_variable_that_is_not_set_here_may_be_right(type: str, options: dict[str, Any]) -> None:
    draft = _draft()
    chain = _chain(draft)
    chain.add(type, options, HERE)
    assert [entry.type for entry in draft.entries] == [type]
    assert "variable X " in chain.part.notes[0].text


def test_what_no_value_of_a_variable_makes_right_refuses() -> None:
    draft = _draft()
    _chain(draft).add("methods", {"allow": ["{$ X $}"], "deny": True}, HERE)
    assert [entry.type for entry in draft.entries] == ["respond"]


def test_a_secret_is_a_variable_to_be_set() -> None:
    draft = _draft()
    chain = _chain(draft)
    reference = draft.secret("keystone-v2_password", HERE, chain.part)
    assert isinstance(reference, Reference)
    assert (reference.name, reference.default) == ("KEYSTONE_V2_PASSWORD", "change-me")
    assert draft.variables == {"KEYSTONE_V2_PASSWORD": HERE}
    assert "KEYSTONE_V2_PASSWORD" in chain.part.notes[0].text


def test_what_is_written_before_who_is_calling_is_told_and_what_is_removed_is_not() -> None:
    draft = _draft()
    chain, element = _chain(draft), Element("x", HERE, {}, {})
    chain.finds_user([0.4])
    chain.removes(["X-Roles"], HERE)
    chain.writes(["X-Region"], HERE)
    chain.replaces(element, ["x-roles"])
    assert not chain.part.notes
    chain.writes(["X-PP-User", "X-PP-Groups"], HERE)
    chain.replaces(element, ["x-pp-user", "x-pp-groups", "x-roles"])
    assert [note.text for note in chain.part.notes] == [
        f"what {HERE} has written into x-pp-user, x-pp-groups is replaced by who is calling, where Repose adds to it: put that filter "
        "behind this one"
    ]
