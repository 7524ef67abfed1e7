"""From when until when workers may have been at work, by what the lines of others say of that.

A line names all workers that were at work when it was written. One that is not named before it first is, or after it last is, was not
there yet, or not any more; no number is given twice. So one of which no line is left is missed where it was, and nowhere else.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_GRAIN: Final = 1.0
"""Seconds that are allowed for who comes or ends while a line is being made."""

Told = Mapping[tuple[float, frozenset[int]], tuple[float, float]]
"""Who was at work together, by what their limits are counted in: from when until when that was told."""


class Life(NamedTuple):
    """came and over  when a worker has come at the earliest, and was over at the latest; None where nobody tells."""

    came: float | None = None
    over: float | None = None


def lives_of(told: Iterable[Told]) -> dict[tuple[float, int], Life]:
    """Of each worker that is named."""
    of_sinces: dict[float, list[tuple[frozenset[int], float, float]]] = {}
    for some in told:
        for (since, numbers), (first, last) in some.items():
            of_sinces.setdefault(since, []).append((numbers, first, last))
    found: dict[tuple[float, int], Life] = {}
    for since, lines in of_sinces.items():
        spans: dict[int, tuple[float, float]] = {}
        for numbers, first, last in lines:
            for number in numbers:
                began, ended = spans.get(number, (first, last))
                spans[number] = min(began, first), max(ended, last)
        for number, (began, ended) in spans.items():
            without = [(first, last) for numbers, first, last in lines if number not in numbers]
            came = max((at for span in without for at in span if at < began), default=None)
            over = min((at for span in without for at in span if at > ended), default=None)
            found[since, number] = Life(
                None if came is None else came - _GRAIN, None if over is None else over + _GRAIN
            )
    return found
