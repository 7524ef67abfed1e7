"""One record as a tree."""

import pytest

from gateway.inspect.tree import print_tree
from tests.inspect.lines import RECORDS


def test_it_tells_the_decision_the_filters_and_the_attempts(capsys: pytest.CaptureFixture[str]) -> None:
    print_tree(RECORDS[1])
    out = capsys.readouterr().out
    assert "refuse  methods: method_not_allowed  gateway.yaml:12:9" in out
    print_tree(RECORDS[2])
    out = capsys.readouterr().out
    assert "upstream attempts" in out
    assert "status=503" in out


def test_what_a_client_wrote_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_tree({**RECORDS[1], "user_agent.original": "\x1b[2J[bold]x"})
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[2J[bold]x" in out
