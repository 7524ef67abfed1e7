"""Metrics of the shared memory. Names are those of the configuration's entries."""

import time

from gateway.metrics import Metrics
from gateway.shared.memory import SharedMemory

_LABELS = ("filter",)
_COUNTS = (
    ("gateway_table_decisions", "Decisions by a table that all workers share.", "decisions"),
    (
        "gateway_table_evictions",
        "Cells of a shared table that had to make room for others before they had expired.",
        "evictions",
    ),
    (
        "gateway_table_recoveries",
        "Changes of a shared table that were finished for a worker which was killed in the midst of them.",
        "recoveries",
    ),
    ("gateway_table_lock_waits", "Decisions that had to wait for another worker's.", "waits"),
    (
        "gateway_table_lock_timeouts",
        "Decisions that were made without the shared table, because a worker has stopped with it.",
        "timeouts",
    ),
)


def observe_counts(metrics: Metrics, memory: SharedMemory) -> None:
    """Adds what this process has counted."""
    for name, text, field in _COUNTS:
        metrics.counters(
            name,
            text,
            _LABELS,
            lambda field=field: [  # type: ignore[misc]
                ((name,), getattr(counted, field)) for name, counted in memory.counted().items()
            ],
        )


def observe_usage(metrics: Metrics, memory: SharedMemory) -> None:
    """Adds what is in the memory, for one of the processes that share it."""
    metrics.gauges(
        "gateway_table_cells",
        "Cells of shared tables that have not expired.",
        _LABELS,
        lambda: [((name,), cells) for name, cells in memory.usage(time.monotonic()).items()],
    )
    metrics.gauges(
        "gateway_table_capacity",
        "Cells that there is room for.",
        _LABELS,
        lambda: [((name,), cells) for name, cells in memory.capacity().items()],
    )
