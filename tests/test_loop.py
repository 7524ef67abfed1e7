"""Which event loop carries exchanges."""

import asyncio
import sys

import pytest
import uvloop

from gateway.loop import loop_factory


def test_is_uvloop_where_it_is_installed() -> None:
    assert loop_factory() is uvloop.new_event_loop


def test_is_that_of_the_standard_library_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is asyncio.new_event_loop
