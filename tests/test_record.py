"""Records are made once, by position, from what the handler knows."""

import inspect

from gateway.record import METHODS, Record
from tests.support.records import record


def test_every_field_is_given_in_the_order_of_the_constructor() -> None:
    parameters = list(inspect.signature(Record.__init__).parameters)[1:]
    assert sorted(parameters) == sorted(Record.__slots__)
    told = record()
    assert all(hasattr(told, name) for name in parameters)


def test_a_record_takes_nothing_beyond_its_fields() -> None:
    assert not hasattr(record(), "__dict__")


def test_methods_with_a_name_of_their_own_are_the_known_ones() -> None:
    assert {"GET", "PATCH", "TRACE"} <= METHODS
    assert "PROPFIND" not in METHODS
