"""Windows of the calendar, by days and months as they are in one place of the world."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from filters.rate_limit.algorithm import CalendarWindow
from gateway.api import Instant

UNITS: Final = ("day", "month")


def zone(name: str) -> tzinfo:
    """The time zone of a name of the IANA database, such as Europe/Prague. Raises ValueError."""
    if name == "UTC":
        return UTC  # also where no database is installed
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"no time zone {name!r} is known here: expected UTC, Europe/Prague, ...") from None


class Calendar:
    """Finds the window of an instant. Only one that has left the last one's window costs a look at the calendar."""

    __slots__ = ("_end", "_monthly", "_number", "_start", "_zone")

    def __init__(self, unit: str, zone: tzinfo) -> None:
        self._monthly = unit == "month"
        self._zone = zone
        self._number = 0
        self._start = self._end = 0.0

    def algorithm(self, clock: Instant, value: int, debt: int) -> CalendarWindow:
        """`value` in the window that `clock` is in."""
        wall = clock.wall
        if not self._start <= wall < self._end:
            self._move(wall)
        end = clock.monotonic + (self._end - wall)
        return CalendarWindow(value, self._number, end, debt, wall - self._start)

    def length(self, clock: Instant) -> float:
        """Seconds of the window that `clock` is in: a day may have 23 hours."""
        if not self._start <= clock.wall < self._end:
            self._move(clock.wall)
        return self._end - self._start

    def _move(self, wall: float) -> None:
        first = datetime.fromtimestamp(wall, self._zone).date()
        if self._monthly:
            first = first.replace(day=1)
        # Where clocks are set back over midnight, a date comes twice.
        if wall >= self._instant(self._after(first)):
            first = self._after(first)
        elif wall < self._instant(first):
            first -= timedelta(days=1)
            if self._monthly:
                first = first.replace(day=1)
        self._number = first.year * 12 + first.month if self._monthly else first.toordinal()
        self._start, self._end = self._instant(first), self._instant(self._after(first))

    def _after(self, first: date) -> date:
        if self._monthly:
            return (first + timedelta(days=31)).replace(day=1)
        return first + timedelta(days=1)

    def _instant(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()
