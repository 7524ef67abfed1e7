"""What charges say of their limits, once for all that say the same."""

from gateway.api.meter import Charge
from gateway.backtest.tariff import Tariff, Tariffs

GCRA = ("gcra", (1.0, 3.0, 0.0))


def test_charges_that_say_the_same_have_one_number() -> None:
    tariffs = Tariffs()
    charge = Charge("few", "p1", 1, GCRA, 3.0, 413, ("limits", 0))
    other = charge._replace(key="p2", cost=7, spec=("gcra", (1.0, 3.0, 0.0)))
    assert [tariffs.number(0, each) for each in (charge, other, charge)] == [0, 0, 0]
    assert tariffs.all == [Tariff(0, "few", GCRA, 3.0, 413, ("limits", 0))]


def test_those_of_another_entry_or_limit_or_age_have_another() -> None:
    tariffs = Tariffs()
    charge = Charge("few", "p1", 1, GCRA, 3.0, 413, ("limits", 0))
    each = (charge, charge._replace(limit="many"), charge._replace(age=2.0))
    assert [tariffs.number(place, charge) for place in (0, 1) for charge in each] == [0, 1, 2, 3, 4, 5]
    assert [tariffs.number(1, charge) for charge in each] == [3, 4, 5]
