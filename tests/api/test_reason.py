"""The registry of reason codes and the code agree."""

import ast
import re
from pathlib import Path

from gateway.api import REASONS

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")


def strings(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def sources() -> list[Path]:
    return [
        path
        for package in ("gateway", "filters")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in ("reason.py", "testing.py")
    ]


def reasons_given(path: Path) -> set[str]:
    """The literal reason of every Fault, Problem, Response and note in a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        # The Problem of a head has a reason; that of a configuration has a code of its own kind.
        place = {"Fault": 1, "note": 0, "Note": 0, "Problem": 1 if len(node.args) == 3 else None}.get(name)
        arguments = list(node.args)
        if place is not None and len(arguments) > place and isinstance(arguments[place], ast.Constant):
            value = arguments[place].value  # type: ignore[attr-defined] # a Constant
            if isinstance(value, str):
                found.add(value)
        found.update(
            keyword.value.value
            for keyword in node.keywords
            if keyword.arg == "reason"
            and isinstance(keyword.value, ast.Constant)
            and isinstance(keyword.value.value, str)
        )
    return found


def test_every_reason_that_the_code_gives_is_registered() -> None:
    for path in sources():
        if "demo" in path.parts or "migration" in path.parts:  # neither has exchanges of the gateway
            continue
        assert reasons_given(path) <= REASONS.keys(), path


def test_every_registered_reason_is_used_by_the_code() -> None:
    used = set().union(*(strings(path) for path in sources()))
    assert sorted(REASONS.keys() - used) == []


def test_codes_are_lower_snake_words_with_a_sentence_each() -> None:
    for code, sentence in REASONS.items():
        assert CODE.fullmatch(code), code
        assert sentence.endswith("."), code
        assert sentence[0].isupper(), code
