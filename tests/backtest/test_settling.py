"""What the second half of a back-test makes of events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.api.meter import Tariff
from gateway.backtest.event import File, Spool
from gateway.backtest.gap import Gap
from gateway.backtest.judge import Count, Judge, Loss, Shadow, Skip, Trace
from gateway.backtest.recorded import PASSED, REFUSE, UNDECIDABLE, Verdict, undecidable
from gateway.backtest.settling import Machine, settle
from gateway.backtest.tally import NEWLY_REFUSED, UNCHANGED, Tally
from gateway.config.load import loads
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from tests.backtest.logged import text_of

LIMIT: dict[str, Any] = {"name": "few", "rate": "60/minute", "burst": 1, "key": ["project_id"]}
REFUSED = Verdict(REFUSE, 405, "methods", "method_not_allowed")
UNSURE = undecidable("rbac", "it was not asked")


@pytest.fixture
def plan() -> Plan:
    registry = Registry()
    text = text_of(filters=[{"rate_limit": {"limits": [LIMIT]}}])
    return build_plan(loads(text, "gateway.yaml", registry=registry), registry)


class _Script:
    """Events of one machine, each at an instant of its own, with a count and what else is given."""

    def __init__(self, plan: Plan, directory: Path, held: int = 100) -> None:
        self.plan = plan
        self._judge = Judge(plan)
        self._spool = Spool(str(directory), 0, self._judge, None, held=held)

    def add(
        self,
        at: float,
        *others: Verdict | Loss | Skip,
        behind: Sequence[Skip] = (),
        end: Verdict = PASSED,
        told: bool = True,
        shadow: bool = False,
        shadows: Sequence[Shadow] = (),
        waited: float = 0.0,
        key: str = "p1",
        first: str = "",
    ) -> None:
        tariff = Tariff("few", ("gcra", (1.0, 1.0, 0.0)), 1.0, 413, ("limits", 0))
        number = self._judge.tariffs.number(0, tariff)
        counts = [
            Count(0, at, True, shadow, [(number, whose, 1, f"h-{whose}", False, None, False, ())], seconds)
            for whose, seconds in ((first, 0.0), (key, waited))
            if whose
        ]
        trace = Trace([*others, *counts, *behind], end, shadows)
        self._spool.add((at, int(at), 0), told, f"req-{at}", "GET /a", "any", "p1", PASSED, None, trace)

    def files(self) -> list[File]:
        self._spool.close()
        return self._spool.files

    def settled(self, *gaps: Gap, sampled: bool = False) -> Tally:
        tally = Tally()
        machines = {0: Machine(self.plan, None, 0.0, 0.0, fresh=True)}
        settle(self.files(), machines, gaps, (self.plan, None), tally, sampled=sampled)
        return tally


def test_charges_are_made_in_the_order_of_time_whatever_file_they_are_in(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path, held=2)
    for at in (5.0, 1.0, 5.5, 1.5, 3.0):
        script.add(at)
    tally = script.settled()
    assert tally.counts == {UNCHANGED: 3, NEWLY_REFUSED: 2}
    ((key, group),) = tally.ordered()
    assert (key.after.filter, key.after.status) == ("rate_limit", 413)
    assert key.after.source == plan.entries[0].source(("limits", 0))
    assert [example.request_id for example in group.examples] == ["req-1.5", "req-5.5"]


def _refused(tally: Tally) -> list[str]:
    return [example.request_id for _, group in tally.ordered() for example in group.examples]


def test_an_exchange_is_charged_when_it_comes_to_the_limit(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path)
    script.add(1.0, waited=0.4)
    script.add(1.2)
    script.add(1.3, waited=0.05)
    assert _refused(script.settled()) == ["req-1.0", "req-1.3"]


def test_one_that_is_held_between_two_limits_lets_others_come_first(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path, held=2)
    script.add(1.0, first="p9", waited=1.5)
    script.add(2.4)
    script.add(5.0, first="p2", waited=2.0)
    script.add(5.5, key="p2")
    script.add(6.1)
    tally = script.settled()
    assert _refused(tally) == ["req-1.0", "req-5.0", "req-5.5"]
    assert tally.counts == {UNCHANGED: 2, NEWLY_REFUSED: 3}
    assert (tally.first, tally.last) == (1.0, 6.1)


def test_what_is_missing_while_one_is_held_makes_its_count_unsure(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path)
    script.add(1.0, first="p9", waited=9.0)
    script.add(20.0)
    assert script.settled().counts == {UNCHANGED: 2}
    assert script.settled(Gap(5.0, 5.0, 0)).counts == {UNDECIDABLE: 1, UNCHANGED: 1}


def test_what_is_missing_while_one_waits_for_its_only_limit_makes_its_count_unsure(
    plan: Plan, tmp_path: Path
) -> None:
    script = _Script(plan, tmp_path)
    script.add(1.0, waited=9.0)
    assert script.settled().counts == {UNCHANGED: 1}
    assert script.settled(Gap(9.5, 9.5, 0)).counts == {UNDECIDABLE: 1}


def test_what_is_missing_makes_counts_unsure(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path)
    for at in (1.0, 3.0, 5.0):
        script.add(at)
    assert script.settled(Gap(2.5, 2.5, 0), Gap(4.0, 4.0, 7)).counts == {UNCHANGED: 2, UNDECIDABLE: 1}
    assert script.settled(Gap(2.5, 3.5, 0), Gap(3.0, 4.8, 0)).counts == {UNCHANGED: 1, UNDECIDABLE: 2}
    assert script.settled(Gap(1.0, float("inf"), 0)).counts == {UNCHANGED: 1, UNDECIDABLE: 2}
    assert script.settled(sampled=True).counts == {UNDECIDABLE: 3}


def test_what_is_unsure_before_a_count_is_the_reason(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path)
    script.add(1.0, UNSURE, Loss(1.0))
    script.add(9.0, Skip(0, {"few": "h-p1"}), end=REFUSED)
    tally = script.settled()
    assert {key.after for key in tally.groups} == {UNSURE, REFUSED}


def test_those_that_are_not_asked_for_count_and_are_not_told(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path)
    script.add(1.0, told=False)
    script.add(1.5)
    assert script.settled().counts == {NEWLY_REFUSED: 1}


def test_filters_in_shadow_are_told_of(plan: Plan, tmp_path: Path) -> None:
    script = _Script(plan, tmp_path)
    script.add(1.0, shadow=True, shadows=[Shadow("methods", REFUSED, PASSED)])
    script.add(1.5, shadow=True)
    tally = script.settled()
    assert tally.counts == {UNCHANGED: 2}
    assert tally.shadows == {"methods": [0, 1], "rate_limit": [1, 0]}
