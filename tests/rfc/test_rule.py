"""The list of rules is whole: each names tests that are there, and each test of this directory stands in it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.rfc.rule import RULES, Rule

TESTS = Path(__file__).parent.parent


@cache
def functions(path: Path) -> frozenset[str]:
    """The tests of a file."""
    tree = ast.parse(path.read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    )


def named() -> Iterator[str]:
    for rule in RULES:
        yield from rule.tests


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.section} {rule.text[:40]}")
def test_a_rule_names_tests_that_are_there(rule: Rule) -> None:
    assert rule.tests
    for test in rule.tests:
        file, _, function = test.partition("::")
        assert (TESTS / file).is_file(), test
        assert function in functions(TESTS / file), test


@pytest.mark.parametrize("number", ["9110", "9112"])
def test_each_test_of_an_rfc_stands_in_the_list_and_begins_with_its_section(number: str) -> None:
    file = f"rfc/test_rfc{number}.py"
    known = {test.partition("::")[2]: test for test in named() if test.startswith(f"{file}::")}
    assert functions(TESTS / file) == known.keys()
    for function in known:
        assert re.match(r"test_\d+(?:_\d+)*_[a-z]", function), function


def test_the_sections_are_in_their_order() -> None:
    places = [tuple(map(int, re.split(r"[ .]", rule.section))) for rule in RULES]
    assert places == sorted(places)


def test_each_of_the_fifty_is_in_the_list_once() -> None:
    assert sorted(rule.clause for rule in RULES if rule.clause) == list(range(1, 51))
