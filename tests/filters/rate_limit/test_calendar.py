"""Windows of the calendar."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.calendar import Calendar, zone
from gateway.api import Instant

PRAGUE = ZoneInfo("Europe/Prague")


def window(calendar: Calendar, wall: float) -> tuple[float, float]:
    """Number of the window, and seconds to its end."""
    numbers = calendar.algorithm(Instant(wall, 500.0), 10, 0).spec[1]
    return numbers[1], numbers[2] - 500.0


def at(*moment: int, where: ZoneInfo = PRAGUE, fold: int = 0) -> float:
    return datetime(*moment, tzinfo=where, fold=fold).timestamp()  # type: ignore[arg-type, misc] # (year, month, ...)


def test_a_day_ends_at_midnight_there() -> None:
    calendar = Calendar("day", PRAGUE)
    number, left = window(calendar, at(2026, 11, 29, 23, 59, 59))
    assert left == 1.0
    assert window(calendar, at(2026, 11, 30)) == (number + 1, 86400.0)
    assert window(calendar, at(2026, 11, 29)) == (number, 86400.0)


@pytest.mark.parametrize(("date", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_a_day_is_as_long_as_clocks_are_set(date: tuple[int, int, int], hours: int) -> None:
    calendar = Calendar("day", PRAGUE)
    assert window(calendar, at(*date))[1] == hours * 3600
    assert calendar.length(Instant(at(*date, 12), 0.0)) == hours * 3600


def test_a_month_ends_with_its_last_day() -> None:
    calendar = Calendar("month", UTC)
    february = datetime(2028, 2, 29, 23, tzinfo=UTC).timestamp()
    number, left = window(calendar, february)
    assert left == 3600.0
    assert calendar.length(Instant(february, 0.0)) == 29 * 86400
    assert window(calendar, february + 3600) == (number + 1, 31 * 86400.0)
    december = datetime(2026, 12, 31, 23, tzinfo=UTC).timestamp()
    assert window(calendar, december + 3600)[0] == window(calendar, december)[0] + 1


def test_a_date_that_comes_twice_is_one_window_at_a_time() -> None:
    """St. John's set its clocks back from 0:01 to 23:01 on 7 November 2010."""
    johns = ZoneInfo("America/St_Johns")
    calendar = Calendar("day", johns)
    instant, last = at(2010, 11, 6, 20, where=johns), 0.0
    for _ in range(12 * 60):
        number, left = window(calendar, instant)
        assert left > 0
        assert number >= last
        instant, last = instant + 60, number


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1)),
    st.sampled_from(["UTC", "Europe/Prague", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"]),
    st.sampled_from(["day", "month"]),
)
def test_windows_stand_side_by_side(moment: datetime, name: str, unit: str) -> None:
    wall = moment.replace(tzinfo=UTC).timestamp()
    calendar = Calendar(unit, zone(name))
    number, left = window(calendar, wall)
    assert 0 < left <= timedelta(days=32).total_seconds()
    assert window(calendar, wall + left - 0.5)[0] == number
    assert window(calendar, wall + left)[0] > number


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "\0"])
def test_refuses_what_is_no_time_zone(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)
