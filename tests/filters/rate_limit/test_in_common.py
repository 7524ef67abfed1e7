"""The filter with a store that machines share: a real Redis, and what becomes of requests while it gives no decision."""

import asyncio
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from filters.rate_limit import RateLimit
from gateway.api import Exchange, Fault, Note, Principal, Response, StoreError, StoreOptions
from gateway.api.testing import FrozenServices, build, exchange
from tests.filters.rate_limit.direct import Direct

WHO = Principal(user_id="u1", project_id="p1")
LIMITS = [{"name": "all", "rate": "3/hour", "key": ["project_id"]}]


class Machine(FrozenServices):
    """A gateway's services, whose store is the real one unless it is cut off from it."""

    def __init__(self, direct: Direct, directory: Path | None = None, **options: Any) -> None:
        """`store` are options of it; without one where they are None."""
        super().__init__(directory=directory)
        self._direct = direct
        self.cut_off: StoreError | None = None
        told = options.pop("store", {})
        store = {} if told is None else {"store": {"url": "redis://store.test", **told}}
        self._options = {"limits": LIMITS, **store, **options}
        self.reload()

    def reload(self) -> None:
        self.filter = build(RateLimit, self._options, self)

    def store(self, name: str, options: StoreOptions) -> Any:
        return self

    async def command(self, *parts: Any) -> Any:
        if self.cut_off is not None:
            raise self.cut_off
        await asyncio.sleep(0)  # as a network has it
        return await self._direct.command(*parts)

    def available(self) -> bool:
        return self.cut_off is None

    def tell(self, *parts: Any) -> None:
        raise NotImplementedError

    async def judge(self, made: Exchange | None = None) -> Fault | None:
        self.exchange = made or exchange(principal=WHO, clock=self.now())
        verdict = self.filter.on_request(self.exchange)
        verdict = await verdict if isawaitable(verdict) else verdict
        assert verdict is None or isinstance(verdict, Fault)
        return verdict

    async def statuses(self, number: int) -> list[int | None]:
        faults = [await self.judge() for _ in range(number)]
        return [None if fault is None else fault.status for fault in faults]

    async def answers(self, **headers: str) -> Response:
        self.exchange.response = Response(200, list(headers.items()), b"")
        verdict = self.filter.on_response(self.exchange)
        assert (await verdict if isawaitable(verdict) else verdict) is None
        return self.exchange.response

    @property
    def note(self) -> Note:
        note = self.exchange.trail[-1]
        assert isinstance(note, Note)
        return note


async def test_two_machines_are_one_limit(direct: Direct) -> None:
    first, second = Machine(direct), Machine(direct)
    assert await first.statuses(2) == [None, None]
    assert await second.statuses(2) == [None, 413]
    fault = await first.judge()
    assert fault is not None
    assert (fault.status, fault.reason, fault.rule) == (413, "rate_limited", ("limits", 0))
    assert fault.retry_after == pytest.approx(1200, abs=60)
    assert fault.details == "Only 3 GET request(s) can be made to * every hour."
    assert dict(fault.headers)["RateLimit"].startswith('"all";r=0;t=')


async def test_the_record_says_what_the_store_has_said(direct: Direct) -> None:
    machine = Machine(direct)
    await machine.statuses(2)
    assert machine.note.reason == "rate_counted"
    facts = machine.note.facts
    assert facts is not None
    assert facts["store"] is True
    cells: Any = facts["cells"]
    ((label, _, cost, cell),) = cells
    assert (label, cost) == ("all", 1)
    assert cell[0] == pytest.approx(1200, abs=60)


async def test_entries_with_other_limits_or_another_prefix_count_apart(direct: Direct) -> None:
    assert await Machine(direct).statuses(3) == [None] * 3
    assert await Machine(direct, store={"prefix": "other"}).statuses(3) == [None] * 3
    assert await Machine(direct, limits=[{**LIMITS[0], "rate": "2/hour"}]).statuses(3) == [None, None, 413]


async def test_what_is_counted_in_the_same_way_is_one_limit_whatever_else_is_another(direct: Direct) -> None:
    assert await Machine(direct).statuses(2) == [None, None]
    more = [{"name": "more", "rate": "5/hour", "key": ["project_id"]}, {**LIMITS[0], "status": 429}]
    other = Machine(direct, limits=more, headers=["x-ratelimit"], endpoint={"path": "/limits"})
    assert await other.statuses(2) == [None, 429]


async def test_entries_of_other_names_count_apart(direct: Direct) -> None:
    class Other(Machine):
        @property
        def identity(self) -> str:
            return "other/enforce"

    assert await Machine(direct).statuses(3) == [None] * 3
    assert await Other(direct).statuses(1) == [None]


async def test_a_window_of_the_calendar_ends_by_the_clock_of_the_world(direct: Direct) -> None:
    quota = [{"name": "quota", "rate": "2/day", "algorithm": "calendar_window", "key": ["project_id"]}]
    first, second = Machine(direct, limits=quota), Machine(direct, limits=quota)
    for machine in (first, second):
        seconds, _ = await direct.command("TIME")
        machine.advance(int(seconds) - machine.now().wall)
    assert await first.statuses(1) == [None]
    assert await second.statuses(2) == [None, 413]
    fault = await first.judge()
    assert fault is not None
    assert fault.retry_after == pytest.approx(86400 - first.now().wall % 86400, abs=60)


async def test_clients_are_told_where_they_stand_by_the_store(direct: Direct) -> None:
    options: dict[str, Any] = {"headers": ["x-ratelimit"], "headers_on": "all"}
    first, second = Machine(direct, **options), Machine(direct, **options)
    remaining = []
    for machine in (first, second, first):
        await machine.judge()
        remaining.append((await machine.answers()).headers.get("X-RateLimit-Remaining"))
    assert remaining == ["2", "1", "0"]


async def test_a_cost_that_the_answer_tells_is_taken_in_the_store(direct: Direct) -> None:
    limits = [{**LIMITS[0], "cost": {"header": "X-Cost", "max": 10}}]
    first, second = Machine(direct, limits=limits), Machine(direct, limits=limits)
    await first.judge()
    await first.answers(**{"X-Cost": "3"})
    assert first.note.reason == "rate_charged_late"
    assert await second.statuses(1) == [413]
    assert await first.statuses(1) == [413]


# ---- no decision


@pytest.mark.parametrize(
    ("on_error", "statuses"),
    [("local", [None, None, None, 413]), ("allow", [None] * 4), ("deny", [503] * 4)],
)
async def test_without_a_decision_it_is_as_the_operator_says(
    direct: Direct, on_error: str, statuses: list[int | None]
) -> None:
    machine = Machine(direct, on_store_error=on_error)
    machine.cut_off = StoreError("timeout")
    assert await machine.statuses(4) == statuses
    machine.cut_off = None
    assert await machine.statuses(1) == [None]


async def test_the_record_says_that_there_was_no_decision(direct: Direct) -> None:
    told = []
    for on_error in ("local", "allow", "deny"):
        machine = Machine(direct, on_store_error=on_error)
        machine.cut_off = StoreError("connect")
        fault = await machine.judge()
        facts = machine.note.facts if fault is None else fault.facts
        assert facts is not None
        told.append((machine.note.reason if fault is None else fault.reason, facts["because"]))
    assert told == [
        ("rate_counted_locally", "connect"),
        ("rate_uncounted", "connect"),
        ("rate_store_unavailable", "connect"),
    ]


async def test_a_late_cost_that_cannot_be_taken_costs_nobody_the_answer(direct: Direct) -> None:
    cost = {"header": "X-Cost", "max": 10, "strip": True}
    machine = Machine(direct, limits=[{**LIMITS[0], "cost": cost}])
    await machine.judge()
    machine.cut_off = StoreError("timeout")
    answer = await machine.answers(**{"X-Cost": "3"})
    assert answer.status == 200
    assert answer.headers.get("X-Cost") is None
    assert machine.note.reason == "rate_uncounted"


# ---- drawn ahead


async def test_most_requests_of_a_busy_key_wait_for_no_store(direct: Direct) -> None:
    limits = [{**LIMITS[0], "rate": "1000/hour"}]
    machine = Machine(direct, limits=limits, store={"lease": {"share": 64}})
    waited = 0
    for _ in range(300):
        verdict = machine.filter.on_request(exchange(principal=WHO, clock=machine.now()))
        if isawaitable(verdict):
            waited += 1
            verdict = await verdict
        assert verdict is None
    assert waited < 30


async def test_a_crowd_with_one_key_asks_the_store_a_few_times_only(direct: Direct) -> None:
    limits = [{**LIMITS[0], "rate": "1000/hour"}]
    machine = Machine(direct, limits=limits, store={"lease": {"share": 32}})
    for _ in range(5):
        faults = await asyncio.gather(*(machine.judge() for _ in range(64)))
        assert faults == [None] * 64
    asked = [parts for parts in direct.sent if parts[0] in ("EVAL", "EVALSHA")]
    assert len(asked) < 320 / 8


async def test_a_crowd_is_refused_where_nothing_is_left(direct: Direct) -> None:
    limits = [{**LIMITS[0], "rate": "40/hour"}]
    machine = Machine(direct, limits=limits, store={"lease": {"share": 32}})
    faults = await asyncio.gather(*(machine.judge() for _ in range(64)))
    assert sum(fault is None for fault in faults) <= 40
    assert sum(fault is not None for fault in faults) >= 24


async def test_what_is_drawn_has_been_taken_from_all(direct: Direct) -> None:
    limits = [{**LIMITS[0], "rate": "100/hour"}]
    machines = [Machine(direct, limits=limits, store={"lease": {"share": 8}}) for _ in range(3)]
    passed = 0
    for number in range(200):
        passed += await machines[number % 3].judge() is None
    assert 100 - 3 * 8 <= passed <= 100


async def test_an_ordinary_pass_says_that_it_was_paid_ahead(direct: Direct) -> None:
    machine = Machine(direct, limits=[{**LIMITS[0], "rate": "100/hour"}], store={"lease": {}})
    reasons = []
    for _ in range(10):
        await machine.judge()
        reasons.append(machine.note.reason)
    assert set(reasons) == {"rate_counted", "rate_leased"}


async def test_who_has_used_what_was_drawn_ahead_is_known(direct: Direct) -> None:
    limits = [{**LIMITS[0], "rate": "40/hour"}]
    machine = Machine(direct, limits=limits, store={"lease": {"share": 16}})
    fault = None
    for number in range(60):
        who = Principal(user_id="rare" if number % 10 == 0 else "busy", project_id="p1")
        fault = await machine.judge(exchange(principal=who, clock=machine.now()))
        if fault is not None:
            break
    assert fault is not None and fault.facts is not None
    assert fault.facts["consumers"] == (("busy", 36), ("rare", 4))


async def test_what_was_drawn_ahead_for_a_project_is_not_spent_once_it_is_blocked(
    direct: Direct, tmp_path: Path
) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text("{}")
    options: dict[str, Any] = {
        "limits": [{**LIMITS[0], "rate": "1000/hour"}],
        "store": {"lease": {"share": 64}},
        "overrides": {"file": "overrides.yaml"},
    }
    machine = Machine(direct, directory=tmp_path, **options)
    assert await machine.statuses(100) == [None] * 100
    assert machine.note.reason == "rate_leased"
    file.write_text("p1: blocked")
    machine.reload()
    assert await machine.statuses(3) == [413] * 3


# ---- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_store_error": "deny"}, "on_store_error needs a store"),
        (
            {"store": {"url": "redis://a", "lease": {}}, "headers_on": "all"},
            "headers_on: all needs a store without lease",
        ),
        ({"store": {"url": "http://a"}}, "expected redis://"),
        ({"store": {"url": "redis://a", "prefix": "{a}"}}, "pattern"),
        ({"store": {"url": "redis://a", "lease": {"share": 1}}}, "greater than or equal to 2"),
    ],
)
def test_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(RateLimit, {"limits": LIMITS, **options})
