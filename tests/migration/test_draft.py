"""The chain in the making: conditions joined, names told apart, and nothing in it that could not be put in force."""

from pathlib import Path

from gateway.migration.draft import Chain, Draft, joined, methods
from gateway.migration.report import Report
from gateway.migration.source import Installation, Place
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
    assert draft.entries == []
    assert chain.part.outcome == "not moved"
    assert [note.text.partition(":")[0] for note in chain.part.notes] == [
        "methods",
        "no_such_filter",
        "methods",
        "methods",
    ]
    assert "allow[0]: 'G E T' is not a method" in chain.part.notes[0].text
    assert "there is no colour of entries" in chain.part.notes[3].text


def test_a_variable_of_the_environment_is_judged_by_its_value() -> None:
    draft = _draft(METHOD="GET")
    _chain(draft).add("methods", {"allow": ["{$ METHOD $}"]}, HERE)
    assert len(draft.entries) == 1


def test_a_secret_is_a_variable_to_be_set() -> None:
    draft = _draft()
    chain = _chain(draft)
    reference = draft.secret("keystone-v2_password", HERE, chain.part)
    assert (reference.name, reference.default) == ("KEYSTONE_V2_PASSWORD", "change-me")
    assert draft.variables == {"KEYSTONE_V2_PASSWORD": HERE}
    assert "KEYSTONE_V2_PASSWORD" in chain.part.notes[0].text
