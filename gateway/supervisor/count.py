"""How many workers there are to be."""

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Final

import structlog

from gateway.config.load import Loaded
from gateway.config.model import Configuration
from gateway.config.problem import written
from gateway.registry import Registry

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def worker_count(loaded: Loaded, registry: Registry, asked: int | None = None, running: int = 0) -> int:
    """`asked` for, or what the configuration says; else one for each core, or one while there is a limit that each counts alone.

    Warns where more than one is asked for, or `running` already, and there is such a limit: a filter that counts what only
    its own process sees, or one of the core's.
    """
    configuration = loaded.configuration
    counting = sorted(
        entry.name
        for chain in (configuration.filters, *(route.filters for route in configuration.routes))
        for entry in chain
        if entry.mode != "off" and registry.get(entry.type).counts
    )
    counting += _limits(configuration)
    wanted = asked if asked is not None else configuration.workers
    several = max(running, wanted or 1)
    if several > 1 and counting:
        structlog.get_logger("gateway").warning("counted_in_each_worker", entries=counting, workers=several)
    if wanted is None:
        return 1 if counting else _cores()
    return wanted


def _limits(configuration: Configuration) -> Iterator[str]:
    """The core's limits in so many requests or connections, as they are written."""
    limits = configuration.limits
    for option in ("connections", "connections_per_client"):
        if getattr(limits, option) is not None:
            yield written(("limits", option))
    for name, upstream in configuration.upstreams.items():
        if upstream.max_connections is not None:
            yield written(("upstreams", name, "max_connections"))
        if upstream.concurrency is not None and upstream.concurrency.limit is not None:
            yield written(("upstreams", name, "concurrency", "limit"))
    for place, route in enumerate(configuration.routes):
        if route.concurrency is not None and route.concurrency.limit is not None:
            yield written(("routes", place, "concurrency", "limit"))


def _cores() -> int:
    """Those that this process may use: that it may run on, and has time for by the quota of a container, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *map(ceil, _quotas())]))


def _quotas() -> Iterator[float]:
    """Cores' worth of time that control groups leave this process, its own and those above it (cgroups(7), both versions)."""
    with suppress(OSError):
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            base = _CGROUPS / controllers if controllers else _CGROUPS
            own = base / path.lstrip("/")
            # In a container its own group may stand at the root, whatever its path is said to be.
            for group in {base, own, *(parent for parent in own.parents if parent.is_relative_to(base))}:
                with suppress(OSError, ValueError):
                    yield _quota(group, bool(controllers))


def _quota(group: Path, first_version: bool) -> float:
    """Raises OSError or ValueError where it has none."""
    if first_version:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
    else:
        quota, period = map(int, (group / "cpu.max").read_text().split())
    if quota <= 0 or period <= 0:
        raise ValueError("no quota")
    return quota / period
