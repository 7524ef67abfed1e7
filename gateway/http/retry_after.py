"""Retry-After (RFC 9110 section 10.2.3): seconds, or a date in one of the three forms."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from gateway.http.date import valid

LONGEST: Final = 1e9
"""Seconds that a greater number is taken for."""


def seconds_of(value: bytes, now: float) -> float | None:
    """Seconds to wait from `now` (since the epoch), not below zero; None for what is no Retry-After."""
    if value.isdigit():
        return float(value) if len(value) < 10 else LONGEST
    if not valid(value):
        return None
    try:
        at = parsedate_to_datetime(value.decode("ascii"))
    except ValueError:  # a second of 60
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(LONGEST, max(0.0, (at - datetime.fromtimestamp(now, UTC)).total_seconds()))
