"""Dates as HTTP writes them: IMF-fixdate out, all three forms in (RFC 9110 section 5.6.7)."""

import re
from datetime import date
from functools import lru_cache
from time import gmtime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_TIME = rb"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)"
_MONTH = "|".join(_MONTHS).encode()
_DAY = "|".join(_DAYS).encode()
_IMF_FIXDATE = re.compile(
    rb"(?:" + _DAY + rb"), ([0-9]{2}) (" + _MONTH + rb") ([0-9]{4}) " + _TIME + rb" GMT"
)
_RFC_850 = re.compile(
    rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-("
    + _MONTH
    + rb")-([0-9]{2}) "
    + _TIME
    + rb" GMT"
)
_ASCTIME = re.compile(
    rb"(?:"
    + _DAY
    + rb") (?P<month>"
    + _MONTH
    + rb") (?P<day>[0-9]{2}| [0-9]) "
    + _TIME
    + rb" (?P<year>[0-9]{4})"
)


def http_date(epoch: float) -> bytes:
    """The instant as IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`."""
    return _formatted(int(epoch))


@lru_cache(maxsize=16)
def _formatted(second: int) -> bytes:
    year, month, day, hour, minute, sec, weekday, _, _ = gmtime(second)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{sec:02} GMT".encode()


@lru_cache(maxsize=64)
def valid(value: bytes) -> bool:
    """Whether the value is a date in one of the three forms, on a day that the calendar has."""
    match = _IMF_FIXDATE.fullmatch(value)
    if match is not None:
        day, month, year = match.groups()
        return _exists(int(year), month, int(day))
    match = _RFC_850.fullmatch(value)
    if match is not None:
        day, month, year = match.groups()
        # Which century two digits mean is the reader's guess: 29 February exists if any guess has it.
        return _exists(2000 + int(year), month, int(day))
    match = _ASCTIME.fullmatch(value)
    if match is not None:
        return _exists(int(match["year"]), match["month"], int(match["day"]))
    return False


def _exists(year: int, month: bytes, day: int) -> bool:
    try:
        date(year, _MONTHS.index(month.decode("ascii")) + 1, day)
    except ValueError:
        return False
    return True
