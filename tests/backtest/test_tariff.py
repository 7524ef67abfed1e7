"""What charges say of their limits, once for all that say the same."""

from gateway.api.meter import Tariff
from gateway.backtest.tariff import Placed, Tariffs

GCRA = ("gcra", (1.0, 3.0, 0.0))


def test_charges_that_say_the_same_have_one_number() -> None:
    tariffs = Tariffs()
    tariff = Tariff("few", GCRA, 3.0, 413, ("limits", 0))
    other = tariff._replace(spec=("gcra", (1.0, 3.0, 0.0)))
    assert [tariffs.number(0, each) for each in (tariff, other, tariff)] == [0, 0, 0]
    assert tariffs.all == [Placed(0, "few", GCRA, 3.0, 413, ("limits", 0))]


def test_those_of_another_entry_or_limit_or_age_have_another() -> None:
    tariffs = Tariffs()
    tariff = Tariff("few", GCRA, 3.0, 413, ("limits", 0))
    each = (tariff, tariff._replace(limit="many"), tariff._replace(age=2.0))
    assert [tariffs.number(place, one) for place in (0, 1) for one in each] == [0, 1, 2, 3, 4, 5]
    assert [tariffs.number(1, one) for one in each] == [3, 4, 5]
