"""What limits held, between the least and the most."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.api.exchange import Instant
from gateway.api.testing import exchange
from gateway.backtest import counting
from gateway.backtest.counting import Decided, Ledger
from gateway.backtest.judge import Draw
from gateway.backtest.sealed import Spelling
from gateway.backtest.tariff import Tariffs
from gateway.config.load import loads
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from tests.backtest.logged import text_of

GCRA = {"name": "few", "rate": "60/minute", "burst": 3, "key": ["project_id"]}
FIXED = {"name": "few", "rate": "2/minute", "key": ["project_id"], "algorithm": "fixed_window"}


def _plan(*limits: dict[str, Any]) -> Plan:
    registry = Registry()
    text = text_of(filters=[{"rate_limit": {"limits": list(limits)}}])
    return build_plan(loads(text, "gateway.yaml", registry=registry), registry)


class _Book:
    """A ledger that is asked about one request after the other."""

    def __init__(self, *limits: dict[str, Any], fresh: bool = False) -> None:
        self._plan = _plan(*limits)
        self._tariffs = Tariffs()
        self.ledger = Ledger(self._plan, 0.0, fresh=fresh)

    def decide(
        self,
        at: float,
        passed: bool | None = None,
        told: Sequence[float] | str | None = "",
        *,
        key: str | None = None,
        untold: bool = False,
        spelling: Spelling | None = (),
        **options: Any,
    ) -> Decided:
        """`told` is what the record says that the cell held; empty text where it says nothing. `untold`: nobody knows whose."""
        draws = self._draws(at, told, key, untold, spelling)
        scales = self.ledger.scales(self._tariffs.all)
        return self.ledger.decide(at, passed, draws, scales, **{"reached": True, "hashed_by": "a", **options})

    def stray(self, at: float, key: str) -> None:
        """It was charged then, and does not come so far now."""
        draws = self._draws(at, "", key, False, ())
        self.ledger.stray(at, draws, self.ledger.scales(self._tariffs.all), hashed_by="a")

    def _draws(
        self,
        at: float,
        told: Sequence[float] | str | None,
        key: str | None,
        untold: bool,
        spelling: Spelling | None,
    ) -> list[Draw]:
        charges = self._plan.entries[0].filter.charges(exchange(clock=Instant(at, at)))
        assert charges is not None
        held = None if isinstance(told, str) else told
        return [
            (
                self._tariffs.number(0, charge.tariff),
                key if key is not None or untold else charge.key,
                charge.cost,
                "k" if key is None else str(key),
                told != "",
                held,
                False,
                spelling,
            )
            for charge in charges
        ]

    def told(self, *instants: float) -> list[bool | None]:
        return [self.decide(at).passed for at in instants]


def test_where_nothing_was_counted_before_all_is_known() -> None:
    assert _Book(GCRA, fresh=True).told(1, 1, 1, 1, 2, 2) == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("limit", "age"), [(GCRA, 3.0), (FIXED, 60.0)])
def test_else_it_is_when_the_bucket_must_have_been_empty(limit: dict[str, Any], age: float) -> None:
    assert _Book(limit).told(0.5, 0.5 + age) == [None, True]


def test_or_when_it_must_have_been_full() -> None:
    """Requests that nobody could have refused fill it up from both ends."""
    # After 2 s at most one of the three is still out: two more pass, and then it is full, whatever it was.
    assert _Book(GCRA).told(2.0, 2.0, 2.0, 2.0)[:2] == [True, True]


def test_a_record_says_what_the_cell_held() -> None:
    book = _Book(GCRA)
    assert book.decide(10.0, True, [2.0, 0.0, 0.0]).passed is True
    assert book.told(10.0, 11.0) == [False, True]


def test_the_verdict_of_the_record_is_taken_where_all_is_as_it_was() -> None:
    """Not worked out anew, where a rounding error might say otherwise."""
    assert _Book(GCRA).decide(10.0, False, [2.0, 0.0, 0.0]).passed is False


def test_no_record_is_believed_once_something_was_decided_otherwise() -> None:
    book = _Book(GCRA)
    # It was recorded to be refused by something before, and is charged now.
    assert book.told(10.0) == [True]
    assert book.decide(10.1, True, None).passed is True
    assert book.told(10.1, 10.1) == [True, False]
    # Until the bucket must have been empty, as the record says it was.
    assert book.decide(20.0, True, None).passed is True


def test_what_is_not_charged_any_more_makes_records_stale() -> None:
    book = _Book(GCRA, fresh=True)
    assert book.decide(10.0, True, None).passed is True
    book.ledger.skip(0, {"few": "k"}, hashed_by="a", instant=10.0)
    assert book.decide(10.0, False, [3.0, 0.0, 0.0]).passed is True


FULL = [3.0, 0.0, 0.0]


def _by_another_key(book: _Book, at: float) -> None:
    book.stray(at, "a")


def _by_its_hash(book: _Book, at: float) -> None:
    book.ledger.skip(0, {"few": "a"}, hashed_by="a", instant=at)


@pytest.mark.parametrize("goes", [_by_another_key, _by_its_hash])
def test_of_a_cell_that_was_charged_otherwise_no_record_is_believed_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, goes: Callable[[_Book, float], None]
) -> None:
    """It holds nothing, and by the records it is full."""
    monkeypatch.setattr(counting, "_PRUNED", 4)
    book = _Book(GCRA, fresh=True)
    assert book.decide(1.0, True, None, key="a").passed is True
    for at in range(2, 20):
        goes(book, at)
    for number in range(9):
        assert book.decide(19.5, True, None, key=f"other{number}").passed is True
    assert book.decide(20.0, False, FULL, key="a").passed is True


def test_cells_are_dropped_that_hold_nothing_and_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not looked for each time that there is another, while they are many."""
    monkeypatch.setattr(counting, "_PRUNED", 4)
    looks: list[float] = []
    prune = Ledger._prune

    def pruned(ledger: Ledger, now: float) -> None:
        looks.append(now)
        prune(ledger, now)

    monkeypatch.setattr(Ledger, "_prune", pruned)
    book = _Book(GCRA, fresh=True)

    def cells() -> int:
        return sum(len(account.buckets) for account in book.ledger._accounts.values())

    for number in range(64):
        book.decide(1.0, True, None, key=f"early{number}")
    assert cells() == 64 and 2 <= len(looks) <= 5
    book.stray(1.5, "early0")
    looks.clear()
    for number in range(64):
        book.decide(9.0, True, None, key=f"late{number}")
    assert looks and cells() == 64


@pytest.mark.parametrize(
    ("hashed_by", "at", "believed"),
    [
        ("a", 10.0, True),  # it is known not to be the same
        ("b", 10.0, False),
        ("", 10.0, False),
        ("b", 13.1, True),  # nothing that was charged then is left
    ],
)
def test_it_may_be_any_cell_that_is_not_known_by_a_hash_of_the_same_key(
    hashed_by: str, at: float, believed: bool
) -> None:
    book = _Book(GCRA, fresh=True)
    book.ledger.skip(0, {"few": "another"}, hashed_by="a", instant=10.0)
    assert book.decide(at, False, FULL, hashed_by=hashed_by).passed is not believed


@pytest.mark.parametrize(("spelling", "believed"), [((), True), (("",), True), (("a",), False)])
def test_a_cell_that_has_a_name_by_each_key_may_be_any_under_another(
    spelling: Spelling, believed: bool
) -> None:
    book = _Book(GCRA, fresh=True)
    assert book.decide(1.0, True, None, key="x", spelling=spelling, hashed_by="a").passed is True
    assert book.decide(1.0, True, None, key="y", spelling=spelling and (spelling[0] and "b",), hashed_by="b")
    assert book.decide(20.0, True, None, key="y", spelling=spelling and (spelling[0] and "b",), hashed_by="b")
    book.ledger.skip(0, {"few": "x"}, hashed_by="a", instant=20.0)
    decided = book.decide(
        20.0, False, FULL, key="y", spelling=spelling and (spelling[0] and "b",), hashed_by="b"
    )
    assert decided.passed is not believed


def test_a_request_that_may_not_come_so_far_may_have_been_charged() -> None:
    book = _Book(FIXED, fresh=True)
    assert book.decide(1.0, reached=False).passed is None
    assert book.told(2.0, 70.0) == [None, True]


def test_behind_a_gap_nothing_is_known() -> None:
    book = _Book(FIXED, fresh=True)
    assert book.told(1.0) == [True]
    book.ledger.lose(2.0)
    assert book.told(3.0) == [None]


def test_the_longest_wait_is_the_reason() -> None:
    book = _Book({**GCRA, "name": "short", "burst": 1}, {**GCRA, "rate": "1/hour", "burst": 1}, fresh=True)
    assert book.told(1.0) == [True]
    decided = book.decide(1.0)
    assert decided.passed is False and decided.by is not None and decided.by.limit == "few"


def test_keys_that_are_spelled_otherwise_may_be_those_that_were_charged() -> None:
    book = _Book(FIXED, fresh=True)
    assert book.decide(1.0, key="a", spelling=("k1",)).passed is True
    assert book.decide(2.0, key="b", spelling=("k2",)).passed is None
    assert book.decide(3.0, key="a", spelling=("k1",)).passed is None
    assert book.decide(70.0, key="a", spelling=("k1",)).passed is True


@pytest.mark.parametrize(
    ("other", "passed"),
    [
        ({"key": "h", "spelling": None, "hashed_by": "a"}, False),
        ({"key": "h", "spelling": (), "hashed_by": "a"}, False),  # which is of whom the key is known too
        ({"key": "other", "spelling": None, "hashed_by": "a"}, True),
        ({"key": "other", "spelling": (), "hashed_by": "a"}, True),
        ({"key": "other", "spelling": None, "hashed_by": "b"}, None),
        ({"key": "other", "spelling": (), "hashed_by": "b"}, None),
        ({"key": "other", "spelling": (), "hashed_by": ""}, None),
    ],
)
def test_a_cell_that_is_known_by_its_hash_alone_may_be_any_that_is_not_known_by_one_of_the_same_key(
    other: dict[str, Any], passed: bool | None
) -> None:
    for turned in (False, True):
        book = _Book(FIXED, fresh=True)
        one: dict[str, Any] = {"key": "h", "spelling": None, "hashed_by": "a"}
        one, another = (other, one) if turned else (one, other)
        assert [book.decide(1.0, **one).passed for _ in range(2)] == [True, True]
        assert book.decide(2.0, **another).passed is passed
        assert book.decide(70.0, **another).passed is True


def test_a_key_and_a_hash_that_one_record_has_together_are_of_one_cell() -> None:
    """Also where either was met before, and they were taken for two."""
    book = _Book(FIXED, fresh=True)
    assert book.decide(1.0, key="h", hashed_by="").passed is True
    assert book.decide(1.0, key="h", spelling=None).passed is None
    assert book.decide(70.0, key="h").passed is True
    assert book.decide(70.0, key="h", spelling=None).passed is True
    assert book.decide(70.0, key="h").passed is False


def test_a_field_that_is_not_there_is_spelled_in_no_way() -> None:
    book = _Book(FIXED, fresh=True)
    spellings: list[Spelling] = [("k1", None), (None, ""), (None, None), ("k1", "")]
    for number, spelling in enumerate(spellings):
        assert book.decide(1.0, key=f"key {number}", spelling=spelling).passed is True
    assert book.decide(2.0, key="other", spelling=(None, "k1")).passed is None


def test_one_of_whom_nobody_knows_who_he_is_may_be_anybody() -> None:
    book = _Book(FIXED, fresh=True)
    assert book.decide(1.0, key="a").passed is True
    assert book.decide(2.0, untold=True).passed is None
    assert book.decide(3.0, key="b").passed is None
    assert book.decide(70.0, key="b").passed is True


def test_he_is_decided_as_he_was_where_all_is_as_it_was() -> None:
    book = _Book(GCRA, fresh=True)
    assert book.decide(1.0, True, None, key="a").passed is True
    assert book.decide(2.0, False, [3.0, 0.0, 0.0], untold=True).passed is False
    assert book.decide(2.5, True, None, key="b", spelling=("k2",)).passed is True
    assert book.decide(2.5, key="c", spelling=("k2",)).passed is None  # it was not charged then
    assert book.decide(2.6, False, [3.0, 0.0, 0.0], untold=True).passed is None
