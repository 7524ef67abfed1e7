"""Lines as a back-test reads them."""

from typing import Any

import orjson
import pytest

from gateway.backtest.line import UNREADABLE, principal_of, read

STEP: dict[str, Any] = {"name": "f", "phase": "request", "verdict": "pass", "ms": 0.1}
LINE: dict[str, Any] = {
    "kind": "request",
    "gateway.sequence": 7,
    "gateway.filters": [STEP],
    "gateway.facts": {"clock": 1, "principal": {"user_id": "u"}, "of": ["another", "version"]},
    "of.another": {"version": 1},
}


def test_what_is_not_asked_for_does_not_matter() -> None:
    line = read(orjson.dumps(LINE))
    assert (line.kind, line.sequence, line.worker, line.filter) == ("request", 7, None, None)
    assert line.facts is not None and line.facts.clock == 1.0
    assert principal_of(bytes(line.facts.principal)) == {"user_id": "u"}
    assert not line.sample and not line.attempts


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{",
        b'{"kind":"\xff"}',
        b'{"gateway.sequence":' + b"[" * 100_000,
        *(
            orjson.dumps({**LINE, **other})
            for other in (
                {"gateway.sequence": "7"},
                {"gateway.filters": [{**STEP, "verdict": "perhaps"}]},
                {"gateway.filters": [{"name": "f"}]},
                {"gateway.filters": 7},
                {"gateway.facts": {"clock": 1, "headers": []}},
            )
        ),
    ],
)
def test_what_is_no_record(line: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read(line)


def test_what_a_filter_notes_may_be_anything() -> None:
    facts = {"instant": {"a": 1}, "cells": None, "more": [1]}
    (step,) = read(orjson.dumps({**LINE, "gateway.filters": [{**STEP, "facts": facts}]})).filters
    assert step.facts is not None and (step.facts.instant, step.facts.cells) == ({"a": 1}, None)
