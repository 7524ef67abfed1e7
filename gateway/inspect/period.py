"""A span of time: `1h` back from now, or from one instant to another."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gateway.inspect.grammar import parse_time


class Period(NamedTuple):
    """From `since` on, before `until`; UTC without a zone, as records have it. None is without an end."""

    since: datetime | None = None
    until: datetime | None = None


def instant(text: str, now: datetime) -> datetime:
    """`90s`, `1h30m`, `7d`: so long before `now`; or an instant in ISO 8601; or a time of the day, the last one.

    Raises ValueError with what would have been right.
    """
    from gateway.api.option import parse_duration  # late: whoever reads a whole log needs none of it

    text = text.strip()
    try:
        return now - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        if len(text) <= 8 and ":" in text:
            form = "%H:%M" if text.count(":") == 1 else "%H:%M:%S"
            today = datetime.combine(now.date(), datetime.strptime(text.rjust(5, "x"), form).time())
            return today if today <= now else today - timedelta(days=1)
        return parse_time(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: expected 1h or 30m, 12:00, or 2026-01-31T12:00 (UTC)"
        ) from None


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
