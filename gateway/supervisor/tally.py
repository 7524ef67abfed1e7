"""What workers have counted, those included that have ended: a total that falls looks like a program that begins anew.

Whoever reads it then takes all that is left for an increase. So what was told of a worker that has ended stays in the
totals; what it counted after it was asked last is lost with it, and was never told.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from gateway.metrics import merged

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_TOTALS = ("counter", "histogram")


class Tally:
    """The metrics of workers, by their numbers, which are never given twice."""

    def __init__(self) -> None:
        self._last: dict[int, list[Metric]] = {}
        self._ended: set[int] = set()
        self._totals: list[Metric] = []

    def take(self, told: "Mapping[int, list[Metric]]", living: Collection[int]) -> "list[list[Metric]]":
        """What each worker has told now, or told last when it is silent, and the totals of those that are not `living`."""
        self._last.update(
            (number, families) for number, families in told.items() if number not in self._ended
        )
        ended = [number for number in self._last if number not in living]
        for number in ended:
            families = self._last.pop(number)
            self._totals = merged([self._totals, [family for family in families if family.type in _TOTALS]])
        self._ended.update(ended)
        return [self._totals, *self._last.values()]
