"""From when to when."""

from datetime import datetime

import pytest

from gateway.inspect.period import instant

NOW = datetime(2026, 1, 31, 12, 0, 30)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("30s", datetime(2026, 1, 31, 12)),
        ("1h30m", datetime(2026, 1, 31, 10, 30, 30)),
        ("7d", datetime(2026, 1, 24, 12, 0, 30)),
        ("11:59", datetime(2026, 1, 31, 11, 59)),
        ("12:01", datetime(2026, 1, 30, 12, 1)),
        ("12:00:31", datetime(2026, 1, 30, 12, 0, 31)),
        ("2026-01-01", datetime(2026, 1, 1)),
        (" 2026-01-01T06:00Z ", datetime(2026, 1, 1, 6)),
        ("2026-01-01T06:00+02:00", datetime(2026, 1, 1, 4)),
    ],
)
def test_a_time_is_so_long_ago_or_of_the_day_or_an_instant(text: str, found: datetime) -> None:
    assert instant(text, NOW) == found


@pytest.mark.parametrize(
    "text", ["", "yesterday", "25:00", "12:0", "-1h", "1 parsec", "2026-13-01", "99999999999d"]
)
def test_what_is_no_time_is_told_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="expected 1h or 30m, 12:00, or"):
        instant(text, NOW)
