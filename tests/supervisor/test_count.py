"""How many workers there are."""

import os
from typing import Any

import pytest
import structlog

from gateway.config.load import Loaded, loads
from gateway.registry import Registry
from gateway.supervisor.count import worker_count
from tests.support.gateway import configuration

COUNTS: dict[str, Any] = {"rate_limit": {"limits": [{"rate": "2/hour", "key": ["client_ip"]}]}}
OFF: dict[str, Any] = {"rate_limit": {**COUNTS["rate_limit"], "mode": "off"}}


def loaded(**options: Any) -> Loaded:
    return loads(configuration("http://127.0.0.1:1", **options), "gateway.yaml", registry=Registry())


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5})


@pytest.mark.parametrize(
    ("options", "asked", "expected"),
    [
        ({}, None, 3),
        ({"workers": 2}, None, 2),
        ({"workers": 2}, 5, 5),
        ({"filters": [COUNTS]}, None, 1),
        ({"filters": [OFF]}, None, 3),
    ],
    ids=["one for each core", "configured", "asked for", "one that counts", "one that is off"],
)
def test_is_what_was_asked_for_or_what_the_machine_has(
    options: dict[str, Any], asked: int | None, expected: int
) -> None:
    with structlog.testing.capture_logs() as logs:
        assert worker_count(loaded(**options), Registry(), asked) == expected
    assert logs == []


def test_a_filter_of_a_route_counts_as_well() -> None:
    routes = [{"name": "a", "path": "/a", "upstream": "main", "filters": [COUNTS]}]
    assert worker_count(loaded(routes=routes), Registry()) == 1


def test_more_than_one_that_count_by_themselves_are_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        assert worker_count(loaded(filters=[COUNTS]), Registry(), 4) == 4
    (line,) = logs
    assert (line["event"], line["entries"], line["workers"]) == ("counted_in_each_worker", ["rate_limit"], 4)


def test_a_reload_that_makes_workers_count_by_themselves_is_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        assert worker_count(loaded(filters=[COUNTS]), Registry(), running=4) == 1
    assert [(line["event"], line["workers"]) for line in logs] == [("counted_in_each_worker", 4)]
