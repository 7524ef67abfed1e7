"""By what charges are counted: what they say of their limit, once for all that say the same."""

from typing import Final, NamedTuple

from gateway.api.meter import Spec, Tariff
from gateway.api.verdict import Rule

_MOST: Final = 4096


class Placed(NamedTuple):
    """A tariff, see `gateway.api.meter.Tariff`, of the entry with the index `place` in the plan."""

    place: int
    limit: str
    spec: Spec
    age: float
    status: int
    rule: Rule
    late: bool = False


class Tariffs:
    """Those that have been met, by number."""

    def __init__(self) -> None:
        self.all: list[Placed] = []
        self._numbers: dict[Placed, int] = {}
        # By the id of the tariff, which a limit hands out again and again; each is held on to, so that none has its id.
        self._known: dict[int, tuple[Tariff, int, int]] = {}

    def number(self, place: int, tariff: Tariff) -> int:
        known = self._known.get(id(tariff))
        if known is not None and known[1] == place:
            return known[2]
        placed = Placed(place, *tariff)
        number = self._numbers.get(placed)
        if number is None:
            number = self._numbers[placed] = len(self.all)
            self.all.append(placed)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[id(tariff)] = tariff, place, number
        return number
