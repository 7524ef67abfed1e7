"""By what charges are counted: what they say of their limit, once for all that say the same."""

from typing import NamedTuple

from gateway.api.meter import Charge, Spec
from gateway.api.verdict import Rule


class Tariff(NamedTuple):
    """What a limit says with each charge; see `gateway.api.meter.Charge`. `place` is the index of its entry in the plan."""

    place: int
    limit: str
    spec: Spec
    age: float
    status: int
    rule: Rule


class Tariffs:
    """Those that have been met, by number."""

    def __init__(self) -> None:
        self.all: list[Tariff] = []
        self._numbers: dict[Tariff, int] = {}
        # By the id of the spec, which a limit hands out again and again; each is held on to by its tariff.
        self._last: dict[int, int] = {}

    def number(self, place: int, charge: Charge) -> int:
        limit, _, _, spec, age, status, rule = charge
        last = self._last.get(id(spec))
        if last is not None:
            known = self.all[last]
            if (
                known[2] is spec
                and known[0] == place
                and known[1] == limit
                and known[3] == age
                and known[4] == status
                and known[5] is rule
            ):
                return last
        tariff = Tariff(place, limit, spec, age, status, rule)
        number = self._numbers.get(tariff)
        if number is None:
            number = self._numbers[tariff] = len(self.all)
            self.all.append(tariff)
            self._last[id(spec)] = number
        return number
