"""What a limit remembers of one key, and how a request changes it: plain arithmetic on plain numbers.

A cell is a pair: the monotonic instant from which it is as good as no cell, and a count (which GCRA has no use
for). `charge` tells how long to wait before one request more would fit, and the cell after that request.
"""

from typing import Protocol, TypeAlias

Cell: TypeAlias = tuple[float, int]

TOLERANCE = 1e-6
"""Seconds by which a request may come early. Instants are doubles: without it a client that waits exactly as
long as it was told would be refused for a rounding error, and told to wait a second more."""


class Algorithm(Protocol):
    def charge(self, cell: Cell | None, now: float) -> tuple[float, Cell]:
        """Seconds to wait (0.0 when the request fits), and the cell that one more request leaves."""


class Gcra:
    """The generic cell rate algorithm (ITU-T I.371): a leaky bucket that keeps one instant.

    `value` requests per `unit` seconds come back one by one, `unit / value` seconds each; `burst` of them may
    come at once. The instant is the one at which everything taken has come back. It moves by whole intervals
    only, so that what the tolerance lets in early is not gained but borrowed.
    """

    __slots__ = ("_interval", "_span")

    def __init__(self, value: int, unit: float, burst: int) -> None:
        self._interval = unit / value
        self._span = unit / value * burst

    def charge(self, cell: Cell | None, now: float) -> tuple[float, Cell]:
        back = (cell[0] if cell is not None and cell[0] > now else now) + self._interval
        wait = back - now - self._span
        return (wait if wait > TOLERANCE else 0.0), (back, 0)


class FixedWindow:
    """`value` requests in a window of `unit` seconds that opens with the first request after the last one."""

    __slots__ = ("_unit", "_value")

    def __init__(self, value: int, unit: float) -> None:
        self._value = value
        self._unit = unit

    def charge(self, cell: Cell | None, now: float) -> tuple[float, Cell]:
        if cell is None or cell[0] - now <= TOLERANCE:
            return 0.0, (now + self._unit, 1)
        if cell[1] >= self._value:
            return cell[0] - now, cell
        return 0.0, (cell[0], cell[1] + 1)
