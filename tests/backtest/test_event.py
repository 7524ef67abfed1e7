"""Events on their way from one half of a back-test to the other."""

from pathlib import Path

from gateway.api.meter import Tariff
from gateway.backtest.event import File, Reader, Spool, lanes
from gateway.backtest.judge import Count, Judge, Loss, Shadow, Skip, Trace
from gateway.backtest.recorded import PASSED, REFUSE, Verdict, undecidable
from gateway.backtest.tariff import Placed
from gateway.config.load import loads
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.backtest.logged import text_of

REFUSED = Verdict(REFUSE, 405, "methods", "method_not_allowed", "gateway.yaml:1:2")


def _judge() -> Judge:
    registry = Registry()
    return Judge(build_plan(loads(text_of(), "gateway.yaml", registry=registry), registry))


def _add(spool: Spool, at: float, trace: Trace, old: Trace | None = None) -> None:
    spool.add((at, 1, 0), True, f"req-{at}", "GET /a", "any", "p1", PASSED, old, trace)


def test_they_come_back_in_the_order_of_time(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), 3, _judge(), None)
    for at in (3.0, 1.0, 2.0):
        _add(spool, at, Trace((), PASSED, ()))
    spool.close()
    (file,) = spool.files
    assert (file.machine, file.first, file.last) == (3, (1.0, 1, 0), (3.0, 1, 0))
    assert [event[0] for events in Reader(file).slices() for event in events] == [1.0, 2.0, 3.0]


def test_a_bounded_number_of_them_is_held(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), 0, _judge(), None, held=2)
    for at in range(5):
        _add(spool, float(at), Trace((), PASSED, ()))
    assert len(spool.files) == 2
    spool.close()
    assert len(spool.files) == len(list(tmp_path.iterdir())) == 3
    spool.close()
    assert len(spool.files) == 3


def test_what_they_name_by_number_is_in_the_file(tmp_path: Path) -> None:
    judge, old_judge = _judge(), _judge()
    spool = Spool(str(tmp_path), 0, judge, old_judge)
    for place in (4, 5):
        tariff = Tariff("few", ("gcra", (1.0, 3.0, 0.0)), 3.0, 413, ("limits", 0))
        number = judge.tariffs.number(place, tariff)
        draw = (number, ("p1", "u1"), 1, "hash", True, None, False, (None,))
        unsure = undecidable("rbac", "it was not asked")
        count = Count(place, 7.5, True, False, [draw], hashed_by="a")
        parts = (count, unsure, Loss(7.5), Skip(1, {"few": "h"}, "a", 7.5))
        new = Trace(parts, REFUSED, (Shadow("methods", PASSED, REFUSED),))
        _add(spool, 1.0, new, Trace((), PASSED, ()))
        spool.close()
    for file, place in zip(spool.files, (4, 5), strict=True):
        reader = Reader(file)
        (event,) = (event for events in reader.slices() for event in events)
        verdicts = reader.named.verdicts
        end, packed, shadows = event[10]
        assert verdicts[end] == REFUSED
        assert packed[0] == (
            place,
            7.5,
            True,
            False,
            [(0, ("p1", "u1"), 1, "hash", True, None, False, (None,))],
            0.0,
            "a",
        )
        assert verdicts[packed[1]] == unsure
        assert packed[2:] == [(7.5,), (1, {"few": "h"}, "a", 7.5)]
        ((name, before, after),) = shadows
        assert (name, verdicts[before], verdicts[after]) == ("methods", PASSED, REFUSED)
        old = event[9]
        assert old is not None and verdicts[old[0]] == verdicts[event[8]] == PASSED
        assert reader.named.new == [Placed(place, "few", ("gcra", (1.0, 3.0, 0.0)), 3.0, 413, ("limits", 0))]
        assert reader.named.old == []


def test_files_that_follow_one_another_are_one_row() -> None:
    def file(first: float, last: float) -> File:
        return File("", 0, (first, 0, 0), (last, 0, 0))

    one, two, three, four = file(1, 2), file(2, 3), file(2.5, 9), file(4, 5)
    assert lanes([four, one, three, two]) == [[one, two, four], [three]]
    assert lanes([]) == []
