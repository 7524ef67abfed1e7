"""Which files were written by gateways that count as one."""

import pytest

from gateway.backtest.machine import Origin, machines


def _origin(offset: float, since: float = 0.0, *, common: bool = False) -> Origin:
    return Origin(offset, since, 9.0, common)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ([_origin(5, 1), _origin(5.5, 1)], [0, 0]),
        ([_origin(5, 1), _origin(9, 1)], [0, 1]),
        ([_origin(5, 1), _origin(5, 2), _origin(5, 1)], [0, 1, 0]),
        ([_origin(5), _origin(5, 1)], [0, 0]),
        ([_origin(5), _origin(5), _origin(5)], [0, 0, 0]),
        ([_origin(5, 1), _origin(5), _origin(5, 2)], [0, 1, 2]),
        ([_origin(5, 1, common=True), _origin(5, 2, common=True)], [0, 0]),
        ([], []),
    ],
    ids=[
        "one clock, one memory",
        "two clocks",
        "two gateways on one host, or one that was started anew",
        "one that does not say it",
        "none that says it",
        "nobody knows of which",
        "a store",
        "none",
    ],
)
def test_what_counts_as_one(origins: list[Origin], expected: list[int]) -> None:
    assert machines(origins) == expected
