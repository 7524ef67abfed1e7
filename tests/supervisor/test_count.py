"""How many workers there are."""

import os
from pathlib import Path
from typing import Any

import pytest
import structlog

from filters.rate_limit import RateLimit
from gateway.config.load import Loaded, loads
from gateway.registry import Registry
from gateway.supervisor import count
from gateway.supervisor.count import worker_count
from tests.support.gateway import configuration

COUNTS: dict[str, Any] = {"rate_limit": {"limits": [{"rate": "2/hour", "key": ["client_ip"]}]}}
OFF: dict[str, Any] = {"rate_limit": {**COUNTS["rate_limit"], "mode": "off"}}


def loaded(**options: Any) -> Loaded:
    return loads(
        configuration("http://127.0.0.1:1", **{"workers": None, **options}),
        "gateway.yaml",
        registry=Registry(),
    )


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5})
    monkeypatch.setattr(RateLimit, "counts", True)  # as another's filter might
    monkeypatch.setattr(count, "_OWN", tmp_path / "own")
    monkeypatch.setattr(count, "_CGROUPS", tmp_path / "cgroup")


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


def test_limits_of_all_workers_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert not RateLimit.counts


def test_a_filter_of_a_route_counts_as_well() -> None:
    routes = [{"name": "a", "path": "/a", "upstream": "main", "filters": [COUNTS]}]
    assert worker_count(loaded(routes=routes), Registry()) == 1


def test_more_than_one_that_count_by_themselves_are_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        assert worker_count(loaded(filters=[COUNTS]), Registry(), 4) == 4
    (line,) = logs
    assert (line["event"], line["entries"], line["workers"]) == ("counted_in_each_worker", ["rate_limit"], 4)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"limits": {"connections": 9}}, "limits.connections"),
        ({"limits": {"connections_per_client": 9}}, "limits.connections_per_client"),
        ({"upstream": {"max_connections": 9}}, "upstreams.main.max_connections"),
        ({"upstream": {"concurrency": {"limit": 9}}}, "upstreams.main.concurrency.limit"),
        (
            {"routes": [{"name": "a", "path": "/a", "upstream": "main", "concurrency": {"limit": 9}}]},
            "routes[0].concurrency.limit",
        ),
    ],
    ids=["connections", "of a client", "to an upstream", "requests of an upstream", "of a route"],
)
def test_a_limit_of_the_core_is_counted_by_each_worker(options: dict[str, Any], written: str) -> None:
    assert worker_count(loaded(**options), Registry()) == 1
    with structlog.testing.capture_logs() as logs:
        assert worker_count(loaded(**options), Registry(), 2) == 2
    assert [(line["event"], line["entries"]) for line in logs] == [("counted_in_each_worker", [written])]


def test_a_limit_by_measurement_is_each_workers_own() -> None:
    assert worker_count(loaded(upstream={"concurrency": {"adaptive": {}}}), Registry()) == 3


def test_a_reload_that_makes_workers_count_by_themselves_is_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        assert worker_count(loaded(filters=[COUNTS]), Registry(), running=4) == 1
    assert [(line["event"], line["workers"]) for line in logs] == [("counted_in_each_worker", 4)]


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "100000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "5000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "900000 100000\n"}, 3),
        ("0::/host/only\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/a\n", {"a/cpu.max": "much\n"}, 3),
        (
            "5:memory:/a\n3:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        (
            "3:cpu:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            3,
        ),
    ],
    ids=[
        "rounded up",
        "of one above",
        "at least one",
        "more than there are",
        "of a container",
        "unreadable",
        "version 1",
        "version 1 without one",
    ],
)
def test_a_container_has_as_many_as_its_quota_has_time_for(
    tmp_path: Path, own: str, files: dict[str, str], expected: int
) -> None:
    (tmp_path / "own").write_text(own)
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert worker_count(loaded(), Registry()) == expected
