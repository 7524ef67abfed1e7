"""What is told of the shared memory."""

from gateway.metrics import Metrics
from gateway.shared.measure import observe_counts, observe_usage
from gateway.shared.memory import SharedMemory
from tests.shared.process import table_of


def test_tells_of_each_entry_by_its_name() -> None:
    memory = SharedMemory.create(slots=64)
    metrics = Metrics()
    observe_counts(metrics, memory)
    observe_usage(metrics, memory)
    assert 'filter="' not in metrics.render().decode()
    table = table_of(memory, "limits", "limits")
    table.update([table.place(b"a")], 0.0, lambda cells: [(float("inf"), 0.0, 0.0)])
    text = metrics.render().decode()
    for line in (
        'gateway_table_decisions_total{filter="limits"} 1.0',
        'gateway_table_evictions_total{filter="limits"} 0.0',
        'gateway_table_recoveries_total{filter="limits"} 0.0',
        'gateway_table_lock_waits_total{filter="limits"} 0.0',
        'gateway_table_lock_timeouts_total{filter="limits"} 0.0',
        'gateway_table_cells{filter="limits"} 1.0',
        'gateway_table_capacity{filter="limits"} 95.0',
    ):
        assert line in text
    table.close()
    memory.close()
    assert 'gateway_table_decisions_total{filter="limits"} 1.0' in metrics.render().decode()
