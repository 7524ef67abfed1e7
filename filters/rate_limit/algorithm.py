"""What a limit remembers of one key, and how a request changes it: plain arithmetic on plain numbers.

A cell is three numbers: the monotonic instant from which it is as good as no cell, and two more that each algorithm uses
as it likes. `charge` tells how long to wait before a request of some cost would fit, and the cell after that request.
Nothing here reads a clock. `spec` says which arithmetic it is and with what numbers, so that another process, or a
store with a language of its own, can carry out the same.
"""

from math import floor
from typing import Final, TypeAlias

Cell: TypeAlias = tuple[float, float, float]

TOLERANCE: Final = 1e-6
"""Seconds by which a request may come early. Instants are doubles: without it a client that waits exactly as
long as it was told would be refused for a rounding error, and told to wait a second more."""

_GRAIN: Final = 1e-9
"""Parts of a request that are less than the rounding of doubles."""

_SLACK: Final = 7200.0
"""Seconds for which a calendar window's cell outlives it: which window it is of is written in it, and until when on
the monotonic clock is an estimate, since the wall clock may be set."""

_LONGEST: Final = 2_678_400.0
"""Seconds of the longest month."""


class Algorithm:
    """One way to count.

    capacity  the most that may come at once
    spec      the algorithm's name, and its numbers
    age       seconds after which a charge counts no more
    ordered   whether a cell that began with less never has more than one that began with more, both charged alike
    """

    __slots__ = ("age", "capacity", "ordered", "spec")

    def __init__(
        self,
        capacity: int,
        spec: tuple[str, tuple[float, ...]],
        age: float,
        *,
        ordered: bool = False,
    ) -> None:
        self.capacity = capacity
        self.spec = spec
        self.age = age
        self.ordered = ordered

    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        """Seconds to wait (0.0 when the request fits), and the cell that a request of this cost leaves.

        A cell that comes with a wait is not to be kept.
        """
        raise NotImplementedError

    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        """The cell after a cost that became known too late to refuse. What is owed is bounded by the limit's debt."""
        raise NotImplementedError

    def brink(self, now: float, cost: int) -> Cell:
        """The fullest cell that still has room for a charge; of one that is ordered."""
        raise NotImplementedError

    def remaining(self, cell: Cell | None, now: float) -> int:
        """How much would fit now, never below 0."""
        raise NotImplementedError

    def reset(self, cell: Cell | None, now: float) -> float:
        """Seconds until all has come back; where nothing remains, until something has."""
        raise NotImplementedError

    def same(self, other: "Algorithm") -> bool:
        """Whether both let the same through."""
        return self is other or self.spec == other.spec


class Gcra(Algorithm):
    """The generic cell rate algorithm (ITU-T I.371): a leaky bucket that keeps one instant.

    `value` requests per `unit` seconds come back one by one, `unit / value` seconds each; `burst` of them may
    come at once. The instant is the one at which everything taken has come back. It moves by whole intervals
    only, so that what the tolerance lets in early is not gained but borrowed.

    The cell's second number is the interval by which it was counted, where that is not `usual`: to whoever counts by
    another one, as many requests are taken as were, and come back at his pace.
    """

    __slots__ = ("_debt", "_interval", "_mark", "_span", "_usual")

    def __init__(
        self, value: int, unit: float, burst: int, debt: int = 0, *, usual: float | None = None
    ) -> None:
        interval = unit / value
        self._interval = interval
        self._span = interval * burst
        self._debt = interval * debt
        self._usual = interval if usual is None else usual
        self._mark = 0.0 if interval == self._usual else interval
        numbers = (interval, interval * burst, interval * debt)
        spec = ("gcra", (*numbers, self._usual) if self._mark else numbers)
        super().__init__(burst, spec, interval * (burst + debt), ordered=True)

    def _back(self, cell: Cell | None, now: float) -> float:
        """When all that is taken has come back."""
        if cell is None or cell[0] <= now:
            return now
        if cell[1] == self._mark:
            return cell[0]
        return now + (cell[0] - now) * self._interval / (cell[1] or self._usual)

    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        if cell is None or cell[0] <= now:
            back = now
        else:
            back = cell[0] if cell[1] == self._mark else self._back(cell, now)
        back += self._interval * cost
        wait = back - now - self._span
        return (wait if wait > TOLERANCE else 0.0), (back, self._mark, 0.0)

    def brink(self, now: float, cost: int) -> Cell:
        return max(now, now + self._span - self._interval * cost), self._mark, 0.0

    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        back = self._back(cell, now)
        most = max(back, now + self._span + self._debt)
        return min(back + self._interval * cost, most), self._mark, 0.0

    def remaining(self, cell: Cell | None, now: float) -> int:
        taken = self._back(cell, now) - now
        return max(0, floor((self._span - taken + TOLERANCE) / self._interval))

    def reset(self, cell: Cell | None, now: float) -> float:
        back = self._back(cell, now)
        if back <= now:
            return 0.0
        wait = back + self._interval - now - self._span
        return wait if wait > TOLERANCE else back - now


class FixedWindow(Algorithm):
    """`value` requests in a window of `unit` seconds that opens with the first request after the last one.

    The cell is the window's end, and the count in it.
    """

    __slots__ = ("_debt", "_unit", "_value")

    def __init__(self, value: int, unit: float, debt: int = 0) -> None:
        self._value = value
        self._unit = unit
        self._debt = debt
        super().__init__(value, ("fixed_window", (float(value), unit, float(debt))), unit)

    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        if cell is None or cell[0] - now <= TOLERANCE:
            return (0.0 if cost <= self._value else self._unit), (now + self._unit, float(cost), 0.0)
        if cell[1] + cost > self._value:
            return cell[0] - now, cell
        return 0.0, (cell[0], cell[1] + cost, 0.0)

    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        if cell is None or cell[0] - now <= TOLERANCE:
            return now + self._unit, float(min(cost, self._value + self._debt)), 0.0
        return cell[0], min(cell[1] + cost, max(cell[1], float(self._value + self._debt))), 0.0

    def remaining(self, cell: Cell | None, now: float) -> int:
        if cell is None or cell[0] - now <= TOLERANCE:
            return self._value
        return max(0, self._value - int(cell[1]))

    def reset(self, cell: Cell | None, now: float) -> float:
        return cell[0] - now if cell is not None and cell[0] - now > TOLERANCE else 0.0


class SlidingWindow(Algorithm):
    """`value` requests in about any `unit` seconds: those of this window, and of the last one the share that still counts.

    The windows stand side by side on the clock. The share of the last one falls evenly to nothing while this one goes on,
    and is rounded down, as it is by the field's other implementations. The cell is the end of the window after this one,
    this one's count, and the last one's.
    """

    __slots__ = ("_debt", "_unit", "_value")

    def __init__(self, value: int, unit: float, debt: int = 0) -> None:
        self._value = value
        self._unit = unit
        self._debt = debt
        super().__init__(value, ("sliding_window", (float(value), unit, float(debt))), 2 * unit)

    def _standing(self, cell: Cell | None, now: float) -> tuple[float, float, float, float]:
        """The window's number, its count, the last one's, and how far into the window it is, in seconds."""
        unit = self._unit
        number = float(floor(now / unit))
        if cell is None:
            return number, 0.0, 0.0, max(0.0, now - number * unit)
        its = float(round(cell[0] / unit) - 2)
        if number <= its:  # a request that took longer to get here than one of the next window
            return its, cell[1], cell[2], max(0.0, now - its * unit)
        into = max(0.0, now - number * unit)
        return (number, 0.0, cell[1], into) if number == its + 1 else (number, 0.0, 0.0, into)

    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        number, count, last, into = self._standing(cell, now)
        unit = self._unit
        room = self._value - count - cost
        most = room + 1 - _GRAIN * (1 + last)
        if last * (1 - into / unit) <= most:
            return 0.0, ((number + 2) * unit, count + cost, last)
        if room >= 0:
            wait = unit * (1 - most / last) - into
        else:  # it cannot fit before the next window, in which this one is the last
            most = self._value - cost + 1 - _GRAIN * (1 + count)
            wait = unit - into
            if cost > self._value:
                wait += unit  # it never fits
            elif count > most:
                wait += unit * (1 - most / count)
        # Not at the very instant at which the share falls below a whole number, but after it.
        return max(wait, 0.0) + 2 * TOLERANCE, ((number + 2) * unit, count, last)

    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        number, count, last, _ = self._standing(cell, now)
        count = min(count + cost, max(count, float(self._value + self._debt)))
        return (number + 2) * self._unit, count, last

    def remaining(self, cell: Cell | None, now: float) -> int:
        _, count, last, into = self._standing(cell, now)
        share = floor(last * (1 - into / self._unit) + _GRAIN * (1 + last))
        return max(0, self._value - int(count) - share)

    def reset(self, cell: Cell | None, now: float) -> float:
        wait = self.charge(cell, now)[0]
        if wait:
            return wait
        _, count, last, into = self._standing(cell, now)
        return 2 * self._unit - into if count else self._unit - into if last else 0.0


class CalendarWindow(Algorithm):
    """`value` requests in a window of the calendar, such as a day: its number, and the monotonic instant of its end.

    `age` is for how long it has been open, in seconds.

    The cell is an instant after the window's end, the count, and the number of the window that it is of.
    """

    __slots__ = ("_debt", "_end", "_number", "_value")

    def __init__(self, value: int, number: int, end: float, debt: int = 0, age: float = _LONGEST) -> None:
        self._value = value
        self._number = float(number)
        self._end = end
        self._debt = debt
        spec = ("calendar_window", (float(value), float(number), end, float(debt)))
        super().__init__(value, spec, age)

    def same(self, other: Algorithm) -> bool:
        return isinstance(other, CalendarWindow) and (self._value, self._number, self._debt) == (
            other._value,
            other._number,
            other._debt,
        )

    def _standing(self, cell: Cell | None, now: float) -> Cell:
        """The cell that counts now. One of a later window stays: a request may be slower than midnight."""
        if cell is None or cell[0] <= now or cell[2] < self._number:
            return self._end + _SLACK, 0.0, self._number
        return cell

    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        expires, count, number = self._standing(cell, now)
        if count + cost > self._value:
            return max(self._end - now, 2 * TOLERANCE), (expires, count, number)
        return 0.0, (expires, count + cost, number)

    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        expires, count, number = self._standing(cell, now)
        return expires, min(count + cost, max(count, float(self._value + self._debt))), number

    def remaining(self, cell: Cell | None, now: float) -> int:
        return max(0, self._value - int(self._standing(cell, now)[1]))

    def reset(self, cell: Cell | None, now: float) -> float:
        return max(0.0, self._end - now) if self._standing(cell, now)[1] else 0.0


class Closed(Algorithm):
    """Nothing passes; it is looked at again after `unit` seconds."""

    __slots__ = ("_unit",)

    def __init__(self, unit: float) -> None:
        self._unit = unit
        super().__init__(0, ("closed", (unit,)), 0.0, ordered=True)

    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        return self._unit, (now, 0.0, 0.0)

    def brink(self, now: float, cost: int) -> Cell:
        return now, 0.0, 0.0

    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        return cell if cell is not None else (now, 0.0, 0.0)

    def remaining(self, cell: Cell | None, now: float) -> int:
        return 0

    def reset(self, cell: Cell | None, now: float) -> float:
        return self._unit


def algorithm_of(spec: tuple[str, tuple[float, ...]]) -> Algorithm:
    """The algorithm that a spec is of."""
    name, numbers = spec
    if name == "gcra":
        interval, span, debt, *usual = numbers
        burst, owed = round(span / interval), round(debt / interval)
        return Gcra(1, interval, burst, owed, usual=usual[0] if usual else None)
    if name == "fixed_window":
        return FixedWindow(int(numbers[0]), numbers[1], int(numbers[2]))
    if name == "sliding_window":
        return SlidingWindow(int(numbers[0]), numbers[1], int(numbers[2]))
    if name == "calendar_window":
        return CalendarWindow(int(numbers[0]), int(numbers[1]), numbers[2], int(numbers[3]))
    return Closed(numbers[0])
