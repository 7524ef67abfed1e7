"""When a generation is over."""

from gateway.config.load import loads
from gateway.listener.generation import Generation
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.support.gateway import configuration


def generation() -> Generation:
    loaded = loads(configuration("http://127.0.0.1:1"), "gateway.yaml", registry=Registry())
    return Generation(build_plan(loaded, Registry()), {})


def test_one_that_nobody_holds_is_over_when_it_is_retired() -> None:
    over: list[bool] = []
    generation().retire(lambda: over.append(True))
    assert over == [True]


def test_one_that_exchanges_hold_is_over_with_the_last_of_them() -> None:
    over: list[bool] = []
    made = generation()
    made.active = 2
    made.retire(lambda: over.append(True))
    made.leave()
    assert over == []
    made.leave()
    assert over == [True]


def test_one_in_force_goes_on_without_exchanges() -> None:
    over: list[bool] = []
    made = generation()
    made.active = 1
    made.leave()
    made.active = 1
    made.retire(lambda: over.append(True))
    assert over == []
    made.leave()
    assert over == [True]
