"""How many workers there are to be."""

import os

import structlog

from gateway.config.load import Loaded
from gateway.registry import Registry


def worker_count(loaded: Loaded, registry: Registry, asked: int | None = None, running: int = 0) -> int:
    """`asked` for, or what the configuration says; else one for each core, or one while filters count by themselves.

    Warns where more than one is asked for, or `running` already, and a filter counts what only its own process sees.
    """
    configuration = loaded.configuration
    counting = sorted(
        entry.name
        for chain in (configuration.filters, *(route.filters for route in configuration.routes))
        for entry in chain
        if entry.mode != "off" and registry.get(entry.type).counts
    )
    wanted = asked if asked is not None else configuration.workers
    several = max(running, wanted or 1)
    if several > 1 and counting:
        structlog.get_logger("gateway").warning("counted_in_each_worker", entries=counting, workers=several)
    if wanted is None:
        return 1 if counting else _cores()
    return wanted


def _cores() -> int:
    """Those that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
