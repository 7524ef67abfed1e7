"""Values of options."""

import click
import pytest

from gateway.cli.value import header_pairs, seconds


def test_header_fields() -> None:
    assert header_pairs(("A: b", "C:d:e", "F:")) == (("A", "b"), ("C", "d:e"), ("F", ""))
    for text in ("A", ": b"):
        with pytest.raises(click.UsageError, match="Name: value"):
            header_pairs((text,))


def test_times() -> None:
    assert seconds("2026-01-01T12:00", 0.0) == 1_767_268_800.0
    assert seconds(None, 7.0) == 7.0
    with pytest.raises(click.UsageError, match="is no time"):
        seconds("noon", 0.0)
