"""The header fields that tell a client where it stands.

RateLimit and RateLimit-Policy are those of draft-ietf-httpapi-ratelimit-headers-10: lists of items (RFC 9651), one for
each limit, of which `q` is the quota, `w` the seconds of its window, `r` what remains, `t` the seconds until there is
more, left out where nothing ever passes, and `pk` says which bucket it is. The older fields tell of one limit: X-RateLimit-Limit, -Remaining, -Reset, and
the same without the X- (up to the draft's revision 06), in seconds.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from gateway.http.fields import Fields

_PREFIXES = {"x-ratelimit": "X-RateLimit-", "three-field": "RateLimit-"}

HeaderLine = tuple[str, str]


class Standing(NamedTuple):
    """Where a client stands with one limit.

    policy     name of the limit, as `policy_name` writes it
    quota      requests in `window` seconds
    capacity   the most that may come at once
    remaining  what would pass now
    reset      whole seconds until there is more: where nothing remains until something does, else until all is back; None where
               nothing ever passes, since no time is promised that would not be kept
    partition  which bucket it is, in base64; empty where nobody is to know
    """

    policy: str
    quota: int
    window: int
    capacity: int
    remaining: int
    reset: int | None
    partition: str = ""


def policy_name(label: str) -> str:
    """The label as a String (RFC 9651 section 3.3.3); empty for one that none can hold."""
    if not label.isascii() or not label.isprintable():
        return ""
    escaped = label.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def closest(standings: Sequence[Standing]) -> Standing:
    """The one of which least remains, and among those the one that takes longest."""
    return min(standings, key=lambda one: (one.remaining, -inf if one.reset is None else -one.reset))


def header_lines(
    forms: Sequence[str], standings: Sequence[Standing], telling: Standing
) -> tuple[HeaderLine, ...]:
    """The fields in these forms; those for one limit tell of `telling`."""
    lines: list[HeaderLine] = []
    for form in forms:
        if form == "ietf":
            policies, states = [], []
            for policy, quota, window, _, remaining, reset, partition in standings:
                key = f";pk=:{partition}:" if partition else ""
                policies.append(f"{policy};q={quota};w={window}{key}")
                left = "" if reset is None else f";t={reset}"
                states.append(f"{policy};r={remaining}{left}{key}")
            lines.append(("RateLimit-Policy", ", ".join(policies)))
            lines.append(("RateLimit", ", ".join(states)))
        else:
            prefix = _PREFIXES[form]
            lines.append((f"{prefix}Limit", str(telling.capacity)))
            lines.append((f"{prefix}Remaining", str(telling.remaining)))
            if telling.reset is not None:
                lines.append((f"{prefix}Reset", str(telling.reset)))
    return tuple(lines)


def add_lines(
    headers: Fields, forms: Sequence[str], standings: Sequence[Standing], telling: Standing
) -> None:
    """Adds the fields to an answer. What the upstream says of limits of its own stays, where it is the closer one."""
    for form in forms:
        prefix = _PREFIXES.get(form)
        if prefix is not None:
            theirs = headers.get(f"{prefix}Remaining") or ""
            if (
                theirs.isascii()
                and theirs.isdigit()
                and len(theirs) < 10
                and int(theirs) <= telling.remaining
            ):
                continue
            headers.remove(f"{prefix}Reset")  # no time of theirs stands beside a bucket of ours
            for name, value in header_lines((form,), standings, telling):
                headers.set(name, value)
        else:
            for name, value in header_lines((form,), standings, telling):
                headers.add(name, value)
