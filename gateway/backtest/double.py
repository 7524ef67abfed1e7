"""Finds records that are in a log twice: in a file and a copy of some of it, say.

Numbers of a worker that come again are what tells of it; but they do so too where another process has taken its place. So what
is suspected is looked up in the files once more, and only then: nothing else has to be kept of each record.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from gateway.backtest.gap import Stretch
from gateway.backtest.source import Heard, Part, records


class Suspect(NamedTuple):
    """A record whose number another stretch of its worker has too."""

    worker: int
    number: int
    at: float


def suspects(worker: int, runs: Sequence[Stretch]) -> set[Suspect]:
    """The first records of stretches that lie within another one, which was not over when they were."""
    found: set[Suspect] = set()
    under_way: list[Stretch] = []
    for run in sorted(runs, key=lambda run: (run.first, run.began)):
        under_way = [other for other in under_way if other.last >= run.first]
        if any(other.ended >= run.began for other in under_way):
            found.add(Suspect(worker, run.first, run.began))
        under_way.append(run)
    return found


def doubled(parts: Sequence[Part], suspected: AbstractSet[Suspect]) -> Suspect | None:
    """One of them that is in the parts twice, as one and the same record. Raises OSError."""
    seen: set[tuple[Suspect, str]] = set()
    for part in parts:
        for record in records(part, {}, Heard()):
            if record is None:
                continue
            try:
                place = Suspect(record.worker, record.sequence, record.at)
            except (ValueError, TypeError):
                continue
            if place in suspected:
                if (place, record.request_id) in seen:
                    return place
                seen.add((place, record.request_id))
    return None
